"""The programs in examples/ run, and what they print is true."""

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

from vireid.models.opening import SHIPPED
from vireid.scoring import results

Run = Callable[..., str]
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a program in this process, which has imported torch already; gives what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *words: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *words])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_training_changes_the_weights_it_began_with(example: Run) -> None:
    said = example("train.py", "--epochs", "2", "--steps", "2")
    assert "both spectra, epoch 2 of 2:  identity" in said
    learnt = load_file("agw.safetensors")
    begun = load_file(SHIPPED / "small" / "model.safetensors")
    same = [name for name in begun if begun[name].shape == learnt[name].shape]
    assert len(same) > len(begun) / 2
    assert not all(begun[name].equal(learnt[name]) for name in same)


def test_scoring_gives_the_scores_that_the_command_keeps(example: Run) -> None:
    said = example("score.py")
    (kept,) = (
        scores
        for scores in results.find("small")
        if (scores.protocol.mode, scores.protocol.shot) == ("all", "single")
    )
    shown = [float(number) for number in re.findall(r"([\d.]+) ± ", said)]
    assert kept.sd is not None
    for number, metric in zip(shown, ("R1", "mAP"), strict=True):
        assert number == pytest.approx(100 * kept.mean[metric], abs=0.5)


def test_searching_twice_indexes_once(example: Run) -> None:
    first, second = example("search.py"), example("search.py")
    added = re.search(r"(\d+) pictures added, 0 unchanged", first)
    assert added
    assert f"0 pictures added, {added[1]} unchanged" in second
    assert first.splitlines()[1:] == second.splitlines()[1:]
    with Image.open("hits.png") as sheet:
        assert sheet.width > 300


@pytest.mark.parametrize("program", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_fits_on_a_screen_or_two(program: Path) -> None:
    assert len(program.read_text(encoding="utf-8").splitlines()) <= 85
