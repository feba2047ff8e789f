"""HITSZ-VCM: video of 927 people under twelve cameras of both spectra.

    Train/<identity>/{ir,rgb}/D<camera>/<frame>.jpg     Test/...
    info/train_name.txt  test_name.txt                  `0001M2D3T1F1.jpg` on every line: identity,
                                                        modality (1 infrared, 2 visible), camera,
                                                        track, frame
    info/track_train_info.txt  track_test_info.txt      modality, first and last line of the names
                                                        (from 1), identity, camera
    info/query_IDX.txt                                  tracks (from 1) that are queries: infrared

Older copies have no folders `Train` and `Test`. Tracks of fewer than 12 frames are left out, as in
the authors' code: https://github.com/VCM-project233/MITML (data_manager.py).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from vireid.datasets import Dataset
from vireid.datasets._files import (
    Tree,
    identity_of,
    lines_of,
    need,
    need_root,
    number_of,
    refuse,
    refuse_people_in_both,
)
from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality

LEAST_FRAMES = 12
MODALITIES = {1: Modality.INFRARED, 2: Modality.VISIBLE}
FOLDERS = {Modality.INFRARED: "ir", Modality.VISIBLE: "rgb"}
NAME = re.compile(
    r"(?P<identity>\d{1,18})M(?P<modality>[12])D(?P<camera>\d{1,18})T\d+F(?P<file>.+)", re.I | re.A
)
FACTS = {
    "title": "HITSZ-VCM",
    "url": "https://github.com/VCM-project233/HITSZ-VCM-data",
    "licence": "academic use, models learnt from it included; not to be handed on",
    "obtain": "download train, test and info as its page tells",
    "citation": "Lin, Li, Ma, Li, Li, Xu, Lu, Zhang: Learning Modal-Invariant and Temporal-Memory "
    "for Video-Based Visible-Infrared Person Re-Identification, CVPR 2022",
    "counts": {
        "train": {
            "identities": 500,
            "tracklets": 9751,
            "spectra": {"infrared": 98_214, "visible": 126_543},
        },
        "test": {"tracklets": 9683, "spectra": {"infrared": 105_979, "visible": 118_137}},
    },
}
"""Facts published about HITSZ-VCM. Counts of frames without short tracks, from
https://github.com/workingcoder/M3-ReID (data/manager.py); with the short ones its authors publish
21,863 tracks of 463,259 frames."""


@dataclass(frozen=True)
class Track:
    """A line of the track lists."""

    number: int
    """Number of the line, from 1."""
    modality: Modality
    first: int
    last: int
    identity: int
    camera: int


def read(root: Path | None = None) -> Dataset:
    """Read HITSZ-VCM: 500 people to train, the others to test, every frame with its tracklet.

    Raises:
        VireidError: A list or a frame is missing, lists contradict one another, or someone is
            both learnt from and scored on.
    """
    root = need_root("hitsz_vcm", root, FACTS)
    tree = Tree(root)
    lists = ["train_name", "track_train_info", "test_name", "track_test_info", "query_IDX"]
    need("HITSZ-VCM", tree, [f"info/{name}.txt" for name in lists], "Train, Test and info")
    halves = {half: tuple(_half(tree, half)) for half in ("train", "test")}
    train, test = halves["train"], halves["test"]
    refuse_people_in_both(root, (r.identity for r in train), (r.identity for r in test))
    return Dataset(name="hitsz_vcm", root=root, train=train, validation=(), test=test, facts=FACTS)


def _half(tree: Tree, half: str) -> Iterator[ImageRecord]:
    names = [line for _, line in lines_of(_info(tree, f"{half}_name"))]
    path = _info(tree, f"track_{half}_info")
    numbered = enumerate(lines_of(path), start=1)
    tracks = [_track(number, line, f"{path}, line {at}") for number, (at, line) in numbered]
    if half == "test":
        _check_queries(tree, tracks)
    _check_overlap(path, tracks)
    above = (half,) if tree.find(half) else ()
    missing: list[str] = []
    for track in tracks:
        frames = names[track.first - 1 : track.last]
        _check_frames(path, track, frames)
        if len(frames) >= LEAST_FRAMES:
            yield from _records(tree, above, track, frames, missing)
    refuse(path, "frames are not there", missing, "unpack the data set again")


def _info(tree: Tree, name: str) -> Path:
    return tree.find("info", f"{name}.txt") or tree.root


def _track(number: int, line: str, where: str) -> Track:
    numbers = [each for each in map(number_of, line.split()) if each is not None]
    if len(numbers) != 5 or len(line.split()) != 5 or numbers[0] not in MODALITIES:
        raise VireidError(
            f"{where}: '{line}' is not 'modality first last identity camera'; unpack it again"
        )
    modality, first, last, identity, camera = numbers
    return Track(number, MODALITIES[modality], first, last, identity, camera)


def _check_queries(tree: Tree, tracks: Sequence[Track]) -> None:
    """Check that queries are the infrared tracks; another list would be another protocol."""
    path = _info(tree, "query_IDX")
    words = [word for _, line in lines_of(path) for word in line.replace(",", " ").split()]
    listed = {identity_of(word, str(path)) for word in words}
    infrared = {track.number for track in tracks if track.modality is Modality.INFRARED}
    refuse(
        path,
        "tracks are infrared and no queries, or queries and not infrared",
        sorted(listed ^ infrared),
        "take the published lists",
    )


def _check_overlap(path: Path, tracks: Sequence[Track]) -> None:
    """Check that no frame is in two tracks."""
    ordered = sorted(tracks, key=lambda track: track.first)
    overlapping = [
        f"{after.number}, which begins at {after.first}; {before.number} ends at {before.last}"
        for before, after in pairwise(ordered)
        if after.first <= before.last
    ]
    refuse(path, "tracks begin in another", overlapping, "take the published lists")


def _check_frames(path: Path, track: Track, frames: Sequence[str]) -> None:
    """Check that the names of a track's frames have its identity, spectrum and camera."""
    wanted = (str(track.identity), track.modality, str(track.camera))
    count = track.last - track.first + 1
    strange = [name for name in frames if _facts(name)[:3] != wanted]
    if len(frames) != count or count < 1:
        strange.append(f"{len(frames)} of {count} frames are in the list of names")
    what = f"things do not fit track {track.number}"
    refuse(path, what, strange, "take the lists of one and the same copy")


def _facts(name: str) -> tuple[str, Modality | None, str, tuple[str, ...]]:
    """Return identity, modality, camera, and the path of the picture: `0001/rgb/D3/1.jpg`."""
    match = NAME.fullmatch(name)
    if match is None:
        return "", None, "", ()
    modality = MODALITIES[int(match["modality"])]
    parts = (match["identity"], FOLDERS[modality], f"D{match['camera']}", match["file"])
    return str(int(match["identity"])), modality, str(int(match["camera"])), parts


def _records(
    tree: Tree, above: Sequence[str], track: Track, frames: Sequence[str], missing: list[str]
) -> Iterator[ImageRecord]:
    """Yield the records of a track; frames without a file are added to `missing`."""
    camera = f"D{track.camera}"
    tracklet = f"{track.identity:04d}/{FOLDERS[track.modality]}/{camera}/{track.number}"
    for name in frames:
        parts = (*above, *_facts(name)[3])
        picture = tree.picture(*parts)
        if picture is None:
            missing.append("/".join(parts))
        else:
            yield ImageRecord(picture, track.modality, track.identity, camera, tracklet)
