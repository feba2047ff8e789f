"""`make setup` installs what pyproject.toml says, and tells environments apart."""

import tomllib
from pathlib import Path

from scripts import make_venv

PROJECT_FILE = tomllib.loads(Path("pyproject.toml").read_text())


def test_extras_that_name_other_extras_are_followed() -> None:
    found = make_venv.requirements_of(PROJECT_FILE, "dev")
    extras = PROJECT_FILE["project"]["optional-dependencies"]
    everything = {requirement for extra in extras.values() for requirement in extra}
    everything |= {*PROJECT_FILE["project"]["dependencies"], "hatchling"}
    assert set(found) == {r for r in everything if not r.startswith("vireid[")}


def test_requirements_name_an_environment_whatever_their_order() -> None:
    shuffled = {
        "project": {"dependencies": ["b", "a"], "optional-dependencies": {"dev": ["c"]}},
        "build-system": {"requires": ["d"]},
    }
    assert make_venv.requirements_of(shuffled, "dev") == ["a", "b", "c", "d"]
    assert make_venv.key_of(["a", "b"]) != make_venv.key_of(["a", "b>=2"])


def test_an_environment_broken_off_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    assert not make_venv.is_complete(tmp_path)


def test_what_mypy_knows_is_told_apart_by_its_settings() -> None:
    other = {"tool": {"mypy": {**PROJECT_FILE["tool"]["mypy"], "strict": False}}}
    named = [make_venv.types_key_of(each) for each in (PROJECT_FILE, other, PROJECT_FILE)]
    assert named[0] == named[2] != named[1]


def test_a_cache_begins_with_what_mypy_knows_and_stays_what_it_became(tmp_path: Path) -> None:
    types, cache = tmp_path / "types", tmp_path / ".mypy_cache"
    types.mkdir()
    (types / "torch").write_text("known")
    broken_off = tmp_path / ".mypy_cache.partial"
    broken_off.mkdir()
    (broken_off / "torch").write_text("kno")
    make_venv.begin_cache(cache, types)
    assert (cache / "torch").read_text() == "known"
    (cache / "torch").write_text("known better")
    make_venv.begin_cache(cache, types)
    assert (cache / "torch").read_text() == "known better"


def test_copied_commands_run_the_clones_python(tmp_path: Path) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    own.mkdir()
    (shared / "pytest").write_text(f"#!{shared}/python3\nprint('hello')\n")
    (shared / "pytest").chmod(0o755)
    (own / "activate").write_text("the clone's own")
    (shared / "activate").write_text("the shared one's")
    make_venv.copy_commands(shared, own)
    assert (own / "pytest").read_text() == f"#!{own}/python3\nprint('hello')\n"
    assert (own / "pytest").stat().st_mode & 0o111
    assert (own / "activate").read_text() == "the clone's own"
