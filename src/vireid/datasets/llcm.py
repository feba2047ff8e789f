"""LLCM: 1,064 people under nine cameras that see by day in visible light, by night in infrared.

    vis/<identity>/<identity>_c<camera>_s<sequence>_f<frame>_vis.jpg    nir/<identity>/..._nir.jpg
    test_vis/cam1 .. cam9/<identity>/*.jpg     test_nir/cam1, cam2, cam4 .. cam9/<identity>/*.jpg
    idx/train_vis.txt  train_nir.txt           a path and a label on every line
    idx/test_id.txt                            one line of integers with commas

Camera 3 has no infrared test pictures: `test_nir/cam3` is empty, or not there.
"""

from collections.abc import Iterator
from pathlib import Path

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
from vireid.datasets._idx_lists import read_idx_list, refuse_mixed_labels
from vireid.records import ImageRecord, Modality

CAMERAS = tuple(f"cam{number}" for number in range(1, 10))
WITHOUT_INFRARED = "cam3"
FOLDERS = {Modality.VISIBLE: "vis", Modality.INFRARED: "nir"}
FACTS = {
    "title": "LLCM",
    "url": "https://github.com/ZYK100/LLCM",
    "licence": "academic use, by signed release agreement with its authors",
    "obtain": "sign the release agreement that its page names and send it to the authors",
    "citation": "Zhang, Wang: Diverse Embedding Expansion Network and Low-Light Cross-Modality "
    "Benchmark for Visible-Infrared Person Re-identification, CVPR 2023",
    "counts": {
        "train": {"identities": 713, "spectra": {"visible": 16_946, "infrared": 13_975}},
        "test": {"identities": 351, "spectra": {"visible": 8_680, "infrared": 7_166}},
    },
}
"""Facts published about LLCM; counts are those of the authors' paper (section 4.2). It counts
13,909 test pictures, fewer than its own two parts, which do make up its 46,767. vireid's authors
never saw the data set, so other counts are reported and not refused."""


def read(root: Path | None = None) -> Dataset:
    """Read LLCM from its folder: 713 people to train, 351 to test.

    Raises:
        VireidError: A list, a camera's folder or a listed picture is missing, a list names a
            picture twice or in the wrong spectrum, someone has no test picture, or is in both
            halves.
    """
    root = need_root("llcm", root, FACTS)
    tree = Tree(root)
    cameras = [f"test_vis/{camera}" for camera in CAMERAS]
    cameras += [f"test_nir/{camera}" for camera in CAMERAS if camera != WITHOUT_INFRARED]
    lists = ["idx/train_vis.txt", "idx/train_nir.txt", "idx/test_id.txt"]
    need("LLCM", tree, [*lists, *cameras], "vis, nir, test_vis, test_nir and idx")
    train, test = _train(tree), tuple(_test(tree))
    _refuse_absent(tree, test)
    refuse_people_in_both(root, (r.identity for r in train), (r.identity for r in test))
    _refuse_unlisted(tree)
    return Dataset(name="llcm", root=root, train=train, validation=(), test=test, facts=FACTS)


def _train(tree: Tree) -> tuple[ImageRecord, ...]:
    listed = [
        each
        for modality, folder in FOLDERS.items()
        for each in read_idx_list(tree, f"idx/train_{folder}.txt", folder, modality)
    ]
    refuse_mixed_labels(tree.root / "idx" / "train_vis.txt", listed)
    return tuple(each.record for each in listed)


def _test(tree: Tree) -> Iterator[ImageRecord]:
    """Yield test records by identity, camera and file name, of people who are listed."""
    for identity in _test_identities(tree):
        for modality, folder in FOLDERS.items():
            for camera in CAMERAS:
                for path in tree.pictures(f"test_{folder}", camera, f"{identity:04d}"):
                    yield ImageRecord(path, modality, identity, camera)


def _test_identities(tree: Tree) -> list[int]:
    path = tree.find("idx", "test_id.txt") or tree.root
    words = [w for _, line in lines_of(path) for w in line.replace(",", " ").split()]
    return sorted({identity_of(word, str(path)) for word in words})


def _refuse_absent(tree: Tree, test: tuple[ImageRecord, ...]) -> None:
    absent = sorted(set(_test_identities(tree)) - {record.identity or 0 for record in test})
    refuse(
        tree.root / "idx" / "test_id.txt",
        "people have no picture in test_vis or test_nir",
        [f"{identity:04d}" for identity in absent],
        "unpack the data set again",
    )


def _refuse_unlisted(tree: Tree) -> None:
    """Check lists of test pictures, which some copies have: their pictures have to exist."""
    for folder in FOLDERS.values():
        path = tree.find("idx", f"test_{folder}.txt")
        named = (
            [line.replace("\t", " ").rpartition(" ")[0] for _, line in lines_of(path)]
            if path
            else []
        )
        missing = [name for name in named if tree.picture(*parts_of(name)) is None]
        refuse(
            path or tree.root, "listed pictures are not there", missing, "unpack the data set again"
        )
