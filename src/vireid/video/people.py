"""Cutting people out of frames and videos, as tracklets that `vireid index` reads.

    OUT/people.csv                         a line a crop: path, spectrum, camera, tracklet, time, …
    OUT/visible/gate/gate-0001/000120.jpg  crops of a tracklet, by the number of their frame
    OUT/journal/                           what the detector found, so that work goes on

A detector or a list of boxes finds people, a tracker follows them, and of every track up to eight
crops are kept that are spread in time and good: surely found and sharp. Every file appears whole or
not at all. Whoever is stopped runs the same again; no frame is looked at twice.
"""

import csv
import io
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Literal

from vireid.datasets._files import MOST_OF_A_LIST, Unusable
from vireid.datasets.folder import labels_of as labels_by_folders
from vireid.errors import Interrupted, VireidError
from vireid.files.documents import read_toml
from vireid.files.locks import locked
from vireid.files.regular import content_of, is_file
from vireid.files.whole import write_whole
from vireid.progress import tell
from vireid.records import Modality
from vireid.video import boxes as boxes_
from vireid.video import sheets
from vireid.video.boxes import BoxList, Detection, Sides
from vireid.video.crops import BestCrops, Crop, cut_out
from vireid.video.detector import Detector
from vireid.video.frames import Frame, Sampling, Source, Video
from vireid.video.journal import Journal, Terms
from vireid.video.pairs import Course, Homography, Paired, paired
from vireid.video.spectrum import GREY, SpectrumSense, colourfulness
from vireid.video.tracks import Settings, Tracker

Spectrum = Literal["visible", "infrared", "auto"]
"""Spectrum of a camera, as a person says it; `auto` is told by colours."""
COLOURS_EVERY = 20
"""Frames of which one is looked at for colours, where somebody says that they are visible."""
LIST, JOURNALS, LOCK = "people.csv", "journal", ".lock"
LEAST_HEIGHT = 48
"""Rows below which a person is not cut out: re-identification needs to see clothes."""
COLUMNS = (
    *("path", "modality", "identity", "camera", "tracklet", "time"),
    *("source", "frame", "seconds", "box", "height", "score", "sharpness"),
)


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
    least_height: int = LEAST_HEIGHT
    seconds: float | None = None
    """Time after which a source is left; None for its end."""
    group: str | None = None
    """Group of the people, as the first folder of their crops: train, validation or test."""
    keeps_courses: bool = False
    """Whether it is kept where each tracklet was at all times, to pair it."""


@dataclass(frozen=True)
class CutOut:
    """A line of the list: one crop, and where it was."""

    path: str
    """Path below the folder, with slashes."""
    modality: Modality
    identity: int | None
    camera: str
    tracklet: str
    time: datetime | None
    source: str
    frame: int
    seconds: float
    box: str
    height: int
    score: float
    sharpness: float


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
    name = name or name_of(source)
    work = _Cutting(source, name, out, wishes)
    taken = f"{source.place} is being cut into {out} by another process; wait for it, or stop it"
    try:
        with locked(out / JOURNALS / f".{name}.lock", taken):
            if not isinstance(finder, Detector):
                find = _listed(source, finder, work)
                return work.run(find, lambda _: GIVEN, None, given=finder)
            with closing(Journal(out / JOURNALS, name, _terms(source, finder, wishes))) as journal:
                look = _looking(finder, journal, wishes)
                return work.run(look, _by_detector(finder, wishes), journal)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; the same command goes on with {source.place}") from None


def cut_pair(
    sources: tuple[Source, Source],
    finders: tuple[Detector | BoxList, Detector | BoxList],
    out: Path,
    wishes: tuple[Wishes, Wishes],
    names: tuple[str, str],
    homography: Homography | None = None,
    shift: float | None = None,
) -> tuple[Cut, Cut, Paired]:
    """Cut people out of two videos of one scene, and name those who are in both.

    A person who is found in both spectra gets a number that no other has in the folder, as the
    identity of all their crops; all others keep -1, which stands for nobody known.

    Args:
        sources: The visible and the infrared source.
        finders: What finds people in each.
        out: Folder; what it holds of the same sources is replaced.
        wishes: How, in each spectrum.
        names: Names of the two sources in files.
        homography: See `pairs.paired`.
        shift: See `pairs.paired`.
    """
    visible, infrared = (
        cut(source, finder, out, replace(wish, keeps_courses=True), name)
        for source, finder, wish, name in zip(sources, finders, wishes, names, strict=True)
    )
    found = paired(visible.courses, infrared.courses, homography, shift)
    with locked(out / LOCK):
        _name(found, {source.place for source in sources}, out)
    return visible, infrared, found


