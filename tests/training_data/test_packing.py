"""`vireid data pack`: what it leaves behind is what training finds, and nothing else is."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from tests import sysu_layout
from tests.waiting import HELD_UP, wait_for

from vireid import datasets
from vireid.cli import main as cli
from vireid.pictures import read_resized
from vireid.training_data.augmentation import Augmentation
from vireid.training_data.loading import PackedTrainingData
from vireid.training_data.packs import PackError
from vireid.training_data.settings import Data

HEIGHT, WIDTH = 24, 12


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/packs"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return sysu_layout.write(tmp_path / "naïve cam1 数据")


def arguments(root: Path, *more: str | Path) -> list[str]:
    size = [f"--height={HEIGHT}", f"--width={WIDTH}"]
    return ["data", "pack", "nightwalk", str(root), *size, *map(str, more)]


def pack(root: Path, *more: str | Path) -> str:
    answer = CliRunner().invoke(cli.vireid, arguments(root, *more))
    if answer.exception:
        raise answer.exception
    return answer.stdout


def learnt_from(root: Path) -> PackedTrainingData:
    dataset = datasets.read("nightwalk", root)
    return PackedTrainingData(
        dataset.train + dataset.validation,
        Data("nightwalk", height=HEIGHT, width=WIDTH),
        Augmentation(),
        seed=0,
        root=dataset.root,
    )


def packs_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())


def test_one_file_for_every_group_and_training_finds_them(
    root: Path, tmp_path: Path, cache: Path
) -> None:
    counts = {k: len(v) for k, v in datasets.read("nightwalk", root).groups.items()}
    told = [f"{group}: {count} pictures packed" for group, count in counts.items()]
    assert pack(root, "--out", tmp_path / "packs").splitlines() == told
    groups = ("test", "train", "validation")
    assert packs_in(tmp_path / "packs") == [f"nightwalk-{group}-24x12" for group in groups]
    data = learnt_from(root)
    assert packs_in(cache) == [], "nothing was packed again"
    assert len(data.records) == counts["train"] + counts["validation"]
    for number in (0, len(data.records) - 1):
        shown = data._pictures[number]
        assert (shown == read_resized(data.records[number].path, HEIGHT, WIDTH)).all()


def test_without_a_place_packs_lie_in_the_cache(root: Path, cache: Path) -> None:
    pack(root)
    assert len(packs_in(cache)) == 3
    learnt_from(root)
    assert len(packs_in(cache)) == 3


def test_a_data_set_that_may_only_be_read_is_packed(root: Path, cache: Path) -> None:
    for path in (*root.rglob("*"), root):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(root.rglob("*"))
    pack(root)
    assert sorted(root.rglob("*")) == before
    for path in (root, *root.rglob("*")):
        path.chmod(0o755)


def test_pictures_that_cannot_be_read_stop_it_or_are_told(root: Path, tmp_path: Path) -> None:
    bad = datasets.read("nightwalk", root).train[3].path
    bad.write_bytes(b"")
    with pytest.raises(Exception, match=r"1 pictures cannot be read.*\n.*it is empty"):
        pack(root, "--out", tmp_path / "packs")
    assert "pictures packed, 1 left out" in pack(root, "--skip-unreadable")


def test_a_killed_process_leaves_the_old_pack_and_no_half_of_a_new_one(
    root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "packs"
    pack(root, "--out", out)
    old = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    records = datasets.read("nightwalk", root).train
    Image.new("RGB", (24, 48), "white").save(records[0].path)
    # The process waits at the last picture of the first group.
    program = HELD_UP.format(picture=str(records[-1].path)) + "import vireid.__main__"
    command = [sys.executable, "-c", program, *arguments(root, "--out", out)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as packing:
        wait_for(lambda: packing.poll() is not None or list(out.glob(".*.partial/pictures.u8")))
        assert packing.poll() is None
        packing.send_signal(signal.SIGKILL)
    assert {path: path.read_bytes() for path in old} == old
    pack(root, "--out", out)
    assert [path for path in out.iterdir() if path.suffix == ".partial"] == []
    data = learnt_from(root)
    assert (data._pictures[0] == 255).all()
    assert len(data._pictures) == len(data.records)


@pytest.mark.parametrize("size", ["--height=0", "--width=-3"])
def test_pictures_without_pixels_are_refused(root: Path, size: str) -> None:
    with pytest.raises(PackError, match=r"have nothing in them; give 1 or more"):
        pack(root, size)
