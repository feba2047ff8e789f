"""Trackers of runs, by accelerate: TensorBoard, Trackio, W&B, MLflow and others that it knows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

from vireid.errors import VireidError, suggestion

Track = Callable[[Mapping[str, float], int], None]
"""Tells trackers some values after so many epochs of all stages."""


def check(names: Sequence[str]) -> None:
    """Refuse trackers that accelerate does not know, or that are not installed.

    Raises:
        VireidError: There is one.
    """
    available = {str(each) for each in get_available_trackers()}
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            hint = suggestion(name, sorted(LOGGER_TYPE_TO_CLASS))
            raise VireidError(f"there is no tracker {name!r}; {hint}")
        if name not in available:
            raise VireidError(f"the tracker {name} is not installed; pip install {name}")


@contextmanager
def tracked_by(
    accelerator: Accelerator, names: Sequence[str], folder: Path, seed: int
) -> Iterator[Track | None]:
    """Begin with trackers, and end with them; yield None where there are none."""
    if not names:
        yield None
        return
    accelerator.init_trackers("vireid", {"run": folder.name, "seed": seed})
    try:
        yield lambda values, epoch: accelerator.log(dict(values), step=epoch)
    finally:
        accelerator.end_training()
