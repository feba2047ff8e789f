"""MMN's generator of middle pictures beside ours, the row "fixed 1x1" of MUN's ablation."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from parity.comparing import Findings, Tensors, Watch, gradients, statistics, weights
from parity.inputs import batch_of, fill
from parity.released import importing, on_the_processor
from parity.repositories import Clone
from vireid.backbones.auxiliary import OneByOne
from vireid.records import Modality

IDENTITIES = 8
PARTS = {
    "encode1": "visible.0",
    "fc1": "visible.2",
    "bn1": "visible.4",
    "encode2": "infrared.0",
    "fc2": "infrared.2",
    "bn2": "infrared.4",
    "decode": "back.0",
}
"""Their parts of the generator, and ours."""
KEPT = (
    "a picture of each spectrum: theirs makes two of a pair, ours one, halfway between them before "
    "the way back; each spectrum's way through ours is compared",
    "first weights: theirs 0.333, ours 1/3; compared with the same random ones",
)
NOT_COMPARED = ("MMN's network of four parts and its losses: vireid has only the generator",)


def compare(clone: Clone, dtype: torch.dtype, findings: Findings) -> None:
    """Add rows about one precision."""
    findings.kept, findings.not_compared = KEPT, NOT_COMPARED
    with importing(clone.folder) as module_of:
        resnet, model = module_of("resnet"), module_of("model")
    # Instead of ImageNet's weights.
    resnet.model_zoo = SimpleNamespace(load_url=lambda _: resnet.resnet50().state_dict())
    with on_the_processor():
        theirs: Any = model.embed_net(IDENTITIES)
    ours = OneByOne(3)
    if dtype == torch.float32:
        _first_weights(theirs, ours, findings)
    fill(theirs, {r"^(encode|fc|decode)": 0.5})
    theirs.to(dtype).train()
    ours.to(dtype).train()
    ours.load_state_dict(as_ours(theirs.state_dict()), strict=False)
    made = Watch(pictures=theirs.decode)
    batch = batch_of(0, dtype, identities=IDENTITIES, people=4, images_each=2, size=(64, 32))
    given = [(batch.of(modality) - 0.5) / 0.25 for modality in Modality]
    _training(theirs, ours, given, findings)
    theirs.eval()
    ours.eval()
    with torch.no_grad():
        other = []
        for number in (1, 2):
            theirs(*given, modal=number)
            other.append(F.relu(made.seen["pictures"]))
        findings.compare("middle pictures, evaluation", each_way(ours, given), torch.cat(other))


def each_way(ours: OneByOne, given: list[Tensor]) -> Tensor:
    """Return a middle picture of each spectrum, by our layers; both in one batch, as theirs."""
    visible, infrared = ours.visible(given[0]), ours.infrared(given[1])
    made: Tensor = ours.back(torch.cat([visible, infrared]))
    return made


def as_ours(tensors: Tensors) -> dict[str, Tensor]:
    """Return what belongs to their generator, under vireid's names."""
    return {
        own + name.removeprefix(part): value
        for name, value in tensors.items()
        for part, own in PARTS.items()
        if name.startswith(f"{part}.")
    }


def _first_weights(theirs: Any, ours: OneByOne, findings: Findings) -> None:
    """Show in what the weights that training begins with differ."""
    findings.compare("first weights", weights(ours), as_ours(weights(theirs)), control=True)


def _training(theirs: Any, ours: OneByOne, given: list[Tensor], findings: Findings) -> None:
    """Compare pictures, gradients of a random function of them, and batch statistics."""
    *_, (_, pictures) = theirs(*given)
    mine = each_way(ours, given)
    findings.compare("middle pictures, training", mine, pictures)
    chance = torch.Generator().manual_seed(0)
    direction = torch.randn(mine.shape, generator=chance).to(mine.dtype)
    for made in (mine, pictures):
        (made * direction).sum().backward()
    findings.compare("gradients", gradients(ours), as_ours(gradients(theirs)))
    findings.compare("batch statistics", statistics(ours), as_ours(statistics(theirs)))
