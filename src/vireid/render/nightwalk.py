"""NightWalk on disk: pictures, their ground truth, and the lists that readers need.

Every picture depends on its size, on what is held the same, and on (seed, identity, camera, frame)
alone: a rendering that was broken off goes on where it stopped, and somebody looks the same in sets
of any number of people.
"""

import io
import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from vireid.errors import VireidError
from vireid.files.atomic import write_whole, writing_to
from vireid.progress import counted
from vireid.render.bodies import shop
from vireid.render.ground_truth import (
    PART_NAMES,
    PARTS_FOLDER,
    PEOPLE_FILE,
    lines,
    packed_lines,
    parts_path,
    parts_png,
    person_line,
    picture_line,
    truth_path,
)
from vireid.render.layouts import LAYOUTS, Shot, shots_of
from vireid.render.outfits import Outfit, dress
from vireid.render.people import FAMILY, Person, draw_person
from vireid.render.pictures import Photograph, photograph
from vireid.render.plans import Plan, frames_of

FACTS_FILE = "nightwalk.json"
EDITION = 2
"""Number of the edition; it rises when the renderer's pictures change."""
BYSTANDERS = 8
"""Number of passers-by who are not in the set, the same for everybody in it."""
_FIRST_BYSTANDER = 1_000_000
GO_ON = "make room or mend it, then give the same command again to go on"
"""Way out where a file cannot be written."""


def render(out: Path, plan: Plan, processes: int | None = None) -> Iterator[int]:
    """Render a data set; yield the number of pictures written or found, person by person.

    Refuses at once, before the first person is asked for.

    Args:
        out: Folder to write to; one that holds a part of the same plan is completed.
        plan: Plan of what to render.
        processes: Number of processes; by default one for each core.

    Raises:
        VireidError: The folder holds something else, is being written to, or cannot be written.
    """
    bodies = shop().fingerprint
    _refuse_other_content(out, plan, bodies)
    _check_room(out, plan)
    return _rendered(out, plan, processes or os.cpu_count() or 1, bodies)


def _rendered(out: Path, plan: Plan, processes: int, bodies: str) -> Iterator[int]:
    with _only_us(out):
        _write_facts(out, plan, bodies, finished=False)
        people = _render_all(out, plan, processes)
        yield from counted(people, "rendering pictures", pictures_in(plan), lambda each: each)
        _write_lists(out, plan)
        _write_facts(out, plan, bodies, finished=True)


@cache
def pictures_in(plan: Plan) -> int:
    """Return the number of pictures in a plan."""
    return sum(sum(frames_of(plan, i).values()) for i in range(1, plan.people + 1))


def _render_all(out: Path, plan: Plan, processes: int) -> Iterator[int]:
    everybody = range(1, plan.people + 1)
    if processes == 1:
        with threadpool_limits(1, "blas"):
            yield from (_render_person(out, plan, identity) for identity in everybody)
        return
    with _workers(processes) as pool:
        people = [pool.submit(_render_person, out, plan, identity) for identity in everybody]
        try:
            for person in as_completed(people):
                yield person.result()
        except BrokenProcessPool:
            raise VireidError(
                f"a process that rendered was killed, most likely for want of memory; "
                f"give the same command again with fewer --processes than {processes} to go on"
            ) from None


@contextmanager
def _workers(processes: int) -> Iterator[Executor]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _begin)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Keep this worker to one core: on products as small as ours, threads wait for one another."""
    threadpool_limits(1, "blas")
    _end_with_us()


def _end_with_us() -> None:
    """Let this worker end at once and silently on Ctrl-C, and when its parent is killed.

    Nothing that it writes is ever half there.
    """

    def outlive_nobody(parent: BaseProcess) -> None:
        parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if parent := multiprocessing.parent_process():
        threading.Thread(target=outlive_nobody, args=[parent], daemon=True).start()


def _render_person(out: Path, plan: Plan, identity: int) -> int:
    """Render the missing pictures of a person.

    The ground truth is written last: where it exists, all pictures do too, unless some were lost
    since.
    """
    shots = shots_of(plan, identity)
    truth_file = out / truth_path(identity)
    missing = [s for s in shots if not _is_there(out, plan, s)] if truth_file.exists() else shots
    if missing:
        person = draw_person(plan.seed, identity)
        outfit = dress(person, shop().body(person.phenotype))
        known = [_take(out, plan, outfit, shot) for shot in missing]
        if not truth_file.exists():
            write_whole(truth_file, packed_lines(known), GO_ON)
    return len(shots)


def _is_there(out: Path, plan: Plan, shot: Shot) -> bool:
    there = (out / shot.path).exists()
    return there and (not plan.masks or (out / parts_path(shot.path)).exists())


def _take(out: Path, plan: Plan, outfit: Outfit, shot: Shot) -> dict[str, Any]:
    """Take a picture and write it, unless it exists; return its ground truth."""
    taken = _photograph(plan, outfit, shot)
    if not (out / shot.path).exists():
        write_whole(out / shot.path, _encoded(taken.picture, plan, shot), GO_ON)
    if plan.masks:
        write_whole(out / parts_path(shot.path), parts_png(taken.truth.parts), GO_ON)
    return picture_line(shot, taken.truth)


def _photograph(plan: Plan, outfit: Outfit, shot: Shot) -> Photograph:
    return photograph(
        outfit,
        shot.camera,
        plan.seed,
        np.random.default_rng([plan.seed, *shot.drawn_from]),
        plan.height,
        plan.width,
        passers_by(plan.seed),
        frozenset(plan.hold),
    )


def _encoded(picture: Image.Image, plan: Plan, shot: Shot) -> bytes:
    """Return the picture as JPEG of a drawn quality, or in the layout's format."""
    rng = np.random.default_rng([plan.seed, *shot.drawn_from, 5])
    content = io.BytesIO()
    if shot.path.endswith(".jpg"):
        quality = int(rng.integers(68, 88))
        picture.convert("RGB").save(content, "JPEG", quality=quality)
    else:
        picture.convert("RGB").save(content, shot.path.rpartition(".")[2].upper())
    return content.getvalue()


