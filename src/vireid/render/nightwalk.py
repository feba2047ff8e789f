"""Writes NightWalk to disk in SYSU-MM01's folder layout, so that one reader serves both.

Every picture depends on its size and on (seed, identity, camera, frame) alone: a rendering that was
broken off goes on where it stopped, and somebody looks the same in sets of any number of people.
"""

import io
import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from vireid.errors import VireidError
from vireid.records import Modality
from vireid.render.bodies import shop
from vireid.render.outfits import Outfit, dress
from vireid.render.people import draw_person
from vireid.render.pictures import photograph
from vireid.render.scenes import CAMERAS, Camera
from vireid.writing import write_whole

FACTS_FILE = "nightwalk.json"
TRIALS = 10
"""Rows of the permutation file that the official SYSU-MM01 draw reads."""


@dataclass(frozen=True)
class Plan:
    """How large a NightWalk is to be rendered."""

    seed: int = 0
    train_people: int = 80
    validation_people: int = 20
    test_people: int = 50
    visible_frames: int = 2
    """Pictures of a person in each visible camera."""
    infrared_frames: int = 4
    test_visible_frames: int = 4
    test_infrared_frames: int = 4
    height: int = 192
    """Rows of a picture."""
    width: int = 96

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = 0 if name in ("seed", "validation_people") else 1
            most = 255 if name.endswith("frames") else 9_999
            if name != "seed" and not least <= value <= most:
                what = name.replace("_", " ")
                raise VireidError(f"{value} {what} cannot be rendered; give {least} to {most}")
        if self.seed < 0:
            raise VireidError(f"the seed is {self.seed}; give 0 or more")
        if self.people > 9_999:
            raise VireidError(f"{self.people} people in all; folders are numbered up to 9999")

    @property
    def people(self) -> int:
        """How many people in all."""
        return self.train_people + self.validation_people + self.test_people

    def splits(self) -> dict[str, list[int]]:
        """Who is learnt from, validated on and scored on; identities count from 1."""
        order = 1 + np.random.default_rng([self.seed, 2]).permutation(self.people)
        ends = np.cumsum([self.train_people, self.validation_people])
        train, validation, test = (sorted(part.tolist()) for part in np.split(order, ends))
        return {"train": train, "val": validation, "test": test}

    def frames(self, camera: Camera, tested: bool) -> int:
        """Pictures of one person in one camera they pass."""
        if camera.modality is Modality.VISIBLE:
            return self.test_visible_frames if tested else self.visible_frames
        return self.test_infrared_frames if tested else self.infrared_frames


def cameras_passed(seed: int, identity: int) -> tuple[Camera, ...]:
    """The cameras that ever see somebody.

    As in SYSU-MM01, where 56 of 96 people are seen in the rooms of cam1 and cam2 and nearly all
    by the others, not everybody passes everywhere; everybody is seen in both spectra.
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


def render(out: Path, plan: Plan, processes: int | None = None) -> Iterator[int]:
    """Render a data set; gives the number of pictures written or found, person by person.

    Args:
        out: Folder to write to; one that holds a part of the same plan is completed.
        plan: What to render.
        processes: How many to run; by default one a core.

    Raises:
        VireidError: The folder holds something else, or cannot be written.
    """
    _begin(out, plan)
    shop()
    splits = plan.splits()
    tested = set(splits["test"])
    work = [(out, plan, identity, identity in tested) for identity in range(1, plan.people + 1)]
    if processes == 1:
        yield from map(_render_person, work)
    else:
        with multiprocessing.get_context("spawn").Pool(processes or os.cpu_count()) as pool:
            yield from pool.imap_unordered(_render_person, work)
    _finish(out, plan, splits)


def pictures_in(plan: Plan) -> int:
    """How many pictures a plan makes."""
    tested = set(plan.splits()["test"])
    return sum(
        plan.frames(camera, identity in tested)
        for identity in range(1, plan.people + 1)
        for camera in cameras_passed(plan.seed, identity)
    )


def picture_path(camera: Camera, identity: int, frame: int) -> Path:
    """Where a picture is, below the data set's folder."""
    return Path(camera.name, f"{identity:04d}", f"{frame:04d}.jpg")


