"""Cutting people out of frames and videos, as tracklets that `vireid index` reads.

    OUT/people.csv                         a line a crop: path, spectrum, camera, tracklet, time, …
    OUT/visible/gate/gate-0001/000120.jpg  crops of a tracklet, by the number of their frame
    OUT/journal/                           what the detector found, so that work goes on

A detector or a list of boxes finds people, a tracker follows them, and of every track up to eight
crops are kept that are spread in time and good: surely found and sharp. Every file appears whole or
not at all. Whoever is stopped runs the same again; no frame is looked at twice.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vireid.datasets._files import Unusable
from vireid.errors import Interrupted
from vireid.files.atomic import write_whole
from vireid.files.locks import locked
from vireid.progress import tell
from vireid.records import LEAST_ROWS, Modality
from vireid.video import boxes as boxes_
from vireid.video.boxes import BoxList, Detection, Sides
from vireid.video.crops import BestCrops, Crop, cut_out
from vireid.video.cut_list import CutOut, replace_rows
from vireid.video.detector import Detector
from vireid.video.detector_journal import Journal, Terms
from vireid.video.frames import Folder, Frame, Sampling, Source, Video
from vireid.video.pairs import Course
from vireid.video.source_labels import as_name, name_of
from vireid.video.spectrum import GREY, SpectrumSense, colourfulness
from vireid.video.tracks import Settings, Tracker

COLOURS_EVERY = 20
"""Frames of which one is looked at for colours, where somebody says that they are visible."""
JOURNALS = "journal"
"""Folder of what detectors found."""


@dataclass(frozen=True)
class Wishes:
    """How people are cut out."""

    modality: Modality | None
    """Spectrum of the frames; None to tell it by their colours."""
    camera: str | None = None
    """Name of the camera; by default the source's."""
    sampling: Sampling = field(default_factory=Sampling)
    tiles: tuple[int, int] = (1, 1)
    crops: int = 8
    """Largest number of crops of a track."""
    least_height: int = LEAST_ROWS
    seconds: float | None = None
    """Time after which a source is left; None for its end."""
    group: str | None = None
    """Group of the people, as the first folder of their crops: train, validation or test."""
    longest: float | None = None
    """Seconds after which a tracklet is ended and another begun; None for never."""
    keeps_courses: bool = False
    """Whether it is kept where each tracklet was at all times, to pair it."""


