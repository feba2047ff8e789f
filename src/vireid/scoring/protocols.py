"""Who is searched for, among whom, and how ranks are counted: protocols as data.

`find` gives a protocol by its name, `Protocol.trials` draws its queries and galleries from the
test pictures of a data set. What each name stands for is written in `OFFERED`, with its sources.

SYSU-MM01. Two draws of its galleries are in use; both sample the same distribution, so that means
over ten trials compare, single trials do not:

* `sysu/official`: the first 1 (single-shot) or 10 (multi-shot) entries per person and camera of
  the permutations published with the data set
  (https://github.com/wuancong/SYSU-MM01, evaluation/data_split/rand_perm_cam.mat).
* `sysu/py-seed`: one picture per person and camera, by Python's generator seeded with the trial's
  number (https://github.com/mangye16/Cross-Modal-Re-ID-baseline, data_manager.py). Only
  single-shot: no published code draws several pictures reproducibly.

Cameras 2 (visible) and 3 (infrared) stand in one room, so every picture of camera 2 is hidden from
queries of camera 3, whoever is on it.

RegDB. `regdb/10-trial`: a trial is a split of its own with a model of its own; all test pictures of
one spectrum are searched for among all of the other (AGW's code, eval_regdb).

LLCM. `llcm/two-way`: the gallery is one picture per person and camera, seeded as above
(https://github.com/ZYK100/LLCM, train.py). `llcm/full-gallery`: all pictures (IDKL's code and
others). `llcm/legacy-swapped`: what the public test.py of LLCM does under the name
"visible to infrared": the *drawn infrared* pictures are searched for among *all visible* ones.

Video. Queries and galleries are tracklets; the embedding of one is the mean of its frames', of unit
length again. `vcm/tracklets` (https://github.com/VCM-project233/MITML), `bupt-campus/tracklets`
(https://github.com/dyhBUPT/BUPTCampus, lists query.txt and gallery.txt).

`folder/cross-spectrum`: anyone's own pictures; all of one spectrum among all of the other.
"""

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Integer, Shaped

from vireid.datasets import Dataset
from vireid.errors import MissingExtraError, VireidError
from vireid.records import ImageRecord, Modality
from vireid.scoring.metrics import CmcVariant
from vireid.scoring.re_ranking import KReciprocal

Mode = Literal["all", "indoor"]
Shot = Literal["single", "multi"]
Direction = Literal["infrared-to-visible", "visible-to-infrared"]
Draw = Literal["official", "py-seed", "full", "split"]
Removal = Literal["same-room", "same-id-and-camera", "none"]
Flip = Literal["none", "mean", "sum", "concatenation"]

