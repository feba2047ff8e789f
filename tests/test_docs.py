"""What README.md and docs/ say is true: links lead somewhere, code runs.

Fenced blocks marked `python` and `bash` are run, in order, in a folder that looks like a clone. A
block with a title is a file, which is written there first. A block after the comment
`<!-- not run: why -->` is not run, and indented blocks are only shown.

Those of README.md are run by a shell, as people run them. Those of docs/ are run in this process,
which has imported torch already: each process of their own would take seconds for that.
"""

import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest
from tests.documents import files_of

from vireid import recipes

PROJECT = Path(__file__).parent.parent
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])
CHECKED_BY_MYPY = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["mypy"]["files"]
NOT_RUN_HERE = {"make demo", "make test"}
"""They make the environment that these tests run in."""

BLOCK = re.compile(
    r"(?P<not_run><!-- not run: [^\n]+ -->\n+)?^```(?P<language>python|bash)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    language: str
    code: str

    @property
    def lines(self) -> list[str]:
        """The commands of a shell, one a line."""
        return [
            line
            for line in self.code.replace("\\\n", "").splitlines()
            if line.partition("#")[0].strip() not in NOT_RUN_HERE
        ]

    @property
    def command(self) -> list[str]:
        if self.language == "python":
            return [sys.executable, "-c", self.code]
        return ["bash", "-euo", "pipefail", "-c", "\n".join(self.lines)]


def blocks_to_run(document: Path) -> list[Block]:
    found = BLOCK.finditer(document.read_text())
    return [Block(match["language"], match["code"]) for match in found if not match["not_run"]]


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(PROJECT)) for path in paths]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder that looks like a clone; what the commands write stays in it."""
    for entry in ("src", "examples", "docs", "benchmarks", "scripts"):
        (tmp_path / entry).symlink_to(PROJECT / entry)
    return tmp_path


README = PROJECT / "README.md"
WITH_CODE = [document for document in DOCUMENTS if document != README and blocks_to_run(document)]


@pytest.mark.slow
def test_code_of_the_readme_runs(clone: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    blocks = blocks_to_run(README)
    assert len(blocks) >= 2
    for block in blocks:
        answer = subprocess.run(
            block.command,
            cwd=clone,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, f"{block.code}\n{answer.stdout}\n{answer.stderr}"


@pytest.mark.parametrize("document", WITH_CODE, ids=names(WITH_CODE))
def test_code_runs(
    document: Path,
    clone: Path,
    run: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(clone)
    for name, text in files_of(document).items():
        (clone / name).write_text(text)
    for block in blocks_to_run(document):
        if block.language == "python":
            exec(compile(block.code, str(document), "exec"), {"__name__": "__main__"})
            continue
        for program, *words in (shlex.split(line, comments=True) for line in block.lines):
            if program == "vireid":
                assert run(*words)[0] == 0, words
            else:
                assert program == "python", "this program is not run here: run it in README.md"
                runpy.run_path(words[0], run_name="__main__")


def heading_anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_nowhere(document: Path, target: str) -> bool:
    if re.match(r"[a-z]+:", target):  # other places are not asked
        return False
    file, _, anchor = target.partition("#")
    path = document.parent / file if file else document
    return not path.exists() or bool(anchor and anchor not in heading_anchors(path))


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_links_lead_somewhere(document: Path) -> None:
    prose = FENCED.sub("", document.read_text())
    targets = [match["target"] for match in LINK.finditer(prose)]
    assert [target for target in targets if leads_nowhere(document, target)] == []


@pytest.fixture
def shown_files(tmp_path: Path) -> Path:
    """A folder with all files that documents show, and with the settings of ruff and mypy."""
    (tmp_path / "pyproject.toml").symlink_to(PROJECT / "pyproject.toml")
    for document in DOCUMENTS:
        for name, text in files_of(document).items():
            assert not (tmp_path / name).exists(), "two documents show files of the same name"
            (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("check", [["ruff", "check"], ["ruff", "format", "--check"]])
def test_files_in_documents_are_as_tidy_as_ours(check: list[str], shown_files: Path) -> None:
    own = "lint.isort.known-first-party=['vireid']"
    command = [sys.executable, "-m", *check, "--no-cache", "--config", own, "."]
    answer = subprocess.run(command, cwd=shown_files, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.slow
def test_types_fit_in_the_project_and_in_files_that_documents_show(shown_files: Path) -> None:
    """What `make types` checks and more, in one run beside other tests."""
    files = map(str, shown_files.glob("*.py"))
    command = [sys.executable, "-m", "mypy", *CHECKED_BY_MYPY, *files]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


def test_recipes_that_documents_and_help_name_exist() -> None:
    sources = PROJECT.glob("src/vireid/**/*.py"), PROJECT.glob("src/vireid/**/*.toml")
    texts = [path.read_text() for path in [*DOCUMENTS, *chain(*sources)]]
    typed = [
        name
        for text in texts
        for name in re.findall(r"vireid (?:train|sweep) ([a-z][\w/.]+)", text)
    ]
    files = {name for document in DOCUMENTS for name in files_of(document)}
    named = set(typed) - files - {"RECIPE", "SWEEP"}
    assert len(named) > 10
    assert sorted(named - set(recipes.available())) == []


def test_the_table_of_contents_names_every_room() -> None:
    text = (PROJECT / "docs/concepts.md").read_text().partition("## What lies where")[2]
    named = set(re.findall(r"`(\w+)/?`", text))
    entries = {path.stem for path in (PROJECT / "src/vireid").iterdir() if path.name[0] not in "._"}
    assert entries - named - {"py"} == set()
    assert named <= entries


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 150
