"""The parts of one service, and the threads that work for it."""

import asyncio
import contextvars
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

from fastapi import Request

from vireid.service.audit import Audit
from vireid.service.database import Database
from vireid.service.galleries import AllServed, Served
from vireid.service.keys import Keys
from vireid.service.limits import Door, Rates
from vireid.service.metrics import Metrics
from vireid.service.searches import Searches
from vireid.service.sessions import Sessions
from vireid.service.settings import Settings, is_loopback
from vireid.service.thumbnails import Thumbnails
from vireid.threads import processors

T = TypeVar("T")


class Service:
    """Everything that routes use."""

    def __init__(self, settings: Settings) -> None:
        """Open galleries, models and the service's own files.

        Raises:
            VireidError: One of them cannot be opened.
        """
        self.settings = settings
        self.state: Literal["starting", "ready", "stopping"] = "starting"
        self.stopping = asyncio.Event()
        """Set once the service is to stop; streams then end."""
        self.metrics = Metrics()
        self.database = Database(settings.folder)
        self.keys = Keys(self.database)
        self.sessions = Sessions(settings.session_hours)
        self.audit = Audit(settings.folder, self.database)
        self.rates = Rates(settings.requests_per_minute)
        self.door = Door(settings.most_waiting, self.metrics)
        self.searches = Searches(64 * 2**20)
        self.thumbnails = Thumbnails(settings.thumbnails_mb)
        uploads = settings.folder / "uploads"
        self.galleries = AllServed(settings.galleries, uploads, self.metrics.batches.observe)
        self._pool = ThreadPoolExecutor(processors() + 2, "vireid-work")

    async def work(self, do: Callable[..., T], *given: Any) -> T:
        """Do something that takes a while in another thread, and return what it returns."""
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: context.run(do, *given))

    async def audited(
        self, request: Request, action: str, *, is_change: bool = False, **about: Any
    ) -> None:
        """Write into the audit log what a request has done."""
        said = {name: value for name, value in about.items() if value not in (None, [], {})}
        who, id_ = request.scope["caller"].name, request.scope["request_id"]
        write = self.audit.write
        await self.work(lambda: write(action, who=who, request=id_, is_change=is_change, **said))

    def count_pictures(self) -> None:
        """Bring the metric of pictures up to date."""
        for served in self.galleries:
            self.metrics.pictures.labels(served.name).set(served.contents.pictures)

    def stop_soon(self) -> None:
        """Have streams end; to be called in the thread of the event loop."""
        self.stopping.set()

    def start(self) -> None:
        """Get ready for the first request."""
        self.galleries.warm_up()
        self.state = "ready"

    def close(self) -> None:
        """Finish what is begun, and close all files."""
        self.state = "stopping"
        self._pool.shutdown()
        self.galleries.close()
        self.audit.close()
        self.database.close()


def hosts_of(settings: Settings) -> frozenset[str] | None:
    """Return the names under which the service may be reached; None for any."""
    if settings.hosts:
        return frozenset(name.lower().strip("[]") for name in settings.hosts)
    if settings.needs_keys:
        return None
    bound = [settings.host] if is_loopback(settings.host) else []
    return frozenset({"localhost", "127.0.0.1", "::1", *(name.strip("[]") for name in bound)})


def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    found = request.app.state.service
    assert isinstance(found, Service)
    return found


def gallery_of(request: Request, gallery: str) -> Served:
    """Return the gallery that an address names."""
    return service_of(request).galleries[gallery]


def folders_below(folders: Iterable[str]) -> list[Path]:
    """Return folders by their real paths, without links."""
    return [Path(folder).expanduser().resolve() for folder in folders]
