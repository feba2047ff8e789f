"""Methods and data sets in files of one's own: found, kept with a run, run only if trusted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tests import documents
from tests.tiny_recipe import tiny_recipe

from vireid import datasets, methods
from vireid.errors import VireidError
from vireid.files import user_code
from vireid.learning.training import learn
from vireid.methods.agw import AGW
from vireid.models import runs
from vireid.models.embedder import Embedder
from vireid.models.runs import RunError
from vireid.recipes import recipe
from vireid.records import Modality
from vireid.scoring import evaluation

Run = Callable[..., tuple[int, str, str]]
METHOD, DATASET = documents.PAGES
TRACE = "\nwith open({path!r}, 'a') as _file:\n    _file.write('run ')\n"
"""Code that leaves a trace of being run."""


def write_pictures(root: Path) -> Path:
    """Eight people, each of a shade, as corridor.py of the documents reads them."""
    for camera in ("day", "night"):
        for identity in range(8):
            for number in range(2):
                path = root / camera / f"{identity:04d}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                grey = 20 + 28 * identity + number
                Image.new("RGB", (16, 32), (grey, grey, grey)).save(path)
    return root


def write_recipe(folder: Path) -> Path:
    """A recipe whose method and data set lie beside it."""
    for page in (METHOD, DATASET):
        for name, text in documents.files_of(page).items():
            (folder / name).write_text(text)
    settings = tiny_recipe("corridor.py", write_pictures(folder / "pictures"), "closer.py")
    path = folder / "mine.toml"
    path.write_text(settings)
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe of own code and a run of it."""
    folder = tmp_path_factory.mktemp("project")
    learn(recipe.read(write_recipe(folder)), folder / "run")
    return folder


@pytest.fixture
def folder(project: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return shutil.copytree(project, tmp_path / "project")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("mine.py", (Path("mine.py"), None, None)),
        ("a/mine.py:Mine", (Path("a/mine.py"), None, "Mine")),
        ("C:\\a\\mine.py", (Path("C:\\a\\mine.py"), None, None)),
        ("lab.methods:Mine", (None, "lab.methods", "Mine")),
    ],
)
def test_names_of_user_code_are_told_from_those_of_vireid(
    name: str, parts: tuple[Path | None, str | None, str | None]
) -> None:
    code = user_code.parse(name)
    assert code
    assert (code.file, code.module, code.thing) == parts
    assert str(code) == name


@pytest.mark.parametrize("name", ["agw", "SYSU-MM01", "mine.toml", "os.path"])
def test_other_names_are_no_user_code(name: str) -> None:
    assert user_code.parse(name) is None


def test_a_method_that_inherits_is_the_one_of_its_file(folder: Path) -> None:
    found = methods.find(str(folder / "closer.py"))
    assert issubclass(found, AGW)
    assert found.__name__ == "CloserAGW"


