"""The server: uvicorn, stopped gracefully, and patient with slow clients for a while only."""

import asyncio
import gc
import json
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vireid.service import logs
from vireid.service.app import create
from vireid.service.problems import MEDIA_TYPE, Problem, document_of
from vireid.service.service import Service

HEADER_SECONDS = 10.0
"""Time for a client to send the head of its first request."""
MOST_BARREN = 2**18
"""Bytes that may come without a head or any of a body becoming whole: the parser keeps them all, of
heads, of what follows a body in pieces, and of what is said of the pieces."""
GARBAGE = 10_000
"""Number of new objects from which Python looks for those that only refer to one another."""


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which gives up on clients that send no request, or a head without end."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._waiting = self.loop.call_later(HEADER_SECONDS, self._give_up)
        self._barren, self._is_barren = 0, True

    def data_received(self, data: bytes) -> None:
        """Stop waiting once the head of the first request is whole."""
        self._is_barren = True
        super().data_received(data)
        if self.cycle is not None:
            self._waiting.cancel()
        self._barren = self._barren + len(data) if self._is_barren else 0
        if self._barren > MOST_BARREN and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        """Note that a head is whole."""
        self._is_barren = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note that some of a body has come."""
        self._is_barren = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that a request is whole."""
        self._is_barren = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Tell what is wrong with a request that cannot be read, and end the connection."""
        problem = Problem(400, f"{msg.rstrip('.')}; nothing of it was done")
        content = json.dumps(document_of(problem, "", None)).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
            f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self.transport.write(head.encode() + content)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._waiting.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """uvicorn's server, which tells the service that it stops before it waits for requests."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: jobs and streams first, then running requests finish."""
        await self._service.stop()
        await super().shutdown(sockets)


def of(service: Service) -> Server:
    """Return the server of a service."""
    settings = service.settings
    config = uvicorn.Config(
        create(service),
        host=settings.host,
        port=settings.port,
        http=Protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=round(settings.stop_seconds),
        backlog=512,
    )
    return Server(config, service)


def run(service: Service) -> None:
    """Serve until somebody stops it (SIGTERM, Ctrl-C)."""
    # Requests leave next to nothing behind; looking through all modules again and again would take
    # a twelfth of the time of searches.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)
    try:
        asyncio.run(of(service).serve())
    except KeyboardInterrupt:  # uvicorn raises it again once everything has stopped
        logs.say("stopped")
