"""Watching a camera: people are cut out and indexed as its pictures arrive.

A stream is followed by a detector. When it is lost it is opened again, after a wait that grows up
to a minute. What comes faster than the detector works is passed over, so that answers are of now. A
folder is looked at twice a second: new pictures are frames for the detector, or, without one,
cut-outs of people. Crops stay as long as the gallery keeps pictures; nothing else grows with time.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import count
from pathlib import Path

import numpy as np

from vireid.datasets import folder as folders
from vireid.datasets._listing import pictures_below
from vireid.errors import VireidError
from vireid.files.atomic import write_whole, writing_to
from vireid.files.documents import as_line, read_lines
from vireid.files.untrusted import is_file
from vireid.gallery import Gallery
from vireid.models.embedder import Embedder
from vireid.pictures import PictureError, read_picture, taken_at
from vireid.records import ImageRecord, Modality
from vireid.search import indexing
from vireid.video.crops import cut_out
from vireid.video.cut_list import CutOut
from vireid.video.detector import Detector
from vireid.video.detector_journal import MOST_OF_A_JOURNAL
from vireid.video.frames import Frame, Video, VideoError
from vireid.video.people import Cutting, Wishes, by_detector, looking
from vireid.video.source_labels import as_name
from vireid.video.spectrum import SpectrumSense

LAG = 2.0
"""Seconds that frames may wait for the detector before some are passed over."""
DRIFT = 0.01
"""Share by which a camera's clock may be slow without its frames counting as late."""
LONGEST = 30.0
"""Seconds after which somebody who stays is indexed, and followed as another tracklet."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before a lost stream is opened again: the first time, and at most."""
LOOK_EVERY = 0.5
"""Seconds between two looks at a folder."""
UNFINISHED = 10.0
"""Seconds since its last change during which a broken picture may still be being written."""
TIDY_EVERY = 600.0
"""Seconds between two removals of what is too old."""
SEEN = "watched.jsonl"
WAY_OUT = "remove it; the pictures of the folder are then looked at again"


@dataclass
class Counts:
    """What a watch has done so far."""

    people: int = 0
    """Tracklets, or people in single pictures."""
    pictures: int = 0
    """Crops or pictures that were added to the gallery."""
    frames: int = 0
    lost: int = 0
    """How often a stream was lost."""
    passed_over: int = 0
    """Frames that came faster than the detector works."""
    skipped: int = 0
    """Pictures that could not be used."""


@dataclass(frozen=True)
class _Seen:
    path: str
    changed: int