def _name(found: Paired, places: AbstractSet[str], out: Path) -> None:
    """Write who is who into the list, in numbers that nobody of another source has."""
    rows = read_rows(out)
    taken = [
        int(row["identity"])
        for row in rows
        if row["source"] not in places and row["identity"].isdigit()
    ]
    first = max(taken, default=0) + 1
    people = {
        name: str(first + number)
        for number, person in enumerate(found.people)
        for tracks in person
        for name in tracks
    }
    for row in rows:
        if row["source"] in places:
            row["identity"] = people.get(row["tracklet"], NOBODY)
    write_rows(out, rows)


def write_pairs(found: Paired, out: Path, sheet: Path) -> None:
    """Write a sheet on which each person who is in both spectra has two rows of crops."""
    crops: dict[str, list[Path]] = {}
    identity: dict[str, str] = {}
    for row in read_rows(out):
        crops.setdefault(row["tracklet"], []).append(out / row["path"])
        identity[row["tracklet"]] = row["identity"]
    people = list[sheets.Pairing]()
    for seen, felt in found.people:
        of_person = [each for each in found.evidence if each.visible in seen]
        overlap = sum(e.overlap * e.seconds for e in of_person) / sum(e.seconds for e in of_person)
        title = f"person {identity[min(seen)]}\noverlap {overlap:.2f}\n"
        title += "\n".join((*sorted(seen), *sorted(felt)))
        rows = ([crop for name in sorted(of) for crop in crops[name]] for of in (seen, felt))
        people.append(sheets.Pairing(title, *rows))
    sheets.save(sheets.pairs(people), sheet)


def pairs_as_dict(found: Paired) -> dict[str, Any]:
    """Return who is who, for programs."""
    return {
        "people": [
            {"visible": sorted(seen), "infrared": sorted(felt)} for seen, felt in found.people
        ],
        "evidence": [asdict(each) for each in found.evidence],
        "shift": found.shift,
        "shift_is_told_by_motion": found.is_told_by_motion,
        "visible_alone": list(found.visible_alone),
        "infrared_alone": list(found.infrared_alone),
    }


NOBODY = "-1"
"""Identity of people whom nobody has named."""
GIVEN = Settings(sure=0.0, unsure=0.0, begin=0.0)
"""How people are followed whose boxes others have chosen: all of them count."""


def name_of(source: Source) -> str:
    """Return the name of a source as part of a file's name."""
    return _as_name(source.name)


def names_of_sources(sources: Sequence[Source]) -> list[str]:
    """Return a name for each source; sources of one name are numbered."""
    names = list[str]()
    for source in sources:
        name, number = name_of(source), 2
        while name in names:
            name, number = f"{name_of(source)}-{number}", number + 1
        names.append(name)
    return names


def labels_of(
    source: Source,
    modality: Spectrum | None,
    camera: str | None,
    known: Mapping[str, Spectrum] = MappingProxyType({}),
) -> tuple[Modality | None, str | None]:
    """Return the spectrum and the camera of a source: what is said, or else its folders.

    Args:
        source: Frames.
        modality: Their spectrum; `auto` to tell it by their colours, which gives None.
        camera: Name of the camera.
        known: Spectra of cameras, which stand above the other.

    Raises:
        VireidError: Nothing says the spectrum.
    """
    stream = isinstance(source, Video) and source.path is None
    # Folders of a picture say it, and those that hold it: a folder of frames is one itself.
    inside = Path(source.place) if isinstance(source, Video) else Path(source.place) / "0.jpg"
    by_folders = None if stream else labels_by_folders(inside)
    camera = camera or (by_folders.camera if by_folders else None)
    said = known.get(camera or source.name, modality)
    if said == "auto":
        return None, camera
    by_place = by_folders.modality if by_folders else None
    of = by_place if said is None else Modality(said)
    if of is None:
        raise VireidError(
            f"nothing says the spectrum of {source.place}; give --modality visible or infrared (or "
            "auto, to tell it by colours), or put it into a folder of that name"
        )
    return of, camera


