"""Make `.venv`: an environment with everything that the demo and the tests need.

What gets installed (about 7 GB, most of it torch) lies under `VIREID_ENVS` (by default
`~/.cache/vireid/envs`), in a folder named after the requirements, so that a second clone with the
same requirements is ready in seconds. `.venv` itself is small: it sees those packages through a
`.pth` file and holds what belongs to this clone alone, its editable install of vireid.

What mypy finds out about those packages, which takes most of its time, is kept with them, and is
where the cache of a new clone begins. mypy compares each entry with the file that it is about.

Needs nothing but Python. May be broken off at any time: an environment counts only once it is
complete, and two clones that need the same one wait for each other.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
OLDEST_PYTHON = (3, 11)
PIP = ("-m", "pip", "--disable-pip-version-check")


def main() -> None:
    """Bring `.venv` up to date; does nothing, quickly, where it is."""
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"vireid needs Python 3.11 or later, this is {platform.python_version()}: "
                 "give another one with `make setup PYTHON=python3.12`")  # fmt: skip
    project_file = (PROJECT / "pyproject.toml").read_bytes()
    project = tomllib.loads(project_file.decode())
    requirements = requirements_of(project, extra="dev")
    environment = environments_folder() / key_of(requirements)
    types = environment / types_key_of(project)
    stamp = f"{PROJECT}\n{environment}\n{hashlib.sha256(project_file).hexdigest()}\n"
    ready = VENV / "ready"
    if ready.is_file() and ready.read_text() == stamp and is_complete(environment):
        return
    with locked(environment.with_suffix(".lock")):
        if not is_complete(environment):
            install(requirements, environment)
        cache = PROJECT / ".mypy_cache"
        if not cache.exists():
            if not types.is_dir():
                read_types(environment, types)
            begin_cache(cache, types)
    make_venv_on(environment)
    ready.write_text(stamp)
    print(f".venv is ready (packages: {environment})")


def environments_folder() -> Path:
    """Return the folder in which installed packages are kept for all clones."""
    default = Path.home() / ".cache" / "vireid" / "envs"
    return Path(os.environ.get("VIREID_ENVS") or default).expanduser().resolve()


def requirements_of(project_file: dict[str, Any], extra: str) -> list[str]:
    """Return what pip has to install for `vireid[extra]`, and to build vireid, sorted."""
    project = project_file["project"]
    found = {*project["dependencies"], *project_file["build-system"]["requires"]}
    extras_to_read, read = [extra], set()
    while extras_to_read:
        name = extras_to_read.pop()
        if name in read:
            continue
        read.add(name)
        for requirement in project["optional-dependencies"][name]:
            if requirement.startswith("vireid["):
                extras_to_read += requirement.removeprefix("vireid[").removesuffix("]").split(",")
            else:
                found.add(requirement)
    return sorted(found)


def key_of(requirements: list[str]) -> str:
    """Return the name of an environment: same requirements, same Python, same name."""
    made_of = [requirements, sys.version, sys.base_prefix, platform.machine()]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:12]


def types_key_of(project_file: dict[str, Any]) -> str:
    """Return the name of what mypy knows of an environment: other settings, other knowledge."""
    settings = json.dumps(project_file["tool"]["mypy"])
    return f"types-{hashlib.sha256(settings.encode()).hexdigest()[:12]}"


def is_complete(environment: Path) -> bool:
    """Whether the installation of an environment came to its end."""
    return (environment / "complete").is_file()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes out; the system lets go of the lock when this process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install(requirements: list[str], environment: Path) -> None:
    """Make an environment with the requirements; what an interrupted try left is thrown away."""
    print(f"Installing {len(requirements)} packages and what they need (a few minutes, 7 GB) ...")
    if environment.exists():
        shutil.rmtree(environment)
    venv.create(environment, with_pip=True)
    wanted = environment / "requirements.txt"
    wanted.write_text("\n".join(requirements) + "\n")
    python = environment / "bin" / "python"
    show_progress = () if sys.stdout.isatty() else ("--quiet",)
    run(python, *PIP, "install", *show_progress, "--requirement", wanted)
    run(python, *PIP, "check")
    (environment / "complete").touch()


def read_types(environment: Path, types: Path) -> None:
    """Have mypy read the packages; what it says of vireid is the business of the tests.

    Nothing is kept of a mypy that could not do its work, nor of what was read with other settings.
    """
    print("Reading the types of packages (a minute) ...")
    for former in environment.glob("types-*"):
        shutil.rmtree(former)
    unfinished = types.with_suffix(".partial")
    unfinished.mkdir()
    command = [str(environment / "bin" / "python"), "-m", "mypy", "--cache-dir", str(unfinished)]
    ended = subprocess.run(command, cwd=PROJECT, stdout=subprocess.DEVNULL, check=False)
    if ended.returncode in (0, 1):  # 1: it found something in vireid
        unfinished.rename(types)


def begin_cache(cache: Path, types: Path) -> None:
    """Give a clone that mypy has not seen yet what it knows of the packages, if it knows any."""
    if cache.exists() or not types.is_dir():
        return
    unfinished = cache.with_name(f"{cache.name}.partial")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    shutil.copytree(types, unfinished)
    unfinished.rename(cache)


def make_venv_on(environment: Path) -> None:
    """Make `.venv` see the packages of an environment, and this clone's vireid."""
    if VENV.is_symlink():
        VENV.unlink()
    venv.create(VENV, clear=True, with_pip=False)
    inside = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}")
    packages = environment / inside / "site-packages"
    link = VENV / inside / "site-packages" / "_packages_of_vireid.pth"
    link.write_text(f"import site; site.addsitedir({str(packages)!r})\n")
    copy_commands(environment / "bin", VENV / "bin")
    into_venv = (*PIP, "--python", VENV / "bin" / "python", "install", "--quiet")
    only_vireid = ("--no-deps", "--no-build-isolation", "--editable", PROJECT)
    run(environment / "bin" / "python", *into_venv, *only_vireid)


def copy_commands(source: Path, target: Path) -> None:
    """Copy console scripts (`pytest`, `torchrun` ...) so that they run `.venv`'s Python."""
    old, new = f"{source}/python".encode(), f"{target}/python".encode()
    for script in source.iterdir():
        copy = target / script.name
        if copy.exists() or script.is_symlink() or not script.is_file():
            continue
        text = script.read_bytes()
        copy.write_bytes(text.replace(old, new, 1) if text.startswith(b"#!") else text)
        shutil.copymode(script, copy)


def run(*command: str | Path) -> None:
    """Run a command; stop here, with its status, if it fails."""
    status = subprocess.run([str(part) for part in command], check=False).returncode
    if status:
        sys.exit(f"failed with status {status}: {' '.join(map(str, command))}")


if __name__ == "__main__":
    main()
