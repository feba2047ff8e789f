"""Checkpoints of released code: written by networks of their shape, they embed as these do."""

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import resnet50

from vireid import Embedder
from vireid.cli import main as cli
from vireid.errors import VireidError
from vireid.learning import initial_weights
from vireid.methods.agw import AGW
from vireid.models import import_formats, runs
from vireid.models.importing import Imported, import_checkpoint
from vireid.records import Modality

HEIGHT, WIDTH = 64, 32
SIZE = (f"data.height={HEIGHT}", f"data.width={WIDTH}")
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
PEOPLE = 5


def randomised(net: nn.Module) -> nn.Module:
    """With weights and statistics none of which is at its usual start."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.3, 0.9)
            nn.init.normal_(module.bias, std=0.1)
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


class Holding(nn.Module):
    """A module that holds others under names of their code."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


class Attention(nn.Module):
    """Non-local attention of one inner channel, with the names of AGW's code."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = nn.Sequential(nn.Conv2d(channels, 1, 1))
        self.W = nn.Sequential(nn.Conv2d(1, channels, 1), nn.BatchNorm2d(channels))
        self.theta, self.phi = nn.Conv2d(channels, 1, 1), nn.Conv2d(channels, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        theta, phi, g = (layer(maps).flatten(1) for layer in (self.theta, self.phi, self.g))
        match = torch.einsum("np,nq->npq", theta, phi) / theta.shape[1]
        seen = torch.einsum("npq,nq->np", match, g)
        attended: Tensor = self.W(seen.reshape(len(maps), 1, *maps.shape[2:]))
        return maps + attended


def stem_of_a_resnet() -> Any:
    """A ResNet-50 of whose parts only the stem is used.

    All numbers of its layers lie in one small piece of memory, so that they are saved once.
    """
    with torch.device("meta"):
        net = resnet50(weights=None)
        del net.fc
    net.conv1, net.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
    numbers = torch.rand(512 * 512 * 9)
    for module in (part for n in (1, 2, 3, 4) for part in getattr(net, f"layer{n}").modules()):
        for name, value in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(numbers[: value.numel()].view(value.shape)))
        for name, value in module.named_buffers(recurse=False):
            whole = numbers if value.is_floating_point() else torch.zeros(1, dtype=value.dtype)
            setattr(module, name, whole[: value.numel()].view(value.shape))
    return net


class TwoStream(nn.Module):
    """The two-stream ResNet-50 of AGW's code, with its names; three whole ResNets, as there."""

    def __init__(self, non_local: bool = True) -> None:
        super().__init__()
        nets = [stem_of_a_resnet(), stem_of_a_resnet(), resnet50(weights=None)]
        del nets[2].fc
        for layer in (nets[2].layer4[0].conv2, nets[2].layer4[0].downsample[0]):
            layer.stride = (1, 1)
        self.visible_module, self.thermal_module = (
            Holding(visible=nets[0]),
            Holding(thermal=nets[1]),
        )
        self.base_resnet = Holding(base=nets[2])
        if non_local:
            self.NL_2 = nn.ModuleList(Attention(512) for _ in range(2))
            self.NL_3 = nn.ModuleList(Attention(1024) for _ in range(3))
        self.bottleneck = nn.BatchNorm1d(2048)
        self.classifier = nn.Linear(2048, PEOPLE, bias=False)
        randomised(self)
        nn.init.zeros_(self.bottleneck.bias)
        self.non_local = non_local

    @torch.no_grad()
    def embedded(self, images: Tensor, modality: Modality) -> Tensor:
        own: Any = self.visible_module if modality is Modality.VISIBLE else self.thermal_module
        net = own.visible if modality is Modality.VISIBLE else own.thermal
        maps = net.maxpool(net.bn1(net.conv1(images)).relu())
        base: Any = self.base_resnet.base
        for number in (1, 2, 3, 4):
            blocks = getattr(base, f"layer{number}")
            behind = getattr(self, f"NL_{number}", ())
            for i, block in enumerate(blocks, start=len(behind) - len(blocks)):
                maps = block(maps)
                maps = behind[i](maps) if i >= 0 else maps
        cubes = (maps**3).mean(dim=(2, 3)) + 1e-12
        pooled = cubes ** (1 / 3) if self.non_local else maps.mean(dim=(2, 3))
        return nn.functional.normalize(self.bottleneck(pooled), dim=1)


