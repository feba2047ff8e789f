"""Opening a model by its name: a shipped model, an exported folder, or a run.

A bare name that is a shipped model's means that model, everywhere; a folder of the same name is
written with its path, `./small`.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from vireid.models import calibration, onnx_network
from vireid.models.calibration import FILE, Calibration, CalibrationError
from vireid.models.card import (
    CARD,
    LAST_EPOCH,
    ModelCard,
    ModelError,
    Training,
    chosen,
    learnt_on,
    read_exported,
    training_of,
)
from vireid.models.engines import AS_USUAL, Running
from vireid.models.network import Network, Text

SHIPPED = Path(__file__).parent
"""Folder of the models that come with vireid: those folders beside this module that hold a card."""
UNFINISHED = "checkpoint:"
"""Prefix of a run folder that means what the run has learnt so far."""
ORIGINAL = "original:"
"""Prefix of a run folder that means the CLIP which the run began with."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenModel:
    """A model that is ready to embed."""

    card: ModelCard
    network: Network
    text: Text
    learnt_on: str = "unknown"
    """Name of the data set, with the number of its split where there are several."""
    training: Training | None = None
    checkpoint: str = LAST_EPOCH
    """How the weights were chosen: runs and exported models hold those of the last epoch."""
    calibration: Calibration | None = None
    """What its similarities are worth; None where nobody has found out."""
    grid: tuple[int, int] | None = None
    """Parts of the picture that the numbers of an embedding stand for, see `Method.grid`."""


def shipped() -> list[str]:
    """Return the names of the models that come with vireid."""
    return sorted(card.parent.name for card in SHIPPED.glob("*/model.json"))


def is_shipped(name: str | Path) -> bool:
    """Whether a name means a model that comes with vireid."""
    return str(name) in shipped()


def folder_of(name: str | Path) -> Path:
    """Return the folder of a model; the one rule by which names become folders.

    Args:
        name: Name of a shipped model, or path of a run or an exported model, which need not exist.
    """
    if not is_shipped(name):
        return Path(str(name).removeprefix(UNFINISHED))
    if any((Path(name) / card).exists() for card in ("model.json", "run.json")):
        log.warning("%s is the model that comes with vireid; the folder here is ./%s", name, name)
    return SHIPPED / str(name)


def calibration_file(name: str) -> Path:
    """Return where the calibration of a model is kept.

    Raises:
        CalibrationError: It comes with vireid.
    """
    if is_shipped(name):
        raise CalibrationError(
            f"{name} comes with vireid, which is calibrated already; keep yours in a gallery: "
            "--gallery GALLERY"
        )
    return folder_of(name) / FILE


def exported_folder(name: str | Path) -> Path:
    """Return the folder of an exported or shipped model.

    Raises:
        ModelError: There is no such model, or it is no exported one.
    """
    folder = folder_of(name)
    if not os.path.lexists(folder):
        raise ModelError(_unknown(name))
    if not os.path.lexists(folder / CARD):
        raise ModelError(f"{name} is no exported model; make one with `vireid export {name}`")
    return folder


def open_model(
    name: str | Path, running: Running = AS_USUAL, *, trust_code: bool = False
) -> OpenModel:
    """Open a model, whatever kind it is.

    Args:
        name: See `Embedder.open`.
        running: How to run it.
        trust_code: Run the code of a run's method if that is not vireid's.

    Raises:
        ModelError: There is no such model, it is damaged, or of another version's format.
        VireidError: It needs code that is not trusted.
    """
    if str(name).startswith(ORIGINAL):
        return _open_original(Path(str(name).removeprefix(ORIGINAL)), trust_code)
    if str(name).startswith(UNFINISHED):
        return _open_checkpoint(folder_of(name), trust_code)
    folder = folder_of(name)
    source = str(name) if is_shipped(name) else str(folder.absolute())
    if os.path.lexists(folder / CARD):  # a link that leads nowhere is told when it is read
        exported = read_exported(folder)
        opened = onnx_network.open_exported(folder, exported, source, running)
        training = training_of(folder, exported.num_identities)
        about = learnt_on(folder), training, chosen(exported.imported)
        known = calibration.read(folder / FILE, exported.fingerprint)
        return OpenModel(*opened, *about, known, exported.grid)
    if os.path.lexists(folder / "run.json"):
        if running.engine not in (None, "auto"):
            raise ModelError(
                f"{folder} is a run, which torch computes; the engine {running.engine} takes what "
                f"`vireid export {folder} --out FOLDER` writes"
            )
        return _open_run(folder, source, trust_code)
    raise ModelError(_unknown(name))


def _unknown(name: str | Path) -> str:
    return (
        f"there is no model {str(name)!r}; give a run folder, a folder written by "
        f"`vireid export`, or a shipped model: {', '.join(shipped()) or 'none is installed'}"
    )


def _open_run(folder: Path, source: str, trust_code: bool) -> OpenModel:
    # Only what a run has learnt needs torch.
    from vireid.models import torch_network

    original = f"{ORIGINAL}{folder.absolute()}"
    opened, details = torch_network.open_run(folder, source, original, trust_code=trust_code)
    training = training_of(folder, details.num_identities)
    about = learnt_on(folder), training, chosen(details.imported)
    return OpenModel(*opened, *about, calibration.read(folder / FILE, details.learnt))


def _open_checkpoint(run: Path, trust_code: bool) -> OpenModel:
    from vireid.models import torch_network

    source = f"{UNFINISHED}{run.absolute()}"
    opened, details, stood = torch_network.open_checkpoint(run, source, trust_code=trust_code)
    training = training_of(run, details.num_identities)
    return OpenModel(*opened, learnt_on(run), training, stood)


def _open_original(run: Path, trust_code: bool) -> OpenModel:
    from vireid.models import torch_network

    source = f"{ORIGINAL}{run.absolute()}"
    opened = torch_network.open_original(run, source, trust_code=trust_code)
    return OpenModel(*opened, learnt_on="nothing")
