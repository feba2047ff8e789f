"""Plans of a NightWalk: who is in it, which cameras see them, and how often."""

import csv
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vireid.errors import VireidError
from vireid.records import Modality
from vireid.render.people import FAMILY
from vireid.render.pictures import HOLDABLE
from vireid.render.scenes import CAMERAS, LLCM, REGDB, Camera

SYSU_FRAMES = Path(__file__).with_name("sysu_mm01_frames.csv")
"""Pictures of each person in each camera of SYSU-MM01, alike people counted together.

Computed from the permutations, train and test lists that its authors publish
(https://github.com/wuancong/SYSU-MM01, evaluation/data_split): 296 + 99 + 96 people with 29,033
visible and 15,712 infrared pictures. The 30,071 and 15,792 of its README count 22 more people, seen
in one spectrum only, who are in no group.
"""

Layout = Literal["sysu", "regdb", "llcm"]
Frames = Literal["even", "sysu"]
Group = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Plan:
    """A data set to be rendered; with the bodies' fingerprint it decides every pixel."""

    seed: int = 0
    train_people: int = 80
    validation_people: int = 20
    test_people: int = 50
    frames: Frames = "even"
    """Pictures of a person and camera: as set below, or as many as people in SYSU-MM01 have."""
    visible_frames: int = 2
    """Pictures of a person in each visible camera."""
    infrared_frames: int = 4
    test_visible_frames: int = 4
    test_infrared_frames: int = 4
    height: int = 192
    """Rows of a picture."""
    width: int = 96
    layout: Layout = "sysu"
    """Name of the real set whose cameras, folders and lists it has."""
    hold: tuple[str, ...] = ()
    """Factors that are the same in all pictures, of `HOLDABLE`."""
    masks: bool = False
    """Whether a mask of parts is written for every picture."""

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                what = name.replace("_", " ")
                raise VireidError(f"{value} {what} cannot be rendered; give {least} to {most}")
        if self.people > 9_999:
            raise VireidError(f"{self.people} people in all; folders are numbered up to 9999")
        for name in self.hold:
            if name not in HOLDABLE:
                known = ", ".join(HOLDABLE)
                raise VireidError(f"'{name}' cannot be held the same; give one of {known}")
        object.__setattr__(self, "hold", tuple(sorted(set(self.hold))))
        self._refuse_what_the_layout_lacks()

    def _refuse_what_the_layout_lacks(self) -> None:
        if self.layout == "sysu":
            return
        if self.frames == "sysu":
            raise VireidError(f"only the layout sysu has SYSU-MM01's frames, not {self.layout}")
        if self.validation_people:
            raise VireidError(
                f"the layout {self.layout} has no validation people; leave --validation-people out"
            )
        if self.layout == "regdb" and len(set(self._frame_counts)) > 1:
            raise VireidError(
                "the layout regdb has pairs of pictures; give the same number for visible and "
                "infrared frames, to learn from and to score on"
            )

    @property
    def _frame_counts(self) -> tuple[int, int, int, int]:
        return (
            self.visible_frames,
            self.infrared_frames,
            self.test_visible_frames,
            self.test_infrared_frames,
        )

    @property
    def people(self) -> int:
        """Number of people in all groups."""
        return self.train_people + self.validation_people + self.test_people

    def groups(self, trial: int = 1) -> dict[Group, list[int]]:
        """Return the identities, from 1, to learn from, to validate on and to score on.

        Families stay together, so that people who look alike are told apart where it is scored; the
        one or two families at the ends of a group may be divided.

        Args:
            trial: Number of the split, for layouts that have several.
        """
        firsts = np.arange(1, self.people + 1, FAMILY)
        drawn = np.random.default_rng([self.seed, 2, trial - 1]).permutation(firsts)
        order = (drawn[:, None] + np.arange(FAMILY)).reshape(-1)
        order = order[order <= self.people]
        ends = np.cumsum([self.train_people, self.validation_people])
        train, validation, test = (sorted(part.tolist()) for part in np.split(order, ends))
        return {"train": train, "validation": validation, "test": test}

    def as_dict(self) -> dict[str, object]:
        """Return the plan for JSON."""
        return asdict(self) | {"hold": list(self.hold)}


_LIMITS = {
    "seed": (0, 2**63 - 1),
    "train_people": (1, 9_999),
    "validation_people": (0, 9_999),
    "test_people": (1, 9_999),
    "visible_frames": (1, 255),
    "infrared_frames": (1, 255),
    "test_visible_frames": (1, 255),
    "test_infrared_frames": (1, 255),
    "height": (32, 1024),
    "width": (16, 1024),
}