def test_a_class_of_a_package_is_a_method() -> None:
    assert methods.find("vireid.methods.agw:AGW") is AGW
    with pytest.raises(VireidError, match="Outputs is no method"):
        methods.find("vireid.methods.agw:Outputs")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = (", r"bad.py, line 1: '\(' was never closed"),
        ("import nowhere_at_all", "bad.py needs nowhere_at_all, which cannot be imported"),
        ("", "bad.py defines no method"),
        (
            "from vireid.methods.agw import AGW\nclass A(AGW): pass\nclass B(AGW): pass\n",
            r"defines 2 methods, A, B; name one, as in .*bad.py:B",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(VireidError, match=told):
        methods.find(str(tmp_path / "bad.py"))


def test_a_file_that_is_not_there_is_named_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('method = "no.py"\n[data]\ndataset = "nightwalk"\n')
    with pytest.raises(VireidError, match=f"no file {tmp_path / 'no.py'}; .* recipe's folder"):
        recipe.read(tmp_path / "mine.toml")


def test_paths_start_from_the_recipe_and_typed_ones_from_here(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    shutil.copyfile(folder / "tiny.py", here / "tiny.py")
    monkeypatch.chdir(here)
    assert recipe.read(folder / "mine.toml").method == str(folder / "closer.py")
    (folder / "bare.toml").write_text('method = "closer.py"\n[data]\ndataset = "nightwalk"\n')
    typed = recipe.read(folder / "bare.toml", ["method=tiny.py"])
    assert typed.method == str(here / "tiny.py")


def test_a_data_set_is_called_as_its_file(folder: Path) -> None:
    name = str(folder / "corridor.py")
    assert datasets.read(name, folder / "pictures").name == "corridor"
    renamed = shutil.copyfile(folder / "corridor.py", folder / "hall.py")
    with pytest.raises(VireidError, match="calls its data set 'corridor'; call it 'hall'"):
        datasets.read(str(renamed), folder / "pictures")


def test_a_data_set_of_ones_own_cannot_pass_for_another(folder: Path) -> None:
    text = (folder / "corridor.py").read_text().replace('name="corridor"', 'name="regdb"')
    (folder / "regdb.py").write_text(text)
    with pytest.raises(VireidError, match="vireid has a data set 'regdb'"):
        datasets.read(str(folder / "regdb.py"), folder / "pictures")


def test_a_run_keeps_the_code_and_names_it_without_a_folder(folder: Path) -> None:
    run = folder / "run"
    for name in ("closer.py", "corridor.py"):
        assert (run / name).read_bytes() == (folder / name).read_bytes()
    assert recipe.outline_of(run / "recipe.toml").method == "closer.py"
    assert json.loads((run / "user_code.json").read_text()).keys() == {"closer.py", "corridor.py"}


def test_two_files_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copyfile(folder / "corridor.py", other / "closer.py")
    with pytest.raises(VireidError, match="share a name; rename one"):
        user_code.keep([str(folder / "closer.py"), str(other / "closer.py")], tmp_path)


def plant(folder: Path, trace: Path) -> None:
    """Code of a stranger in a run, with a hash that is right."""
    for name in ("closer.py", "corridor.py"):
        path = folder / name
        path.write_text(path.read_text() + TRACE.format(path=str(trace)))
    kept = json.loads((folder / "user_code.json").read_text())
    for name in kept:
        kept[name]["sum"] = user_code._sum(folder / name)
    (folder / "user_code.json").write_text(json.dumps(kept))


def openings(run: Path, source: Path) -> dict[str, tuple[str, ...]]:
    """Commands that open a run."""
    return {
        "evaluate": ("evaluate", str(run)),
        "evaluate on another set": ("evaluate", str(run), "--dataset", "nightwalk"),
        "index": (
            *("index", str(source), "--modality", "visible"),
            *("--out", str(source / "new.gallery"), "--model", str(run)),
        ),
        "export": ("export", str(run), "--out", str(source / "exported")),
        "show-auxiliary": ("show-auxiliary", str(run), "--out", str(source / "a.png")),
    }


@pytest.mark.parametrize("command", openings(Path(), Path()))
def test_no_command_runs_the_code_of_a_run_unasked(
    command: str, folder: Path, tmp_path: Path, run: Run
) -> None:
    trace = tmp_path / "trace"
    plant(folder / "run", trace)
    status, _, error = run(*openings(folder / "run", folder / "pictures")[command])
    assert status == 1
    assert f"{folder / 'run' / 'closer.py'}" in error or "corridor.py" in error
    assert "--trust-code" in error
    assert not trace.exists()


def test_code_that_is_trusted_is_run(folder: Path, tmp_path: Path, run: Run) -> None:
    trace = tmp_path / "trace"
    plant(folder / "run", trace)
    status, said, error = run("evaluate", folder / "run", "--trust-code")
    assert (status, error) == (0, "")
    assert "mAP" in said
    assert trace.read_text() == "run run "


def test_a_gallery_of_such_a_run_asks_too(folder: Path, run: Run) -> None:
    gallery, pictures = folder / "corridor.gallery", folder / "pictures"
    options = ("--modality", "visible", "--model", folder / "run")
    assert run("index", pictures / "day", "--out", gallery, *options, "--trust-code")[0] == 0
    query = (pictures / "night" / "0003" / "0.png", "--query-modality", "infrared")
    status, _, error = run("search", gallery, *query)
    assert (status, "--trust-code" in error) == (1, True)
    assert run("search", gallery, *query, "--trust-code")[0] == 0


def test_a_run_is_opened_by_its_own_copy_after_the_original_has_changed(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = folder / "run"
    kept = json.loads((run / "user_code.json").read_text())
    kept["closer.py"]["origin"] = str(folder / "closer.py")
    (run / "user_code.json").write_text(json.dumps(kept))
    (folder / "closer.py").write_text("raise RuntimeError")
    embedder = Embedder.open(run, trust_code=True)
    (vector,) = embedder.embed([Image.new("RGB", (16, 32))], Modality.VISIBLE)
    assert vector @ vector == pytest.approx(1, abs=1e-5)
    assert f"{folder / 'closer.py'} has changed since" in caplog.text


def test_a_copy_that_was_changed_is_not_the_code_of_the_run(folder: Path) -> None:
    copy = folder / "run" / "closer.py"
    copy.write_text(copy.read_text() + "\n")
    with pytest.raises(VireidError, match=r"closer.py is not the code that .*run was learnt by"):
        Embedder.open(folder / "run", trust_code=True)


def test_a_run_is_resumed_with_the_same_code_only(folder: Path) -> None:
    learn(recipe.read(folder / "mine.toml"), folder / "run", resume=True)
    (folder / "closer.py").write_text((folder / "closer.py").read_text() + "\n")
    with pytest.raises(RunError, match=r"closer.py is not what the run began with"):
        learn(recipe.read(folder / "mine.toml"), folder / "run", resume=True)


def test_code_of_a_run_that_is_resumed_is_that_of_the_recipe(folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    plant(folder / "run", trace)
    with pytest.raises(RunError, match=r"closer.py, corridor.py is not what"):
        learn(recipe.read(folder / "mine.toml"), folder / "run", resume=True)
    assert not trace.exists()


def test_fingerprints_tell_other_code_but_not_another_place(folder: Path, tmp_path: Path) -> None:
    tiny = methods.find(str(folder / "tiny.py"))
    method = tiny(tiny.Config(), 4)

    def mark(file: Path) -> str:
        return runs.model_fingerprint(str(file), method.config, 32, 16, method.state_dict())

    moved = shutil.copyfile(folder / "tiny.py", tmp_path / "tiny.py")
    assert mark(folder / "tiny.py") == mark(moved)
    before = mark(moved)
    moved.write_text(moved.read_text() + "\n")
    assert mark(moved) != before


def test_scores_are_of_the_data_set_that_the_run_has_kept(folder: Path) -> None:
    scores = evaluation.score_models([str(folder / "run")], trust_code=True)
    assert {each.dataset.name for each in scores} == {"corridor"}


def test_an_exported_model_embeds_without_code(folder: Path, run: Run) -> None:
    """Only the data set that it was learnt on needs some; of `tiny.py`, which is soon exported."""
    exported = folder / "exported"
    (folder / "small.toml").write_text(
        'method = "tiny.py"\n[data]\ndataset = "corridor.py"\n'
        f'root = "{folder / "pictures"}"\n'
        "height = 32\nwidth = 16\nsteps_per_epoch = 1\nworkers = 0\n[augmentation]\npad = 2\n"
        "[settings]\npeople = 2\nimages_each = 2\nepochs = 1\n"
    )
    learn(recipe.read(folder / "small.toml"), folder / "learnt")
    assert run("export", folder / "learnt", "--out", exported, "--trust-code")[0] == 0
    embedder = Embedder.open(exported)
    assert embedder.learnt_on == "corridor"
    with pytest.raises(VireidError, match="--trust-code"):
        evaluation.dataset_of(str(exported))
    assert evaluation.dataset_of(str(exported), trust_code=True).name == "corridor"
    named = evaluation.dataset_of(str(exported), str(folder / "corridor.py"))
    assert named == evaluation.dataset_of(str(exported), trust_code=True)
