"""Routes of sessions: the page signs in and out."""

from fastapi import APIRouter, Request, Response

from vireid.service.access import CHALLENGE, Caller, who_asks
from vireid.service.keys import Scope
from vireid.service.limits import too_often
from vireid.service.messages import Session, SessionRequest
from vireid.service.problems import Problem
from vireid.service.routes import problems
from vireid.service.service import service_of
from vireid.service.sessions import COOKIE

router = APIRouter(prefix="/api/v1/session", tags=["session"])


@router.get("", responses=problems())
async def who_am_i(request: Request) -> Session:
    """Say who is asking, and what they may do."""
    required = service_of(request).settings.needs_keys
    try:
        return _session(who_asks(request), required)
    except Problem as problem:
        if problem.status != 401 or "authorization" in request.headers:
            raise
        return Session(authenticated=False, name=None, scopes=[], key_required=required)


@router.post("", responses=problems(413))
async def sign_in(request: Request, response: Response, wanted: SessionRequest) -> Session:
    """Sign in with a key; the answer sets a cookie."""
    service = service_of(request)
    address = request.client.host if request.client else "local"
    if wait := service.rates.take(address):
        raise too_often(wait)
    key = service.keys.check(wanted.key.strip())
    if key is None:
        raise Problem(401, "this key is not valid, or is not any more", CHALLENGE)
    response.set_cookie(
        COOKIE,
        service.sessions.begin(key.id),
        max_age=service.sessions.seconds,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return _session(Caller(key.name, key.scopes, key), service.settings.needs_keys)


@router.delete("", status_code=204, responses=problems())
async def sign_out(request: Request, response: Response) -> None:
    """End the session of the cookie."""
    if token := request.cookies.get(COOKIE):
        service_of(request).sessions.end(token)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _session(caller: Caller, required: bool) -> Session:
    scopes: list[Scope] = list(caller.scopes)
    return Session(authenticated=True, name=caller.name, scopes=scopes, key_required=required)