@dataclass(frozen=True)
class Cut:
    """The result of cutting one source."""

    source: str
    rows: tuple[CutOut, ...]
    frames: int
    """Frames that were looked at, by a detector or in a list of boxes."""
    again: int
    """Frames of those that had been looked at before."""
    seconds: float
    """Length of the video that was cut."""
    took: float
    """Seconds that it took."""
    small: int
    """Boxes that were left out, as the person in them is too small."""
    empty: int
    """Frames in which nobody was."""
    unusable: tuple[Unusable, ...] = ()
    notes: tuple[str, ...] = ()
    courses: Mapping[str, Course] = field(default_factory=dict)
    """Where each tracklet was, if that was to be kept."""

    @property
    def tracklets(self) -> int:
        """Number of tracklets."""
        return len({row.tracklet for row in self.rows})

    def as_dict(self) -> dict[str, Any]:
        """Return the result for programs."""
        return {
            "source": self.source,
            "people": self.tracklets,
            "crops": len(self.rows),
            "frames": self.frames,
            "frames_known": self.again,
            "seconds": round(self.seconds, 3),
            "took": round(self.took, 3),
            "times_real_time": round(self.seconds / self.took, 3) if self.took else None,
            "small": self.small,
            "frames_without_people": self.empty,
            "skipped": [asdict(each) for each in self.unusable],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Job:
    """One source to be cut."""

    source: Source
    wishes: Wishes
    name: str
    """Name of the source in files."""


Cutter = Callable[[Sequence[Job]], list[Cut]]
"""Cuts sources and lists their people, one source after the other."""
Finder = Callable[[Frame, Modality], list[Detection]]
"""Finds the people in a frame of a spectrum."""
Following = Callable[[Modality], Settings]
"""Says how people are followed in a spectrum."""


def cut(
    source: Source,
    finder: Detector | BoxList,
    out: Path,
    wishes: Wishes,
    name: str | None = None,
) -> Cut:
    """Cut the people of one source out into a folder, and list them.

    Args:
        source: Frames.
        finder: Detector, or boxes that others have found.
        out: Folder; what it holds of the same source is replaced.
        wishes: How.
        name: Name of the source in files; by default its own.

    Raises:
        VireidError: The source cannot be read, or the disk is full.
        Interrupted: Somebody stopped it; the same call goes on.
    """
    found = cut_unlisted(Job(source, wishes, name or name_of(source)), finder, out)
    replace_rows(out, source.address, found.rows)
    return found


def cut_here(finder: Detector | BoxList, out: Path) -> Cutter:
    """Return what cuts sources in this process; see `cut`."""
    return lambda jobs: [cut(job.source, finder, out, job.wishes, job.name) for job in jobs]


def cut_unlisted(job: Job, finder: Detector | BoxList, out: Path) -> Cut:
    """Cut the people of one source out into a folder; to list them is left to the caller.

    Args:
        job: The source, and how it is cut.
        finder: Detector, or boxes that others have found.
        out: Folder.

    Raises:
        VireidError: The source cannot be read, or the disk is full.
        Interrupted: Somebody stopped it; the same call goes on.
    """
    source, name, wishes = job.source, job.name, job.wishes
    work = Cutting(source, name, out, wishes)
    _check_shows_something(source)  # before anything is written
    taken = f"{source.place} is being cut into {out} by another process; wait for it, or stop it"
    try:
        with locked(out / JOURNALS / f".{name}.lock", taken):
            if not isinstance(finder, Detector):
                find = _listed(source, finder, work)
                return work.run(find, lambda _: GIVEN, None, given=finder)
            with closing(Journal(out / JOURNALS, name, _terms(source, finder, wishes))) as journal:
                look = looking(finder, wishes, journal)
                return work.run(look, by_detector(finder), journal)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; the same command goes on with {source.place}") from None


GIVEN = Settings(sure=0.0, unsure=0.0, begin=0.0)
"""How people are followed whose boxes others have chosen: all of them count."""


def _check_shows_something(source: Source) -> None:
    """Read the first frame of what can be read twice.

    Raises:
        VideoError: There is none.
    """
    if isinstance(source, Folder) or not source.is_stream:
        next(source.frames(Sampling()), None)


def by_detector(detector: Detector) -> Following:
    """Return how people are followed who have been found by a detector."""

    def following(modality: Modality) -> Settings:
        least = detector.card.thresholds.least(modality)
        return Settings(sure=least, unsure=least / 2, begin=least)

    return following


def _terms(source: Source, detector: Detector, wishes: Wishes) -> Terms:
    size = changed = None
    if isinstance(source, Video) and source.path is not None:
        about = source.path.stat()
        size, changed = about.st_size, about.st_mtime_ns
    elif isinstance(source, Video):  # a stream never shows again what it has shown
        changed = time.time_ns()
    else:
        size = len(source.files)
        changed = max(path.stat().st_mtime_ns for path in source.files)
    return Terms(
        source=source.address,
        size=size,
        changed=changed,
        detector=detector.fingerprint,
        card=str(detector.card),
        asked=f"{wishes.sampling} {wishes.tiles} {wishes.modality}",
    )


def looking(detector: Detector, wishes: Wishes, journal: Journal | None = None) -> Finder:
    """Return what looks at frames, or with a journal, remembers those that it has looked at."""

    def look(frame: Frame, modality: Modality) -> list[Detection]:
        known = journal.of(frame.number) if journal is not None else None
        if known is not None:
            return known
        least = detector.card.thresholds.least(modality) / 2
        people = detector(frame.pixels, modality, wishes.tiles, least)
        if journal is not None:
            journal.note(frame.number, people)
        return people

    return look


def _listed(source: Source, boxes: BoxList, work: "Cutting") -> Finder:
    """Return what finds people in a list of boxes."""
    video = source.path if isinstance(source, Video) else None

    def look(frame: Frame, _: Modality) -> list[Detection]:
        rows, columns = frame.pixels.shape[:2]
        found = boxes.of(boxes_.names_of(frame.number, frame.path, video), columns, rows)
        work.unusable += found.unusable
        return list(found.people)

    return look


class Cutting:
    """The work on one source, frame by frame."""

    def __init__(self, source: Source, name: str, out: Path, wishes: Wishes) -> None:
        self.source, self.name, self.out, self.wishes = source, name, out, wishes
        self.unusable = list[Unusable]()
        self._best: dict[str, tuple[BestCrops, Detection]] = {}
        self._places: dict[str, list[tuple[float, Sides]]] = {}
        self.courses: dict[str, Course] = {}
        self._rows = list[CutOut]()
        self._small = self._count = self._empty = self._colourless = self._looked = 0
        self._tracker = Tracker()
        self._sense = SpectrumSense()
        self._spectrum: Modality | None = None
        self._given: BoxList | None = None

    def run(
        self,
        find: Finder,
        following: Following,
        journal: Journal | None,
        given: BoxList | None = None,
    ) -> Cut:
        """Cut the source, and write its crops."""
        began, frame = time.monotonic(), None
        known, self._given = len(journal) if journal else 0, given
        expected = self.source.expected() or 0
        for frame in self.source.frames(self.wishes.sampling):
            if self.wishes.seconds is not None and frame.seconds > self.wishes.seconds:
                break
            self.step(frame, find, following)
            self._tell(frame, expected, began)
        self.write_all()
        self._unusable_of(given)
        rows = tuple(sorted(self._rows, key=lambda row: (row.tracklet, row.frame)))
        return Cut(
            source=self.source.place,
            rows=rows,
            frames=self._looked,
            again=min(known, self._looked),
            seconds=frame.seconds if frame else 0.0,
            took=time.monotonic() - began,
            small=self._small,
            empty=self._empty,
            unusable=tuple(self.unusable),
            notes=(*self.source.notes, *_never_met(given), *self._doubts()),
            courses=self.courses,
        )

    def step(self, frame: Frame, find: Finder, following: Following) -> None:
        """Take one frame; tracks that end with it are written."""
        spectrum = self.wishes.modality or self._sense.of(frame)
        if spectrum is not self._spectrum:  # nobody is followed from one into the other
            self.write_all()
            self._spectrum, self._tracker = spectrum, Tracker(following(spectrum))
        people = find(frame, spectrum)
        self._looked += 1
        self._take(frame, people)
        self._empty += not people
        if self._looked % COLOURS_EVERY == 1 and self.wishes.modality is Modality.VISIBLE:
            self._colourless += colourfulness(frame.pixels) < GREY

    def drained(self) -> list[CutOut]:
        """Return the crops that have been written since, and forget them."""
        rows, self._rows = self._rows, []
        return rows

    def _doubts(self) -> Iterator[str]:
        if self._colourless > 0.9 * self._looked / COLOURS_EVERY:
            yield "it is called visible, and its frames have no colour: is it infrared?"

    def write_all(self) -> None:
        """Write the crops of all tracks, as if they had ended."""
        for track in list(self._best):
            self._write(track)

    def _unusable_of(self, given: BoxList | None) -> None:
        self.unusable += self.source.unusable
        if given:
            self.unusable += given.unusable

    def _take(self, frame: Frame, people: Sequence[Detection]) -> None:
        """Follow the people of a frame, and keep what is good of them."""
        if people and all(each.track is not None for each in people):
            followed = [(each.track or "", each) for each in people]
            for track in [each for each in self._best if self._is_over(each, frame.number)]:
                self._write(track)
        else:
            found = self._tracker.update(people, frame.seconds)
            followed = [(f"#{each.track}", each.detection) for each in found]
            alive = {f"#{number}" for number in self._tracker.alive()}
            for track in [each for each in self._best if each[0] == "#" and each not in alive]:
                self._write(track)
        for track in [each for each in self._best if self._is_long(each, frame.seconds)]:
            self._write(track)
        for track, person in followed:
            if self.wishes.keeps_courses:
                self._places.setdefault(track, []).append((frame.seconds, person.sides))
            crop = cut_out(frame, person.sides, person.score, person.time)
            if crop is None or crop.height < self.wishes.least_height:
                self._small += 1
                continue
            best, _ = self._best.setdefault(track, (BestCrops(self.wishes.crops), person))
            best.add(crop)

    def _is_over(self, track: str, frame: int) -> bool:
        """Whether a list of boxes shows somebody no more."""
        return self._given is not None and self._given.last_frames.get(track, frame) < frame

    def _is_long(self, track: str, now: float) -> bool:
        """Whether a track is so long that its next crops are another tracklet."""
        longest = self.wishes.longest
        return longest is not None and now - self._best[track][0].first >= longest

    def _write(self, track: str) -> None:
        """Write the crops of a track that has ended."""
        best, person = self._best.pop(track)
        assert self._spectrum is not None
        self._count += 1
        camera = self.wishes.camera or person.camera or self.name
        tracklet = f"{self.name}-{self._count:04d}"
        if places := self._places.pop(track, None):
            self.courses[tracklet] = Course.of(places)
        folders = (self.wishes.group, self._spectrum, as_name(camera), tracklet)
        for crop in best:
            path = "/".join((*filter(None, folders), f"{crop.frame:06d}.jpg"))
            write_whole(self.out / path, crop.as_jpeg())
            self._rows.append(self._row(path, self._spectrum, camera, tracklet, crop))

    def _row(self, path: str, modality: Modality, camera: str, tracklet: str, crop: Crop) -> CutOut:
        return CutOut(
            path=path,
            modality=modality,
            identity=None,
            camera=camera,
            tracklet=tracklet,
            time=crop.time,
            source=self.source.address,
            frame=crop.frame,
            seconds=round(crop.seconds, 3),
            box=str(crop.box),
            height=crop.height,
            score=round(crop.score, 3),
            sharpness=round(crop.sharpness, 3),
        )

    def _tell(self, frame: Frame, expected: int, began: float) -> None:
        done = frame.number + 1
        speed = frame.seconds / max(time.monotonic() - began, 1e-6)
        people = self._count + len(self._best)
        now = f"{speed:.1f} x real time, {people} people"
        tell(f"cutting {self.source.name}", done, max(expected, done + 1), now)


def _never_met(given: BoxList | None) -> Iterator[str]:
    if given and (frames := given.never_met()):
        shown = ", ".join(map(str, frames[:3]))
        yield f"{len(frames)} frames of the list of boxes were not met: {shown}, …"
