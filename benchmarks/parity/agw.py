"""AGW beside its released code: the network, a training step, and 20 steps along the schedule."""

import ast
import time
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F  # noqa: N812

import _steps
from parity.comparing import Findings, Tensors, Watch, gradients, statistics, weights
from parity.inputs import batch_of, fill, set_statistics
from parity.released import defines, importing, on_the_processor, own_words
from parity.repositories import Clone
from vireid.losses.weighted_triplet import weighted_triplet
from vireid.method import Stage
from vireid.methods.agw import AGW
from vireid.models.import_formats._translation import renamed
from vireid.models.import_formats.agw import names
from vireid.records import Modality
from vireid.training_data.batches import PairedBatch

IDENTITIES, PEOPLE, IMAGES_EACH = 20, 4, 2
SIZE = 96, 48
WEAKER = {
    r"bn3\.weight$": 0.2,
    r"W\.1\.weight$": 0.1,
    # Distances at which the weights of the code's triplet have begun to fade.
    r"layer4\..*(bn3|downsample\.1)\.(weight|bias)$": 0.8,
    r"^bottleneck\.weight$": 0.1,
    r"^bottleneck\.bias$": 0.0,
}
"""Factors of random weights, by patterns of their names."""
EPOCHS = (*range(10), 10, 15, 19, 20, 35, 49, 50, 60, 70, 80)
"""Epochs of the 20 steps: all rates of the schedule are among them."""
SWITCHED = (
    'weights of the triplet: `triplet_weights = "code"`',
    "mean and deviation are subtracted by the trunk: theirs is given what ours makes of a picture",
)
KEPT = (
    "distances: theirs by a matrix product and at least 1e-6, ours directly",
    "the neck's bias: theirs exists, is not trained and stays 0; ours does not exist",
)
NOT_COMPARED = (
    "augmentation, sampler and reading of pictures (CAJ's augmentation: below)",
    "ImageNet's weights, which could not be had; both have the same random ones",
    "layers of theirs that exist and are never used: two of its three ResNets beyond their stems",
)


def compare(clone: Clone, dtype: torch.dtype, findings: Findings) -> None:
    """Add rows about one precision."""
    findings.switched, findings.kept, findings.not_compared = SWITCHED, KEPT, NOT_COMPARED
    theirs, ours = Theirs(clone, dtype), Ours(dtype)
    ours.method.load_state_dict(as_ours(theirs.net.state_dict()), strict=False)
    _schedule(theirs, ours, findings)
    _embeddings("embedding", theirs, ours, findings)
    losses: dict[str, list[Tensor]] = {"ours": [], "theirs": []}
    for step, epoch in enumerate(EPOCHS):
        batch = pictures(step, dtype)
        theirs.step(batch, epoch, ours)
        ours.step(batch, epoch)
        losses["ours"].append(ours.losses())
        losses["theirs"].append(theirs.losses())
        if step == 0:
            _first_step(theirs, ours, findings)
    findings.compare(
        f"both losses of {len(EPOCHS)} steps", *(torch.stack(losses[k]) for k in losses)
    )
    later = f"after {len(EPOCHS)} steps"
    _same(f"weights {later}", weights, theirs, ours, findings)
    _same(f"batch statistics {later}", statistics, theirs, ours, findings)
    _embeddings(f"embedding {later}", theirs, ours, findings)


def as_ours(tensors: Tensors) -> dict[str, Tensor]:
    """Return what their network uses, under vireid's names, by the table of `vireid import`."""
    return renamed(tensors, names(non_local=True))[0]


class Theirs:
    """Their network, losses, optimizer, and what their train.py does with a batch."""

    def __init__(self, clone: Clone, dtype: torch.dtype) -> None:
        with importing(clone.folder) as module_of:
            resnet, model, loss, utils = map(module_of, ("resnet", "model", "loss", "utils"))
        # Instead of ImageNet's weights.
        resnet.model_zoo = SimpleNamespace(load_url=lambda _: resnet.resnet50().state_dict())
        with on_the_processor():
            self.net: Any = model.embed_net(IDENTITIES)
        fill(self.net, WEAKER)
        self.net.to(dtype)
        set_statistics(self.net, pictures(2000, dtype))
        identity, triplet = nn.CrossEntropyLoss(), loss.TripletLoss_WRT()
        self._watch = Watch(
            identity=identity, triplet=triplet, net=self.net, neck=self.net.bottleneck
        )
        # For what is left of its training loop when data and logs are given.
        self._names = own_words(
            clone.folder / "train.py",
            _is_of_training,
            {
                "args": SimpleNamespace(lr=0.1, optim="sgd"),
                "net": self.net,
                "criterion_id": identity,
                "criterion_tri": triplet,
                "trainloader": [],
                "writer": SimpleNamespace(add_scalar=lambda *_: None),
                "AverageMeter": utils.AverageMeter,
                "Variable": torch.autograd.Variable,
                "optim": optim,
                "time": time,
                "torch": torch,
            },
        )

    def step(self, batch: PairedBatch, epoch: int, ours: "Ours") -> None:
        """Train as their script does in an epoch of one batch."""
        shown = [ours.method.trunk.normalised(batch.of(modality)) for modality in Modality]
        self._names["trainloader"] = [(*shown, batch.identities, batch.identities)]
        with on_the_processor():
            self._names["train"](epoch)

    def rates(self, epoch: int) -> list[float]:
        """Return the learning rates of the trunk, the neck and the classifier."""
        self._names["adjust_learning_rate"](self._names["optimizer"], epoch)
        return [group["lr"] for group in self._names["optimizer"].param_groups]

    def losses(self) -> Tensor:
        """Return the identity and the triplet loss of the last step."""
        identity, (triplet, _) = self._watch.seen["identity"], self._watch.seen["triplet"]
        return torch.stack([identity, triplet]).detach()

    def features(self) -> dict[str, Tensor]:
        """Return what the network made of the last batch."""
        pooled, logits = self._watch.seen["net"]
        return {"pooled": pooled, "neck": self._watch.seen["neck"], "logits": logits}


