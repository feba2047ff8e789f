"""`data.also`: people of several data sets in one run; and where masks come from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests import stand_ins, sysu_layout
from tests.tiny_recipe import tiny_recipe

from vireid.datasets import nightwalk
from vireid.errors import VireidError
from vireid.learning import training
from vireid.recipes import recipe as recipes
from vireid.recipes.recipe import Recipe


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))


def recipe(tmp_path: Path, *also: str) -> Recipe:
    root = tmp_path / "sysu"
    if not root.exists():
        sysu_layout.write(root)
    (tmp_path / "recipe.toml").write_text(tiny_recipe(root=root), encoding="utf-8")
    return recipes.read(tmp_path / "recipe.toml", [f"data.also={list(also)}"])


def test_people_of_further_sets_are_other_people(tmp_path: Path) -> None:
    stand_ins.write_regdb(tmp_path / "regdb", count=4, pictures=2)
    _, _, alone = training.opened(recipe(tmp_path))
    _, _, both = training.opened(recipe(tmp_path, f"regdb:{tmp_path / 'regdb'}"))
    assert (alone.num_identities, both.num_identities) == (3, 3 + 2)
    assert both.records[: len(alone.records)] == alone.records
    further = both.records[len(alone.records) :]
    assert {r.modality for r in further} == {r.modality for r in alone.records}
    assert all("regdb" in r.path.parts for r in further)
    assert not {r.identity for r in further} & {r.identity for r in alone.records}
    batches = list(both.paired(5, 2)(0))
    assert sorted(set(batches[0].identities.tolist())) == [0, 1, 2, 3, 4]


def test_ones_own_people_are_other_people_and_some_of_each_batch(tmp_path: Path) -> None:
    lines = ["path,modality,identity"]
    for person in ("Ann", "Bob", -1):
        for modality in ("visible", "infrared"):
            name = f"{modality}-{person}.png"
            Image.new("RGB", (16, 32), (100, 20 * len(lines), 50)).save(tmp_path / name)
            lines.append(f"{name},{modality},{person}")
    (tmp_path / "people.csv").write_text("\n".join(lines), encoding="utf-8")
    wanted = recipe(tmp_path)
    own = replace(wanted.data, own=str(tmp_path / "people.csv"), own_people=1)
    _, _, data = training.opened(replace(wanted, data=own))
    assert data.num_identities == 3 + 2
    for batch in data.paired(2, 1)(0):
        rendered, mine = batch.identities.tolist()
        assert rendered < 3 <= mine


def test_a_list_of_ones_own_that_names_nobody_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (16, 32)).save(tmp_path / "a.png")
    (tmp_path / "people.csv").write_text("path,modality\na.png,visible", encoding="utf-8")
    wanted = recipe(tmp_path)
    own = replace(wanted.data, own=str(tmp_path / "people.csv"))
    with pytest.raises(VireidError, match=r"people\.csv, which names nobody"):
        training.opened(replace(wanted, data=own))


def test_a_further_set_without_a_folder_is_refused_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(VireidError, match=r"data\.also has 'regdb', .* give NAME:FOLDER"):
        training.opened(recipe(tmp_path, "regdb"))


def test_masks_show_the_person_alone_and_are_not_known_everywhere(tmp_path: Path) -> None:
    picture = tmp_path / "cam1" / "0001" / "0001.jpg"
    assert nightwalk.person_mask(picture, tmp_path) is None
    mask = tmp_path / "parts" / "cam1" / "0001" / "0001.png"
    mask.parent.mkdir(parents=True)
    (tmp_path / "parts" / "names.json").write_text("{}", encoding="utf-8")
    Image.fromarray(np.array([[0, 1, 16], [254, 255, 4]], np.uint8)).save(mask)
    found = nightwalk.person_mask(picture, tmp_path)
    assert found is not None
    assert found.tolist() == [[False, True, True], [False, False, True]]
