"""Bulk cutting: each source is cut by a worker of a cluster, and one process lists the people.

Every node has to see the sources and the folder of crops under the same paths. A worker that dies
leaves a journal; whoever takes its source up goes on behind it.
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vireid.bulk.cluster import Cluster, joined
from vireid.bulk.workers import GivenUp, Workers, shards_of
from vireid.errors import Interrupted, VireidError
from vireid.files.atomic import write_whole
from vireid.progress import tell
from vireid.video.cut_list import replace_rows
from vireid.video.detector import Detector
from vireid.video.detector_journal import last_frame
from vireid.video.frames import Video
from vireid.video.people import JOURNALS, Cut, Cutter, Job, cut_unlisted


@dataclass(frozen=True)
class Terms:
    """What workers cut by."""

    detector: str
    card: str | None
    threads: int
    out: Path
    """Folder of crops, by its absolute path."""
    mark: str
    """Name of a file in it, by which a node knows that it sees the folder."""


class CuttingWorker:
    """Cuts sources in the process of a worker."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms

    def open(self) -> str:
        """Open the detector, and return its fingerprint.

        Raises:
            VireidError: The detector is not there, or the folder of crops is not to be seen.
        """
        terms = self._terms
        if not (terms.out / JOURNALS / terms.mark).exists():
            raise VireidError(
                f"it does not see {terms.out}; --ray needs a folder (--out) that every node mounts "
                "under the same path"
            )
        self._detector = Detector.open(terms.detector, terms.card, terms.threads)
        return self._detector.fingerprint

    def cut(self, jobs: Sequence[Job]) -> Cut:
        """Cut one source.

        Raises:
            VireidError: It is not to be seen here, or cannot be cut.
        """
        (job,) = jobs
        place = Path(job.source.place)
        if not (isinstance(job.source, Video) and job.source.is_stream) and not place.exists():
            raise VireidError(
                f"{job.source.place} is not to be seen on every node; --ray needs videos that all "
                "nodes mount under the same path"
            )
        return cut_unlisted(job, self._detector, self._terms.out)


@contextmanager
def on_cluster(cluster: Cluster, detector: str, card: str | None, out: Path) -> Iterator[Cutter]:
    """Have the workers of a cluster cut sources in this block.

    Args:
        cluster: The cluster, which is joined or begun.
        detector: See `Detector.open`.
        card: See `Detector.open`.
        out: Folder of crops.

    Raises:
        VireidError: The detector cannot be opened, or the cluster cannot be joined.
    """
    fingerprint = Detector.open(detector, card, cluster.threads).fingerprint

    def check(other: str, node: str) -> None:
        if other != fingerprint:
            raise VireidError(
                f"node {node} has another file of the detector {detector}; put the same onto every "
                "node"
            )

    out = Path(os.path.abspath(out))  # noqa: PTH100  links keep their names
    mark = out / JOURNALS / f".ray-{secrets.token_hex(8)}"
    write_whole(mark, b"")
    terms = Terms(detector, card, cluster.threads, out, mark.name)
    try:
        with (
            joined(cluster.address),
            Workers[Job](CuttingWorker, (terms,), cluster, check) as workers,
        ):
            yield lambda jobs: _cut(jobs, workers, out)
    finally:
        mark.unlink(missing_ok=True)


def _cut(jobs: Sequence[Job], workers: Workers[Job], out: Path) -> list[Cut]:
    """Have sources cut, and list their people in the order of the sources.

    Raises:
        VireidError: A source cannot be read, or its workers died of it.
        Interrupted: Somebody stopped it; the same call goes on.
    """
    found, given_up = list[Cut](), list[str]()
    progress = _Progress(jobs, out)
    try:
        for job, answer in zip(
            jobs, workers.done("cut", shards_of(jobs, 1), progress.tell), strict=True
        ):
            if isinstance(answer, GivenUp):
                why = f"{answer.deaths} workers died of it ({answer.why})"
                given_up.append(f"{job.source.place}: {why}")
                continue
            found.append(answer.result)
            replace_rows(out, job.source.address, answer.result.rows)
    except KeyboardInterrupt:
        left = len(jobs) - len(found)
        raise Interrupted(
            f"stopped; the same command goes on with the {left} sources that are left"
        ) from None
    if given_up:
        raise VireidError(
            f"{len(found)} sources were cut, {len(given_up)} were given up; leave them out, or cut "
            "them without --ray to see what happens",
            listed=given_up,
        )
    return found


class _Progress:
    """What journals tell of work that others do."""

    def __init__(self, jobs: Sequence[Job], out: Path) -> None:
        self._journals = out / JOURNALS
        self._expected = {job.name: _expected(job) for job in jobs}

    def tell(self) -> None:
        """Tell how many frames have been looked at."""
        reached = {n: last_frame(self._journals, n) for n in self._expected}
        done = sum(frame + 1 for frame in reached.values() if frame is not None)
        begun = sum(frame is not None for frame in reached.values())
        total = max(sum(self._expected.values()), done + 1)
        tell("cutting", done, total, f"{begun} of {len(reached)} sources begun")


def _expected(job: Job) -> int:
    """Return how many frames a source says that it has; 0 where it does not, or cannot be read."""
    with suppress(VireidError):
        return job.source.expected() or 0
    return 0
