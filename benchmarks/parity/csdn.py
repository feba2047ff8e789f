"""CSDN beside CLIP4VI-ReID with its settings: texts, image tower, first stage and last stage."""

import ast
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import _steps
from parity.comparing import Findings, Tensors, Watch, gradients, statistics, weights
from parity.inputs import batch_of, fill, set_statistics
from parity.released import importing, on_the_processor, own_words
from parity.repositories import Clone
from vireid.method import Stage
from vireid.methods.clip4vi_reid import CLIP4VIReID, _Features
from vireid.models.import_formats._translation import renamed
from vireid.models.import_formats.csdn import NAMES, as_ours
from vireid.records import Modality
from vireid.training_data.batches import PairedBatch

IDENTITIES, PEOPLE, IMAGES_EACH = 12, 2, 4
SIZE = 96, 48
FIRST_EPOCHS = (*range(8), 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 58, 59)
LAST_EPOCHS = (*range(11), 20, 39, 40, 50, 69, 70, 80, 100, 119)
"""Epochs of the 20 steps of either stage, out of 60 and 120."""
WEAKER = {r"bn3\.weight$": 0.2, r"c_proj\.weight$": 0.3, r"out_proj\.weight$": 0.3}
SWITCHED = (
    "stems: `stem_relus = 1`",
    "necks: `neck_bias = true`",
    'weights of the triplet: `triplet_weights = "code"`',
    'texts of either spectrum: `tsg_images = "visible and infrared"`, `ife = false`',
    'texts stay as they are in the last stage: `hsa_text = "frozen"`, `text_image_weight = 0`',
    'second views: `view_colours = "normalised"`',
    "learning rate of the first stage: `tsg_learning_rate = 3e-4`",
    'learning rates while they grow: `warm_up_from = "floor"`',
    "mean and deviation are subtracted by the tower: theirs is given what ours makes of a picture",
)
KEPT = (
    "places of a sentence: theirs 77, ours as many as it has words",
    "length of an embedding: theirs the root of 2, ours 1; compared times the root of 2",
    "distances: theirs by a matrix product and at least 1e-6, ours directly",
)
NOT_COMPARED = (
    "its second stage, the attention fusion of texts: vireid has none. In the last stage both are "
    "given the same texts, made by its fusion",
    "features of the first stage, which CSDN computes in training mode: both are given the same",
    "a second view cropped and erased by itself: both are given the first view in one colour",
    "augmentation, sampler and reading of pictures",
    "CLIP's published weights, which could not be had; both have the same random ones",
)
LOSSES = {
    "identity, pooled": "pid_loss",
    "identity, projected": "pid_loss_proj",
    "triplet, pooled": "triplet_loss",
    "triplet, projected": "triplet_loss_proj",
    "visible to text": "rgb_i2t_pid_loss",
    "infrared to text": "ir_i2t_pid_loss",
}
"""Names of the losses of the last stage, ours and theirs; the enhancement is a sum of two."""


def compare(clone: Clone, dtype: torch.dtype, findings: Findings) -> None:
    """Add rows about one precision."""
    findings.switched, findings.kept, findings.not_compared = SWITCHED, KEPT, NOT_COMPARED
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.safetensors"
        theirs = Theirs(clone, dtype, file)
        ours = Ours(dtype, file)
    _weights_as_loaded(theirs, ours, findings)
    ours.take(theirs)
    _embeddings("embedding", theirs, ours, findings)
    _texts("texts of everyone", theirs, ours, findings)
    _first_stage(theirs, ours, findings)
    _last_stage(theirs, ours, findings)


def renamed_as_ours(tensors: Tensors) -> dict[str, Tensor]:
    """Return their tensors under vireid's names and in its shapes, by the table of importing."""
    found = renamed(tensors, NAMES)[0] | as_ours(tensors)
    # Theirs keeps only the words of its prompt; ours has those of the file.
    found.pop("text.words.weight", None)
    return found


