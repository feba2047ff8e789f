"""A checkpoint of CSDN, written by a network of its shape, embeds as that does."""

import copy
from pathlib import Path
from typing import Any, cast

import open_clip
import pytest
import torch
from tests.models.test_importing import PEOPLE, check_same, randomised
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vireid import Embedder
from vireid.errors import VireidError
from vireid.models import runs
from vireid.models.importing import import_checkpoint
from vireid.records import Modality

SIZE = (64, 32)
PLACES = (SIZE[0] // 16) * (SIZE[1] // 16)


class Head(nn.Module):
    """A neck and a classifier, under CSDN's names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.BN = nn.BatchNorm1d(channels)
        self.classifier = nn.Linear(channels, PEOPLE, bias=False)


class GeM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), 2.5))


class Prompt(nn.Module):
    """Words of "A photo of a X X X X person.", each X learnt."""

    def __init__(self, clip: open_clip.CLIP) -> None:
        super().__init__()
        told = open_clip.tokenize("A photo of a X X X X person.")
        words = clip.token_embedding(told).detach()
        self.register_buffer("token_prefix", words[:, :5])
        self.register_buffer("token_suffix", words[:, 9:])
        self.cls_ctx = nn.Parameter(0.02 * torch.randn(PEOPLE, 4, 512))


class Text(nn.Module):
    def __init__(self, clip: open_clip.CLIP) -> None:
        super().__init__()
        self.transformer, self.ln_final = clip.transformer, clip.ln_final
        self.positional_embedding = clip.positional_embedding
        self.text_projection = clip.text_projection


class CsdnLike(nn.Module):
    """CLIP's RN50 as CSDN takes it apart, with its names."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        clip = open_clip.CLIP(**open_clip.get_model_config("RN50") or {}, quick_gelu=True)
        parts = dict(clip.visual.named_children())
        names = [f"{kind}{i}" for i in (1, 2, 3) for kind in ("conv", "bn")]
        stem = nn.Sequential(*(parts[name] for name in (*names, "act3", "avgpool")))
        self.image_encoder1, self.image_encoder2 = stem, copy.deepcopy(stem)
        self.image_encoder = nn.Sequential(*(parts[f"layer{i}"] for i in (1, 2, 3, 4)))
        first = self.image_encoder[3][0]  # type: ignore[index]
        first.avgpool = first.downsample[0] = nn.Identity()
        self.attnpool = parts["attnpool"]
        self.attnpool.positional_embedding = nn.Parameter(0.02 * torch.randn(PLACES + 1, 2048))
        self.classifier, self.classifier2 = Head(2048), Head(1024)
        self.classifier.GEM = GeM()
        self.prompt_learner1, self.prompt_learner2 = Prompt(clip), Prompt(clip)
        self.text_encoder = Text(clip)
        self.attention_fusion = nn.Linear(1024, 1024)
        randomised(self)

    @torch.no_grad()
    def embedded(self, images: Tensor, modality: Modality) -> Tensor:
        own = self.image_encoder1 if modality is Modality.VISIBLE else self.image_encoder2
        maps = self.image_encoder(own(images))
        power: Any = cast("Any", self.classifier.GEM).p
        pooled = maps.clamp(min=1e-6).pow(power).mean(dim=(2, 3)).pow(1 / power)
        parts = [self.classifier.BN(pooled), self.attnpool(maps)]
        return torch.cat([F.normalize(part, dim=1) for part in parts], dim=1) / 2**0.5


@pytest.mark.slow
def test_a_checkpoint_of_csdn_embeds_as_its_network(tmp_path: Path) -> None:
    net = CsdnLike()
    state = {f"module.{name}": value for name, value in net.state_dict().items()}
    torch.save(state, tmp_path / "model_119.pth")
    made = import_checkpoint("csdn", tmp_path / "model_119.pth", tmp_path / "model")
    assert made.identities == PEOPLE
    check_same(tmp_path / "model", net.embedded)
    opened = Embedder.open(tmp_path / "model")
    assert (opened.height, opened.width) == SIZE
    with pytest.raises(VireidError, match="holds too few words to read sentences"):
        opened.embed_text(["a person"])
    method, _ = runs.load_method(tmp_path / "model")
    told = open_clip.tokenize("A photo of a person.")[0]
    learnt = method.state_dict()["text.words.weight"][told[1:4]]
    assert torch.equal(learnt, net.state_dict()["prompt_learner1.token_prefix"][0, 1:4])
    assert bool(method.state_dict()["text.words.weight"][told[5]].any())


def test_another_network_and_other_pictures_are_refused(tmp_path: Path) -> None:
    torch.save({"image_encoder1.0.weight": torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(VireidError, match=r"it has no image_encoder2\.0\.weight, .* and 3 more"):
        import_checkpoint("csdn", tmp_path / "a.pth", tmp_path / "model")
    names = ("image_encoder1.0.weight", "image_encoder2.0.weight", "attnpool.k_proj.weight")
    prompts = [f"prompt_learner{i}.cls_ctx" for i in (1, 2)]
    around = [f"prompt_learner1.token_{part}" for part in ("prefix", "suffix")]
    state = {name: torch.ones(1) for name in (*names, *prompts, *around)}
    torch.save(state | {"attnpool.positional_embedding": torch.ones(50, 2)}, tmp_path / "a.pth")
    with pytest.raises(VireidError, match="49 places, which are no picture twice as high as wide"):
        import_checkpoint("csdn", tmp_path / "a.pth", tmp_path / "model")