def read_spectra(path: Path) -> Mapping[str, Spectrum]:
    """Read a TOML file that says the spectrum of each camera: `gate = "infrared"`.

    Raises:
        VireidError: It cannot be read, or says something else.
    """
    way_out = 'write lines such as gate = "infrared"; there are visible, infrared and auto'
    told: Mapping[str, Spectrum] = read_toml(path, dict[str, Spectrum], way_out)
    return told


def _by_detector(detector: Detector, wishes: Wishes) -> Following:
    """Return how people are followed who have been found by a detector."""
    apart = 1 / wishes.sampling.rate if wishes.sampling.rate else 0.0

    def following(modality: Modality) -> Settings:
        least = detector.card.thresholds.least(modality)
        return Settings(sure=least, unsure=least / 2, begin=least, lost=max(1.0, 2.5 * apart))

    return following


def _terms(source: Source, detector: Detector, wishes: Wishes) -> Terms:
    size = changed = None
    if isinstance(source, Video) and source.path is not None:
        about = source.path.stat()
        size, changed = about.st_size, about.st_mtime_ns
    elif not isinstance(source, Video):
        size = len(source.files)
        changed = max(path.stat().st_mtime_ns for path in source.files)
    return Terms(
        source=source.place,
        size=size,
        changed=changed,
        detector=detector.fingerprint,
        card=str(detector.card),
        asked=f"{wishes.sampling} {wishes.tiles} {wishes.modality}",
    )


def _looking(detector: Detector, journal: Journal, wishes: Wishes) -> Finder:
    """Return what looks at frames, or remembers."""

    def look(frame: Frame, modality: Modality) -> list[Detection]:
        known = journal.of(frame.number)
        if known is not None:
            return known
        least = detector.card.thresholds.least(modality) / 2
        people = detector(frame.pixels, modality, wishes.tiles, least)
        journal.note(frame.number, people)
        return people

    return look


def _listed(source: Source, boxes: BoxList, work: "_Cutting") -> Finder:
    """Return what finds people in a list of boxes."""
    video = source.path if isinstance(source, Video) else None

    def look(frame: Frame, _: Modality) -> list[Detection]:
        rows, columns = frame.pixels.shape[:2]
        found = boxes.of(boxes_.names_of(frame.number, frame.path, video), columns, rows)
        work.unusable += found.unusable
        return list(found.people)

    return look