class Theirs:
    """Their network with its optimizers, and what their scripts do with a batch."""

    def __init__(self, clone: Clone, dtype: torch.dtype, file: Path) -> None:
        """Build it with random weights, and write those of CLIP into a file."""
        torch.manual_seed(0)
        with on_the_processor():
            with importing(clone.folder) as module_of:
                self._train = module_of("core.train")
                base, model, clip = map(
                    module_of, ("core.base", "network.model", "network.clip.model")
                )
            self._config = settings_of(clone.folder / "main.py")
            model.load_clip_to_cpu = lambda _name, *size: clip.build_model(
                random_clip(clip, file), *size
            )
            self.base: Any = base.Base(self._config)
        if dtype == torch.float64:
            clip.LayerNorm.forward = nn.LayerNorm.forward
        self.net: Any = self.base.model.module
        for part in (self.net.classifier, self.net.classifier2):
            fill(part, {r"classifier\.weight$": 0.3, r"GEM\.p$": 0.0})
        self.net.classifier.GEM.p.data.add_(2.5)
        self.base.device = self.base.con_creiteron.device = torch.device("cpu")
        self.base.model.to(dtype)
        self.net.text_encoder.dtype = dtype
        set_statistics(self.net, pictures(2000, dtype))
        self._seen = Watch(heads=self.net)

    def first(self, batch: _Features, epoch: int) -> None:
        """Train tokens as their first stage does in an epoch of one batch."""
        halves = [(part.identities, part.features) for part in of_spectra(batch)]
        arguments = [value for half in halves for value in half]
        rows = len(halves[0][0])
        with on_the_processor():
            self.base.model_lr_scheduler_stage1.step(epoch)
            (_, self._found), _ = self._train.train_stage1(self.base, rows, 1, rows, *arguments)

    def last(self, shown: list[Tensor], people: Tensor, texts: Tensor, epoch: int) -> None:
        """Train as their last stage does in an epoch of one batch."""
        loaders = SimpleNamespace(get_train_loader=lambda: [(*shown, people, people)])
        with on_the_processor():
            self.base.model_lr_scheduler_stage3.step(epoch)
            (names, values), _ = self._train.train(self.base, loaders, texts, self._config, epoch)
        self._found = dict(zip(names, map(torch.as_tensor, values), strict=True))

    def losses(self) -> Any:
        """Return the losses of the last step."""
        return self._found

    def features(self) -> dict[str, Tensor]:
        """Return what the network made of the last batch."""
        (pooled, projected), logits = self._seen.seen["heads"]
        return {
            "pooled": pooled.flatten(1),
            "projected": projected,
            **{
                f"logits, {name}": v
                for name, v in zip(("pooled", "projected"), logits, strict=True)
            },
        }

    def fused_texts(self) -> Tensor:
        """Return the texts that their last stage sees."""
        self.net.eval()
        with torch.no_grad():
            texts: Tensor = self.net(label=torch.arange(IDENTITIES), get_fusion_text=True)
        self.net.train()
        return texts


