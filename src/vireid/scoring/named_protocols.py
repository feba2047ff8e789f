"""The protocols by name, and what can be chosen about each; `protocols` has their sources."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, get_args

from vireid.datasets import Dataset
from vireid.errors import VireidError, suggestion
from vireid.records import Modality
from vireid.scoring.protocols import PICTURES_OF_SHOT, Centre, Direction, Flip, Protocol
from vireid.scoring.re_ranking import KReciprocal
from vireid.scoring.sysu_permutations import permutations_path

GALLERY_CAMERAS: Mapping[str, tuple[str, ...]] = {
    "all": ("cam1", "cam2", "cam4", "cam5"),
    "indoor": ("cam1", "cam2"),
}
"""Gallery cameras of SYSU-MM01, by mode."""
LLCM_CAMERAS: Mapping[Modality, tuple[str, ...]] = {
    Modality.VISIBLE: tuple(f"cam{number}" for number in range(1, 10)),
    Modality.INFRARED: tuple(f"cam{number}" for number in (1, 2, 4, 5, 6, 7, 8, 9)),
}
"""Cameras of LLCM, by modality; camera 3 has no infrared test pictures."""


@dataclass(frozen=True)
class Offer:
    """A protocol by its name, and what can be chosen about it."""

    usual: Protocol
    choices: Mapping[str, tuple[str, ...]]
    """Values on offer of `mode`, `shot`, `direction`, `removal`; the first is the usual one."""
    gallery_cameras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Gallery cameras by mode, where they depend on it."""
    cameras: Mapping[Modality, tuple[str, ...]] = field(default_factory=dict)
    """Cameras of each spectrum, where queries and gallery come from some cameras only."""
    every_removal: bool = False
    """Whether all values of `removal` are scored unless one is asked for."""
    of_tracklets: bool = False
    """Whether queries and gallery are tracklets, of which some frames may be embedded."""