PERMUTATIONS_URL = (
    "https://github.com/wuancong/SYSU-MM01/blob/master/evaluation/data_split/rand_perm_cam.mat"
)
GALLERY_CAMERAS: Mapping[str, tuple[str, ...]] = {
    "all": ("cam1", "cam2", "cam4", "cam5"),
    "indoor": ("cam1", "cam2"),
}
"""Of SYSU-MM01, by mode."""
LLCM_CAMERAS: Mapping[Modality, tuple[str, ...]] = {
    Modality.VISIBLE: tuple(f"cam{number}" for number in range(1, 10)),
    Modality.INFRARED: tuple(f"cam{number}" for number in (1, 2, 4, 5, 6, 7, 8, 9)),
}
"""Camera 3 has no infrared test pictures."""
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
    frames: Mapping[ImageRecord, tuple[ImageRecord, ...]] = field(default_factory=dict)
    """Of video: a tracklet stands in the trial by its first frame; here are those to embed."""

    def frames_of(self, record: ImageRecord) -> tuple[ImageRecord, ...]:
        """The pictures whose mean embedding, of unit length again, is the record's."""
        return self.frames.get(record, (record,))

    @property
    def pictures(self) -> Iterator[ImageRecord]:
        """All that has to be embedded, some of it twice."""
        return (f for record in (*self.queries, *self.gallery) for f in self.frames_of(record))


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """All that two scores must agree in to be comparable; stands in every result."""

    id: str
    dataset: str
    mode: Mode | None = None
    """Where the gallery's cameras are (SYSU-MM01)."""
    shot: Shot | None = None
    """Gallery pictures of a person per camera (SYSU-MM01): 1, or 10; all where there are fewer."""
    direction: Direction = "infrared-to-visible"
    """From the spectrum of the queries to that of the gallery."""
    query_cameras: tuple[str, ...] | None = None
    """None: every one. Likewise the next."""
    gallery_cameras: tuple[str, ...] | None = None
    draw: Draw
    """Published permutations, a seeded choice, or everything there is, of one split or of the one
    that a model was trained on."""
    drawn: Literal["gallery", "queries"] = "gallery"
    """What is drawn; the other is everything there is."""
    trial_numbers: tuple[int, ...]
    """Rows of the permutations, seeds, or numbers of splits."""
    removal: Removal
    """What is hidden from a query: what cameras in its own room saw, its own person under its own
    camera, or nothing."""
    hidden_cameras: tuple[tuple[str, str], ...] = ()
    """(query's camera, gallery's camera) that are one room."""
    frames: int | None = None
    """Frames of a tracklet that are embedded, evenly spaced from its first on; None: all."""
    cmc: CmcVariant
    """Whether ranks count people or pictures."""
    similarity: str = "inner product of unit embeddings"
    feature: str = "the method's embedding"
    test_time_flip: Flip = "none"
    """How the embeddings of a picture and its mirror image become one; see `evaluation`."""
    re_ranking: KReciprocal | None = None

    @property
    def title(self) -> str:
        """The protocol's name with its parameters."""
        options = "" if self.test_time == "plain" else f", {self.test_time}"
        return f"{self.id} {self.variant}" + ("-shot" if self.mode else "") + options

    @property
    def test_time(self) -> str:
        """What is done beyond comparing two embeddings: `plain` if nothing."""
        flip = "" if self.test_time_flip == "none" else f"flip {self.test_time_flip}"
        return ", ".join(filter(None, [flip, str(self.re_ranking or "")])) or "plain"

    @property
    def variant(self) -> str:
        """Its parameters: what tells it from others of its name."""
        if self.drawn == "queries":
            return "published as visible-to-infrared"
        said = [f"{self.mode} {self.shot}" if self.mode else self.direction]
        usual = OFFERED[self.id].usual.removal if self.id in OFFERED else self.removal
        if self.removal != usual:
            said.append("nothing hidden" if self.removal == "none" else f"hiding {self.removal}")
        if self.frames:
            said.append(f"{self.frames} frames")
        return ", ".join(said)

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be told with its numbers."""
        if self.drawn == "queries":
            return (
                f"{self.id} is for reproducing published numbers only: drawn infrared pictures are "
                "searched for among all visible ones; never compare it with llcm/two-way",
            )
        if self.draw == "split" and len(self.trial_numbers) < 10:
            said = ", ".join(map(str, self.trial_numbers))
            return (f"split {said} alone: published numbers are means over ten",)
        return ()

    @property
    def modalities(self) -> tuple[Modality, Modality]:
        """Of the queries, of the gallery."""
        infrared_first = self.direction == "infrared-to-visible"
        query = Modality.INFRARED if infrared_first else Modality.VISIBLE
        return query, query.other

    def trials(self, dataset: Dataset) -> tuple[Trial, ...]:
        """Draw the trials from the test pictures of a data set, in whatever order these are.

        Raises:
            VireidError: the permutations are needed and missing or made for other pictures, the
                data set has no splits where they are needed, or no query or no gallery picture is
                left.
        """
        frames = _frames([r for part in _parts(dataset) for r in part], self.frames)
        queries, gallery = (
            _folders([r for r in part if r in frames and r.modality is modality], cameras)
            for part, modality, cameras in zip(
                _parts(dataset),
                self.modalities,
                (self.query_cameras, self.gallery_cameras),
                strict=True,
            )
        )
        drawn = [
            Trial(number, searching, searched, {r: f for r, f in frames.items() if f != (r,)})
            for number, searching, searched in self._draw(dataset, queries, gallery)
        ]
        for trial in drawn:
            if not trial.queries or not trial.gallery:
                raise VireidError(
                    f"{self.title}: {dataset.root} has no test picture of {self._of(trial)}"
                )
        return tuple(drawn)

    def hidden(self, trial: Trial) -> Bool[np.ndarray, "q g"]:
        """True where a gallery picture is left out of the ranking of a query."""
        hidden = self.hidden_by_camera(trial)
        if self.removal == "same-id-and-camera":
            query_cameras, gallery_cameras = _cameras(trial)
            queries = np.array([record.identity for record in trial.queries])[:, None]
            gallery = np.array([record.identity for record in trial.gallery])
            same_camera = (query_cameras == gallery_cameras) & (query_cameras != "")
            hidden |= same_camera & (queries == gallery)
        return hidden

    def hidden_by_camera(self, trial: Trial) -> Bool[np.ndarray, "q g"]:
        """The part of it that one knows without knowing anybody's identity."""
        query_cameras, gallery_cameras = _cameras(trial)
        hidden = np.zeros((len(trial.queries), len(trial.gallery)), dtype=bool)
        for query_camera, gallery_camera in self.hidden_cameras:
            hidden |= (query_cameras == query_camera) & (gallery_cameras == gallery_camera)
        return hidden

    def _draw(
        self, dataset: Dataset, queries: Folders, gallery: Folders
    ) -> list[tuple[int, tuple[ImageRecord, ...], tuple[ImageRecord, ...]]]:
        """Number, queries and gallery of every trial."""
        if self.draw == "official":
            return [
                (number, _everything(queries), drawn)
                for number, drawn in zip(
                    self.trial_numbers, self._official_galleries(dataset, gallery), strict=True
                )
            ]
        if self.draw == "py-seed" and self.drawn == "gallery":
            return [(n, _everything(queries), _choice(gallery, n)) for n in self.trial_numbers]
        if self.draw == "py-seed":
            return [(n, _choice(queries, n), _everything(gallery)) for n in self.trial_numbers]
        if self.draw == "split" and dataset.trial not in self.trial_numbers:
            raise VireidError(f"{self.id} needs a data set with splits; {dataset.name} has none")
        number = dataset.trial if self.draw == "split" else self.trial_numbers[0]
        return [(number or 0, _everything(queries), _everything(gallery))]

    def _of(self, trial: Trial) -> str:
        """Of what there is no picture in a trial."""
        missing = 1 if trial.queries else 0
        cameras = (self.query_cameras, self.gallery_cameras)[missing]
        return " or ".join(cameras) if cameras else f"the {self.modalities[missing]} spectrum"

    def _official_galleries(
        self, dataset: Dataset, folders: Folders
    ) -> list[tuple[ImageRecord, ...]]:
        """Cameras outside, persons inside, as the published code lists them."""
        permutations = read_permutations(dataset.root)
        people = sorted({r.identity for r in dataset.test if r.identity is not None})
        keys = [(person, camera) for camera in self.gallery_cameras or () for person in people]
        for key in keys:
            _check_permutation(key, folders.get(key, ()), permutations.get(key), self.trial_numbers)
        return [
            tuple(
                folders[key][place - 1]
                for key in keys
                if key in folders
                for place in permutations[key][number, : PICTURES_OF_SHOT[self.shot or "single"]]
            )
            for number in self.trial_numbers
        ]


