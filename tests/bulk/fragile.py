"""Workers that differ in one thing from those of vireid: what kills them, or what they wait for."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.waiting import wait_for

from vireid.gallery.store import Entry
from vireid.models.card import ModelCard
from vireid.search.bulk_indexing import PictureWorker
from vireid.search.indexing_work import EmbeddedEntries
from vireid.video.bulk_cutting import CuttingWorker
from vireid.video.people import Cut, Job

POISON = "poison"
KILLED = "killed"
"""Name of the file by which a test says that it has killed a node."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class MeetingPictureWorker(PictureWorker):
    """Begins once two workers are there, and goes on after a shard once a node is killed.

    So whoever works on that node has work left; it dies at the latest where a busy machine has let
    it live on without its raylet, its parent. Files beside the model tell who is there.
    """

    def embed(self, entries: Sequence[Entry]) -> EmbeddedEntries:
        here = Path(self._opening.model).parent
        met = here / f"{os.getpid()}.worker"
        if met.exists():
            wait_for((here / KILLED).exists)
            if os.getppid() != int(met.read_text()):
                die()
        met.write_text(str(os.getppid()))
        wait_for(lambda: len(list(here.glob("*.worker"))) > 1)
        return super().embed(entries)


class FragilePictureWorker(PictureWorker):
    def embed(self, entries: Sequence[Entry]) -> EmbeddedEntries:
        if any(POISON in entry.record.path.name for entry in entries):
            die()
        return super().embed(entries)


class UnbornPictureWorker(PictureWorker):
    def open(self) -> ModelCard:
        die()
        return super().open()


class FragileCuttingWorker(CuttingWorker):
    def cut(self, jobs: Sequence[Job]) -> Cut:
        if any(POISON in job.name for job in jobs):
            die()
        return super().cut(jobs)
