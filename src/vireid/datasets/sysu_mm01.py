"""SYSU-MM01: 491 people, four visible and two infrared cameras, indoors and outdoors."""

import hashlib
from pathlib import Path

from vireid.datasets import Dataset, _sysu_layout
from vireid.errors import VireidError

FACTS = {
    "title": "SYSU-MM01",
    "url": "https://github.com/wuancong/SYSU-MM01",
    "licence": "academic use, by signed agreement with its authors",
    "obtain": "sign the agreement that its page names and send it to the authors",
    "citation": "Wu, Zheng, Yu, Gong, Lai: RGB-Infrared Cross-Modality Person Re-Identification, "
    "ICCV 2017; their page asks for: the same, RGB-IR Person Re-Identification by Cross-Modality "
    "Similarity Preservation, IJCV 2020",
    "permutations": "https://github.com/wuancong/SYSU-MM01/blob/master/evaluation/data_split/"
    "rand_perm_cam.mat",
    "pictures": {"visible": 30_071, "infrared": 15_792},
    "counts": {
        "train": {"identities": 296, "spectra": {"visible": 20_284, "infrared": 9_929}},
        "validation": {"identities": 99},
        "test": {
            "identities": 96,
            "cameras": {
                "cam1": 1374,
                "cam2": 1565,
                "cam3": 1883,
                "cam4": 1918,
                "cam5": 1918,
                "cam6": 1920,
            },
        },
    },
}
"""Facts published about SYSU-MM01; counts are those of the authors' `rand_perm_cam.mat`: the length
of each permutation."""


PERMUTATIONS_SHA256 = "90402382dd587e05b615dcee35637fee9ad61e56e26ac86988a00a43997ac0a7"
"""SHA-256 of rand_perm_cam.mat as published (297,740 bytes)."""


def read(root: Path | None = None) -> Dataset:
    """Read SYSU-MM01 from its folder: 296 people to train, 99 to validate, 96 to test."""
    if root is None:
        raise VireidError(
            "sysu_mm01 does not come with vireid: give its folder as root; "
            f"how to get it stands at {FACTS['url']}"
        )
    return _sysu_layout.read_folder("sysu_mm01", root, {**FACTS, "remarks": _remarks(root)})


def _remarks(root: Path) -> tuple[str, ...]:
    """Return a remark if the permutations are not those published: galleries then differ."""
    path = root / "exp" / "rand_perm_cam.mat"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() == PERMUTATIONS_SHA256:
        return ()
    return (f"exp/{path.name} is not the published file: galleries of sysu/official are others",)
