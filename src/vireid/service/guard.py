"""The guard: what holds for every request, before and after its route.

It gives the request an id, refuses names of hosts that are not this service's and bodies that are
too large, puts the headers of safety on every answer, gives up on bodies that come too slowly,
counts and logs.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Collection, Iterable
from http import HTTPStatus

from fastapi import Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vireid.console import shortened
from vireid.service import logs
from vireid.service.metrics import Metrics
from vireid.service.problems import Problem, answer

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; manifest-src 'self'; font-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: its own files alone, and pictures that it was given."""
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(self), geolocation=(), microphone=()",
    b"cache-control": b"no-store",
}
"""Headers of all answers that have none of these names yet, as ASGI has them."""
OF_THE_PAGE = HEADERS | {b"cache-control": b"no-cache"}
"""Headers of the page's files: asked for again, and not sent again."""
QUIET = {"/health", "/ready", "/metrics"}
"""Routes that are asked for all the time, and are not logged."""


class TooSlowError(HTTPException):
    """A client takes too long to send its request."""

    def __init__(self) -> None:
        super().__init__(408, "the request came too slowly", {"Connection": "close"})


class TooLargeError(HTTPException):
    """A request has more bytes than the largest one may have."""

    def __init__(self) -> None:
        super().__init__(413, "the request is too large", {"Connection": "close"})


class Guard:
    """Wraps the application."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        hosts: Collection[str] | None,
        seconds: float,
        most_bytes: int,
    ) -> None:
        """Take the application.

        Args:
            app: Application to guard.
            metrics: Where requests are counted.
            hosts: Names under which the service may be reached; None for any.
            seconds: Time for a client to send a request.
            most_bytes: Largest size of a request's body.
        """
        self._app, self._metrics, self._hosts = app, metrics, hosts
        self._seconds, self._most_bytes = seconds, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, headers = time.perf_counter(), Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        scope["request_id"] = asked if REQUEST_ID.fullmatch(asked) else secrets.token_hex(8)
        status = 500

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_own(message.get("headers", ()), scope)
            await send(message)

        ends, size = asyncio.get_running_loop().time() + self._seconds, 0

        async def in_bounds() -> Message:
            nonlocal size
            if scope.get("body_is_read"):
                return await receive()
            try:
                async with asyncio.timeout_at(ends):
                    message = await receive()
            except TimeoutError:
                raise TooSlowError() from None
            size += len(message.get("body", b""))
            if size > self._most_bytes:
                raise TooLargeError()
            if message["type"] == "http.request" and not message.get("more_body"):
                scope["body_is_read"] = True
            return message

        try:
            if problem := self._refused(headers):
                await answer(Request(scope), problem)(scope, receive, with_headers)
            else:
                await self._app(scope, in_bounds, with_headers)
        finally:
            self._note(scope, status, time.perf_counter() - begin)

    def _refused(self, headers: Headers) -> Problem | None:
        """Return what is wrong with a request, as far as its head tells."""
        told = headers.get("content-length", "")
        if told.isdigit() and (len(told) > 15 or int(told) > self._most_bytes):
            error = TooLargeError()
            return Problem(error.status_code, error.detail, dict(error.headers or {}))
        if self._hosts is None:
            return None
        # Pages of other names must not reach us.
        name = re.sub(r":\d*$", "", headers.get("host", "")).strip("[]").lower()
        if name in self._hosts:
            return None
        self._metrics.refused.labels("host").inc()
        return Problem(421, "the service is not known by this name; see `hosts` in its settings")

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or "other"
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if route not in QUIET:
            client = scope.get("client")
            logs.say(
                f"{method} {shortened(scope['path'], 200)} {status} {_phrase(status)}",
                request=scope["request_id"],
                ms=round(seconds * 1000, 1),
                who=getattr(scope.get("caller"), "name", None),
                address=client[0] if client else None,
            )


def _with_own(headers: Iterable[tuple[bytes, bytes]], scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer with those that every answer has."""
    own = OF_THE_PAGE if scope["path"].startswith("/page/") else HEADERS
    given = [(name.lower(), value) for name, value in headers]
    named = {name for name, _ in given}
    more = [pair for pair in own.items() if pair[0] not in named]
    return [*given, *more, (b"x-request-id", scope["request_id"].encode())]


METHODS = {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
