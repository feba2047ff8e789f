"""CAJ's augmentation and triplet beside ours: same draws give same pixels, and draws are as likely.

CAJ (Ye et al., ICCV 2021) is in the folder `ICCV21_CAJ` of AGW's repository; its network is AGW's.
Pictures pass through the data set class of its data_loader.py, which is given arrays instead of
files. What it draws is written down while it draws, and ours is told to do the same.
"""

import contextlib
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import transforms
from torchvision.transforms import functional

from parity.comparing import Findings, Row
from parity.released import importing, on_the_processor
from parity.repositories import Clone
from vireid.losses.weighted_triplet import weighted_triplet
from vireid.records import Modality
from vireid.training_data.augmentation import (
    DEVIATION,
    MEAN,
    NO_CHANNEL,
    Augmentation,
    Changes,
    augment,
    draw_changes,
    recolour,
)

FOLDER = "ICCV21_CAJ"
HEIGHT, WIDTH, PAD = 288, 144, 10
PICTURES = 60
DRAWS = 4_000
SWITCHED = (
    'exchange and erasing after mean and deviation, in the other order: `colours = "normalised"`',
    "a copy of each visible picture, always exchanged: `channel_exchange = 1`",
)
KEPT = (
    "boxes that do not fit: theirs are drawn again up to 100 times, ours up to 10, which is too "
    "few in less than one of 10^12 pictures",
)
NOT_COMPARED = (
    "CAJ's squared triplet (`--method adp --square 1`) and its KL loss: vireid has neither",
    "a batch of two views of each visible picture: vireid's methods see one, CLIP4VI-ReID two",
)


@dataclass
class Drawn:
    """What their code has drawn for one picture."""

    shift: tuple[int, int] = (0, 0)
    flipped: bool = False
    channel: int = NO_CHANNEL
    erased: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass
class Recorder:
    """Writes down what is drawn; stands in for Python's `random` in their modules."""

    chance: random.Random = field(default_factory=lambda: random.Random(0))
    drawn: list[Drawn] = field(default_factory=list)
    _floats: list[float] = field(default_factory=list)
    _wholes: list[int] = field(default_factory=list)

    def uniform(self, low: float, high: float) -> float:
        """Draw as `random.uniform`."""
        self._floats.append(self.chance.uniform(low, high))
        return self._floats[-1]

    def randint(self, low: int, high: int) -> int:
        """Draw as `random.randint`."""
        self._wholes.append(self.chance.randint(low, high))
        return self._wholes[-1]

    def erased(self, transform: Any, picture: Tensor) -> Tensor:
        """Let a picture be erased, and note the box, found by what was drawn for it last."""
        self._floats, self._wholes = [], []
        result: Tensor = transform(picture)
        if self._wholes:
            area, shape = self._floats[-2] * picture[0].numel(), self._floats[-1]
            sides = round((area * shape) ** 0.5), round((area / shape) ** 0.5)
            self.drawn[-1].erased = (self._wholes[0], self._wholes[1], *sides)
        return result

    def exchanged(self, transform: Any, picture: Tensor) -> Tensor:
        """Let colours be exchanged, and note which."""
        self._floats, self._wholes = [], []
        result: Tensor = transform(picture)
        (channel,) = self._wholes
        # Only the fourth case of `ChannelAdapGray` draws once more, to leave half as they are.
        left = bool(self._floats) and self._floats[0] > transform.probability
        self.drawn[-1].channel = NO_CHANNEL if left else channel
        return result


def compare(clone: Clone, dtype: torch.dtype, findings: Findings) -> None:
    """Add rows about the triplet in one precision; about pixels and draws with the single one."""
    findings.switched, findings.kept, findings.not_compared = SWITCHED, KEPT, NOT_COMPARED
    folder = clone.folder / FOLDER
    with importing(folder) as module_of:
        loader, augmentation, loss = map(module_of, ("data_loader", "ChannelAug", "loss"))
    if dtype == torch.float32:
        _pixels(loader, augmentation, findings)
        _draws(loader, augmentation, findings)
    _triplet(loss, dtype, findings)


