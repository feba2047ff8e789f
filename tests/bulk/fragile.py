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


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class MeetingPictureWorker(PictureWorker):
    """Begins only once two workers are there, who touch files beside the model."""

    def embed(self, entries: Sequence[Entry]) -> EmbeddedEntries:
        here = Path(self._opening.model).parent
        (here / f"{os.getpid()}.worker").touch()
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
