"""The guard: what holds for every request, before and after its route.

It gives the request an id, refuses names of hosts that are not this service's, puts the headers of
safety on every answer, gives up on bodies that come too slowly, counts and logs.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Collection
from http import HTTPStatus

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
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
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
}
QUIET = {"/health", "/ready", "/metrics"}
"""Routes that are asked for all the time, and are not logged."""


class TooSlowError(HTTPException):
    """A client takes too long to send its request."""

    def __init__(self) -> None:
        super().__init__(408, "the request came too slowly", {"Connection": "close"})


class Guard:
    """Wraps the application."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        hosts: Collection[str] | None,
        seconds: float,
    ) -> None:
        """Take the application.

        Args:
            app: Application to guard.
            metrics: Where requests are counted.
            hosts: Names under which the service may be reached; None for any.
            seconds: Time for a client to send a request.
        """
        self._app, self._metrics, self._hosts, self._seconds = app, metrics, hosts, seconds

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
                own = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    own.setdefault(name, value)
                is_of_page = scope["path"].startswith(
                    "/page/"
                )  # asked for again, and not sent again
                own.setdefault("Cache-Control", "no-cache" if is_of_page else "no-store")
                own["X-Request-ID"] = scope["request_id"]
            await send(message)

        ends = asyncio.get_running_loop().time() + self._seconds

        async def in_time() -> Message:
            if scope.get("body_is_read"):
                return await receive()
            try:
                async with asyncio.timeout_at(ends):
                    message = await receive()
            except TimeoutError:
                raise TooSlowError() from None
            if message["type"] == "http.request" and not message.get("more_body"):
                scope["body_is_read"] = True
            return message

        try:
            if problem := self._refused(headers):
                await answer(Request(scope), problem)(scope, receive, with_headers)
            else:
                await self._app(scope, in_time, with_headers)
        finally:
            self._note(scope, status, time.perf_counter() - begin)

    def _refused(self, headers: Headers) -> Problem | None:
        """Return what is wrong with a request's host: pages of other names must not reach us."""
        if self._hosts is None:
            return None
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


METHODS = {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
