"""What works until it meets something that kills its process, as a decoder with a fault does."""

import os
import signal
from collections.abc import Sequence

from vireid.gallery.store import Entry
from vireid.search.bulk_indexing import PictureWorker
from vireid.search.picture_work import EmbeddedEntries
from vireid.video.bulk_cutting import CuttingWorker
from vireid.video.people import Cut, Job

POISON = "poison"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class FragilePictureWorker(PictureWorker):
    def embed(self, entries: Sequence[Entry]) -> EmbeddedEntries:
        if any(POISON in entry.record.path.name for entry in entries):
            die()
        return super().embed(entries)


class FragileCuttingWorker(CuttingWorker):
    def cut(self, jobs: Sequence[Job]) -> Cut:
        if any(POISON in job.name for job in jobs):
            die()
        return super().cut(jobs)
