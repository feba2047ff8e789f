"""Who is searched for, among whom, and how ranks are counted: protocols as data.

`find` gives a protocol by its name, `Protocol.trials` draws its queries and galleries from the
test pictures of a data set. Two draws of SYSU-MM01's galleries are in use; both sample the same
distribution, so that means over ten trials compare, single trials do not:

* `sysu/official`: the first 1 (single-shot) or 10 (multi-shot) entries per person and camera of
  the permutations published with the data set
  (https://github.com/wuancong/SYSU-MM01, evaluation/data_split/rand_perm_cam.mat).
* `sysu/py-seed`: one picture per person and camera, by Python's generator seeded with the trial's
  number (https://github.com/mangye16/Cross-Modal-Re-ID-baseline, data_manager.py). Only
  single-shot: no published code draws several pictures reproducibly.

Cameras 2 (visible) and 3 (infrared) stand in one room, so every picture of camera 2 is hidden from
queries of camera 3, whoever is on it.
"""

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from operator import attrgetter
from pathlib import Path
from typing import Literal, cast

import numpy as np
from jaxtyping import Bool, Integer

from vireid.errors import MissingExtraError, VireidError
from vireid.metrics import CmcVariant
from vireid.re_ranking import KReciprocal
from vireid.records import ImageRecord

Mode = Literal["all", "indoor"]
Shot = Literal["single", "multi"]
Draw = Literal["official", "py-seed"]
Flip = Literal["none", "mean", "sum", "concatenation"]

PERMUTATIONS_URL = (
    "https://github.com/wuancong/SYSU-MM01/blob/master/evaluation/data_split/rand_perm_cam.mat"
)
GALLERY_CAMERAS: Mapping[str, tuple[str, ...]] = {
    "all": ("cam1", "cam2", "cam4", "cam5"),
    "indoor": ("cam1", "cam2"),
}
PICTURES_OF_SHOT: Mapping[str, int] = {"single": 1, "multi": 10}

Folders = Mapping[tuple[int, str], Sequence[ImageRecord]]
"""The pictures of a person under a camera, by file name."""
Permutations = Mapping[tuple[int, str], Integer[np.ndarray, "trials n"]]
"""Row t: the order in which trial t takes the pictures of a person under a camera, from 1."""