@dataclass(frozen=True)
class Offer:
    """A protocol by its name, and what can be chosen about it."""

    usual: Protocol
    choices: Mapping[str, tuple[str, ...]]
    """The values on offer of `mode`, `shot`, `direction`, `removal`; the first is the usual."""


_BOTH_WAYS: tuple[Direction, ...] = ("visible-to-infrared", "infrared-to-visible")
_TEN = tuple(range(10))
_SYSU = Protocol(
    id="sysu/official",
    dataset="SYSU-MM01 and its layout",
    mode="all",
    shot="single",
    query_cameras=("cam3", "cam6"),
    gallery_cameras=GALLERY_CAMERAS["all"],
    draw="official",
    trial_numbers=_TEN,
    removal="same-room",
    hidden_cameras=(("cam3", "cam2"),),
    cmc="identity",
)
_LLCM = Protocol(
    id="llcm/two-way",
    dataset="LLCM",
    draw="py-seed",
    trial_numbers=_TEN,
    removal="same-id-and-camera",
    cmc="identity",
)
_WHOLE = Protocol(
    id="folder/cross-spectrum",
    dataset="any pictures",
    draw="full",
    trial_numbers=(0,),
    removal="none",
    cmc="identity",
)
_VIDEO_REMOVALS = ("same-id-and-camera", "none")
OFFERED: Mapping[str, Offer] = {
    "sysu/official": Offer(
        _SYSU,
        {
            "mode": tuple(GALLERY_CAMERAS),
            "shot": tuple(PICTURES_OF_SHOT),
            "direction": ("infrared-to-visible",),
        },
    ),
    "sysu/py-seed": Offer(
        replace(_SYSU, id="sysu/py-seed", draw="py-seed"),
        {
            "mode": tuple(GALLERY_CAMERAS),
            "shot": ("single",),
            "direction": ("infrared-to-visible",),
        },
    ),
    "regdb/10-trial": Offer(
        replace(
            _WHOLE,
            id="regdb/10-trial",
            dataset="RegDB",
            draw="split",
            trial_numbers=tuple(range(1, 11)),
            cmc="plain",
        ),
        {"direction": _BOTH_WAYS},
    ),
    "llcm/two-way": Offer(_LLCM, {"direction": _BOTH_WAYS}),
    "llcm/full-gallery": Offer(
        replace(_LLCM, id="llcm/full-gallery", draw="full", trial_numbers=(0,)),
        {"direction": _BOTH_WAYS, "removal": ("same-id-and-camera", "none")},
    ),
    "llcm/legacy-swapped": Offer(replace(_LLCM, id="llcm/legacy-swapped", drawn="queries"), {}),
    "vcm/tracklets": Offer(
        replace(
            _WHOLE,
            id="vcm/tracklets",
            dataset="HITSZ-VCM",
            removal="same-id-and-camera",
            cmc="plain",
        ),
        {"direction": _BOTH_WAYS},
    ),
    "bupt-campus/tracklets": Offer(
        replace(
            _WHOLE,
            id="bupt-campus/tracklets",
            dataset="BUPTCampus",
            cmc="plain",
        ),
        {"direction": _BOTH_WAYS, "removal": ("none", "same-id-and-camera")},
    ),
    "folder/cross-spectrum": Offer(
        _WHOLE, {"direction": _BOTH_WAYS, "removal": ("none", "same-id-and-camera")}
    ),
}
"""The first protocol of a family is that of its data sets unless another is asked for."""
FAMILIES: Mapping[str, str] = {
    "sysu_mm01": "sysu",
    "nightwalk": "sysu",
    "regdb": "regdb",
    "llcm": "llcm",
    "hitsz_vcm": "vcm",
    "bupt_campus": "bupt-campus",
    "folder": "folder",
}
"""By data set: what its protocols' names begin with."""
_WHY_NOT = {
    ("sysu/py-seed", "multi"): "sysu/py-seed is single-shot only: no published code draws several "
    "pictures reproducibly; use sysu/official for multi-shot",
    ("sysu", "visible-to-infrared"): "visible-to-infrared is not offered on SYSU-MM01: it is not "
    "standard there, and its few numbers do not say how galleries were drawn",
}


