"""BUPTCampus: video of 3,080 people under six cameras, each in both spectra at once.

    DATA/<identity>/{IR,RGB,FakeIR}/<camera>/*.jpg      FakeIR is generated, and not read
    data_paths.json                                     frames by identity, modality, camera, track
    train.txt  query.txt  gallery.txt                   identity, modality (RGB, IR or RGB/IR, which
                                                        is both), camera, track on every line
    train_auxiliary.txt                                 people seen by one camera only; not read

Query and gallery lists hold both spectra; a protocol's direction takes one of each
(https://github.com/dyhBUPT/BUPTCampus).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vireid.datasets import Dataset
from vireid.datasets._files import (
    Tree,
    identity_of,
    lines_of,
    need,
    need_root,
    parts_of,
    refuse,
    refuse_people_in_both,
)
from vireid.errors import VireidError
from vireid.files import documents
from vireid.records import ImageRecord, Modality

LISTS = ("train", "query", "gallery")
MODALITIES = {"RGB": Modality.VISIBLE, "IR": Modality.INFRARED}
FACTS = {
    "title": "BUPTCampus",
    "url": "https://github.com/dyhBUPT/BUPTCampus",
    "licence": "academic use; not to be handed on",
    "obtain": "download it as its page tells",
    "citation": "Du, Lei, Zhao, Dong, Su: Video-based Visible-Infrared Person Re-Identification "
    "with Auxiliary Samples, TIFS 2024",
    "counts": {
        "train": {
            "identities": 1074,
            "tracklets": 7148,
            "spectra": {"infrared": 398_069, "visible": 398_069},
        },
        "test": {"identities": 1076},
    },
}
"""Facts published about BUPTCampus; counts are those of https://github.com/workingcoder/M3-ReID
(data/manager.py)."""


def read(root: Path | None = None) -> Dataset:
    """Read BUPTCampus: 1,074 people to train, 1,076 to test, every frame with its tracklet.

    Raises:
        VireidError: A list or a frame is missing, a list names a track that data_paths.json does
            not, or twice, or someone is both learnt from and scored on.
    """
    root = need_root("bupt_campus", root, FACTS)
    tree = Tree(root)
    names = [f"{name}.txt" for name in LISTS]
    need("BUPTCampus", tree, ["DATA", "data_paths.json", *names], "DATA and query.txt")
    paths = _paths(tree.find("data_paths.json") or root)
    train, query, gallery = (tuple(_listed(tree, name, paths)) for name in names)
    test = tuple(dict.fromkeys((*query, *gallery)))
    refuse_people_in_both(root, (r.identity for r in train), (r.identity for r in test))
    return Dataset(
        name="bupt_campus",
        root=root,
        train=train,
        validation=(),
        test=test,
        facts=FACTS,
        test_queries=query,
        test_gallery=gallery,
    )


def _paths(path: Path) -> Mapping[str, Any]:
    return documents.read_json(path, dict[str, Any], "unpack the data set again")


def _listed(tree: Tree, name: str, paths: Mapping[str, Any]) -> Iterator[ImageRecord]:
    """Yield the records of all frames of the tracks in a list."""
    path = tree.find(name) or tree.root
    missing: list[str] = []
    seen: set[str] = set()
    for number, line in lines_of(path):
        where = f"{path}, line {number}"
        for track in _tracks(line, where):
            tracklet = "/".join(track)
            if tracklet in seen:
                raise VireidError(f"{where}: {tracklet} is listed twice; take the published list")
            seen.add(tracklet)
            yield from _records(tree, track, _frames(paths, track, where), missing)
    refuse(path, "frames are not there", missing, "unpack the data set again")


Track = tuple[str, str, str, str]
"""A track as identity, RGB or IR, camera and number."""


def _tracks(line: str, where: str) -> list[Track]:
    words = line.split()
    modalities = words[1].upper().split("/") if len(words) == 4 else []
    if not modalities or not set(modalities) <= set(MODALITIES):
        raise VireidError(f"{where}: '{line}' is not 'identity modality camera track'")
    identity_of(words[0], where)
    return [(words[0], modality, words[2], words[3]) for modality in modalities]


def _frames(paths: Mapping[str, Any], track: Track, where: str) -> list[str]:
    found: Any = paths
    for word in track:
        found = found.get(word, {}) if isinstance(found, dict) else {}
    if not isinstance(found, list) or not found:
        raise VireidError(
            f"{where}: data_paths.json has no frames of {'/'.join(track)}; "
            "take both files of one copy"
        )
    return documents.typed(
        f"{where}: data_paths.json's entry {'/'.join(track)}",
        found,
        list[str],
        "unpack the data set again",
    )


def _records(
    tree: Tree, track: Track, frames: list[str], missing: list[str]
) -> Iterator[ImageRecord]:
    """Yield the records of a track; frames without a file are added to `missing`."""
    identity, modality, camera, _ = track
    for frame in frames:
        picture = tree.picture("DATA", *parts_of(frame))
        if picture is None:
            missing.append(frame)
        else:
            yield ImageRecord(picture, MODALITIES[modality], int(identity), camera, "/".join(track))