class _Cutting:
    """The work on one source."""

    def __init__(self, source: Source, name: str, out: Path, wishes: Wishes) -> None:
        self.source, self.name, self.out, self.wishes = source, name, out, wishes
        self.unusable = list[Unusable]()
        self._best: dict[str, tuple[BestCrops, Detection]] = {}
        self._places: dict[str, list[tuple[float, Sides]]] = {}
        self.courses: dict[str, Course] = {}
        self._rows = list[CutOut]()
        self._small = self._count = self._empty = self._colourless = 0
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
        """Cut the source, write its crops, and list them."""
        began, frame, looked = time.monotonic(), None, 0
        known, self._given = len(journal) if journal else 0, given
        tracker = Tracker()
        expected = self.source.expected() or 0
        for frame in self.source.frames(self.wishes.sampling):
            if self.wishes.seconds is not None and frame.seconds > self.wishes.seconds:
                break
            spectrum = self.wishes.modality or self._sense.of(frame)
            if spectrum is not self._spectrum:  # nobody is followed from one into the other
                self._write_all()
                self._spectrum, tracker = spectrum, Tracker(following(spectrum))
            people = find(frame, spectrum)
            looked += 1
            self._take(frame, people, tracker)
            self._empty += not people
            if looked % COLOURS_EVERY == 1 and self.wishes.modality is Modality.VISIBLE:
                self._colourless += colourfulness(frame.pixels) < GREY
            self._tell(frame, expected, began)
        self._write_all()
        self._unusable_of(given)
        rows = tuple(sorted(self._rows, key=lambda row: (row.tracklet, row.frame)))
        _replace_rows(self.out, self.source.place, rows)
        return Cut(
            source=self.source.place,
            rows=rows,
            frames=looked,
            again=min(known, looked),
            seconds=frame.seconds if frame else 0.0,
            took=time.monotonic() - began,
            small=self._small,
            empty=self._empty,
            unusable=tuple(self.unusable),
            notes=(*self.source.notes, *_never_met(given), *self._doubts(looked)),
            courses=self.courses,
        )

    def _doubts(self, looked: int) -> Iterator[str]:
        if self._colourless > 0.9 * looked / COLOURS_EVERY:
            yield "it is called visible, and its frames have no colour: is it infrared?"

    def _write_all(self) -> None:
        for track in list(self._best):
            self._write(track)

    def _unusable_of(self, given: BoxList | None) -> None:
        self.unusable += self.source.unusable
        if given:
            self.unusable += given.unusable

    def _take(self, frame: Frame, people: Sequence[Detection], tracker: Tracker) -> None:
        """Follow the people of a frame, and keep what is good of them."""
        if people and all(each.track is not None for each in people):
            followed = [(each.track or "", each) for each in people]
            for track in [each for each in self._best if self._is_over(each, frame.number)]:
                self._write(track)
        else:
            found = tracker.update(people, frame.seconds)
            followed = [(f"#{each.track}", each.detection) for each in found]
            alive = {f"#{number}" for number in tracker.alive()}
            for track in [each for each in self._best if each[0] == "#" and each not in alive]:
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

    def _write(self, track: str) -> None:
        """Write the crops of a track that has ended."""
        best, person = self._best.pop(track)
        assert self._spectrum is not None
        self._count += 1
        camera = self.wishes.camera or person.camera or self.name
        tracklet = f"{self.name}-{self._count:04d}"
        if places := self._places.pop(track, None):
            self.courses[tracklet] = Course.of(places)
        folders = (self.wishes.group, self._spectrum, _as_name(camera), tracklet)
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
            source=self.source.place,
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


def _as_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "unnamed"


# The list


def read_rows(out: Path) -> list[dict[str, str]]:
    """Return the lines of the list in a folder, as they stand there.

    Raises:
        VireidError: It is another list, or damaged.
    """
    path = out / LIST
    if not is_file(path):
        return []
    way_out = "move it away, or choose another folder (--out)"
    try:
        text = content_of(path, MOST_OF_A_LIST).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise VireidError(f"{path} cannot be read ({error}); {way_out}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows = list(reader)
    if tuple(reader.fieldnames or ()) != COLUMNS or any(None in row.values() for row in rows):
        raise VireidError(f"{path} is no list that `vireid cut` has written; {way_out}")
    return rows


def _replace_rows(out: Path, source: str, rows: Sequence[CutOut]) -> None:
    """Put the crops of a source into the list, in place of those it had, whose files go."""
    with locked(out / LOCK):
        before = read_rows(out)
        others = [row for row in before if row["source"] != source]
        kept = {row.path for row in rows} | {row["path"] for row in others}
        write_rows(out, [*others, *map(_as_cells, rows)])
    for row in before:
        if row["path"] not in kept and _is_a_crop(row["path"]):
            (out / row["path"]).unlink(missing_ok=True)


def _is_a_crop(path: str) -> bool:
    """Whether a path in a list, which somebody may have edited, can be one that we have written."""
    parts = PurePosixPath(path).parts
    return path.endswith(".jpg") and ".." not in parts and not path.startswith("/")


def write_rows(out: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write the list of a folder, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(out / LIST, text.getvalue().encode())


def _as_cells(row: CutOut) -> dict[str, str]:
    cells = {name: "" if value is None else str(value) for name, value in asdict(row).items()}
    return {**cells, "time": row.time.isoformat() if row.time else ""}