def find(
    name: str,
    mode: str | None = None,
    shot: str | None = None,
    *,
    direction: str | None = None,
    removal: str | None = None,
    frames: int | None = None,
) -> Protocol:
    """The protocol of a name.

    Args:
        name: One of `OFFERED`.
        mode: Cameras that are searched, of SYSU-MM01: `all`, or `indoor`.
        shot: Pictures per person and camera, of SYSU-MM01: `single`, or `multi`.
        direction: `visible-to-infrared`, or `infrared-to-visible`.
        removal: What is hidden, where it can be chosen: `same-id-and-camera`, or `none`.
        frames: How many of a tracklet are embedded; by default all.

    Raises:
        VireidError: there is none of that name, or it does not offer what is asked for.

    >>> find("sysu/official", mode="indoor", shot="multi").title
    'sysu/official indoor multi-shot'
    >>> find("llcm/two-way", direction="infrared-to-visible").title
    'llcm/two-way infrared-to-visible'
    """
    _check_offered("protocol", name, OFFERED)
    usual, choices = OFFERED[name].usual, OFFERED[name].choices
    asked = {"mode": mode, "shot": shot, "direction": direction, "removal": removal}
    for option, value in asked.items():
        if value is not None:
            _check_choice(name, option, value, choices.get(option, ()))
    said = {option: value for option, value in asked.items() if value is not None}
    chosen: dict[str, Any] = {option: values[0] for option, values in choices.items()} | said
    if frames is not None:
        _check_frames(name, frames)
    return _with_cameras(replace(usual, **chosen, frames=frames))