def _pixels(loader: Any, augmentation: Any, findings: Findings) -> None:
    pictures = np.random.default_rng(0).integers(
        0, 256, (PICTURES, HEIGHT, WIDTH, 3), dtype=np.uint8
    )
    theirs, drawn = through_theirs(loader, augmentation, pictures)
    for name, found in theirs.items():
        same = changes_of(drawn[name])
        mine = np.divide(augment(list(pictures), same.uncoloured()), np.float32(255))
        recolour(mine, same)
        findings.compare(f"pixels, {name}", seen(mine), found, tolerance=1e-5)
    of_view = changes_of(drawn["exchanged visible"])
    plain = np.divide(augment(list(pictures), of_view), np.float32(255))
    findings.compare(
        'pixels, exchanged visible, `colours = "pixels"`',
        seen(plain),
        theirs["exchanged visible"],
        control=True,
    )


def through_theirs(
    loader: Any, augmentation: Any, pictures: np.ndarray
) -> tuple[dict[str, Tensor], dict[str, list[Drawn]]]:
    """Return pictures as their data set gives them, and what it drew, by the three ways."""
    numbers = np.arange(len(pictures))
    recorder = Recorder()
    torch.manual_seed(0)
    with recording(loader, augmentation, recorder):
        data = data_set(loader, pictures)
        found = [data[i] for i in numbers]
    names = ("plain visible", "exchanged visible", "infrared")
    ways = range(len(names))
    return (
        {name: torch.stack([row[way] for row in found]) for way, name in enumerate(names)},
        {names[way]: recorder.drawn[way :: len(names)] for way in ways},
    )


def data_set(loader: Any, pictures: np.ndarray) -> Any:
    """Return their data set of SYSU-MM01 over pictures instead of its files."""
    files = iter([pictures, np.zeros(len(pictures)), pictures, np.zeros(len(pictures))])
    reader = SimpleNamespace(load=lambda _: next(files))
    numbers = np.arange(len(pictures))
    with mock.patch.object(loader, "np", reader):
        return loader.SYSUData("", colorIndex=numbers, thermalIndex=numbers)


@contextlib.contextmanager
def recording(loader: Any, augmentation: Any, recorder: Recorder) -> Iterator[None]:
    """Let a recorder know all that is drawn for a picture."""
    crop, mirror = transforms.RandomCrop.get_params, functional.hflip

    def cropped(*given: Any) -> tuple[int, int, int, int]:
        down, right, rows, columns = crop(*given)
        recorder.drawn.append(Drawn(shift=(PAD - down, PAD - right)))
        return down, right, rows, columns

    def mirrored(picture: Any) -> Any:
        recorder.drawn[-1].flipped = True
        return mirror(picture)

    def noted(kind: type, how: Any) -> Any:
        plain = kind.__call__
        return mock.patch.object(
            kind,
            "__call__",
            lambda self, picture: how(_Bound(plain, self), picture),
        )

    with contextlib.ExitStack() as stack:
        for module in (loader, augmentation):
            stack.enter_context(mock.patch.object(module, "random", recorder))
        stack.enter_context(
            mock.patch.object(transforms.RandomCrop, "get_params", staticmethod(cropped))
        )
        stack.enter_context(mock.patch.object(functional, "hflip", mirrored))
        stack.enter_context(noted(augmentation.ChannelRandomErasing, recorder.erased))
        stack.enter_context(noted(augmentation.ChannelAdapGray, recorder.exchanged))
        stack.enter_context(noted(loader.ChannelExchange, recorder.exchanged))
        yield


class _Bound:
    """A transform as it is without the recorder."""

    def __init__(self, call: Any, transform: Any) -> None:
        self._call, self._transform = call, transform
        self.probability = getattr(transform, "probability", 1.0)

    def __call__(self, picture: Tensor) -> Tensor:
        changed: Tensor = self._call(self._transform, picture)
        return changed


