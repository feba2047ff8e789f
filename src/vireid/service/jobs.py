"""Jobs: long work that goes on after the answer, one after another, and after a restart.

A job is done by a process of its own (`vireid.service.worker`). If the service stops or is killed,
the job waits for the next start and goes on where it was.
"""

import asyncio
import json
import secrets
import signal
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime

import msgspec

from vireid.service import logs, messages
from vireid.service.database import Database
from vireid.service.hidden_folders import Places
from vireid.service.metrics import Metrics
from vireid.service.problems import Problem, not_found
from vireid.service.worker import Told, Work

ENDED = ("done", "failed", "cancelled")
LONGEST_LINE = 2**26
"""Bytes of a line of the worker's; a report lists every picture that was skipped."""
MOST_LISTED = 200


class Jobs:
    """All jobs of one service. Its methods are called in the thread of the event loop."""

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        finished: Callable[[messages.Job], None],
        places: Callable[[], Places],
    ) -> None:
        """Take up what was not finished.

        Args:
            database: Where jobs are kept.
            metrics: Where ended ones are counted.
            finished: Called with each job that has ended.
            places: Returns what clients call the folders of this machine.
        """
        self._database, self._metrics, self._finished = database, metrics, finished
        self._places = places
        self._progress: dict[str, messages.Progress] = {}
        self._process: Process | None = None
        self._now: str | None = None
        self._cancelled = set[str]()
        self._changed = asyncio.Condition()
        self._stops = False
        with database.changing() as db:
            db.execute("UPDATE jobs SET state = 'waiting' WHERE state = 'running'")

    async def add(self, gallery: str, shown: str, work: Work, by: str) -> messages.Job:
        """Put a job at the end of the row."""
        id_, now = secrets.token_urlsafe(9), datetime.now(UTC).isoformat(timespec="seconds")
        row = (id_, gallery, shown, msgspec.json.encode(work).decode(), "waiting", now, by)
        with self._database.changing() as db:
            db.execute(
                "INSERT INTO jobs (id, gallery, source, work, state, created, by) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
        await self._tell()
        return self.get(id_)

    def all(self) -> list[messages.Job]:
        """Return the latest jobs, the last one first."""
        asked = "SELECT * FROM jobs ORDER BY number DESC LIMIT ?"
        return [self._job(row) for row in self._database.rows(asked, MOST_LISTED)]

    def get(self, id_: str) -> messages.Job:
        """Return a job.

        Raises:
            Problem: There is none of this id.
        """
        return self._job(self._row(id_))

    async def cancel(self, id_: str) -> messages.Job:
        """Stop a job; what it has indexed stays.

        Raises:
            Problem: There is none of this id, or it has ended.
        """
        state = self._row(id_)["state"]
        if state in ENDED:
            raise Problem(409, f"the job has ended already ({state})")
        self._cancelled.add(id_)
        if self._now == id_:
            self._interrupt()
        else:
            await self._end(id_, "cancelled")
        return self.get(id_)

    async def watch(self, id_: str) -> AsyncIterator[messages.Job]:
        """Yield a job now, and at every change until it has ended or the service stops."""
        before = None
        while not self._stops:
            job = self.get(id_)
            if job != before:
                yield job
                before = job
                if job.state in ENDED:
                    return
                continue  # it may have changed while it was told
            async with self._changed:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), timeout=10)

    async def run(self) -> None:
        """Do one job after another, until the service stops."""
        while not self._stops:
            asked = "SELECT * FROM jobs WHERE state = 'waiting' ORDER BY number LIMIT 1"
            rows = self._database.rows(asked)
            if rows:
                await self._do(rows[0])
                continue
            async with self._changed:
                await self._changed.wait()

    async def stop(self) -> None:
        """Have the present job stop where it is, and streams end."""
        self._stops = True
        self._interrupt()
        await self._tell()

    async def _do(self, row: sqlite3.Row) -> None:
        id_ = row["id"]
        self._now = id_
        await self._set(id_, "running")
        command = [sys.executable, "-m", "vireid.service.worker"]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE, start_new_session=True
        )
        self._process = process
        assert process.stdin
        assert process.stdout
        with suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(row["work"].encode() + b"\n")
            await process.stdin.drain()
        last = Told()
        if self._stops or id_ in self._cancelled:
            self._interrupt()
        async for line in process.stdout:
            last = msgspec.json.decode(line, type=Told)
            if last.step:
                step = asdict(last.step)
                self._progress[id_] = messages.Progress(
                    what=step["what"], done=step["done"], total=step["total"]
                )
                await self._tell()
        status = await process.wait()
        self._process, self._now = None, None
        self._progress.pop(id_, None)
        await self._conclude(id_, last, status)

    async def _conclude(self, id_: str, last: Told, status: int) -> None:
        if last.report is not None:
            await self._end(id_, "done", result=json.dumps(self._places().hidden_in(last.report)))
        elif last.error is not None:
            await self._end(id_, "failed", error=self._places().hidden(last.error))
        elif id_ in self._cancelled:
            await self._end(id_, "cancelled")
        elif self._stops:
            await self._set(id_, "waiting")
        else:
            await self._end(id_, "failed", error=f"its process ended with status {status}")

    def _interrupt(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)

    async def _end(
        self, id_: str, state: str, *, result: str | None = None, error: str | None = None
    ) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._database.changing() as db:
            asked = "UPDATE jobs SET state = ?, ended = ?, result = ?, error = ? WHERE id = ?"
            db.execute(asked, (state, now, result, error, id_))
        self._cancelled.discard(id_)
        self._metrics.jobs.labels(state).inc()
        job = self.get(id_)
        logs.say(f"job {state}", job=id_, gallery=job.gallery, source=job.source, error=error)
        self._finished(job)
        await self._tell()

    async def _set(self, id_: str, state: str) -> None:
        with self._database.changing() as db:
            db.execute("UPDATE jobs SET state = ? WHERE id = ?", (state, id_))
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _row(self, id_: str) -> sqlite3.Row:
        rows = self._database.rows("SELECT * FROM jobs WHERE id = ?", id_)
        if not rows:
            raise not_found("such job")
        return rows[0]

    def _job(self, row: sqlite3.Row) -> messages.Job:
        return messages.Job(
            id=row["id"],
            kind="index",
            gallery=row["gallery"],
            source=row["source"],
            state=row["state"],
            progress=self._progress.get(row["id"]),
            created=row["created"],
            ended=row["ended"],
            by=row["by"],
            result=json.loads(row["result"]) if row["result"] else None,
            error=row["error"],
        )