@dataclass(frozen=True)
class Trial:
    """One search: every query ranks the whole gallery but what is hidden from it."""

    number: int
    queries: tuple[ImageRecord, ...]
    gallery: tuple[ImageRecord, ...]
    """In the order of the draw, which decides between equal similarities."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """All that two scores must agree in to be comparable; stands in every result."""

    id: str
    dataset: str = "SYSU-MM01 and its layout"
    mode: Mode
    """Where the gallery's cameras are."""
    shot: Shot
    """Gallery pictures of a person per camera: 1, or 10 (all, where there are fewer)."""
    direction: Literal["infrared-to-visible"] = "infrared-to-visible"
    query_cameras: tuple[str, ...] = ("cam3", "cam6")
    gallery_cameras: tuple[str, ...]
    draw: Draw
    trial_numbers: tuple[int, ...] = tuple(range(10))
    """Rows of the permutations, or seeds."""
    hidden_cameras: tuple[tuple[str, str], ...] = (("cam3", "cam2"),)
    """(query's camera, gallery's camera) that are one place."""
    cmc: CmcVariant = "identity"
    similarity: str = "inner product of unit embeddings"
    feature: str = "the method's embedding"
    test_time_flip: Flip = "none"
    """How the embeddings of a picture and its mirror image become one; see `evaluation`."""
    re_ranking: KReciprocal | None = None

    @property
    def title(self) -> str:
        """The protocol's name with its parameters."""
        return f"{self.id} {self.mode} {self.shot}-shot"

    def trials(self, test: Sequence[ImageRecord], root: Path) -> tuple[Trial, ...]:
        """Draw the trials.

        Args:
            test: the test pictures of a data set, in any order.
            root: the data set's folder, where the official draw finds `exp/rand_perm_cam.mat`.

        Raises:
            VireidError: the permutations are needed and missing or made for other pictures, or
                no query or no gallery picture is left.
        """
        folders = _folders(test)
        queries = tuple(
            record
            for (_, camera), records in folders.items()
            for record in records
            if camera in self.query_cameras
        )
        if self.draw == "official":
            galleries = self._official_galleries(folders, read_permutations(root))
        else:
            galleries = [self._seeded_gallery(folders, number) for number in self.trial_numbers]
        if not queries or not all(galleries):
            cameras = self.gallery_cameras if queries else self.query_cameras
            raise VireidError(f"{self.title}: {root} has no test picture of {' or '.join(cameras)}")
        return tuple(
            Trial(number, queries, gallery)
            for number, gallery in zip(self.trial_numbers, galleries, strict=True)
        )

    def hidden(self, trial: Trial) -> Bool[np.ndarray, "q g"]:
        """True where a gallery picture was taken in the place of the query."""
        query_cameras = np.array([record.camera for record in trial.queries])
        gallery_cameras = np.array([record.camera for record in trial.gallery])
        hidden = np.zeros((len(query_cameras), len(gallery_cameras)), dtype=bool)
        for query_camera, gallery_camera in self.hidden_cameras:
            hidden |= (query_cameras == query_camera)[:, None] & (gallery_cameras == gallery_camera)
        return hidden

    def _seeded_gallery(self, folders: Folders, seed: int) -> tuple[ImageRecord, ...]:
        """Persons outside, cameras inside: every choice moves the generator for the next."""
        generator = random.Random(seed)
        return tuple(
            generator.choice(records)
            for (_, camera), records in folders.items()
            if camera in self.gallery_cameras
        )

    def _official_galleries(
        self, folders: Folders, permutations: Permutations
    ) -> list[tuple[ImageRecord, ...]]:
        """Cameras outside, persons inside, as the published code lists them."""
        people = sorted({identity for identity, _ in folders})
        keys = [(person, camera) for camera in self.gallery_cameras for person in people]
        for key in keys:
            _check_permutation(key, folders.get(key, ()), permutations.get(key), self.trial_numbers)
        return [
            tuple(
                folders[key][place - 1]
                for key in keys
                if key in folders
                for place in permutations[key][number, : PICTURES_OF_SHOT[self.shot]]
            )
            for number in self.trial_numbers
        ]


_DRAWS: Mapping[str, Draw] = {"sysu/official": "official", "sysu/py-seed": "py-seed"}


def find(name: str, mode: str = "all", shot: str = "single") -> Protocol:
    """The protocol of a name.

    Raises:
        VireidError: there is none of that name, mode or shot, or the draw does not offer it.

    >>> find("sysu/official", mode="indoor", shot="multi").title
    'sysu/official indoor multi-shot'
    """
    _check_offered("protocol", name, _DRAWS)
    _check_offered("mode", mode, GALLERY_CAMERAS)
    _check_offered("shot", shot, PICTURES_OF_SHOT)
    draw = _DRAWS[name]
    if draw == "py-seed" and shot == "multi":
        raise VireidError(
            "sysu/py-seed is single-shot only: no published code draws several pictures "
            "reproducibly; use sysu/official for multi-shot"
        )
    return Protocol(
        id=name,
        mode=cast("Mode", mode),
        shot=cast("Shot", shot),
        gallery_cameras=GALLERY_CAMERAS[mode],
        draw=draw,
    )


def choose(
    root: Path, name: str | None = None, mode: str = "both", shot: str = "both"
) -> list[Protocol]:
    """All protocols that are asked for; `both` stands for every mode, or every shot on offer.

    Args:
        root: The data set's folder.
        name: By default `sysu/official` where the folder has its permutations, else
            `sysu/py-seed`.
        mode: `all`, `indoor` or `both`.
        shot: `single`, `multi` or `both`.

    Raises:
        VireidError: What `find` raises.
    """
    if name is None:
        name = "sysu/official" if permutations_path(root).is_file() else "sysu/py-seed"
    shots = ("single",) if name == "sysu/py-seed" else tuple(PICTURES_OF_SHOT)
    return [
        find(name, each_mode, each_shot)
        for each_mode in (GALLERY_CAMERAS if mode == "both" else [mode])
        for each_shot in (shots if shot == "both" else [shot])
    ]


