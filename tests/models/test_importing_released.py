"""Checkpoints of MMN, DEEN, torchreid and fast-reid embed as networks written from their papers."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from tests.models.test_importing import PEOPLE, SIZE, Holding, TwoStream, check_same, randomised
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.models import resnet50

from vireid import Embedder
from vireid.cli import main as cli
from vireid.errors import VireidError
from vireid.learning import initial_weights
from vireid.methods.released import Released
from vireid.models import runs
from vireid.models.card import VISIBLE_ONLY
from vireid.models.importing import import_checkpoint
from vireid.records import Modality


def saved(state: Mapping[str, Any], path: Path, place: str = "net") -> Path:
    torch.save({place: dict(state), "epoch": 3}, path)
    return path


def trunk_of(net: Any, images: Tensor, modality: Modality) -> Tensor:
    """The maps that leave a stem of AGW's code."""
    visible = modality is Modality.VISIBLE
    stem = net.visible_module.visible if visible else net.thermal_module.thermal
    maps: Tensor = stem.maxpool(stem.bn1(stem.conv1(images)).relu())
    return maps


class MmnLike(TwoStream):
    """MMN's network, with its names; its generator, which embeds nothing here, too."""

    def __init__(self) -> None:
        super().__init__(non_local=False)
        del self.bottleneck, self.classifier
        for n in range(1, 5):
            self.add_module(f"bottleneck{n}", nn.BatchNorm1d(2048))
            self.add_module(f"classifier{n}", nn.Linear(2048, PEOPLE, bias=False))
        for n in (1, 2):
            self.add_module(f"encode{n}", nn.Conv2d(3, 1, 1))
            self.add_module(f"fc{n}", nn.Conv2d(1, 1, 1))
            self.add_module(f"bn{n}", nn.BatchNorm2d(1))
        self.decode = nn.Conv2d(1, 3, 1)
        randomised(self)
        for n in range(1, 5):
            nn.init.zeros_(getattr(self, f"bottleneck{n}").bias)

    @torch.no_grad()
    def embedded(self, images: Tensor, modality: Modality) -> Tensor:
        base: Any = self.base_resnet.base
        maps = trunk_of(self, images, modality)
        for number in (1, 2, 3, 4):
            maps = getattr(base, f"layer{number}")(maps)
        rows = maps.shape[2] // 4
        parts = []
        for n in range(4):
            stripe = maps[:, :, n * rows : (n + 1) * rows].mean(dim=(2, 3))
            parts.append(getattr(self, f"bottleneck{n + 1}")(stripe))
        return F.normalize(torch.cat(parts, dim=1), dim=1)