def _render_person(work: tuple[Path, Plan, int, bool]) -> int:
    import torch

    torch.set_num_threads(1)
    out, plan, identity, tested = work
    wanted = [
        (camera, frame)
        for camera in cameras_passed(plan.seed, identity)
        for frame in range(1, plan.frames(camera, tested) + 1)
    ]
    missing = [w for w in wanted if not (out / picture_path(w[0], identity, w[1])).exists()]
    if missing:
        person = draw_person(plan.seed, identity)
        outfit = dress(person, shop().body(person.phenotype))
        for camera, frame in missing:
            _render_picture(out, plan, outfit, camera, frame)
    return len(wanted)


def _render_picture(out: Path, plan: Plan, outfit: Outfit, camera: Camera, frame: int) -> None:
    identity = outfit.person.identity
    rng = np.random.default_rng([plan.seed, identity, int(camera.name[-1]) + 10, frame])
    picture = photograph(outfit, camera, plan.seed, rng, plan.height, plan.width).picture
    encoded = io.BytesIO()
    picture.convert("RGB").save(encoded, "JPEG", quality=int(rng.integers(68, 88)))
    write_whole(out / picture_path(camera, identity, frame), encoded.getvalue())


def _facts(plan: Plan, finished: bool) -> dict[str, Any]:
    return {
        "name": "NightWalk",
        "licence": "CC0-1.0",
        "plan": asdict(plan),
        "made_with": {name: version(name) for name in ("vireid", "anny", "embreex", "numpy")},
        "finished": finished,
    }


def _begin(out: Path, plan: Plan) -> None:
    facts_file = out / FACTS_FILE
    if facts_file.exists():
        try:
            there = json.loads(facts_file.read_text())["plan"]
        except (ValueError, KeyError, TypeError):
            raise VireidError(f"{facts_file} is damaged; choose another --out") from None
        if there != asdict(plan):
            raise VireidError(
                f"{out} holds a NightWalk of another plan ({there}); "
                "choose another --out, or give the options it was begun with"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise VireidError(
            f"{out} is not an empty folder and holds no NightWalk; choose another --out"
        )
    write_whole(facts_file, json.dumps(_facts(plan, finished=False), indent=1).encode())


def _finish(out: Path, plan: Plan, splits: dict[str, list[int]]) -> None:
    for name, identities in {**splits, "available": range(1, plan.people + 1)}.items():
        write_whole(out / "exp" / f"{name}_id.txt", ",".join(map(str, identities)).encode())
    write_whole(out / "exp" / "rand_perm_cam.mat", _permutations(plan, set(splits["test"])))
    write_whole(out / FACTS_FILE, json.dumps(_facts(plan, finished=True), indent=1).encode())


def _permutations(plan: Plan, tested: set[int]) -> bytes:
    """SYSU-MM01's `rand_perm_cam.mat`: for each camera and identity, ten orders of its pictures."""
    from scipy.io import savemat

    cells = np.empty((len(CAMERAS), 1), object)
    for c, camera in enumerate(CAMERAS):
        of_camera = np.empty((plan.people, 1), object)
        for identity in range(1, plan.people + 1):
            passed = camera in cameras_passed(plan.seed, identity)
            frames = plan.frames(camera, identity in tested) if passed else 0
            rng = np.random.default_rng([plan.seed, identity, c, 3])
            rows = [1 + rng.permutation(frames) for _ in range(TRIALS)]
            of_camera[identity - 1, 0] = np.array(rows, np.uint8).reshape(TRIALS, frames)
        cells[c, 0] = of_camera
    content = io.BytesIO()
    savemat(content, {"rand_perm_cam": cells}, do_compression=True)
    return content.getvalue()
