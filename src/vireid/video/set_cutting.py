"""Cutting people out of a set of frames, as a data set that `--dataset folder` reads.

    OUT/people.csv                                      a line a crop, as `vireid cut` writes it
    OUT/test/visible/set06_V000/0012/000120.jpg         crops of one person, by their frames
    OUT/scenes/set06_V000.json                          what is done, so that work goes on

A person is one track of one scene: the same number in another scene is somebody else. Of each, up
to eight instants are cut out that are spread in time, from both spectra, so that each crop has its
twin. Pictures of one instant share the number `moment`. Scenes in which the two spectra do not show
the same at the same pixels are left out.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vireid.datasets._files import SHOWN, Unusable
from vireid.errors import Interrupted, VireidError
from vireid.files.atomic import write_whole
from vireid.files.documents import read_json, write_json
from vireid.files.locks import locked
from vireid.files.untrusted import is_file
from vireid.pictures import PictureError, read_picture
from vireid.progress import tell
from vireid.records import LEAST_ROWS, Modality, spread
from vireid.video import sets
from vireid.video.boxes import MOST_OF_BOXES, Detection
from vireid.video.crops import cut_out
from vireid.video.cut_list import CutOut, as_cells, write_rows
from vireid.video.frames import Frame
from vireid.video.registration import Registration, registration
from vireid.video.sets import Instant, Scene
from vireid.video.source_labels import as_name

SCENES = "scenes"
"""Folder of what is done, a file a scene."""
SOMETIME = datetime(2000, 1, 1)
"""Time of the first frame of scenes whose day nobody knows: only differences of times count."""
PAIRS_LOOKED_AT = 12
"""Instants of a scene whose edges are compared; fewer than three tell nothing."""
LEAST_INSIDE = 0.6
"""Least share of a box that has to be inside of the frame."""


@dataclass(frozen=True)
class Wish:
    """How people are cut out of a set."""

    crops: int = 8
    """Largest number of crops of a person, in each spectrum."""
    least_height: int = LEAST_ROWS
    """Rows below which a person is left out."""
    any_registration: bool = False
    """Whether scenes are cut whose two spectra do not seem to show the same at the same pixels."""


@dataclass(frozen=True)
class CutScene:
    """What was cut out of one scene."""

    wish: Wish
    people: int
    small: int
    """People whose boxes are all too low."""
    rows: list[dict[str, str]]
    unusable: list[Unusable]
    notes: list[str]


@dataclass
class CutSet:
    """What was cut out of a set."""

    name: str
    out: Path
    scenes: int = 0
    again: int = 0
    """Scenes that had been cut before."""
    people: int = 0
    crops: int = 0
    small: int = 0
    unusable: list[Unusable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield the result for people."""
        yield (
            f"{self.out}: {self.people} people, {self.crops} crops from {self.scenes} scenes"
            + (f", {self.again} of them cut before" if self.again else "")
        )
        if self.small:
            yield f"  {self.small} people were left out: too few pixels high (--min-height)"
        for note in list(dict.fromkeys(self.notes))[:SHOWN]:
            yield f"  {note}"
        for skipped in self.unusable[:SHOWN]:
            yield f"  skipped {skipped.where}: {skipped.reason}"
        if len(self.unusable) > SHOWN:
            yield f"  skipped {len(self.unusable) - SHOWN} more; --json lists them all"

    def as_dict(self) -> dict[str, Any]:
        """Return the result for programs."""
        told = {**asdict(self), "skipped": [asdict(each) for each in self.unusable]}
        del told["unusable"]
        return {**told, "out": str(self.out), "facts": dict(sets.facts(self.name))}


