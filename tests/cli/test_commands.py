"""The command line answers, teaches, and says what went wrong in one line."""

import re
import subprocess
import sys
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner

from vireid import __version__
from vireid.cli import main as cli
from vireid.errors import Interrupted, VireidError
from vireid.search.opening import DEFAULT_MODEL

COMMANDS = sorted(cli.vireid.commands)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vireid", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_version_is_the_packages() -> None:
    assert run("--version").stdout == f"vireid {__version__}\n"


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['vireid', '--help']\n"
        "from vireid.cli.main import main\n"
        "try: main()\n"
        "finally: print(sorted({'torch', 'numpy', 'PIL', 'rich'} & set(sys.modules)))\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.stdout.endswith("\n[]\n"), answer.stderr
    assert all(name in answer.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_shows_an_example_of_it(name: str) -> None:
    answer = CliRunner().invoke(cli.vireid, [name, "--help"])
    assert answer.exit_code == 0
    _, examples = answer.output.split("Examples:")
    assert f"vireid {name} " in examples


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    options = [p for p in cli.vireid.commands[name].params if isinstance(p, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize(
    ("mistyped", "meant"), [(["evalute"], "evaluate"), (["index", "--modalty"], "--modality")]
)
def test_mistyped_words_are_put_right(mistyped: list[str], meant: str) -> None:
    answer = CliRunner().invoke(cli.vireid, mistyped)
    assert answer.exit_code == 2
    _, hint = answer.output.split("Did you mean ")
    assert f"'{meant}'" in hint


@pytest.fixture
def command_that_fails(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Runs the command line with a command that raises an error."""

    def run_it(error: BaseException) -> None:
        @click.command()
        def fail() -> None:
            raise error

        monkeypatch.setattr(cli, "vireid", fail)
        monkeypatch.setattr(sys, "argv", ["vireid"])
        cli.main()

    return run_it


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (VireidError("cat.jpg is empty; leave it out"), "cat.jpg is empty; leave it out"),
        (
            OSError(28, "No space left on device", "runs/a/log.txt"),
            "runs/a/log.txt: No space left on device",
        ),
        (
            ModuleNotFoundError(name="torch.nn"),
            "this needs torch, which is not installed; "
            "install it with: pip install 'vireid[train]'",
        ),
    ],
)
def test_what_a_person_can_put_right_is_one_line(
    error: Exception,
    line: str,
    command_that_fails: Callable[[BaseException], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        command_that_fails(error)
    assert ended.value.code == 1
    assert capfd.readouterr().err == f"vireid: {line}\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyboardInterrupt(), "vireid: interrupted"),
        (Interrupted("interrupted; 7 are safe"), "vireid: interrupted; 7 are safe"),
    ],
)
def test_an_interruption_has_its_usual_status(
    error: BaseException,
    line: str,
    command_that_fails: Callable[[BaseException], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        command_that_fails(error)
    assert ended.value.code == 130
    assert capfd.readouterr().err.strip() == line


def test_faults_of_the_package_keep_their_traceback(
    command_that_fails: Callable[[BaseException], None],
) -> None:
    with pytest.raises(ModuleNotFoundError, match="nonsense"):
        command_that_fails(ModuleNotFoundError("nonsense", name="vireid.nonsense"))


@pytest.mark.parametrize(
    "words",
    [
        ["recipes", "copy", "agw_sysu", ""],
        ["render", "--out", ""],
        ["data", "show", "nightwalk", "--out", ""],
        ["evaluate", "small", "--out", ""],
    ],
)
def test_what_is_to_be_written_has_a_name(words: list[str]) -> None:
    answer = CliRunner().invoke(cli.vireid, words)
    assert answer.exit_code == 2
    assert answer.output.endswith("it is empty; name a file or a folder\n")


@pytest.mark.parametrize("command", ["index", "verify", "watch"])
def test_help_names_the_model_of_new_galleries(command: str) -> None:
    told = " ".join(CliRunner().invoke(cli.vireid, [command, "--help"]).output.split())
    assert re.search(rf"\[default: (the gallery's; )?{DEFAULT_MODEL}\b", told)
