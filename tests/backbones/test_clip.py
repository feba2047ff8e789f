"""CLIP's towers, taken apart and put together again, compute what open_clip computes."""

import re
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vireid.backbones import clip as clips
from vireid.backbones.clip import create_clip
from vireid.backbones.clip_image import ImageTower, image_tower, resized
from vireid.backbones.clip_text import Prompts, TextTower
from vireid.errors import VireidError
from vireid.losses.image_text import contrast, text_logits
from vireid.losses.shared_enhancement import shared_enhancement
from vireid.records import Modality

NAMES = ["tiny RN", "tiny ViT"]
VISIBLE, INFRARED = Modality


def tiny(name: str = "tiny RN") -> open_clip.CLIP:
    """Random weights, in batch normalisation too, which else passes all on as it is."""
    torch.manual_seed(0)
    clip = create_clip(name, None)
    for module in clip.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.2)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return clip.eval()


def tower(name: str = "tiny RN", size: tuple[int, int] = (32, 16), **told: Any) -> ImageTower:
    return image_tower(tiny(name).visual, size, **told).eval()


@pytest.mark.parametrize("stems", ["dual", "shared"])
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_at_its_own_size_a_tower_is_open_clips(name: str, stems: Literal["dual", "shared"]) -> None:
    images = torch.rand(2, 3, 224, 224)
    ours = tower(name, (224, 224), last_stride=2, pixels="clip", stems=stems)
    clip = tiny(name)
    normal = (images - ours.mean) / ours.std
    expected = clip.encode_image(normal)
    assert expected.std() > 0.01
    for modality in Modality:
        _, projected = ours({modality: images})
        torch.testing.assert_close(projected, expected, rtol=0, atol=1e-4)