def cut_set(name: str, root: Path, out: Path, wish: Wish | None = None) -> CutSet:
    """Cut the people of a set out into a folder, and list them.

    Whoever is stopped runs the same again; scenes that are done are not cut again.

    Args:
        name: Name of the set, one of `sets.available()`.
        root: Folder of the set.
        out: Folder for the crops.
        wish: How.

    Raises:
        VireidError: There is no such set, its folder is not laid out as it is, nobody is on it,
            or the disk is full.
        Interrupted: Somebody stopped it; the same call goes on.
    """
    wish = wish or Wish()
    done = CutSet(name, out)
    rows = list[dict[str, str]]()
    try:
        scenes = sets.read(name, root)
        first = list(islice(scenes, 1))  # a wrong folder is told before anything is written
        with locked(out / SCENES / ".lock", f"another process is cutting into {out}; wait for it"):
            for scene in chain(first, scenes):
                found = _known(out, scene, wish)
                done.again += found is not None
                found = found or _cut(scene, out, wish)
                done.scenes += bool(scene.instants)
                rows += _numbered(found.rows, done.people)
                _count(done, scene, found)
            write_rows(out, rows)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped after {done.scenes} scenes; the same command goes on") from None
    if not rows:
        raise VireidError(f"nobody could be cut out of {root}{_first_of(done.unusable)}")
    return done


def _first_of(unusable: Sequence[Unusable]) -> str:
    """Return what was left out first, for an error."""
    if not unusable:
        return "; perhaps all are too few pixels high (--min-height)"
    return f"; left out first, {unusable[0].where}: {unusable[0].reason}"


def _count(done: CutSet, scene: Scene, found: CutScene) -> None:
    done.people += found.people
    done.crops += len(found.rows)
    done.small += found.small
    done.unusable += found.unusable
    done.notes += [f"{scene.name}: {note}" for note in found.notes]


def _numbered(rows: Iterable[dict[str, str]], first: int) -> Iterator[dict[str, str]]:
    """Yield lines whose people have numbers behind those of other scenes."""
    for row in rows:
        yield {**row, "identity": str(first + int(row["identity"]))}


def _path_of(out: Path, scene: Scene) -> Path:
    return out / SCENES / f"{as_name(scene.name)}.json"


def _known(out: Path, scene: Scene, wish: Wish) -> CutScene | None:
    """Return what an earlier call cut out of a scene; None if it has to be cut."""
    path = _path_of(out, scene)
    if not is_file(path):
        return None
    try:
        known: CutScene = read_json(path, CutScene, "remove it", most=MOST_OF_BOXES)
    except VireidError:  # of another version, or damaged
        return None
    there = known.wish == wish and all(is_file(out / row["path"]) for row in known.rows)
    return known if there else None


def _cut(scene: Scene, out: Path, wish: Wish) -> CutScene:
    """Cut one scene, and note that it is done."""
    unusable, notes = list(scene.unusable), list(scene.notes)
    wanted, small = _chosen(scene, wish)
    fit = None if wish.any_registration else _registration(scene, wanted)
    if fit is not None and not fit.is_registered:
        reason = (
            f"its visible and infrared pictures do not show the same at the same pixels: {fit}; "
            "--any-registration takes it as it is"
        )
        unusable.append(Unusable(scene.name, reason))
        wanted = {}
    for group in ("train", "validation", "test"):  # what an earlier, broken off call has left
        for modality in Modality:
            shutil.rmtree(out / group / modality / as_name(scene.name), ignore_errors=True)
    rows = list(_rows(scene, wanted, out, unusable))
    kept = _of_both(rows)
    for row in rows:
        if row not in kept:
            (out / row.path).unlink(missing_ok=True)
    people = {name: n for n, name in enumerate(sorted({_person(row.tracklet) for row in kept}))}
    lines = [
        as_cells(replace(row, identity=people[_person(row.tracklet)]))
        for row in sorted(kept, key=lambda row: (row.tracklet, row.frame))
    ]
    found = CutScene(wish, len(people), small, lines, unusable, notes)
    write_json(_path_of(out, scene), asdict(found))
    return found


def _person(tracklet: str) -> str:
    """Return the name of a person, whose two tracklets end in their spectrum."""
    return tracklet.rpartition("-")[0]


def _of_both(rows: Sequence[CutOut]) -> list[CutOut]:
    """Return the crops whose twin could be cut out too."""
    by_twin = defaultdict[tuple[str, int], list[CutOut]](list)
    for row in rows:
        by_twin[_person(row.tracklet), row.frame].append(row)
    return [row for pair in by_twin.values() if len(pair) == 2 for row in pair]