@pytest.fixture(scope="module")
def agw() -> TwoStream:
    return TwoStream()


@pytest.fixture(scope="module")
def released(agw: TwoStream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of it."""
    return as_released(agw, tmp_path_factory.mktemp("released") / "sysu_best.t")


@pytest.fixture(scope="module")
def made(released: Path) -> Imported:
    """What importing it tells; `model`, beside the checkpoint, is the imported model."""
    model = released.parent / "model"
    return import_checkpoint("agw", released, model, (*SIZE, "data.dataset=sysu_mm01"))


@pytest.fixture
def model(released: Path, made: Imported) -> Path:
    return released.parent / "model"


def pictures() -> list[Any]:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH, 3), dtype=np.uint8)
    return [Image.fromarray(each) for each in pixels]


def as_seen() -> Tensor:
    images = torch.stack([torch.from_numpy(np.array(each)) for each in pictures()])
    return ((images / 255 - MEAN) / STD).permute(0, 3, 1, 2)


def as_released(net: nn.Module, path: Path) -> Path:
    """As AGW's train.py saves: scores of NumPy beside the weights."""
    torch.save(
        {"net": net.state_dict(), "cmc": np.ones(20), "mAP": np.float64(1), "epoch": 7}, path
    )
    return path


def check_same(model: Path, embedded: Callable[[Tensor, Modality], Tensor]) -> None:
    opened = Embedder.open(model)
    for modality in Modality:
        found = opened.embed(pictures(), modality)
        np.testing.assert_allclose(found, embedded(as_seen(), modality).numpy(), atol=1e-5)


def test_a_checkpoint_of_agw_embeds_as_agws_network(
    agw: TwoStream, made: Imported, model: Path
) -> None:
    check_same(model, agw.embedded)
    assert made.identities == PEOPLE
    assert set(made.left["no weights"]) == {"cmc", "mAP", "epoch"}
    copies = made.left["parts of three ResNet-50 that the code does not use"]
    assert {name.split(".")[0] for name in copies} == {
        "visible_module",
        "thermal_module",
        "base_resnet",
    }
    untold = agw.state_dict().keys() - {name for names in made.left.values() for name in names}
    assert len(untold) == made.taken


def test_an_imported_model_says_where_it_comes_from(model: Path) -> None:
    origin = json.loads((model / "run.json").read_text())["imported"]
    assert origin["file"] == "sysu_best.t"
    assert len(origin["sha256"]) == 64
    assert origin["repository"] == import_formats.find("agw").ADDRESS
    opened = Embedder.open(model)
    assert opened.checkpoint == "imported from agw, chosen by its authors"
    assert opened.learnt_on == "sysu_mm01"


def test_prefixes_half_precision_and_no_classifier(agw: TwoStream, tmp_path: Path) -> None:
    state = {f"module.{k}": v.half() for k, v in agw.state_dict().items() if "classifier" not in k}
    torch.save({"state_dict": state, "args": Namespace(lr=0.1)}, tmp_path / "a.pth")
    made = import_checkpoint("agw", tmp_path / "a.pth", tmp_path / "model", SIZE)
    assert made.identities is None
    assert made.left["no weights"] == ["args"]
    method, _ = runs.load_method(tmp_path / "model")
    kept = method.state_dict()["neck.weight"]
    assert kept.dtype == torch.float32
    assert torch.equal(kept, agw.bottleneck.weight.half().float())


def test_without_non_local_blocks_the_mean_is_pooled(tmp_path: Path) -> None:
    base = TwoStream(non_local=False)
    file = as_released(base, tmp_path / "base.t")
    made = import_checkpoint("agw", file, tmp_path / "model", SIZE)
    check_same(tmp_path / "model", base.embedded)
    assert any("settings.pooling_power=3" in remark for remark in made.remarks)
    import_checkpoint("agw", file, tmp_path / "other", (*SIZE, "settings.pooling_power=3"))
    settings = runs.read_recipe(tmp_path / "other").settings
    assert settings.pooling_power == 3


def test_a_run_can_start_from_an_imported_model(agw: TwoStream, model: Path) -> None:
    method = AGW(AGW.Config(pretrained=False), 7)
    initial_weights.start_from(method, str(model))
    stem = agw.state_dict()["visible_module.visible.conv1.weight"]
    assert torch.equal(method.state_dict()["trunk.stems.visible.0.weight"], stem)


def changed(net: nn.Module, **values: Tensor | None) -> dict[str, Tensor]:
    """Weights with some added, changed, or taken away; __ stands for a point."""
    state = dict(net.state_dict())
    for name, value in values.items():
        name = name.replace("__", ".")
        if value is None:
            state = {k: v for k, v in state.items() if not k.startswith(name)}
        else:
            state[name] = value
    return state


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"wpa__conv1__weight": torch.ones(1)},
            "it has wpa.conv1.weight too, which this format has not, so it is another network; if "
            "these take no part in embedding, leave them out by --without wpa",
        ),
        ({"bottleneck__bias": torch.ones(2048)}, "its neck has a bias that is not 0"),
        ({"thermal_module": None}, "it has no thermal_module.thermal.conv1.weight, which"),
        ({"bottleneck__running_mean": None}, "neck.running_mean are missing"),
        (
            {"NL_2__0__theta__weight": torch.ones(256, 512, 1, 1)},
            "its non-local blocks have 256 inner channels",
        ),
        ({"bottleneck__weight": torch.ones(3)}, r"neck.weight \[3\] instead of \[2048\]"),
        ({"bottleneck__weight": torch.full((2048,), torch.nan)}, "infinite or none at all"),
    ],
    ids=["more", "bias", "one stream", "missing", "non-local", "shape", "not finite"],
)
def test_what_would_be_another_network_is_refused(
    agw: TwoStream, values: dict[str, Tensor | None], told: str, tmp_path: Path
) -> None:
    torch.save(changed(agw, **values), tmp_path / "a.pt")
    with pytest.raises(VireidError, match=told) as error:
        import_checkpoint("agw", tmp_path / "a.pt", tmp_path / "model", SIZE)
    assert str(tmp_path / "a.pt") in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.pt"]