class DeenLike(TwoStream):
    """DEEN's network, with its names; for RegDB without the last layer and its join."""

    def __init__(self, regdb: bool) -> None:
        super().__init__(non_local=False)
        self.regdb = regdb
        joins = ((256, 64, 1), (512, 256, 2), (1024, 512, 2))[: 2 if regdb else 3]
        for n, (own, earlier, stride) in enumerate(joins, start=1):
            by_channel = {
                "g": nn.Conv2d(earlier, earlier, 1),
                "theta": nn.Conv2d(own, earlier, 1),
                "phi": nn.Conv2d(earlier, earlier, 1, stride),
                "W": nn.Sequential(nn.Conv2d(earlier, own, 1, stride), nn.BatchNorm2d(own)),
            }
            by_place = {
                "g": nn.Conv2d(earlier, earlier // 2, 1),
                "theta": nn.Conv2d(own, earlier // 2, 1),
                "phi": nn.Conv2d(earlier, earlier // 2, 1),
                "W": nn.Sequential(nn.Conv2d(earlier // 2, own, 1), nn.BatchNorm2d(own)),
            }
            parts = {"CNL": Holding(**by_channel), "PNL": Holding(**by_place)}
            self.add_module(f"MFA{n}", Holding(**parts))
        channels = 512 if regdb else 1024
        looks = {
            f"FC{view}{wide}": nn.Conv2d(
                channels, channels // 4, 3, padding=wide, dilation=wide, bias=False
            )
            for view in (1, 2)
            for wide in (1, 2, 3)
        }
        leave = {f"FC{view}": nn.Conv2d(channels // 4, channels, 1) for view in (1, 2)}
        self.DEE = Holding(**looks, **leave)
        self.bottleneck = nn.BatchNorm1d(2 * channels)
        self.classifier = nn.Linear(2 * channels, PEOPLE, bias=False)
        randomised(self)
        nn.init.zeros_(self.bottleneck.bias)

    def joined(self, n: int, maps: Tensor, earlier: Tensor) -> Tensor:
        join: Any = getattr(self, f"MFA{n}")
        part = join.CNL
        theta, phi, g = part.theta(maps), part.phi(earlier), part.g(earlier)
        match = torch.einsum("nchw,ndhw->ncd", theta, phi) / phi.shape[1]
        maps = maps + part.W(torch.einsum("ncd,ndhw->nchw", match, g))
        part = join.PNL
        theta, phi, g = (
            # The code reads the first and the second half of the places as two channels.
            torch.stack(each.flatten(2).chunk(2, dim=2), dim=2).flatten(1, 2)
            for each in (part.theta(maps), part.phi(earlier), part.g(earlier))
        )
        match = torch.einsum("nci,ncj->nij", theta, phi) / phi.shape[2]
        seen = torch.einsum("nij,ncj->nci", match, g)
        upper, lower = seen[:, ::2], seen[:, 1::2]
        whole = torch.cat([upper, lower], dim=2).reshape(*upper.shape[:2], *maps.shape[2:])
        added: Tensor = part.W(whole)
        return maps + added

    @torch.no_grad()
    def embedded(self, images: Tensor, modality: Modality) -> Tensor:
        base: Any = self.base_resnet.base
        dee: Any = self.DEE
        maps = trunk_of(self, images, modality)
        last = 3 if self.regdb else 4
        for number in range(1, last):
            maps = self.joined(number, getattr(base, f"layer{number}")(maps), maps)
        views = [maps]
        for view in (1, 2):
            looked = sum(getattr(dee, f"FC{view}{wide}")(maps) for wide in (1, 2, 3)) / 3
            views.append(getattr(dee, f"FC{view}")(looked.relu()))
        found = []
        for each in views:
            pooled = getattr(base, f"layer{last}")(each).mean(dim=(2, 3))
            found.append(F.normalize(self.bottleneck(pooled), dim=1))
        return torch.cat(found, dim=1) / 3**0.5


class HalfNormal(nn.Module):
    """IBN's normalisation, with fast-reid's names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.IN = nn.InstanceNorm2d(channels // 2, affine=True)
        self.BN = nn.BatchNorm2d(channels // 2)

    def forward(self, maps: Tensor) -> Tensor:
        first, rest = maps.chunk(2, dim=1)
        return torch.cat([self.IN(first), self.BN(rest)], dim=1)


class FastReidLike(nn.Module):
    """fast-reid's ResNet-50 and its head, with its names."""

    def __init__(self, *, ibn: bool, power: float | None) -> None:
        super().__init__()
        net = resnet50(weights=None)
        del net.fc
        net.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
        for layer in (net.layer4[0].conv2, net.layer4[0].downsample[0]):
            layer.stride = (1, 1)
        for layer in (net.layer1, net.layer2, net.layer3) if ibn else ():
            for block in layer:
                block.bn1 = HalfNormal(block.bn1.num_features)
        self.backbone = net
        self.heads = Holding(bottleneck=nn.Sequential(nn.BatchNorm2d(2048)))
        self.heads.register_parameter("weight", nn.Parameter(torch.randn(PEOPLE, 2048)))
        if power is not None:
            self.heads.add_module("pool_layer", nn.Module())
            learnt: Any = self.heads.pool_layer
            learnt.p = nn.Parameter(torch.full((1,), power))
        self.power = power
        randomised(self)
        heads: Any = self.heads
        nn.init.zeros_(heads.bottleneck[0].bias)

    @torch.no_grad()
    def embedded(self, images: Tensor, _: Modality) -> Tensor:
        net: Any = self.backbone
        maps = net.maxpool(net.bn1(net.conv1(images)).relu())
        for number in (1, 2, 3, 4):
            maps = getattr(net, f"layer{number}")(maps)
        if self.power is None:
            pooled = maps.mean(dim=(2, 3))
        else:
            pooled = maps.clamp(min=1e-6).pow(self.power).mean(dim=(2, 3)).pow(1 / self.power)
        heads: Any = self.heads
        return F.normalize(heads.bottleneck(pooled[:, :, None, None]).flatten(1), dim=1)


class OsnetLike:
    """torchreid's OSNet as its weights alone, by its names, and a forward pass over them."""

    def __init__(self, form: str) -> None:
        self.form = form
        self.chance = torch.Generator().manual_seed(0)
        self.state: dict[str, Tensor] = {}
        stem, *stages = widths = (16, 64, 96, 128)
        self.conv("conv1.conv", stem, 3, 7)
        self.norm("conv1.bn", stem, batch=form == "plain")
        for stage, leaves in enumerate(stages):
            for block in range(2):
                self.add_block(
                    f"conv{stage + 2}.{block}", leaves if block else widths[stage], leaves
                )
            if stage < 2:
                self.unit(self.pool(stage), leaves, leaves)
        self.unit("conv5", stages[-1], stages[-1])
        self.state["fc.0.weight"] = self.random(32, stages[-1])
        self.state["fc.0.bias"] = self.random(32)
        self.norm("fc.1", 32)
        self.state["classifier.weight"] = self.random(PEOPLE, 32)
        self.state["classifier.bias"] = self.random(PEOPLE)

    def pool(self, stage: int) -> str:
        return f"pool{stage + 2}.0" if self.form == "ain" else f"conv{stage + 2}.2.0"

    def normal_at(self, block: str) -> str | None:
        """Where instance normalisation is: within the residual, after the sum, or nowhere."""
        within = {"conv2.0", "conv2.1", "conv3.1", "conv4.0"}
        if self.form == "ain":
            return "within" if block in within else None
        return "after" if self.form == "ibn" and block.startswith("conv2.") else None

    def random(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.chance) / max(1, shape[-1] if shape[1:] else 3)

    def conv(self, name: str, leaves: int, enters: int, size: int = 1) -> None:
        scale = (2 / (enters * size * size)) ** 0.5
        weight = torch.randn((leaves, enters, size, size), generator=self.chance)
        self.state[f"{name}.weight"] = scale * weight

    def norm(self, name: str, channels: int, *, batch: bool = True) -> None:
        self.state[f"{name}.weight"] = 0.5 + torch.rand(channels, generator=self.chance)
        self.state[f"{name}.bias"] = self.random(channels)
        if batch:
            self.state[f"{name}.running_mean"] = self.random(channels)
            self.state[f"{name}.running_var"] = 0.5 + torch.rand(channels, generator=self.chance)
            self.state[f"{name}.num_batches_tracked"] = torch.tensor(9)

    def unit(self, name: str, enters: int, leaves: int) -> None:
        self.conv(f"{name}.conv", leaves, enters)
        self.norm(f"{name}.bn", leaves)

    def streams(self, block: str) -> list[list[str]]:
        if self.form == "ain":
            return [
                [f"{block}.conv2.{depth}.layers.{n}" for n in range(depth + 1)]
                for depth in range(4)
            ]
        found = [[f"{block}.conv2a"]]
        return found + [
            [f"{block}.conv2{letter}.{n}" for n in range(depth)]
            for depth, letter in ((2, "b"), (3, "c"), (4, "d"))
        ]

    def add_block(self, name: str, enters: int, leaves: int) -> None:
        inner = leaves // 4
        self.unit(f"{name}.conv1", enters, inner)
        for stream in self.streams(name):
            for light in stream:
                self.conv(f"{light}.conv1", inner, inner)
                self.conv(f"{light}.conv2", inner, 1, 3)
                self.norm(f"{light}.bn", inner)
        for n, (before, after) in enumerate(((inner, inner // 16), (inner // 16, inner)), start=1):
            self.conv(f"{name}.gate.fc{n}", after, before)
            self.state[f"{name}.gate.fc{n}.bias"] = self.random(after)
        self.conv(f"{name}.conv3.conv", leaves, inner)
        place = self.normal_at(name)
        if place != "within":
            self.norm(f"{name}.conv3.bn", leaves)
        if place:
            self.norm(f"{name}.IN", leaves, batch=False)
        if enters != leaves:
            self.unit(f"{name}.downsample", enters, leaves)

    def normed(self, maps: Tensor, name: str) -> Tensor:
        given = (self.state[f"{name}.weight"], self.state[f"{name}.bias"])
        if f"{name}.running_mean" not in self.state:
            return F.instance_norm(maps, weight=given[0], bias=given[1])
        statistics = (self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"])
        return F.batch_norm(maps, *statistics, *given)

    def passed(self, maps: Tensor, name: str) -> Tensor:
        return self.normed(F.conv2d(maps, self.state[f"{name}.conv.weight"]), f"{name}.bn")

    def through(self, maps: Tensor, name: str) -> Tensor:
        entered = self.passed(maps, f"{name}.conv1").relu()
        total = torch.zeros_like(entered)
        for stream in self.streams(name):
            seen = entered
            for light in stream:
                seen = F.conv2d(seen, self.state[f"{light}.conv1.weight"])
                weight = self.state[f"{light}.conv2.weight"]
                seen = F.conv2d(seen, weight, padding=1, groups=len(weight))
                seen = self.normed(seen, f"{light}.bn").relu()
            gate = seen.mean(dim=(2, 3), keepdim=True)
            first, second = (f"{name}.gate.fc{n}" for n in (1, 2))
            gate = F.conv2d(gate, self.state[f"{first}.weight"], self.state[f"{first}.bias"])
            gate = F.conv2d(
                gate.relu(), self.state[f"{second}.weight"], self.state[f"{second}.bias"]
            )
            total = total + seen * gate.sigmoid()
        left = F.conv2d(total, self.state[f"{name}.conv3.conv.weight"])
        place = self.normal_at(name)
        left = self.normed(left, f"{name}.IN" if place == "within" else f"{name}.conv3.bn")
        shortcut = f"{name}.downsample"
        has_one = f"{shortcut}.conv.weight" in self.state
        left = left + (self.passed(maps, shortcut) if has_one else maps)
        return (self.normed(left, f"{name}.IN") if place == "after" else left).relu()

    def embedded(self, images: Tensor, _: Modality) -> Tensor:
        maps = F.conv2d(images, self.state["conv1.conv.weight"], stride=2, padding=3)
        maps = F.max_pool2d(self.normed(maps, "conv1.bn").relu(), 3, 2, 1)
        for stage in range(3):
            for block in range(2):
                maps = self.through(maps, f"conv{stage + 2}.{block}")
            if stage < 2:
                maps = F.avg_pool2d(self.passed(maps, self.pool(stage)).relu(), 2)
        pooled = self.passed(maps, "conv5").relu().mean(dim=(2, 3))
        found = F.linear(pooled, self.state["fc.0.weight"], self.state["fc.0.bias"])
        return F.normalize(self.normed(found, "fc.1").relu(), dim=1)


@pytest.fixture(scope="module")
def mmn() -> MmnLike:
    return MmnLike()


@pytest.fixture(scope="module")
def osnet() -> OsnetLike:
    return OsnetLike("plain")


@pytest.fixture(scope="module")
def fast_reid() -> FastReidLike:
    return FastReidLike(ibn=False, power=None)


def test_mmn(mmn: MmnLike, tmp_path: Path) -> None:
    made = import_checkpoint(
        "mmn", saved(mmn.state_dict(), tmp_path / "a.t"), tmp_path / "model", SIZE
    )
    check_same(tmp_path / "model", mmn.embedded)
    assert made.identities == PEOPLE
    told = {name for names in made.left.values() for name in names}
    assert {"decode.weight", "fc1.bias", "bn2.weight", "bottleneck3.bias"} <= told
    assert len(mmn.state_dict().keys() - told) == made.taken


@pytest.mark.parametrize("regdb", [False, True])
def test_deen(regdb: bool, tmp_path: Path) -> None:
    deen = DeenLike(regdb)
    made = import_checkpoint(
        "deen", saved(deen.state_dict(), tmp_path / "a.t"), tmp_path / "model", SIZE
    )
    check_same(tmp_path / "model", deen.embedded)
    assert ("left out for RegDB" in made.left) is regdb
    assert Embedder.open(tmp_path / "model").card.embedding_dim == 3 * (1024 if regdb else 2048)


@pytest.mark.parametrize("power", [None, 2.5])
def test_fast_reid(power: float | None, fast_reid: FastReidLike, tmp_path: Path) -> None:
    net = FastReidLike(ibn=True, power=power) if power else fast_reid
    file = saved(net.state_dict(), tmp_path / "a.pth", "model")
    made = import_checkpoint("fastreid", file, tmp_path / "model", SIZE)
    check_same(tmp_path / "model", net.embedded)
    assert made.identities == PEOPLE
    assert any("settings.pooling_power=3" in remark for remark in made.remarks) is (power is None)


@pytest.mark.parametrize("form", ["plain", "ibn", "ain"])
def test_osnet(form: str, tmp_path: Path) -> None:
    net = OsnetLike(form)
    file = saved(net.state, tmp_path / "model.pth.tar-60", "state_dict")
    import_checkpoint("osnet", file, tmp_path / "model", SIZE)
    check_same(tmp_path / "model", net.embedded)
    settings = runs.read_recipe(tmp_path / "model").settings
    assert (settings.osnet_width, settings.osnet_features) == (0.25, 32)


def test_what_has_seen_one_spectrum_says_so(osnet: OsnetLike, tmp_path: Path) -> None:
    file, model = saved(osnet.state, tmp_path / "a.pth", "state_dict"), tmp_path / "model"
    answer = CliRunner().invoke(
        cli.vireid, ["import", "osnet", str(file), "--out", str(model), *SIZE]
    )
    assert answer.exit_code == 0, answer.output
    assert "learnt from visible pictures only" in answer.output
    assert json.loads((model / "run.json").read_text())["imported"]["visible_only"] is True
    assert Embedder.open(model).card.caveat == VISIBLE_ONLY


def test_a_run_can_start_from_it(osnet: OsnetLike, tmp_path: Path) -> None:
    file = saved(osnet.state, tmp_path / "a.pth", "state_dict")
    import_checkpoint("osnet", file, tmp_path / "model", SIZE)
    settings = runs.read_recipe(tmp_path / "model").settings
    method = Released(settings, 9)
    initial_weights.start_from(method, str(tmp_path / "model"))
    stem = osnet.state["conv1.conv.weight"]
    assert torch.equal(method.state_dict()["network.stem.0.weight"], stem)


def test_prefixes_half_precision_and_another_number_of_people(
    osnet: OsnetLike, tmp_path: Path
) -> None:
    state = {f"module.{name}": value.half() for name, value in osnet.state.items()}
    state["module.classifier.weight"] = torch.ones(751, 32).half()
    state["module.classifier.bias"] = torch.ones(751).half()
    file = saved(state, tmp_path / "a.pth", "state_dict")
    made = import_checkpoint("osnet", file, tmp_path / "model", SIZE)
    assert made.identities == 751
    method, _ = runs.load_method(tmp_path / "model")
    kept = method.state_dict()["network.last.1.running_var"]
    assert torch.equal(kept, osnet.state["conv5.bn.running_var"].half().float())


class Runs:
    """Pickled, it would make a folder where it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_an_object_that_would_run_code_is_not_built(osnet: OsnetLike, tmp_path: Path) -> None:
    target = tmp_path / "made by the checkpoint"
    content = {"state_dict": osnet.state, "optimizer": Runs(target)}
    torch.save(content, tmp_path / "a.pth")
    made = import_checkpoint("osnet", tmp_path / "a.pth", tmp_path / "model", SIZE)
    assert made.left["no weights"] == ["optimizer"]
    assert not target.exists()
    torch.load(tmp_path / "a.pth", weights_only=False)
    assert target.exists(), "the checkpoint would have run nothing, so this test shows nothing"


OTHERS: dict[str, tuple[str, dict[str, Tensor | None], str]] = {
    "SE": ("fastreid", {"backbone.layer1.0.se.fc.0.weight": torch.ones(1)}, "have no place in it"),
    "R101": (
        "fastreid",
        {"backbone.layer3.22.conv1.weight": torch.ones(1)},
        "it has backbone.layer3.22",
    ),
    "head of former versions": (
        "fastreid",
        {"heads.bottleneck.0.weight": None},
        "it has no heads.bottleneck.0.weight",
    ),
    "a convolution in the head": (
        "fastreid",
        {"heads.bottleneck.0.weight": torch.ones(256, 2048, 1, 1)},
        "MODEL.HEADS.EMBEDDING_DIM",
    ),
    "a neck with a bias": ("fastreid", {"heads.bottleneck.0.bias": torch.ones(2048)}, "a bias"),
    "OSNet without its last layer": ("osnet", {"fc.0.weight": None}, "it has no fc.0.weight"),
    "OSNet with two last layers": ("osnet", {"fc.3.weight": torch.ones(1)}, "it has fc.3.weight"),
    "OSNet whose search found another": ("osnet", {"conv3.0.IN.weight": torch.ones(96)}, "place"),
    "AGW's": ("mmn", {"bottleneck2": None}, "it has no bottleneck2.weight"),
    "MMN's": ("deen", {}, "it has no DEE.FC11.weight"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_network_is_refused(
    case: str, mmn: MmnLike, osnet: OsnetLike, fast_reid: FastReidLike, tmp_path: Path
) -> None:
    form, values, told = OTHERS[case]
    known = {"fastreid": fast_reid.state_dict(), "osnet": osnet.state}
    base: Mapping[str, Tensor] = known.get(form, mmn.state_dict())
    gone = tuple(name for name, value in values.items() if value is None)
    state = {n: v for n, v in base.items() if not (gone and n.startswith(gone))}
    state |= {name: value for name, value in values.items() if value is not None}
    file = saved(state, tmp_path / "a.pth")
    with pytest.raises(VireidError) as error:
        import_checkpoint(form, file, tmp_path / "model", SIZE)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == [file]