def _chosen(scene: Scene, wish: Wish) -> tuple[dict[int, set[str]], int]:
    """Return who is cut out of which instants, and how many people are too small in all.

    Args:
        scene: The scene.
        wish: How many instants of each person, spread in time.
    """
    seen = defaultdict[str, list[int]](list)
    small = set[str]()
    for place, instant in enumerate(scene.instants):
        heights = [_heights(instant.people[modality]) for modality in Modality]
        for name in heights[0].keys() & heights[1].keys():
            if min(of[name] for of in heights) >= wish.least_height:
                seen[name].append(place)
            else:
                small.add(name)
    chosen = defaultdict[int, set[str]](set)
    for name, places in seen.items():
        for place in spread(places, wish.crops):
            chosen[place].add(name)
    return dict(chosen), len(small - seen.keys())


def _heights(people: Sequence[Detection]) -> dict[str, float]:
    return {p.track: p.sides[3] - p.sides[1] for p in people if p.track is not None}


def _registration(scene: Scene, wanted: Mapping[int, set[str]]) -> Registration | None:
    """Return how well the spectra of a scene fit; None if too few pictures tell."""
    places = spread(sorted(wanted), PAIRS_LOOKED_AT)
    pairs = list[tuple[Image.Image, Image.Image]]()
    for place in places:
        try:
            visible, infrared = (
                read_picture(scene.instants[place].pictures[modality]) for modality in Modality
            )
        except PictureError:  # is told by whoever cuts it
            continue
        pairs.append((visible, infrared))
    return registration(pairs) if len(pairs) >= 3 else None


def _rows(
    scene: Scene, wanted: Mapping[int, set[str]], out: Path, unusable: list[Unusable]
) -> Iterator[CutOut]:
    """Cut people out of the instants in which they are wanted; write crops, and yield lines."""
    told = set[tuple[str, Modality]]()
    for done, (place, names) in enumerate(sorted(wanted.items()), start=1):
        instant = scene.instants[place]
        tell(f"cutting {scene.name}", done, len(wanted))
        for modality in Modality:
            try:
                pixels = np.asarray(read_picture(instant.pictures[modality]))
            except PictureError as error:
                unusable.append(Unusable(str(error.path), error.reason))
                break
            frame = Frame(instant.number, instant.seconds or 0.0, pixels)
            for person in instant.people[modality]:
                if person.track in names:
                    row = _row(scene, instant, modality, frame, person, out)
                    if row is not None:
                        yield row
                    elif (person.track, modality) not in told:
                        told.add((person.track or "", modality))
                        where = f"{instant.pictures[modality]}, {person.track}"
                        unusable.append(Unusable(where, "its box lies outside of the frame"))


def _row(
    scene: Scene,
    instant: Instant,
    modality: Modality,
    frame: Frame,
    person: Detection,
    out: Path,
) -> CutOut | None:
    """Write the crop of a person, and return its line; None if most of it is outside."""
    crop = cut_out(frame, person.sides, person.score)
    if crop is None or _inside(person, frame) < LEAST_INSIDE:
        return None
    camera = as_name(scene.name)
    name = as_name(person.track or "")
    path = f"{scene.group}/{modality}/{camera}/{name}/{instant.number:06d}.jpg"
    write_whole(out / path, crop.as_jpeg())
    since = None if instant.seconds is None else timedelta(seconds=instant.seconds)
    return CutOut(
        path=path,
        modality=modality,
        identity=None,
        camera=camera,
        tracklet=f"{camera}-{name}-{modality}",
        time=None if since is None else SOMETIME + since,
        source=scene.name,
        frame=instant.number,
        seconds=round(instant.seconds or 0.0, 3),
        box=str(crop.box),
        height=crop.height,
        score=round(crop.score, 3),
        sharpness=round(crop.sharpness, 3),
        scene=scene.place,
        moment=instant.number,
    )


def _inside(person: Detection, frame: Frame) -> float:
    """Return the share of a box that is inside of the frame."""
    left, top, right, bottom = person.sides
    rows, columns = frame.pixels.shape[:2]
    width = max(0.0, min(right, columns) - max(left, 0.0))
    height = max(0.0, min(bottom, rows) - max(top, 0.0))
    return float(width * height) / max((right - left) * (bottom - top), 1e-9)