def test_what_takes_no_part_in_embedding_can_be_left_out(agw: TwoStream, tmp_path: Path) -> None:
    torch.save(changed(agw, wpa__weight=torch.ones(1)), tmp_path / "a.pt")
    made = import_checkpoint("agw", tmp_path / "a.pt", tmp_path / "model", SIZE, without=["wpa"])
    assert made.left["left out as asked"] == ["wpa.weight"]
    check_same(tmp_path / "model", agw.embedded)


def test_files_and_folders_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"no archive")
    with pytest.raises(VireidError, match=r"a\.pt is damaged or no checkpoint"):
        import_checkpoint("agw", tmp_path / "a.pt", tmp_path / "model")
    torch.save([1, 2], tmp_path / "b.pt")
    with pytest.raises(VireidError, match=r"b\.pt holds no weights by name"):
        import_checkpoint("agw", tmp_path / "b.pt", tmp_path / "model")
    with pytest.raises(VireidError, match="there is no format 'agx'; there are agw"):
        import_checkpoint("agx", tmp_path / "b.pt", tmp_path / "model")
    (tmp_path / "model").mkdir()
    with pytest.raises(VireidError, match="model exists"):
        import_checkpoint("agw", tmp_path / "b.pt", tmp_path / "model")


def test_the_weights_are_the_files_own(agw: TwoStream, model: Path) -> None:
    kept = load_file(model / "model.safetensors")
    last = agw.state_dict()["NL_3.2.W.1.running_var"]
    assert torch.equal(kept["trunk.shared.2.8.norm.running_var"], last)


def test_the_command_tells_what_was_taken_left_and_taken_for_granted(
    released: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    command = ["import", "agw", str(released), "--out", str(model), *SIZE]
    answer = CliRunner().invoke(cli.vireid, command)
    assert answer.exit_code == 0, answer.output
    lines = answer.output.splitlines()
    assert lines[0].startswith(f"{model}: ")
    assert f"its classifier tells {PEOPLE} people apart" in lines
    assert "left out: bottleneck.bias (0, as it is not learnt)" in lines
    assert any(line.startswith("taken for granted: last stride 1") for line in lines)