class Ours:
    """The same of vireid's."""

    def __init__(self, dtype: torch.dtype) -> None:
        settings = AGW.Config(
            pretrained=False, people=PEOPLE, images_each=IMAGES_EACH, triplet_weights="code"
        )
        self.method = AGW(settings, IDENTITIES).to(dtype)
        self.stage: Stage[Any]
        (self.stage,) = self.method.stages(_steps.no_data(IDENTITIES))
        self.stage.thaw(self.method)
        method = self.method
        self._watch = Watch(pooled=method.pool, neck=method.neck, logits=method.classifier)
        self._losses: dict[str, Tensor] = {}

    def step(self, batch: PairedBatch, epoch: int) -> None:
        """Do what the training loop does with a batch, in this epoch."""
        assert self.stage.schedule
        while self.stage.schedule.last_epoch < epoch:
            self.stage.schedule.step()
        self.stage.optimizer.zero_grad()
        self._losses = self.stage.losses(batch, epoch)
        torch.stack(list(self._losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        self.stage.optimizer.step()

    def losses(self) -> Tensor:
        """Return the identity and the triplet loss of the last step."""
        return torch.stack([self._losses["identity"], self._losses["triplet"]]).detach()

    def features(self) -> dict[str, Tensor]:
        """Return what the network made of the last batch."""
        return dict(self._watch.seen)


def pictures(number: int, dtype: torch.dtype) -> PairedBatch:
    return batch_of(
        number,
        dtype,
        identities=IDENTITIES,
        people=PEOPLE,
        images_each=IMAGES_EACH,
        size=SIZE,
    )


def _is_of_training(statement: ast.stmt) -> bool:
    """Whether it makes the optimizer, or defines the schedule or the training of an epoch."""
    if isinstance(statement, ast.If):
        return ast.unparse(statement.test) == "args.optim == 'sgd'"
    return defines("adjust_learning_rate", "train")(statement)


def _schedule(theirs: Theirs, ours: Ours, findings: Findings) -> None:
    """Compare learning rates of all epochs; leaves both optimizers as they were."""
    optimizer = ours.stage.optimizer
    found = []
    assert ours.stage.schedule
    (factor, *_) = ours.stage.schedule.lr_lambdas  # type: ignore[attr-defined]
    for epoch in range(81):
        trunk, heads = (group["initial_lr"] * factor(epoch) for group in optimizer.param_groups)
        found.append(([trunk, heads, heads], theirs.rates(epoch)))
    mine, other = (torch.tensor(rates).double() for rates in zip(*found, strict=True))
    findings.compare("learning rates of 81 epochs", mine, other)


def _embeddings(what: str, theirs: Theirs, ours: Ours, findings: Findings) -> None:
    """Compare features of pictures in evaluation mode, each spectrum by itself."""
    method, dtype = ours.method, next(ours.method.parameters()).dtype
    batch = pictures(1000, dtype)
    theirs.net.eval()
    method.eval()
    mine: dict[str, Tensor] = {}
    other: dict[str, Tensor] = {}
    with torch.no_grad():
        for number, modality in enumerate(Modality, start=1):
            images = batch.of(modality)
            normal = method.trunk.normalised(images)
            pooled, neck = theirs.net(normal, normal, number)
            other |= {f"{modality}, pooled": pooled, f"{modality}, neck": neck}
            mine[f"{modality}, neck"] = method.embed(images, modality)
            mine[f"{modality}, pooled"] = F.normalize(ours.features()["pooled"], dim=1)
    findings.compare(what, mine, other)
    theirs.net.train()
    ours.stage.thaw(method)


def _first_step(theirs: Theirs, ours: Ours, findings: Findings) -> None:
    for name, told in (
        ("pooled", "features before the neck"),
        ("neck", "features after the neck"),
        ("logits", "logits"),
    ):
        findings.compare(told, ours.features()[name], theirs.features()[name])
    for i, name in enumerate(("identity loss", "weighted triplet")):
        findings.compare(name, ours.losses()[i], theirs.losses()[i])
    # What vireid's default amounts to.
    pooled, people = ours.features()["pooled"].detach(), pictures(0, torch.float32).identities
    papers = weighted_triplet(pooled, people.repeat(2))
    told = 'weighted triplet, `triplet_weights = "paper"`'
    findings.compare(told, papers, theirs.losses()[1], control=True)
    _same("gradients of a step", gradients, theirs, ours, findings)


def _same(what: str, taken: Any, theirs: Theirs, ours: Ours, findings: Findings) -> None:
    findings.compare(what, taken(ours.method), as_ours(taken(theirs.net)))