def listing(records: Sequence[ImageRecord]) -> str:
    """One line a picture, `cam1/0006/0025.jpg`: the same on every machine and for every suffix."""
    return "\n".join(
        "/".join((*record.path.parts[-3:-1], f"{record.path.stem}.jpg")) for record in records
    )


def fingerprint(records: Sequence[ImageRecord]) -> str:
    """SHA-256 of a listing, by which galleries drawn by different programs are compared."""
    return hashlib.sha256(listing(records).encode()).hexdigest()


def permutations_path(root: Path) -> Path:
    """Where the official draw's permutations are looked for in a data set's folder."""
    return root / "exp" / "rand_perm_cam.mat"


def read_permutations(root: Path) -> Permutations:
    """Read the permutations of a data set: one cell a camera, in it one cell a person, 1 first.

    Raises:
        VireidError: the file is missing or cannot be read, or a row in it is no permutation.
    """
    path = permutations_path(root)
    if not path.is_file():
        raise VireidError(
            f"{path} is missing; SYSU-MM01's zip does not bring it: download it from "
            f"{PERMUTATIONS_URL}, or score with sysu/py-seed, which does not need it"
        )
    return {
        (person, f"cam{camera}"): _checked_rows(path, camera, person, rows)
        for camera, cell in enumerate(_load_cells(path), start=1)
        for person, rows in enumerate(cell.ravel(), start=1)
        if rows.size
    }


def _load_cells(path: Path) -> Sequence[np.ndarray]:
    try:
        from scipy.io import loadmat
    except ModuleNotFoundError as error:
        raise MissingExtraError("scipy", "score") from error
    try:
        return list(loadmat(path)["rand_perm_cam"].ravel())
    except Exception as error:  # a damaged file can fail anywhere in the parser
        raise VireidError(
            f"{path} cannot be read as SYSU-MM01's permutations "
            f"({type(error).__name__}: {error}); download it again from {PERMUTATIONS_URL}"
        ) from error


def _checked_rows(
    path: Path, camera: int, person: int, rows: np.ndarray
) -> Integer[np.ndarray, "trials n"]:
    if not (np.sort(rows, axis=1) == np.arange(1, rows.shape[1] + 1)).all():
        raise VireidError(
            f"{path}: the rows for person {person:04d} under cam{camera} are no permutations; "
            f"download it again from {PERMUTATIONS_URL}"
        )
    return rows


def _check_permutation(
    key: tuple[int, str],
    records: Sequence[ImageRecord],
    rows: Integer[np.ndarray, "trials n"] | None,
    trial_numbers: Sequence[int],
) -> None:
    """A permutation of other pictures than are on disk would draw the wrong ones."""
    person, camera = key
    trials, permuted = (0, 0) if rows is None else rows.shape
    if permuted != len(records):
        raise VireidError(
            f"{camera}/{person:04d} has {len(records)} pictures, but rand_perm_cam.mat permutes "
            f"{permuted}; unpack the data set again, or take the file that belongs to it"
        )
    if rows is not None and trials <= max(trial_numbers):
        raise VireidError(
            f"rand_perm_cam.mat has {trials} rows for {camera}/{person:04d}, "
            f"trial {max(trial_numbers)} needs one more"
        )


def _folders(records: Sequence[ImageRecord]) -> Folders:
    """Sorted by person, then camera; in each, by file name."""
    folders: dict[tuple[int, str], list[ImageRecord]] = {}
    for record in records:
        if record.identity is None or record.camera is None:
            raise VireidError(f"{record.path}: a test picture needs an identity and a camera")
        folders.setdefault((record.identity, record.camera), []).append(record)
    by_name = attrgetter("path.name")
    return {key: sorted(folders[key], key=by_name) for key in sorted(folders)}


def _check_offered(what: str, name: str, offered: Iterable[str]) -> None:
    if name not in offered:
        close = get_close_matches(name, offered, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise VireidError(f"no {what} '{name}'{hint} (there are: {', '.join(offered)})")