def choose(
    dataset: Dataset,
    name: str | None = None,
    mode: str = "both",
    shot: str = "both",
    *,
    direction: str = "both",
    removal: str | None = None,
    frames: int | None = None,
) -> list[Protocol]:
    """All protocols that are asked for; `both` stands for every value on offer.

    Args:
        dataset: What is scored on.
        name: By default that of the data set: of SYSU-MM01 and NightWalk `sysu/official` where the
            folder has its permutations, else `sysu/py-seed`; `folder/cross-spectrum` for sets that
            have none of their own.
        mode: `all`, `indoor` or `both`.
        shot: `single`, `multi` or `both`.
        direction: `visible-to-infrared`, `infrared-to-visible` or `both`.
        removal: By default the protocol's usual.
        frames: How many of a tracklet are embedded; by default all.

    Raises:
        VireidError: What `find` raises; the protocol is that of another data set.
    """
    name = name or _usual_name(dataset)
    _check_offered("protocol", name, OFFERED)
    _check_family(dataset, name)
    asked = {"mode": mode, "shot": shot, "direction": direction}
    values = [
        OFFERED[name].choices.get(option, (None,)) if value == "both" else (value,)
        for option, value in asked.items()
    ]
    return [
        find(name, each_mode, each_shot, direction=each_way, removal=removal, frames=frames)
        for each_mode, each_shot, each_way in product(*values)
    ]


def _usual_name(dataset: Dataset) -> str:
    family = FAMILIES.get(dataset.name, "folder")
    names = [name for name in OFFERED if name.startswith(f"{family}/")]
    seeded = family == "sysu" and not permutations_path(dataset.root).is_file()
    return names[1] if seeded else names[0]


def _check_family(dataset: Dataset, name: str) -> None:
    """A data set that came with a protocol is scored under it; one's own under any that fits."""
    family = FAMILIES.get(dataset.name)
    if family and not name.startswith(f"{family}/"):
        fitting = ", ".join(each for each in OFFERED if each.startswith(f"{family}/"))
        raise VireidError(f"{name} is not a protocol of {dataset.name}; there are: {fitting}")


def _check_choice(name: str, option: str, value: str, offered: Sequence[str]) -> None:
    for about in (name, name.partition("/")[0]):
        if value not in offered and (about, value) in _WHY_NOT:
            raise VireidError(_WHY_NOT[about, value])
    if not offered:
        raise VireidError(f"{name} has no {option} to choose; leave out '{value}'")
    _check_offered(option, value, offered)


def _check_frames(name: str, frames: int) -> None:
    if not name.endswith("/tracklets"):
        raise VireidError(f"{name} is of still pictures; leave out the number of frames")
    if frames < 1:
        raise VireidError(f"frames is {frames}; it has to be 1 or more")


def _with_cameras(protocol: Protocol) -> Protocol:
    """Those of SYSU-MM01's mode, or of LLCM's direction."""
    if protocol.mode:
        return replace(protocol, gallery_cameras=GALLERY_CAMERAS[protocol.mode])
    if protocol.dataset == "LLCM":
        query, gallery = (LLCM_CAMERAS[modality] for modality in protocol.modalities)
        return replace(protocol, query_cameras=query, gallery_cameras=gallery)
    return protocol


