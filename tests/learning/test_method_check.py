from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from tests.toy import PEOPLE, ThreeStep, ToyData, small
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vireid import methods
from vireid.errors import VireidError
from vireid.learning import method_check
from vireid.learning.method_check import MethodError
from vireid.method import Method, Stage
from vireid.records import Modality
from vireid.types.tensors import Images


def toy(**parts: Any) -> ThreeStep:
    """The toy method with some of its functions replaced."""
    torch.manual_seed(0)
    kind = type("Tried", (ThreeStep,), parts)
    method: ThreeStep = kind(ThreeStep.Config(), PEOPLE)
    return method


@pytest.mark.parametrize("name", methods.available())
def test_every_method_of_the_project_passes(name: str) -> None:
    method_check.check(small(methods.find(name)), ToyData())


def test_the_toy_passes_and_is_left_as_it_was() -> None:
    method = toy()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    training = [module.training for module in method.modules()]
    chance = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"]  # noqa: NPY002
    method_check.check(method, ToyData())
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert training == [module.training for module in method.modules()]
    assert torch.equal(chance[0], torch.get_rng_state())
    assert np.array_equal(chance[1], np.random.get_state(legacy=False)["state"]["key"])  # noqa: NPY002
    assert all(p.grad is None for p in method.parameters())


def long(self: Method, images: Images, modality: Modality) -> Tensor:
    return 2 * ThreeStep.embed(self, images, modality)  # type: ignore[arg-type]


def wide(self: Method, images: Images, modality: Modality) -> Tensor:
    return F.normalize(ThreeStep.embed(self, images, modality).repeat(1, 2), dim=1)  # type: ignore[arg-type]


def of_neighbours(self: Method, images: Images, modality: Modality) -> Tensor:
    found = ThreeStep.embed(self, images, modality)  # type: ignore[arg-type]
    return F.normalize(found - found.mean(0) / 2, dim=1)


def broken_in_infrared(self: Method, images: Images, modality: Modality) -> Tensor:
    found = ThreeStep.embed(self, images, modality)  # type: ignore[arg-type]
    return found * torch.nan if modality is Modality.INFRARED else found


def that_counts(self: Any, images: Images, modality: Modality) -> Tensor:
    self.targets += 1
    found: Tensor = ThreeStep.embed(self, images, modality)
    return found


@pytest.mark.parametrize(
    ("embed", "told"),
    [
        (long, "Tried.embed gives visible pictures vectors of length 2 to 2, not 1; end it with"),
        (wide, r"visible pictures vectors of shape \[4, 16\], not \[4, 8\]; set embedding_dim"),
        (of_neighbours, "visible pictures other vectors in a batch than alone"),
        (broken_in_infrared, "infrared pictures numbers that are not finite"),
        (that_counts, "Tried.embed changes targets; embedding a picture may not change"),
    ],
)
def test_embeddings_that_would_spoil_scores_are_refused(embed: Any, told: str) -> None:
    with pytest.raises(MethodError, match=told):
        method_check.check(toy(embed=embed), ToyData())


@dataclass
class Counter:
    steps: int = 0


def test_states_that_no_checkpoint_can_hold_are_refused() -> None:
    def stages(self: ThreeStep, data: Any) -> list[Stage[Any]]:
        first, *others = ThreeStep.stages(self, data)
        first.optimizer.param_groups[0]["counter"] = Counter()
        return [first, *others]

    with pytest.raises(MethodError, match="no checkpoint can be made of Tried in stage 'desc"):
        method_check.check(toy(stages=stages), ToyData())


def test_a_method_that_learns_one_spectrum_is_tried_on_that() -> None:
    class VisibleOnly(ToyData):
        def every(self, modality: Modality, size: int) -> Any:
            if modality is Modality.INFRARED:
                raise VireidError("the data set has no infrared pictures to train on")
            return super().every(modality, size)

    method_check.check(toy(embed=broken_in_infrared), VisibleOnly())


def test_batch_statistics_in_eval_mode_are_found() -> None:
    method = toy()
    for module in method.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = None
    with pytest.raises(MethodError, match="use no statistics of the batch in eval mode"):
        method_check.check(method, ToyData())
