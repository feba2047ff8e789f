"""The parts of one service, and the threads that work for it."""

import asyncio
import contextvars
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from fastapi import Request

from vireid.errors import VireidError
from vireid.gallery.addresses import absolute
from vireid.service import logs, messages
from vireid.service.answering import answer_each
from vireid.service.audit import Asker, Audit, Line
from vireid.service.database import Database
from vireid.service.galleries import AllServed, Served
from vireid.service.hidden_folders import Places
from vireid.service.jobs import Jobs
from vireid.service.keys import Keys
from vireid.service.latest_searches import Searches
from vireid.service.limits import Door, Rates
from vireid.service.metrics import Metrics
from vireid.service.removals import Removals
from vireid.service.restoring import remove_leftovers
from vireid.service.sessions import Sessions
from vireid.service.settings import Settings, is_loopback
from vireid.service.thumbnails import Thumbnails
from vireid.service.uploads import sweep
from vireid.threads import processors

T = TypeVar("T")
REMOVALS_EVERY = 5.0
"""Seconds between two looks for removals that are final."""


class Service:
    """Everything that routes use."""

    def __init__(self, settings: Settings) -> None:
        """Open galleries, models and the service's own files.

        Raises:
            VireidError: One of them cannot be opened.
        """
        self.settings = settings
        self.state: Literal["starting", "ready", "stopping"] = "starting"
        self.metrics = Metrics()
        kept = settings.folder / "galleries"
        # First: a gallery that cannot be opened leaves no folder behind.
        self.galleries = AllServed(settings.galleries, kept, self.metrics.batches.observe)
        try:
            self.database = Database(settings.folder)
            self.database.hold()
        except BaseException:
            self.galleries.close()
            raise
        self.keys = Keys(self.database)
        self.sessions = Sessions(settings.session_hours)
        self.audit = Audit(settings.folder, self.database)
        self.answer_each = partial(answer_each, self.audit)
        """Answers searches; one and the same for all, so that they are answered together."""
        self.rates = Rates(settings.requests_per_minute)
        self.door = Door(settings.most_waiting, self.metrics)
        self.searches = Searches(64 * 2**20)
        self.removals = Removals(settings.folder / "removals", self.database, settings.undo_minutes)
        self.jobs = Jobs(self.database, self.metrics, self._job_ended, self.places)
        self._tasks: list[asyncio.Task[None]] = []
        self.thumbnails = Thumbnails(settings.thumbnails_mb)
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
        lines = [Line(action, asker_of(request), about)]
        if is_change:  # waits for the disk
            await self.work(partial(self.audit.write, lines, is_change=True))
        else:
            self.audit.write(lines)

    def places(self) -> Places:
        """Return what clients call the folders of this machine."""
        named: list[tuple[object, str]] = [(self.settings.folder, "data")]
        named += [(folder, folder.name) for folder in folders_below(self.settings.sources)]
        for served in self.galleries:
            contents = served.contents
            named += [(root, root.name) for root in contents.roots]
            address = served.searcher.gallery.address
            named += [(address, served.name), (absolute(address), served.name)]
        return Places(named)

    def count_pictures(self) -> None:
        """Bring the metric of pictures up to date."""
        for served in self.galleries:
            self.metrics.pictures.labels(served.name).set(served.contents.pictures)

    async def start(self) -> None:
        """Get ready for the first request, and begin what goes on beside requests."""
        await self.work(self._warm_up)
        self._tasks = [
            asyncio.create_task(self.jobs.run()),
            asyncio.create_task(self._finish_removals()),
        ]
        self.state = "ready"

    def _warm_up(self) -> None:
        remove_leftovers(self.settings.folder)
        self.galleries.warm_up()
        for served in self.galleries:
            sweep(served, self.removals.files(served))

    async def _finish_removals(self) -> None:
        """Take away what can no longer be undone, again and again."""
        while True:
            try:
                if await self.work(self.removals.finish_old, self.galleries):
                    self.thumbnails.forget()
            except VireidError as error:  # somebody else writes, or the disk is full: later
                logs.say(f"removals wait: {error.sentence}")
            await asyncio.sleep(REMOVALS_EVERY)

    async def stop(self) -> None:
        """Have jobs stop where they are, and streams end, so that requests can finish."""
        self.state = "stopping"
        await self.jobs.stop()

    async def close(self) -> None:
        """Finish what is begun, and close all files."""
        await self.stop()
        if self._tasks:
            jobs, removals = self._tasks
            await asyncio.wait([jobs], timeout=self.settings.stop_seconds)
            removals.cancel()
            await asyncio.gather(removals, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(None, self.close_files)

    def close_files(self) -> None:
        """Close all files."""
        self._pool.shutdown()
        self.galleries.close()
        self.audit.close()
        self.database.close()

    def _job_ended(self, job: messages.Job) -> None:
        about = {"job": job.id, "gallery": job.gallery, "state": job.state, "error": job.error}
        self.audit.write([Line("job", Asker(job.by or "", job.id), about)], is_change=True)


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


def asker_of(request: Request) -> Asker:
    """Return who has sent a request, for the audit log."""
    return Asker(request.scope["caller"].name, request.scope["request_id"])


def gallery_of(request: Request, gallery: str) -> Served:
    """Return the gallery that an address names."""
    return service_of(request).galleries[gallery]


def folders_below(folders: Iterable[str]) -> list[Path]:
    """Return folders by their real paths, without links."""
    return [Path(folder).expanduser().resolve() for folder in folders]
