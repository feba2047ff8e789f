"""Released code that vireid is compared with, and what a folder is a clone of. No torch."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class CloneError(Exception):
    """A folder that cannot be compared with; the message is one line."""


@dataclass(frozen=True)
class Repository:
    """Released code, as it was when the comparison was made."""

    name: str
    address: str
    commit: str
    """First digits of the commit."""
    files: tuple[str, ...]
    """Files that are read or imported; together they tell this repository from the others."""


AGW = Repository(
    "AGW",
    "https://github.com/mangye16/Cross-Modal-Re-ID-baseline",
    "e817a26",
    (
        *("model.py", "loss.py", "resnet.py", "train.py", "utils.py"),
        *(f"ICCV21_CAJ/{name}.py" for name in ("ChannelAug", "data_loader", "loss")),
    ),
)
CSDN = Repository(
    "CSDN",
    "https://github.com/nengdong96/CSDN",
    "2224959",
    (
        *("main.py", "core/base.py", "core/train.py", "network/model.py", "network/lr.py"),
        *("network/clip/clip.py", "network/clip/model.py", "tools/loss.py", "tools/MSEL.py"),
    ),
)
MMN = Repository(
    "MMN",
    "https://github.com/ZYK100/MMN",
    "01d70d5",
    ("model.py", "resnet.py", "loss.py", "train.py", "random_erasing.py"),
)
LLCM = Repository(
    "LLCM",
    "https://github.com/ZYK100/LLCM",
    "886e27c",
    ("DEEN/model.py", "DEEN/resnet.py", "DEEN/test.py", "AGW/model.py"),
)
TORCHREID = Repository(
    "torchreid",
    "https://github.com/KaiyangZhou/deep-person-reid",
    "f8cd150",
    ("torchreid/models/osnet.py", "torchreid/models/osnet_ain.py"),
)
FAST_REID = Repository(
    "fast-reid",
    "https://github.com/JDAI-CV/fast-reid",
    "c9bc3ce",
    (
        *("fastreid/modeling/backbones/resnet.py", "fastreid/modeling/heads/embedding_head.py"),
        *("fastreid/layers/pooling.py", "fastreid/layers/non_local.py"),
    ),
)
STEPS = (AGW, CSDN, MMN)
"""Those whose training steps are compared."""
CHECKPOINTS = (AGW, CSDN, MMN, LLCM, TORCHREID, FAST_REID)
"""Those whose networks are imported."""


@dataclass(frozen=True)
class Clone:
    """A repository on this machine."""

    repository: Repository
    folder: Path
    commit: str
    """Commit that is checked out, in full."""


def recognised(folder: Path, *, any_commit: bool, known: Sequence[Repository] = STEPS) -> Clone:
    """Return what a folder is a clone of.

    Args:
        folder: Folder that was given.
        known: Repositories that it may be a clone of.
        any_commit: Take other commits and changed files too.

    Raises:
        CloneError: It is not there, no clone of any of them, lacks files of it, is at another
            commit, or has been changed.
    """
    if not folder.is_dir():
        raise CloneError(f"{folder} is no folder; give clones of {_listed(known)}")
    commit = _git(folder, "rev-parse", "HEAD").strip()
    top = _git(folder, "rev-parse", "--show-toplevel").strip()
    if not commit or Path(top).resolve() != folder.resolve():
        raise CloneError(f"{folder} is no clone, as git knows no commit of it; run git clone")
    repository = _most_alike(folder, known)
    missing = [name for name in repository.files if not (folder / name).is_file()]
    if missing:
        raise CloneError(f"{folder}, a clone of {repository.name}, lacks {', '.join(missing)}")
    if not any_commit:
        _check_unchanged(folder, repository, commit)
    return Clone(repository, folder.resolve(), commit)


def _most_alike(folder: Path, known: Sequence[Repository]) -> Repository:
    def share(repository: Repository) -> float:
        there = [(folder / name).is_file() for name in repository.files]
        return sum(there) / len(there)

    best = max(known, key=share)
    if share(best) <= 0.5:
        raise CloneError(f"{folder} is no clone of {_listed(known)}, as it has other files")
    return best


def _check_unchanged(folder: Path, repository: Repository, commit: str) -> None:
    if not commit.startswith(repository.commit):
        raise CloneError(
            f"{folder} is at {commit[:7]}, and {repository.name} is compared at "
            f"{repository.commit}; check that out, or add --any-commit"
        )
    if changed := _git(folder, "status", "--porcelain", "--untracked-files=no").splitlines():
        raise CloneError(
            f"{folder} has changed files, the first is {changed[0][3:]}; undo the changes, or add "
            "--any-commit"
        )


def _listed(known: Sequence[Repository]) -> str:
    addresses = [r.address.removeprefix("https://") for r in known]
    return f"{', '.join(addresses[:-1])} or {addresses[-1]}"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout
    except FileNotFoundError:
        raise CloneError("git is not installed, which tells the commit of a clone") from None