_BOTH_WAYS: tuple[Direction, ...] = ("visible-to-infrared", "infrared-to-visible")
_TEN = tuple(range(10))
_FOUR = tuple(f"cam{number}" for number in range(1, 5))
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
OFFERED: Mapping[str, Offer] = {
    "sysu/official": Offer(
        _SYSU,
        {
            "mode": tuple(GALLERY_CAMERAS),
            "shot": tuple(PICTURES_OF_SHOT),
            "direction": ("infrared-to-visible",),
        },
        gallery_cameras=GALLERY_CAMERAS,
    ),
    "sysu/py-seed": Offer(
        replace(_SYSU, id="sysu/py-seed", draw="py-seed"),
        {
            "mode": tuple(GALLERY_CAMERAS),
            "shot": ("single",),
            "direction": ("infrared-to-visible",),
        },
        gallery_cameras=GALLERY_CAMERAS,
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
    "llcm/two-way": Offer(_LLCM, {"direction": _BOTH_WAYS}, cameras=LLCM_CAMERAS),
    "llcm/full-gallery": Offer(
        replace(_LLCM, id="llcm/full-gallery", draw="full", trial_numbers=(0,)),
        {"direction": _BOTH_WAYS, "removal": ("same-id-and-camera", "none")},
        cameras=LLCM_CAMERAS,
    ),
    "llcm/legacy-swapped": Offer(
        replace(_LLCM, id="llcm/legacy-swapped", drawn="queries"), {}, cameras=LLCM_CAMERAS
    ),
    "vcm/tracklets": Offer(
        replace(
            _WHOLE,
            id="vcm/tracklets",
            dataset="HITSZ-VCM",
            removal="same-id-and-camera",
            cmc="plain",
        ),
        {"direction": _BOTH_WAYS},
        of_tracklets=True,
    ),
    "bupt-campus/tracklets": Offer(
        replace(
            _WHOLE,
            id="bupt-campus/tracklets",
            dataset="BUPTCampus",
            cmc="plain",
        ),
        {"direction": _BOTH_WAYS, "removal": ("none", "same-id-and-camera")},
        of_tracklets=True,
    ),
    **{
        f"rgbnt201/{kind}": Offer(
            replace(
                _WHOLE, id=f"rgbnt201/{kind}", dataset="RGBNT201", removal="same-id-and-moment"
            ),
            {"direction": _BOTH_WAYS, "removal": ("same-id-and-moment", "same-id-and-camera")},
            cameras={
                Modality.VISIBLE: _FOUR,
                Modality.INFRARED: tuple(f"{camera} {kind}" for camera in _FOUR),
            },
        )
        for kind in ("thermal", "near")
    },
    "folder/cross-spectrum": Offer(
        _WHOLE, {"direction": _BOTH_WAYS, "removal": ("none", "same-id-and-camera")}
    ),
    "folder/tracks": Offer(
        replace(
            _WHOLE,
            id="folder/tracks",
            dataset="people followed through videos",
            draw="py-seed",
            trial_numbers=_TEN,
            removal="same-id-and-instant",
            gap=2.0,
            single_frames=True,
        ),
        {"direction": ("infrared-to-visible", "visible-to-infrared")},
    ),
    "folder/registered": Offer(
        replace(
            _WHOLE,
            id="folder/registered",
            dataset="people in both spectra at one instant: a smoke test",
            draw="py-seed",
            trial_numbers=_TEN,
            removal="other-camera",
            registered=True,
        ),
        {
            "direction": ("infrared-to-visible", "visible-to-infrared"),
            "removal": ("other-camera", "other-frame"),
        },
        every_removal=True,
    ),
}
"""Protocols by name; the first of a family is that of its data sets unless another is asked for."""
FAMILIES: Mapping[str, str] = {
    "sysu_mm01": "sysu",
    "nightwalk": "sysu",
    "regdb": "regdb",
    "llcm": "llcm",
    "hitsz_vcm": "vcm",
    "bupt_campus": "bupt-campus",
    "rgbnt201": "rgbnt201",
    "folder": "folder",
}
"""Beginning of the names of a data set's protocols, by data set."""
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
    gap: float | None = None,
) -> Protocol:
    """Return the protocol of a name.

    Args:
        name: Name of a protocol, one of `OFFERED`.
        mode: Gallery cameras of SYSU-MM01: `all`, or `indoor`.
        shot: Pictures per person and camera of SYSU-MM01: `single`, or `multi`.
        direction: `visible-to-infrared`, or `infrared-to-visible`.
        removal: Gallery pictures to hide, where this can be chosen: `same-id-and-camera`, or
            `none`.
        frames: Number of frames of a tracklet to embed; by default all.
        gap: Seconds that make another instant, for `folder/tracks`; by default 2.

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
    if gap is not None:
        _check_gap(usual, gap)
        chosen["gap"] = gap
    if chosen.get("removal", usual.removal) != usual.removal:
        chosen["usual_removal"] = usual.removal
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
    gap: float | None = None,
) -> list[Protocol]:
    """Return all protocols that are asked for; `both` stands for every value on offer.

    Args:
        dataset: Data set to score on.
        name: Name of a protocol; by default that of the data set. That is `sysu/official` for
            SYSU-MM01 and NightWalk where the folder has its permutations, else `sysu/py-seed`;
            `folder/cross-spectrum` for sets that have none of their own.
        mode: `all`, `indoor` or `both`.
        shot: `single`, `multi` or `both`.
        direction: `visible-to-infrared`, `infrared-to-visible` or `both`.
        removal: Gallery pictures to hide; by default the protocol's usual.
        frames: Number of frames of a tracklet to embed; by default all.
        gap: Seconds that make another instant; by default the protocol's usual.

    Raises:
        VireidError: What `find` raises; the protocol is that of another data set.
    """
    name = name or _usual_name(dataset)
    _check_offered("protocol", name, OFFERED)
    _check_family(dataset, name)
    asked = {"mode": mode, "shot": shot, "direction": direction}
    values: list[tuple[str | None, ...]] = [
        OFFERED[name].choices.get(option, (None,)) if value == "both" else (value,)
        for option, value in asked.items()
    ]
    offer = OFFERED[name]
    values.append(
        offer.choices["removal"] if offer.every_removal and removal is None else (removal,)
    )
    return [
        find(
            name,
            each_mode,
            each_shot,
            direction=each_way,
            removal=each_removal,
            frames=frames,
            gap=gap,
        )
        for each_mode, each_shot, each_way, each_removal in product(*values)
    ]


def _usual_name(dataset: Dataset) -> str:
    family = FAMILIES.get(dataset.name, "folder")
    names = [name for name in OFFERED if name.startswith(f"{family}/")]
    seeded = family == "sysu" and not permutations_path(dataset.root).is_file()
    return names[1] if seeded else names[0]


def _check_family(dataset: Dataset, name: str) -> None:
    """Check that a data set with protocols of its own is scored under one of them."""
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
    if not OFFERED[name].of_tracklets:
        raise VireidError(f"{name} is of still pictures; leave out the number of frames")
    if frames < 1:
        raise VireidError(f"frames is {frames}; it has to be 1 or more")


def _check_gap(usual: Protocol, gap: float) -> None:
    if usual.gap is None:
        raise VireidError(f"{usual.id} hides nothing by its time; leave out the gap")
    if not gap >= 0:
        raise VireidError(f"the gap is {gap:g} seconds; it has to be 0 or more")


def _with_cameras(protocol: Protocol) -> Protocol:
    """Return the protocol with the cameras of its mode, or of its direction."""
    offer = OFFERED[protocol.id]
    if protocol.mode and offer.gallery_cameras:
        return replace(protocol, gallery_cameras=offer.gallery_cameras[protocol.mode])
    if offer.cameras:
        query, gallery = (offer.cameras[modality] for modality in protocol.modalities)
        return replace(protocol, query_cameras=query, gallery_cameras=gallery)
    return protocol


def beside_plain(
    protocols: Sequence[Protocol],
    flip: str = "none",
    re_ranking: str = "none",
    centre: str = "none",
) -> list[Protocol]:
    """Return protocols, and if anything is asked for, the same with it done at test time.

    Args:
        protocols: Protocols without flips and re-ranking.
        flip: Way of averaging over flips: `mean`, `sum` or `concatenation`.
        re_ranking: Way of re-ranking: `k-reciprocal`, with the parameters of the paper.
        centre: Whose mean embedding is subtracted: that of each `camera`.

    Raises:
        VireidError: There is no such way.
    """
    _check_offered("flip", flip, get_args(Flip))
    _check_offered("re-ranking", re_ranking, ("none", "k-reciprocal"))
    _check_offered("centre", centre, get_args(Centre))
    if flip == re_ranking == centre == "none":
        return list(protocols)
    done: dict[str, Any] = {
        "test_time_flip": flip,
        "test_time_centre": centre,
        "re_ranking": KReciprocal() if re_ranking == "k-reciprocal" else None,
    }
    return [*protocols, *(replace(each, **done) for each in protocols)]


def _check_offered(what: str, name: str, offered: Iterable[str]) -> None:
    if name not in offered:
        raise VireidError(f"there is no {what} '{name}'; {suggestion(name, offered)}")
