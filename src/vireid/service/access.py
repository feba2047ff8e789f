"""Access: who is asking, and whether they may.

A caller is known by a key (`Authorization: Bearer`), or by the page's session cookie. Where the
service is bound to loopback, somebody at this machine may do everything without a key.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request

from vireid.service.keys import SCOPES, Key, Scope
from vireid.service.limits import too_often
from vireid.service.problems import Problem
from vireid.service.service import Service, service_of
from vireid.service.sessions import COOKIE, HEADER

SAFE = {"GET", "HEAD", "OPTIONS"}
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="vireid"'}


@dataclass(frozen=True)
class Caller:
    """Somebody who asks."""

    name: str
    """Name of the key, or the address where there is none."""
    scopes: tuple[Scope, ...]
    key: Key | None = None

    def may(self, scope: str) -> bool:
        """Whether a scope is among the caller's."""
        return scope in self.scopes


def caller_of(request: Request) -> Caller:
    """Return the caller of a request whose route `needs` a scope."""
    found = request.scope["caller"]
    assert isinstance(found, Caller)
    return found


def needs(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """Return a dependency of routes that only callers of a scope may use."""

    async def needed(request: Request) -> Caller:
        return allowed(request, scope)

    return needed


def allowed(request: Request, scope: str) -> Caller:
    """Return who is asking, if it is somebody who has a scope.

    Raises:
        Problem: The caller has not, or `who_asks` knows none.
    """
    caller = who_asks(request)
    if not caller.may(scope):
        refuse(request, "scope")
        raise Problem(403, f"this needs a key of the scope {scope}; yours has {caller.scopes[-1]}")
    return caller


def who_asks(request: Request) -> Caller:
    """Return who is asking.

    Raises:
        Problem: Nobody who may, or too often.
    """
    service = service_of(request)
    key, by_cookie = _key_of(request, service)
    address = request.client.host if request.client else "local"
    take = service.rates.take
    wait = take(key.id, key.limits.per_minute) if key else take(address)
    if wait:
        refuse(request, "rate")
        raise too_often(wait)
    if key is None:
        caller = _without_key(request, service, address)
    else:
        caller = Caller(key.name, key.scopes, key)
    if key is None or by_cookie:
        _check_origin(request, by_cookie=by_cookie)
    request.scope["caller"] = caller
    return caller


def _key_of(request: Request, service: Service) -> tuple[Key | None, bool]:
    """Return the key of a request, and whether it came by the cookie of the page."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme:
        key = service.keys.check(text.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            _refuse_key(request, service, "this key is not valid, or is not any more")
        return key, False
    if token := request.cookies.get(COOKIE):
        id_ = service.sessions.key_of(token)
        key = service.keys.get(id_) if id_ else None
        if key and key.is_valid:
            return key, True
        if service.settings.needs_keys:
            _refuse_key(request, service, "the session has ended; sign in again")
    return None, False


def _without_key(request: Request, service: Service, address: str) -> Caller:
    if service.settings.needs_keys:
        _refuse_key(request, service, "this needs a key: Authorization: Bearer KEY", counted=True)
    if any(name in request.headers for name in FORWARDED):
        raise Problem(
            403,
            "this came through a proxy, and nobody needs a key here: set keys = 'required' in the "
            "settings of the service, and make keys with `vireid keys add`",
        )
    return Caller(f"someone at {address}", SCOPES)


def _refuse_key(request: Request, service: Service, why: str, *, counted: bool = False) -> None:
    """Refuse a key; who tries many is slowed down."""
    refuse(request, "key")
    address = request.client.host if request.client else "local"
    if not counted and (wait := service.rates.take(address)):
        raise too_often(wait)
    raise Problem(401, why, CHALLENGE)


def _check_origin(request: Request, *, by_cookie: bool) -> None:
    """Refuse what a page of another site has a browser do.

    Raises:
        Problem: The request is such a one.
    """
    if request.method in SAFE:
        return
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    is_other = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if is_other or site not in ("same-origin", "none"):
        refuse(request, "origin")
        raise Problem(403, "a page of another site may not ask for this")
    if by_cookie and request.headers.get(HEADER) != "page":
        refuse(request, "origin")
        raise Problem(403, f"with a session this needs the header {HEADER}: page")


def refuse(request: Request, reason: str) -> None:
    """Count a request that was refused."""
    service_of(request).metrics.refused.labels(reason).inc()