def normalised(maps: np.ndarray, norm: nn.Module) -> np.ndarray:
    """Batch normalisation in evaluation mode, in NumPy."""
    mean, variance, weight, bias = (
        getattr(norm, name).detach().numpy()[:, None, None]
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    return np.asarray((maps - mean) / np.sqrt(variance + 1e-5) * weight + bias)


@pytest.mark.parametrize("relus", [1, 3])
@torch.no_grad()
def test_a_stem_has_a_relu_after_each_convolution_or_after_the_last(relus: Literal[1, 3]) -> None:
    images = torch.rand(2, 3, 32, 16)
    parts = dict(tiny().visual.named_children())
    maps: Tensor = images
    for i in (1, 2, 3):
        maps = torch.from_numpy(normalised(parts[f"conv{i}"](maps).numpy(), parts[f"bn{i}"]))
        if relus == 3 or i == 3:
            maps = torch.from_numpy(np.maximum(maps.numpy(), 0))
    expected = maps.numpy().reshape(2, -1, 8, 2, 4, 2).mean(axis=(3, 5))
    found = tower(relus=relus).stem(VISIBLE)(images)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_stems_with_one_relu_have_weights_of_the_same_names() -> None:
    assert tower(relus=1).state_dict().keys() == tower(relus=3).state_dict().keys()


@pytest.mark.parametrize("name", NAMES)
def test_spectra_have_stems_of_their_own_and_share_the_rest(name: str) -> None:
    ours, images = tower(name), torch.rand(2, 3, 32, 16)
    with torch.no_grad():
        for weight in ours.stem(INFRARED).parameters():
            weight.add_(torch.randn_like(weight))
        seen, projected = ours({VISIBLE: images, INFRARED: images})
        alone = ours({INFRARED: images})
    torch.testing.assert_close(projected[2:], alone[1])
    torch.testing.assert_close(seen[2:], alone[0])
    assert (projected[:2] - projected[2:]).abs().max() > 1e-3
    shared = tower(name, stems="shared")
    assert shared.stem(VISIBLE) is shared.stem(INFRARED)


def test_a_stem_has_three_activations_and_the_last_layer_keeps_the_size() -> None:
    ours = tower()
    assert sum(isinstance(layer, nn.ReLU) for layer in ours.stem(VISIBLE)) == 3  # type: ignore[attr-defined]
    seen, projected = ours({VISIBLE: torch.rand(1, 3, 32, 16)})
    assert seen.shape == (1, 256, 2, 1)
    assert projected.shape == (1, 32)
    assert tower(size=(288, 144)).attend.positions.shape == (1 + 18 * 9, 256)  # type: ignore[union-attr]


def test_positions_are_stretched_between_places_and_the_class_stays() -> None:
    table = torch.rand(1 + 49, 5)
    assert torch.equal(resized(table, (7, 7)), table)
    stretched = resized(table, (18, 9))
    assert torch.equal(stretched[0], table[0])
    assert stretched.shape == (163, 5)
    row = torch.arange(7.0)[:, None].expand(7, 7).reshape(49, 1)
    rising = resized(torch.cat([torch.zeros(1, 1), row]), (14, 7))[1:].reshape(14, 7)
    torch.testing.assert_close(rising[:, 0], rising[:, 6])
    torch.testing.assert_close(rising[1:4, 0], torch.tensor([0.25, 0.75, 1.25]))


def test_pictures_of_a_wrong_size_are_refused() -> None:
    with pytest.raises(VireidError, match=r"pictures are 48 x 16, but .* 32 x 16; set settings"):
        tower()({VISIBLE: torch.rand(1, 3, 48, 16)})
    for name in NAMES:
        with pytest.raises(VireidError, match=r"30 x 16, which is not cut evenly .* 16"):
            tower(name, (30, 16))


def test_a_prompt_without_tokens_says_what_open_clip_reads() -> None:
    clip = tiny()
    expected = clip.encode_text(open_clip.SimpleTokenizer()(["A photo of a person."]))
    text = TextTower(tiny()).eval()
    prompts = Prompts(text, identities=3, tokens=0)
    torch.testing.assert_close(prompts.read_all(text)[0], expected.expand(3, -1))


def test_tokens_stand_before_person_and_change_the_text_of_one_identity() -> None:
    clip, text = tiny(), TextTower(tiny()).eval()
    prompts = Prompts(text, identities=3, tokens=2)
    ids = open_clip.SimpleTokenizer()("A photo of a tall old person.")
    with torch.no_grad():
        first = prompts.read_all(text)
        prompts.tokens[0, 1] = clip.token_embedding(ids[0, 5:7])
        then = prompts.read_all(text)
    assert torch.equal(first[0, [0, 2]], then[0, [0, 2]])
    torch.testing.assert_close(then[0, 1], clip.encode_text(ids)[0])
    with pytest.raises(VireidError, match=r"tokens is 70, .* 77 words .* 69 at most"):
        Prompts(text, identities=3, tokens=70)


def test_contrast_is_a_double_loop() -> None:
    torch.manual_seed(0)
    images, texts = torch.randn(2, 7, 5, dtype=torch.float64)
    identities = torch.tensor([0, 1, 0, 2, 2, 2, 3])
    total = 0.0
    for i in range(7):
        below = sum(float(torch.exp(images[i] @ texts[a])) for a in range(7))
        alike = [p for p in range(7) if identities[p] == identities[i]]
        logs = [float(torch.log(torch.exp(images[i] @ texts[p]) / below)) for p in alike]
        total -= sum(logs) / len(logs)
    assert contrast(images, texts, identities).item() == pytest.approx(total / 7, rel=1e-6)
    assert contrast(texts, images, identities) != contrast(images, texts, identities)


@pytest.mark.parametrize("each", [1, 4])
def test_contrast_has_a_floor_of_log_k(each: int) -> None:
    people = torch.arange(5).repeat_interleave(each)
    apart = 20 * torch.eye(5)[people]
    floor = torch.tensor(float(each)).log()
    torch.testing.assert_close(contrast(apart, apart, people), floor)
    assert contrast(torch.randn(len(people), 5), apart, people) > floor


def test_losses_are_computed_in_float32_under_autocast() -> None:
    images, texts = torch.randn(2, 4, 8)
    people = torch.tensor([0, 0, 1, 1])
    exact = contrast(images, texts, people)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(contrast(images, texts, people), exact)
        assert text_logits(images.bfloat16(), texts).dtype == torch.float32


def test_shared_enhancement_is_what_two_loops_compute() -> None:
    torch.manual_seed(0)
    rows = torch.randn(12, 3, dtype=torch.float64)
    people = torch.arange(3).repeat_interleave(2).repeat(2)
    modalities = torch.tensor([0] * 6 + [1] * 6)
    gaps: dict[int, list[float]] = {0: [], 1: []}
    for i in range(12):
        far: dict[bool, list[float]] = {True: [], False: []}
        for j in range(12):
            if people[i] == people[j] and i != j:
                alike = bool(modalities[i] == modalities[j])
                far[alike].append(float((rows[i] - rows[j]).norm()))
        gap = sum(far[False]) / 2 - far[True][0]
        gaps[int(modalities[i])].append(gap**2)
    expected = (sum(gaps[0]) / 6 + sum(gaps[1]) / 6) / 2
    assert shared_enhancement(rows, people, modalities).item() == pytest.approx(expected)
    with pytest.raises(VireidError, match=r"raise settings\.images_each"):
        shared_enhancement(rows[[0, 6]], people[[0, 6]], modalities[[0, 6]])


def openai_layout(clip: open_clip.CLIP) -> dict[str, Tensor]:
    """As OpenAI keeps them: half precision where there are matrices, and three numbers more."""
    state = {k: v.half() if v.ndim > 1 else v for k, v in clip.state_dict().items()}
    numbers = {"input_resolution": 224, "context_length": 77, "vocab_size": 49408}
    return state | {name: torch.tensor(number) for name, number in numbers.items()}


class Archive(nn.Module):
    """Something that TorchScript takes, with tensors under the names that a state has."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def as_archive(state: dict[str, Tensor], path: Path) -> None:
    archive = Archive()
    for name, value in state.items():
        *above, last = name.split(".")
        place: nn.Module = archive
        for part in above:
            if part not in place._modules:
                place.add_module(part, Archive())
            place = place.get_submodule(part)
        place.register_buffer(last, value)
    with warnings.catch_warnings():
        # TorchScript is going out of use, which OpenAI's archives are made of.
        warnings.simplefilter("ignore")
        torch.jit.script(archive).save(str(path))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("name", NAMES)
def test_weights_in_openais_layout_are_read_from_any_kind_of_file(
    name: str, tmp_path: Path
) -> None:
    state = openai_layout(tiny(name))
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "a.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "a.pt")
    as_archive(state, tmp_path / "archive.pt")
    for file in ("a.safetensors", "a.pt", "archive.pt"):
        read = create_clip(name, str(tmp_path / file)).state_dict()
        for key, value in read.items():
            assert value.dtype in (torch.float32, torch.int64)
            assert torch.equal(value, state[key].to(value.dtype)), (file, key)


def test_a_wrong_file_is_told_by_the_names_in_it(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    state = openai_layout(tiny("tiny ViT"))
    torch.save(state, file)
    told = r"missing; .*visual\.class_embedding.* unexpected; .*set settings.clip"
    with pytest.raises(VireidError, match=told):
        create_clip("tiny RN", str(file))
    overflown = {**state, "ln_final.bias": state["ln_final.bias"] + torch.inf}
    torch.save(overflown, file)
    with pytest.raises(VireidError, match=r"infinite or none at all, in ln_final\.bias: half"):
        create_clip("tiny ViT", str(file))
    del state["ln_final.bias"]
    state["text_projection"] = state["text_projection"][:, :7]
    torch.save(state, file)
    told = r"ln_final.bias missing; text_projection \[32, 7\] instead of \[32, 32\] of another"
    with pytest.raises(VireidError, match=told):
        create_clip("tiny ViT", str(file))
    torch.save([1, 2], file)
    with pytest.raises(VireidError, match="holds no weights by name"):
        create_clip("tiny ViT", str(file))
    file.write_bytes(b"<html>not found</html>")
    with pytest.raises(VireidError, match="is damaged or no file of weights"):
        create_clip("tiny ViT", str(file))


def test_without_a_network_the_file_to_fetch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(clips, "download_pretrained", unreachable)
    # Two gigabytes less to draw at random than the real thing, whose weights are asked for.
    monkeypatch.setattr(clips, "_config", lambda _: clips.TINY["tiny RN"])
    told = r"'openai' of RN50 cannot be had \(Network is unreachable\); fetch (https://\S+)"
    with pytest.raises(VireidError, match=told) as caught:
        create_clip("RN50", "openai")
    assert re.search(r"put the file .* set settings.weights to its path", str(caught.value))
    with pytest.raises(VireidError, match="learnt with quick_gelu = true"):
        create_clip("RN50", "openai", quick_gelu=False)
    with pytest.raises(VireidError, match=r"'opena', .* knows for RN50; it knows openai"):
        create_clip("RN50", "opena")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("RN5", "no CLIP called 'RN5'; did you mean 'RN50'"),
        ("coca_ViT-B-32", "'coca_ViT-B-32' has other towers"),
        ("roberta-ViT-B-32", "other towers than OpenAI's"),
        ("xlm-roberta-base-ViT-B-32", "other towers than OpenAI's"),
    ],
)
def test_other_models_are_refused(name: str, told: str) -> None:
    with pytest.raises(VireidError, match=told):
        create_clip(name, None)