_STANDARD = Plan(
    seed=1,
    train_people=296,
    validation_people=99,
    test_people=96,
    frames="sysu",
    height=288,
    width=144,
    masks=True,
)
_PAIRS = Plan(
    seed=2,
    train_people=20,
    validation_people=0,
    test_people=20,
    visible_frames=10,
    infrared_frames=10,
    test_visible_frames=10,
    test_infrared_frames=10,
    height=128,
    width=64,
    layout="regdb",
)
_LOW_LIGHT = Plan(
    seed=3,
    train_people=40,
    validation_people=0,
    test_people=20,
    visible_frames=4,
    layout="llcm",
)
SIZES = {
    "sysu": {"mini": Plan(), "standard": _STANDARD},
    "regdb": {
        "mini": _PAIRS,
        "standard": replace(_PAIRS, train_people=206, test_people=206, masks=True),
    },
    "llcm": {
        "mini": _LOW_LIGHT,
        "standard": replace(
            _LOW_LIGHT, train_people=713, test_people=351, height=288, width=144, masks=True
        ),
    },
}
"""Plans with a name, by layout: `mini` is small, `standard` has the people of the real set.

Seeds differ, so that nobody who is learnt from in one set is scored on in another.
"""
CAMERAS_OF = {"sysu": CAMERAS, "regdb": REGDB, "llcm": LLCM}
_CAMERA_WITHOUT_INFRARED = "cam3"
"""Camera of LLCM that takes no infrared pictures."""


def choose(size: str, layout: str = "sysu", **asked: Any) -> Plan:
    """Return a plan of a name, with the changes asked for.

    Args:
        size: Name of a size, one of `SIZES`.
        layout: Name of a layout, one of those in `SIZES`.
        asked: Fields of a plan; those that are None are not asked for.

    Raises:
        VireidError: It cannot be rendered.
    """
    plan = SIZES[layout][size]
    asked = {name: value for name, value in asked.items() if value is not None}
    counted = [name for name in asked if name.endswith("frames")]
    if plan.frames == "sysu" and counted:
        option = counted[0].replace("_", "-")
        raise VireidError(
            f"{size} has as many pictures of everybody as SYSU-MM01; leave --{option} out, or "
            "start from --size mini"
        )
    return replace(plan, **asked)


def group_of(plan: Plan, identity: int) -> Group:
    """Return the group of a person."""
    return _places(plan)[identity][0]


def frames_of(plan: Plan, identity: int) -> dict[Camera, int]:
    """Return how many pictures each camera takes of a person, without cameras that take none.

    As in SYSU-MM01, not everybody passes everywhere; everybody is seen in both spectra.
    """
    group, number = _places(plan)[identity]
    if plan.frames == "sysu":
        rows = _sysu_rows(plan.seed, group)
        counted = zip(CAMERAS, rows[number % len(rows)], strict=True)
        return {camera: count for camera, count in counted if count}
    passed = _CAMERAS_PASSED[plan.layout](plan.seed, identity)
    return {camera: _even_frames(plan, camera, group == "test") for camera in passed}


def cameras_passed(seed: int, identity: int) -> tuple[Camera, ...]:
    """Return the cameras of SYSU-MM01's layout that ever see a person.

    Shares are those among SYSU-MM01's 96 test people, 56 of whom are seen in the rooms of cam1 and
    cam2 and nearly all by the others.
    """
    rng = np.random.default_rng([seed, identity, 1])
    indoors = rng.random() < 0.6
    chance = {
        "cam1": indoors,
        "cam2": indoors,
        "cam3": 0.97,
        "cam4": 0.98,
        "cam5": 1.0,
        "cam6": 1.0,
    }
    return tuple(camera for camera in CAMERAS if rng.random() < chance[camera.name])


def _both(_seed: int, _identity: int) -> tuple[Camera, ...]:
    return REGDB


def _some_of_nine(seed: int, identity: int) -> tuple[Camera, ...]:
    """Draw three to nine of LLCM's cameras: six on average, so 24 + 21 pictures of a person.

    Published are 25,626 visible and 21,141 infrared pictures of 1,064 people, 24.1 + 19.9 of each.
    """
    rng = np.random.default_rng([seed, identity, 6])
    numbers = rng.permutation(9)[: rng.integers(3, 10)] + 1
    passed = {f"cam{number}" for number in numbers}
    return tuple(
        camera
        for camera in LLCM
        if camera.name in passed
        and (camera.modality is Modality.VISIBLE or camera.name != _CAMERA_WITHOUT_INFRARED)
    )


_CAMERAS_PASSED = {"sysu": cameras_passed, "regdb": _both, "llcm": _some_of_nine}


def _even_frames(plan: Plan, camera: Camera, tested: bool) -> int:
    if camera.modality is Modality.VISIBLE:
        return plan.test_visible_frames if tested else plan.visible_frames
    return plan.test_infrared_frames if tested else plan.infrared_frames


@cache
def _places(plan: Plan) -> dict[int, tuple[Group, int]]:
    """Return each person's group, and their number in it from 0."""
    return {
        identity: (group, number)
        for group, identities in plan.groups().items()
        for number, identity in enumerate(identities)
    }


@cache
def _sysu_rows(seed: int, group: Group) -> list[list[int]]:
    """Return pictures in cam1 .. cam6 of all people in a group of SYSU-MM01, shuffled."""
    with SYSU_FRAMES.open(newline="", encoding="utf-8") as file:
        rows = [
            [int(row[f"cam{number}"]) for number in range(1, 7)]
            for row in csv.DictReader(file)
            if row["group"] == group
            for _ in range(int(row["people"]))
        ]
    order = np.random.default_rng([seed, 4, len(rows)]).permutation(len(rows))
    return [rows[i] for i in order]
