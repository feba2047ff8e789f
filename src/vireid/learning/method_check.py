"""The check of a method before the first step, for faults that would spoil a run after hours.

It uses a copy of the method, and its own random numbers: a run with this check learns the same, bit
by bit, as one without it.
"""

import copy
import io
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from vireid.errors import VireidError
from vireid.files import torch_files
from vireid.learning.checkpoints import Checkpoint, Position, Sums
from vireid.method import Method, TrainingData
from vireid.records import Modality
from vireid.types.tensors import Embeddings, Images

PICTURES = 4
"""Number of pictures of each spectrum that are embedded."""
LENGTH_TOLERANCE = 1e-3
"""Largest difference allowed between the length of an embedding and 1."""
NEIGHBOUR_TOLERANCE = 1e-3
"""Largest change allowed of a number of an embedding with the other pictures of its batch: sums may
be added in another order. An embedding that uses its neighbours changes by far more."""


class MethodError(VireidError):
    """A method breaks its contract, so that its scores would mean nothing."""


def check(method: Method, data: TrainingData) -> None:
    """Try everything that a run depends on, before its first step.

    Args:
        method: Method to check; it is left exactly as it is.
        data: Source of the pictures to try it on.

    Raises:
        MethodError: Embeddings of either spectrum are not what a method promises, or no
            checkpoint can be made of it; the message says what to change.
    """
    with _chance_untouched():
        tried = copy.deepcopy(method)
        for modality in Modality:
            _check_embeddings(tried, data, modality)
        _check_checkpoint(tried, data)


def _check_embeddings(method: Method, data: TrainingData, modality: Modality) -> None:
    images = _some_pictures(data, modality)
    if images is None:
        return
    method.eval()
    state = {name: value.clone() for name, value in method.state_dict().items()}
    with torch.no_grad():
        together = method.embed(images, modality)
        _check_form(method, together, images, modality)
        apart = torch.cat([method.embed(image[None], modality) for image in images])
    _check_neighbours(method, together, apart, modality)
    changed = [k for k, v in method.state_dict().items() if not torch.equal(v, state[k])]
    if changed:
        raise MethodError(
            f"{_name(method)}.embed changes {', '.join(changed)}; embedding a picture may not "
            "change the method: change weights and buffers in its stages only"
        )


def _some_pictures(data: TrainingData, modality: Modality) -> Images | None:
    """Return pictures as the method will see them; None where a spectrum has none."""
    try:
        return next(iter(data.every(modality, PICTURES))).images
    except VireidError:
        return None


def _check_form(method: Method, embeddings: Embeddings, images: Images, modality: Modality) -> None:
    where = f"{_name(method)}.embed gives {modality} pictures"
    wanted = (len(images), method.embedding_dim)
    if not isinstance(embeddings, Tensor) or tuple(embeddings.shape) != wanted:
        shape = list(getattr(embeddings, "shape", ())) or type(embeddings).__name__
        raise MethodError(
            f"{where} vectors of shape {shape}, not {list(wanted)}; set embedding_dim to the width "
            "of what it gives"
        )
    if not torch.isfinite(embeddings).all():
        raise MethodError(f"{where} numbers that are not finite, before it has learnt anything")
    lengths = embeddings.float().norm(dim=1)
    if (lengths - 1).abs().max() > LENGTH_TOLERANCE:
        raise MethodError(
            f"{where} vectors of length {lengths.min():.3g} to {lengths.max():.3g}, not 1; end it "
            "with torch.nn.functional.normalize(embeddings, dim=1)"
        )


def _check_neighbours(
    method: Method, together: Embeddings, apart: Embeddings, modality: Modality
) -> None:
    difference = (together - apart).abs().max().item()
    if difference > NEIGHBOUR_TOLERANCE:
        raise MethodError(
            f"{_name(method)}.embed gives {modality} pictures other vectors in a batch than alone "
            f"(numbers differ by up to {difference:.2g}); an embedding may depend on its own "
            "picture only: use no statistics of the batch in eval mode"
        )


def _check_checkpoint(method: Method, data: TrainingData) -> None:
    """Check that a checkpoint can be written, and read without running code."""
    stage = method.stages(data)[0]
    written = io.BytesIO()
    try:
        torch.save(Checkpoint.of(method, stage, Position(), Sums()).content(), written)
        torch_files.read_from(written)
    except Exception as error:  # pickle tells in many ways that it cannot
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MethodError(
            f"no checkpoint can be made of {_name(method)} in stage '{stage.name}' ({reason}); "
            "keep tensors, numbers and texts in the states of method, optimizer and schedule, and "
            "give LambdaLR a lambda rather than a method of an object"
        ) from error


def _name(method: Method) -> str:
    return type(method).__name__


@contextmanager
def _chance_untouched() -> Iterator[None]:
    """Keep the generators used outside unchanged by draws inside."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