@cache
def passers_by(seed: int) -> tuple[Outfit, ...]:
    """Return people who may pass by; their numbers are so large that they are not in the set."""
    people = [draw_person(seed, _FIRST_BYSTANDER + FAMILY * i) for i in range(BYSTANDERS)]
    return tuple(dress(person, shop().body(person.phenotype)) for person in people)


def _refuse_other_content(out: Path, plan: Plan, bodies: str) -> None:
    """Refuse a folder that is not empty and does not hold a part of the same plan."""
    facts_file = out / FACTS_FILE
    if not facts_file.exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise VireidError(
                f"{out} is not an empty folder and holds no NightWalk; choose another --out"
            )
        return
    try:
        there = json.loads(facts_file.read_text())
        differences = _differences(there, _facts(plan, bodies, finished=False))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise VireidError(f"{facts_file} is damaged; choose another --out") from None
    if differences:
        raise VireidError(
            f"{out} holds another NightWalk ({'; '.join(differences)}); choose another --out, or "
            "give the options and install the versions that it was begun with"
        )


def _differences(there: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    plans = there["plan"], wanted["plan"]
    keys = sorted(plans[0].keys() | plans[1].keys())
    differing = [
        f"{key.replace('_', ' ')} {plans[0].get(key)} there, {plans[1].get(key)} wanted"
        for key in keys
        if plans[0].get(key) != plans[1].get(key)
    ]
    if there["edition"] != wanted["edition"]:
        differing.append(f"edition {there['edition']} there, {wanted['edition']} wanted")
    elif there["bodies"] != wanted["bodies"]:
        versions = there["made_with"]["anny"], wanted["made_with"]["anny"]
        differing.append("its bodies, from anny {}, differ from those of anny {}".format(*versions))
    return differing


def _check_room(out: Path, plan: Plan) -> None:
    """Refuse if the disk is too small; JPEG needs a tenth of a byte for each pixel."""
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    each = plan.height * plan.width * (3 if plan.layout == "regdb" else 0.15) + 2_000
    needed = pictures_in(plan) * (each + (3_000 if plan.masks else 0))
    held = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    free = shutil.disk_usage(nearest).free
    if needed - held > free:
        raise VireidError(
            f"the set needs about {needed / 1e9:.1f} GB in {out}, where {free / 1e9:.1f} GB are "
            "free; make room or choose another --out"
        )


@contextmanager
def _only_us(out: Path) -> Iterator[None]:
    """Keep other processes from writing to the folder, and delete what a crash left."""
    from filelock import FileLock, Timeout

    with writing_to(out):
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / ".rendering.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise VireidError(
                f"{out} is being rendered by another process; wait for it or choose another --out"
            ) from None
    try:
        for unfinished in out.rglob(".*.partial"):
            unfinished.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
        (out / ".rendering.lock").unlink(missing_ok=True)


def _facts(plan: Plan, bodies: str, finished: bool) -> dict[str, Any]:
    return {
        "name": "NightWalk",
        "edition": EDITION,
        "licence": "CC0-1.0",
        "plan": plan.as_dict(),
        "pictures": pictures_in(plan),
        "bodies": bodies,
        "made_with": {name: version(name) for name in ("vireid", "anny", "embreex", "numpy")},
        "finished": finished,
    }


def _write_facts(out: Path, plan: Plan, bodies: str, finished: bool) -> None:
    facts = json.dumps(_facts(plan, bodies, finished), indent=1).encode()
    write_whole(out / FACTS_FILE, facts, GO_ON)


def _write_lists(out: Path, plan: Plan) -> None:
    people: list[Person] = [draw_person(plan.seed, i) for i in range(1, plan.people + 1)]
    write_whole(out / PEOPLE_FILE, lines(person_line(plan, person) for person in people), GO_ON)
    if plan.masks:
        write_whole(out / PARTS_FOLDER / "names.json", json.dumps(PART_NAMES).encode(), GO_ON)
    layout = LAYOUTS[plan.layout]
    for folder in layout.folders:
        (out / folder).mkdir(parents=True, exist_ok=True)
    for name, content in layout.lists(plan):
        write_whole(out / name, content, GO_ON)
