"""The server: uvicorn, stopped gracefully, and patient with slow clients for a while only."""

import asyncio
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vireid.service import logs
from vireid.service.app import create
from vireid.service.service import Service

HEADER_SECONDS = 10.0
"""Time for a client to send the head of its first request."""


class Protocol(H11Protocol):
    """uvicorn's protocol, which gives up on clients that do not send the head of a request."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._waiting = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Stop waiting once the head of the first request is whole."""
        super().data_received(data)
        if self.cycle is not None:
            self._waiting.cancel()

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
    try:
        asyncio.run(of(service).serve())
    except KeyboardInterrupt:  # uvicorn raises it again once everything has stopped
        logs.say("stopped")