def changes_of(drawn: list[Drawn]) -> Changes:
    """Return what their code drew as what ours is told to do."""
    return Changes(
        shift=np.array([d.shift for d in drawn]),
        flipped=np.array([d.flipped for d in drawn]),
        channel=np.array([d.channel for d in drawn]),
        erased=np.array([d.erased for d in drawn]),
        jitter=np.ones((len(drawn), 2)),
        bridging=np.zeros((len(drawn), 2), np.int64),
    )


def seen(pictures: np.ndarray) -> Tensor:
    """Return pictures in [0, 1] as the network sees them."""
    return torch.from_numpy((pictures - MEAN) / DEVIATION).permute(0, 3, 1, 2).float()


def _draws(loader: Any, augmentation: Any, findings: Findings) -> None:
    """Compare how often each value is drawn."""
    settings = Augmentation(channel_exchange=1.0, colours="normalised")
    rng = np.random.default_rng(0)
    shape = (DRAWS, HEIGHT, WIDTH)
    black = np.broadcast_to(np.uint8(0), (DRAWS, HEIGHT, WIDTH, 3))
    _, drawn = through_theirs(loader, augmentation, black)
    ways = {"exchanged visible": Modality.VISIBLE, "infrared": Modality.INFRARED}
    for name, modality in ways.items():
        mine = columns(draw_changes(settings, modality, shape, rng))
        theirs = columns(changes_of(drawn[name]))
        for what, values in theirs.items():
            findings.add(
                Row(
                    f"draws, {name}: {what}",
                    f"{len(values):,} draws",
                    distance(mine[what], values),
                    as_likely(len(mine[what]), len(values)),
                )
            )


def as_likely(ours: int, theirs: int) -> float:
    """Return the distance that draws of one distribution exceed in one of a thousand cases."""
    return 1.95 * math.sqrt(1 / ours + 1 / theirs)


def columns(changes: Changes) -> dict[str, np.ndarray]:
    """Return the drawn numbers by what they are."""
    boxes = dict(zip(("top", "left", "height", "width"), changes.erased.T, strict=True))
    shown = changes.erased[:, 2] > 0
    return {
        "rows down": changes.shift[:, 0],
        "columns right": changes.shift[:, 1],
        "mirrored": changes.flipped.astype(int),
        "colour": changes.channel,
        "erased": shown.astype(int),
        **{f"{name} of the box": values[shown] for name, values in boxes.items()},
    }


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference between two cumulative distributions."""
    places = np.union1d(ours, theirs)
    shares = [
        np.searchsorted(np.sort(values), places, side="right") / len(values)
        for values in (ours, theirs)
    ]
    return float(abs(shares[0] - shares[1]).max())


def _triplet(loss: Any, dtype: torch.dtype, findings: Findings) -> None:
    """Compare values and gradients, with distances below and above those where weights fade."""
    chance = torch.Generator().manual_seed(0)
    people = torch.arange(8).repeat_interleave(4).repeat(2)
    kinds: Mapping[str, nn.Module] = {
        "weighted triplet (`agw`)": loss.TripletLoss_WRT(),
        "weighted triplet (`adp`, not squared)": loss.TripletLoss_ADP(square=0),
    }
    for spread in (0.1, 0.5):
        rows = (spread * torch.randn((64, 256), generator=chance)).to(dtype)
        for name, theirs in kinds.items():
            mine, others = rows.clone().requires_grad_(), rows.clone().requires_grad_()
            value = weighted_triplet(mine, people, "code")
            with on_the_processor():
                other, _ = theirs(others, people)
            value.backward()  # type: ignore[no-untyped-call]
            other.backward()
            assert mine.grad is not None
            assert others.grad is not None
            median = torch.cdist(rows, rows).median()
            told = f"{name}, distances about {median:.0f}"
            findings.compare(
                told,
                {"value": value, "gradient": mine.grad},
                {"value": other, "gradient": others.grad},
            )