def beside_plain(
    protocols: Sequence[Protocol], flip: str = "none", re_ranking: str = "none"
) -> list[Protocol]:
    """Protocols, and if anything is asked for, the same with that done at test time.

    Args:
        protocols: Without.
        flip: `mean`, `sum` or `concatenation`.
        re_ranking: `k-reciprocal`, with the parameters of the paper.

    Raises:
        VireidError: There is no such way.
    """
    _check_offered("flip", flip, get_args(Flip))
    _check_offered("re-ranking", re_ranking, ("none", "k-reciprocal"))
    if flip == re_ranking == "none":
        return list(protocols)
    done: dict[str, Any] = {
        "test_time_flip": flip,
        "re_ranking": KReciprocal() if re_ranking == "k-reciprocal" else None,
    }
    return [*protocols, *(replace(each, **done) for each in protocols)]


def listing(records: Sequence[ImageRecord]) -> str:
    """One line a picture, `cam1/0006/0025.jpg`: the same on every machine and for every suffix.

    A tracklet's line is its name.
    """
    return "\n".join(
        record.tracklet or "/".join((*record.path.parts[-3:-1], f"{record.path.stem}.jpg"))
        for record in records
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


def _cameras(trial: Trial) -> tuple[Shaped[np.ndarray, "q 1"], Shaped[np.ndarray, " g"]]:
    """Of queries and gallery; empty where nobody has said which."""
    queries = np.array([record.camera or "" for record in trial.queries])[:, None]
    return queries, np.array([record.camera or "" for record in trial.gallery])


def _parts(dataset: Dataset) -> tuple[Sequence[ImageRecord], Sequence[ImageRecord]]:
    """Who may be searched for, and searched in."""
    queries, gallery = dataset.test_queries, dataset.test_gallery
    return (
        dataset.test if queries is None else queries,
        dataset.test if gallery is None else gallery,
    )


def _frames(
    records: Iterable[ImageRecord], count: int | None
) -> dict[ImageRecord, tuple[ImageRecord, ...]]:
    """By the first frame of every tracklet, those to embed; a still picture is its only frame."""
    tracklets: dict[str | ImageRecord, list[ImageRecord]] = {}
    for record in dict.fromkeys(records):
        tracklets.setdefault(record.tracklet or record, []).append(record)
    return {frames[0]: _spaced(frames, count) for frames in tracklets.values()}


def _spaced(frames: Sequence[ImageRecord], count: int | None) -> tuple[ImageRecord, ...]:
    if count is None or count >= len(frames):
        return tuple(frames)
    places = np.linspace(0, len(frames), count, endpoint=False, dtype=int)
    return tuple(frames[place] for place in places)


def _folders(records: Sequence[ImageRecord], cameras: Sequence[str] | None) -> Folders:
    """Sorted by person, then camera; in each, by file name."""
    folders: dict[tuple[int, str], list[ImageRecord]] = {}
    for record in records:
        if record.identity is None or (record.camera is None and cameras is not None):
            raise VireidError(f"{record.path}: a test picture needs an identity and a camera")
        if cameras is None or record.camera in cameras:
            folders.setdefault((record.identity, record.camera or ""), []).append(record)
    return {key: sorted(folders[key], key=_by_name) for key in sorted(folders)}


def _by_name(record: ImageRecord) -> tuple[str, str]:
    """The path breaks ties between pictures of one name."""
    return record.path.name, str(record.path)


def _everything(folders: Folders) -> tuple[ImageRecord, ...]:
    return tuple(record for records in folders.values() for record in records)


def _choice(folders: Folders, seed: int) -> tuple[ImageRecord, ...]:
    """One picture a folder, by a generator of its own: every choice moves it for the next."""
    generator = random.Random(seed)
    return tuple(generator.choice(records) for records in folders.values())


def _check_offered(what: str, name: str, offered: Iterable[str]) -> None:
    if name not in offered:
        close = get_close_matches(name, offered, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise VireidError(f"no {what} '{name}'{hint} (there are: {', '.join(offered)})")
