"""A small data set in SYSU-MM01's layout, for tests: coloured pictures, files and permutations."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from vireid.datasets._sysu_layout import MODALITIES

Counts = Mapping[tuple[str, int], int]
"""Pictures by camera and identity."""
GROUPS = {"train": (1, 2), "val": (3,), "test": (4, 6, 12)}
COUNTS: Counts = {
    (camera, identity): 2 + (identity + int(camera[3])) % 3
    for camera in MODALITIES
    for ids in GROUPS.values()
    for identity in ids
    if (camera, identity) not in {("cam1", 6), ("cam3", 12)}
}
"""Person 6 was not seen by camera 1, person 12 not by camera 3."""


def write(root: Path, counts: Counts = COUNTS) -> Path:
    """Pictures of one colour a person, of another brightness each; exp/ with its permutations."""
    for (camera, identity), count in counts.items():
        folder = root / camera / f"{identity:04d}"
        folder.mkdir(parents=True)
        for frame in range(1, count + 1):
            colour = (20 * identity, 255 - 20 * identity, 20 * frame)
            Image.new("RGB", (24, 48), colour).save(folder / f"{frame:04d}.jpg")
    (root / "exp").mkdir()
    for group, ids in GROUPS.items():
        line = ",".join(map(str, ids)) + "\n"
        (root / "exp" / f"{group}_id.txt").write_text(line, encoding="utf-8")
    write_permutations(root, counts)
    return root


def write_permutations(root: Path, counts: Counts, cells: int = 12, trials: int = 10) -> None:
    """Cells as in the published file: cameras of unequal length, (10, 0) where nobody was seen."""
    generator = np.random.default_rng(0)
    permutations = np.empty((6, 1), dtype=object)
    for number in range(6):
        people = np.empty((cells + number % 2 * 5, 1), dtype=object)
        for i in range(len(people)):
            order = np.tile(
                np.arange(1, counts.get((f"cam{number + 1}", i + 1), 0) + 1), (trials, 1)
            )
            people[i, 0] = generator.permuted(order, axis=1).astype(np.uint8)
        permutations[number, 0] = people
    savemat(root / "exp" / "rand_perm_cam.mat", {"rand_perm_cam": permutations})