class Ours:
    """The same of vireid's."""

    def __init__(self, dtype: torch.dtype, file: Path) -> None:
        settings = CLIP4VIReID.Config(
            weights=str(file),
            picture=SIZE,
            stem_relus=1,
            neck_bias=True,
            triplet_weights="code",
            tsg_images="visible and infrared",
            tsg_learning_rate=3e-4,
            warm_up_from="floor",
            ife=False,
            hsa_text="frozen",
            text_image_weight=0.0,
            view_colours="normalised",
            people=PEOPLE,
            images_each=IMAGES_EACH,
        )
        self.method = CLIP4VIReID(settings, IDENTITIES).to(dtype)
        stages = self.method.stages(_steps.no_data(IDENTITIES))
        self.stages = {stage.name: stage for stage in stages}
        self._losses: dict[str, Tensor] = {}
        method = self.method
        self._seen = Watch(
            pooled=method.pool,
            projected=method.images,
            **{f"head{i}": head for i, head in enumerate(method.classifiers)},
        )

    def take(self, theirs: Theirs) -> None:
        """Take over all of their weights and batch statistics."""
        state = renamed_as_ours(theirs.net.state_dict())
        _, unexpected = self.method.load_state_dict(state, strict=False)
        assert not unexpected

    def step(self, name: str, batch: Any, epoch: int) -> None:
        """Do what the training loop does with a batch of a stage, in this epoch."""
        stage = self.stages[name]
        assert stage.schedule
        while stage.schedule.last_epoch < epoch:
            stage.schedule.step()
        stage.optimizer.zero_grad()
        self._losses = stage.losses(batch, epoch)
        torch.stack(list(self._losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        stage.optimizer.step()

    def seen(self, images: Tensor) -> Tensor:
        """Return pictures less ImageNet's mean, as both networks get them."""
        return self.method.images._normalised(images)

    def losses(self) -> dict[str, Tensor]:
        """Return the losses of the last step, weighted."""
        return {name: value.detach() for name, value in self._losses.items()}

    def features(self) -> dict[str, Tensor]:
        """Return what the network made of the last batch."""
        seen = self._seen.seen
        return {
            "pooled": seen["pooled"],
            "projected": seen["projected"][1],
            "logits, pooled": seen["head0"],
            "logits, projected": seen["head1"],
        }


def settings_of(script: Path) -> Any:
    """Return the settings that their main.py has when it is given none."""
    import argparse

    parser = own_words(script, _is_of_parser, {"argparse": argparse, "ast": ast})["parser"]
    config = parser.parse_args([])
    config.img_h, config.img_w, config.pid_num = *SIZE, IDENTITIES
    return config


def _is_of_parser(statement: ast.stmt) -> bool:
    return ast.unparse(statement).startswith(("parser = argparse", "parser.add_argument"))


def random_clip(clip: Any, file: Path) -> dict[str, Tensor]:
    """Return random weights of CLIP's RN50, and write them into a file that vireid reads."""
    net = clip.CLIP(1024, 224, (3, 4, 6, 3), 64, None, 16, 77, 49408, 512, 8, 12, 7, 7)
    fill(net, WEAKER)
    state: dict[str, Tensor] = net.state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, file)
    return state


def pictures(number: int, dtype: torch.dtype) -> PairedBatch:
    return batch_of(
        number,
        dtype,
        identities=IDENTITIES,
        people=PEOPLE,
        images_each=IMAGES_EACH,
        size=SIZE,
    )


def features_of(number: int, dtype: torch.dtype) -> _Features:
    """Return random image features of both spectra, for the first stage."""
    chance = torch.Generator().manual_seed(number)
    people = torch.randint(IDENTITIES, (2, 16), generator=chance)
    looks = torch.randn((IDENTITIES, 1024), generator=chance)[people.flatten()]
    rows = 0.05 * (looks + torch.randn(looks.shape, generator=chance)).to(dtype)
    return _Features(rows, people.flatten(), torch.tensor([0, 1]).repeat_interleave(16))


def of_spectra(batch: _Features) -> list[_Features]:
    return [batch.rows((batch.sets == i).nonzero().flatten()) for i in (0, 1)]


def _weights_as_loaded(theirs: Theirs, ours: Ours, findings: Findings) -> None:
    """Compare what either side has made of CLIP's file: names, position embeddings, projection."""
    state = renamed_as_ours(theirs.net.state_dict())
    read = {
        name: value
        for name, value in state.items()
        if name.startswith(("images.", "text."))
        and not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    }
    own = ours.method.state_dict()
    findings.compare("weights of CLIP as loaded", {name: own[name] for name in read}, read)


def _embeddings(what: str, theirs: Theirs, ours: Ours, findings: Findings) -> None:
    dtype = next(ours.method.parameters()).dtype
    batch = pictures(1000, dtype)
    theirs.net.eval()
    ours.method.eval()
    mine, other = {}, {}
    with torch.no_grad():
        for name, modality in zip(("x1", "x2"), Modality, strict=True):
            other[str(modality)] = theirs.net(**{name: ours.seen(batch.of(modality))})
            mine[str(modality)] = ours.method.embed(batch.of(modality), modality) * 2**0.5
    findings.compare(what, mine, other)
    theirs.net.train()


def _texts(what: str, theirs: Theirs, ours: Ours, findings: Findings) -> None:
    everyone = torch.arange(IDENTITIES)
    with torch.no_grad():
        other = [theirs.net(**{name: everyone}, get_text=True) for name in ("label1", "label2")]
        mine = ours.method.prompts.read_all(ours.method.text)
    findings.compare(what, mine, torch.stack(other))


def _first_stage(theirs: Theirs, ours: Ours, findings: Findings) -> None:
    theirs.base._init_optimizer_stage1()
    stage = ours.stages["TSG"]
    stage.thaw(ours.method)
    _rates(
        "learning rates of the first stage, 60 epochs",
        stage,
        theirs.base.model_lr_scheduler_stage1.step,
        theirs.base.model_optimizer_stage1,
        theirs,
        ours,
        findings,
    )
    dtype = next(ours.method.parameters()).dtype
    for step, epoch in enumerate(FIRST_EPOCHS):
        batch = features_of(step, dtype)
        theirs.first(batch, epoch)
        ours.step("TSG", batch, epoch)
        if step == 0:
            mine = ours.losses()
            findings.compare(
                "first stage: image to text, text to image",
                torch.stack([mine["image to text"], mine["text to image"]]),
                torch.stack([torch.as_tensor(value) for value in theirs.losses()]),
            )
            findings.compare(
                "first stage: gradients of tokens",
                gradients(ours.method)["prompts.tokens"],
                renamed_as_ours(gradients(theirs.net))["prompts.tokens"],
            )
    findings.compare(
        f"first stage: tokens after {len(FIRST_EPOCHS)} steps",
        ours.method.prompts.tokens.detach(),
        renamed_as_ours(weights(theirs.net))["prompts.tokens"],
    )
    _texts(f"first stage: texts after {len(FIRST_EPOCHS)} steps", theirs, ours, findings)


def _rates(
    what: str,
    stage: Stage[Any],
    go_to: Callable[[int], None],
    optimizer: torch.optim.Optimizer,
    theirs: Theirs,
    ours: Ours,
    findings: Findings,
) -> None:
    """Compare the learning rate of every parameter in every epoch; both schedules end at 0."""
    assert stage.schedule
    (factor, *_) = stage.schedule.lr_lambdas  # type: ignore[attr-defined]
    of_theirs = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    of_ours = {id(p): g for g in stage.optimizer.param_groups for p in g["params"]}
    named = {k: of_theirs[id(p)] for k, p in theirs.net.named_parameters() if id(p) in of_theirs}
    own = {k: of_ours[id(p)] for k, p in ours.method.named_parameters() if id(p) in of_ours}
    mine: dict[str, list[float]] = {name: [] for name in own}
    other: dict[str, list[float]] = {name: [] for name in own}
    for epoch in [*range(stage.epochs), 0]:
        with on_the_processor():
            go_to(epoch)
        rates = renamed_as_ours(
            {name: torch.tensor([group["lr"]]) for name, group in named.items()}
        )
        for name, group in own.items():
            mine[name].append(group["initial_lr"] * factor(epoch))
            other[name].append(float(rates[name].flatten()[0]))
    findings.compare(
        what,
        {name: torch.tensor(rates).double() for name, rates in mine.items()},
        {name: torch.tensor(rates).double() for name, rates in other.items()},
    )


def _last_stage(theirs: Theirs, ours: Ours, findings: Findings) -> None:
    theirs.base._init_optimizer_stage3()
    stage = ours.stages["HSA"]
    stage.thaw(ours.method)
    theirs.base.set_train()
    _rates(
        "learning rates of the last stage, 120 epochs",
        stage,
        theirs.base.model_lr_scheduler_stage3.step,
        theirs.base.model_optimizer_stage3,
        theirs,
        ours,
        findings,
    )
    texts = theirs.fused_texts()
    ours.method.prompts.texts.copy_(texts.expand(2, -1, -1))
    dtype = texts.dtype
    for step, epoch in enumerate(LAST_EPOCHS):
        batch = pictures(step, dtype)
        torch.manual_seed(step)
        second = ours.method._second_view(batch.visible)
        shown = [ours.seen(images) for images in (batch.visible, second, batch.infrared)]
        theirs.last(shown, batch.identities, texts, epoch)
        torch.manual_seed(step)
        ours.step("HSA", batch, epoch)
        if step == 0:
            _first_step(theirs, ours, findings)
    later = f"last stage: {{}} after {len(LAST_EPOCHS)} steps"
    for name, taken in {"weights": weights, "batch statistics": statistics}.items():
        other = renamed_as_ours(taken(theirs.net))
        mine = taken(ours.method)
        findings.compare(later.format(name), {k: mine[k] for k in other}, other)
    _embeddings(later.format("embedding"), theirs, ours, findings)


def _first_step(theirs: Theirs, ours: Ours, findings: Findings) -> None:
    findings.compare("last stage: features and logits", ours.features(), theirs.features())
    found, mine = theirs.losses(), ours.losses()
    config = ours.method.config
    weighted = {
        "identity, pooled": config.identity_weight,
        "identity, projected": config.identity_weight,
        "triplet, pooled": config.triplet_weight,
        "triplet, projected": config.triplet_weight,
        "visible to text": config.visible_text_weight,
        "infrared to text": config.infrared_text_weight,
    }
    other = {name: found[LOSSES[name]] * weight for name, weight in weighted.items()}
    other["enhancement"] = found["msel_loss"] + found["msel_loss_proj"]
    for name, value in other.items():
        findings.compare(f"last stage: {name}", mine[name], value)
    # Others have gradients of the first stage still.
    stepped = {id(p) for g in ours.stages["HSA"].optimizer.param_groups for p in g["params"]}
    learnt = {name for name, p in ours.method.named_parameters() if id(p) in stepped}
    own, others = gradients(ours.method), renamed_as_ours(gradients(theirs.net))
    findings.compare(
        "last stage: gradients of a step",
        {name: own[name] for name in learnt},
        {name: others[name] for name in learnt},
    )