@dataclass
class Watch:
    """A camera whose people go into a gallery."""

    embedder: Embedder
    gallery: Gallery
    out: Path
    """Folder for crops."""
    camera: str
    wishes: Wishes
    detector: Detector | None
    told: Callable[[str], None]
    """Called with a line for each event."""
    seconds: float | None = None
    """Time after which the watch ends; None for never."""
    counts: Counts = field(default_factory=Counts)
    _began: float = field(default_factory=time.monotonic)
    _tidied: float = field(default_factory=time.monotonic)

    def _is_over(self) -> bool:
        return self.seconds is not None and time.monotonic() - self._began >= self.seconds

    # Streams

    def stream(self, place: str) -> None:
        """Follow a stream until the time is over, or a video file to its end.

        Raises:
            VireidError: There is no detector, or the disk is full.
        """
        if self.detector is None:
            raise VireidError(f"people have to be found in {place}; give a --detector")
        wait = FIRST_WAIT
        for number in count():
            before = self.counts.frames
            source = Video(place, start=datetime.now())
            try:
                self._session(source, self.detector, number)
                why = "it ended"
            except VideoError as error:
                if not source.is_stream:
                    raise
                why = error.sentence
            if not source.is_stream or self._is_over():
                return
            self.counts.lost += 1
            wait = FIRST_WAIT if self.counts.frames > before else wait
            self.told(f"{self.camera}: lost ({why}); again in {wait:.0f} s")
            self._sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _session(self, source: Video, detector: Detector, number: int) -> None:
        """Follow a stream until it is lost."""
        name = f"{as_name(self.camera)}-{datetime.now():%Y%m%dT%H%M%S}-{number}"
        work = Cutting(source, name, self.out, replace(self.wishes, longest=LONGEST))
        following, look = by_detector(detector), looking(detector, self.wishes)
        late = _Lateness()
        try:
            for frame in source.frames(self.wishes.sampling):
                if self._is_over():
                    break
                self.counts.frames += 1
                if source.is_stream and late.of(frame) > LAG:
                    self.counts.passed_over += 1
                    continue
                work.step(frame, look, following)
                self._add_rows(work.drained())
        finally:
            work.write_all()
            self._add_rows(work.drained())

    def _add_rows(self, rows: Sequence[CutOut]) -> None:
        for tracklet in dict.fromkeys(row.tracklet for row in rows):
            crops = [row for row in rows if row.tracklet == tracklet]
            self._add([_record(self.out, row) for row in crops], people=1)
            self.told(f"{self.camera}: {tracklet}, crops: {len(crops)}")
        self._tidy()

    # Folders

    def folder(self, path: Path) -> None:
        """Look at a folder again and again, until the time is over.

        Raises:
            VireidError: It is not there, or the disk is full.
        """
        seen = self._seen_before() if self.detector else dict[Path, int]()
        sense = SpectrumSense()
        while True:
            began = time.monotonic()
            fresh = list(_fresh(path, seen))
            if fresh and self.detector is None:
                self._add_cut_outs(path, fresh, seen)
            for place, changed in fresh if self.detector else ():
                if self._look_at(place, changed, sense):
                    seen[place] = changed
            self._tidy()
            if self._is_over():
                return
            # A listing that takes long is not begun again at once.
            self._sleep(max(LOOK_EVERY, time.monotonic() - began))

    def _add_cut_outs(
        self, path: Path, fresh: Sequence[tuple[Path, int]], seen: dict[Path, int]
    ) -> None:
        """Index new cut-outs, labelled as `vireid index` does it."""
        changed = dict(fresh)
        try:
            found = folders.find(path, self.wishes.modality, self.wishes.camera)
        except VireidError as error:
            self.told(f"{self.camera}: {error.sentence}")
            return
        records = [record for record in found.records if record.path in changed]
        before = self.counts.pictures
        broken = {Path(error.path) for error in self._add(records, people=None)}
        if (added := self.counts.pictures - before) > 0:
            self.told(f"{self.camera}: pictures: {added}")
        for place, when in changed.items():
            if place not in broken or not _may_be_unfinished(when):
                seen[place] = when
                self.counts.skipped += place in broken

    def _look_at(self, place: Path, changed: int, sense: SpectrumSense) -> bool:
        """Find people in a new picture; return whether it need not be looked at again."""
        assert self.detector is not None
        try:
            pixels = np.asarray(read_picture(place))
        except PictureError as error:
            if _may_be_unfinished(changed):
                return False
            self.counts.skipped += 1
            self.told(f"{self.camera}: {error.sentence}")
            return True
        taken = taken_at(place) or datetime.fromtimestamp(changed / 1e9)
        frame = Frame(0, changed / 1e9, pixels, place, taken)
        modality = self.wishes.modality or sense.of(frame)
        self.counts.frames += 1
        records = list[ImageRecord]()
        for number, person in enumerate(self.detector(pixels, modality, self.wishes.tiles)):
            crop = cut_out(frame, person.sides, person.score)
            if crop is None or crop.height < self.wishes.least_height:
                continue
            name = f"{as_name(place.stem)}-{changed}-{number}.jpg"
            target = self.out / modality / as_name(self.camera) / "stills" / name
            write_whole(target, crop.as_jpeg())
            records.append(ImageRecord(target, modality, camera=self.camera, time=taken))
        if records:
            self._add(records, people=len(records))
            self.told(f"{self.camera}: people in {place.name}: {len(records)}")
        with writing_to(self.out / SEEN), (self.out / SEEN).open("ab") as file:
            file.write(as_line(asdict(_Seen(str(place), changed))))
        return True

    def _seen_before(self) -> dict[Path, int]:
        """Return the pictures that an earlier watch has looked at, and that are still there."""
        self.out.mkdir(parents=True, exist_ok=True)
        listed = self.out / SEEN
        if not is_file(listed):
            return {}
        lines: list[_Seen] = read_lines(
            listed, _Seen, WAY_OUT, is_growing=True, most=MOST_OF_A_JOURNAL
        )
        seen = {Path(line.path): line.changed for line in lines if Path(line.path).exists()}
        kept = b"".join(as_line(asdict(_Seen(str(path), at))) for path, at in seen.items())
        write_whole(listed, kept)
        return seen

    # Both

    def _add(self, records: Sequence[ImageRecord], people: int | None) -> tuple[PictureError, ...]:
        done = indexing.index(records, self.embedder, self.gallery)
        self.counts.pictures += done.added
        self.counts.people += done.added if people is None else people
        return done.skipped

    def _tidy(self) -> None:
        """Remove crops and pictures that are older than the gallery keeps them, now and then."""
        keep = self.gallery.keep
        if keep is None or time.monotonic() - self._tidied < TIDY_EVERY:
            return
        self._tidied = time.monotonic()
        self.remove_old()

    def remove_old(self) -> int:
        """Remove crops that are older than the gallery keeps pictures; return how many went."""
        keep, gone = self.gallery.keep, 0
        if keep is None:
            return 0
        indexing.index([], self.embedder, self.gallery)
        if self.detector is None:  # what lies there was not cut here, so it is not ours to remove
            return 0
        oldest = time.time() - keep.total_seconds()
        for modality in Modality:
            for crop in (self.out / modality / as_name(self.camera)).rglob("*.jpg"):
                if crop.stat().st_mtime < oldest:
                    crop.unlink(missing_ok=True)
                    gone += 1
        return gone

    def _sleep(self, seconds: float) -> None:
        if self.seconds is not None:
            seconds = min(seconds, max(0.0, self._began + self.seconds - time.monotonic()))
        time.sleep(seconds)


class _Lateness:
    """How late frames come, beside the least late ones, in seconds."""

    def __init__(self) -> None:
        self._least: float | None = None
        self._before = 0.0

    def of(self, frame: Frame) -> float:
        """Return how late the next frame is."""
        gap = time.monotonic() - frame.seconds
        slower = DRIFT * (frame.seconds - self._before)
        self._least = gap if self._least is None else min(self._least + slower, gap)
        self._before = frame.seconds
        return gap - self._least


def _record(out: Path, row: CutOut) -> ImageRecord:
    return ImageRecord(
        out / row.path, row.modality, camera=row.camera, tracklet=row.tracklet, time=row.time
    )


def _fresh(path: Path, seen: dict[Path, int]) -> Iterator[tuple[Path, int]]:
    """Yield the pictures that are new or have changed, with the time of their change."""
    for place in pictures_below(path).pictures:
        try:
            changed = place.stat().st_mtime_ns
        except FileNotFoundError:  # gone since
            continue
        if seen.get(place) != changed:
            yield place, changed


def _may_be_unfinished(changed: int) -> bool:
    return time.time() - changed / 1e9 < UNFINISHED
