"""CLIP as open_clip builds it, with weights by tag or from a file, or a tiny one for a processor.

Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
from open_clip.modified_resnet import ModifiedResNet
from open_clip.pretrained import (
    download_pretrained,
    get_pretrained_cfg,
    list_pretrained_tags_by_model,
)
from open_clip.transformer import VisionTransformer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vireid.errors import VireidError, suggestion
from vireid.files import torch_files
from vireid.files.torch_files import UnreadableError

_TINY_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
_WIDE_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 4}
TINY: dict[str, dict[str, Any]] = {
    "tiny RN": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 224, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64},
        "text_cfg": _TINY_TEXT,
    },
    "tiny ViT": {
        "embed_dim": 32,
        "vision_cfg": {
            "image_size": 224,
            "layers": 2,
            "width": 32,
            "head_width": 16,
            "patch_size": 16,
        },
        "text_cfg": _TINY_TEXT,
    },
    "wide RN": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": 224, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64},
        "text_cfg": _WIDE_TEXT,
    },
    "wide ViT": {
        "embed_dim": 128,
        "vision_cfg": {
            "image_size": 224,
            "layers": 2,
            "width": 64,
            "head_width": 16,
            "patch_size": 16,
        },
        "text_cfg": _WIDE_TEXT,
    },
}
"""vireid's own configurations, beside open_clip's: a step takes milliseconds, and the vocabulary is
the real one. The space that pictures and sentences share has 32 numbers in the tiny ones, too few
to tell hundreds of people apart, and 128 in the wide ones. There are no weights, so texts mean
nothing until the towers have learnt."""
NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
"""Entries of OpenAI's archives that are not weights."""
_PREFIXES = re.compile("^(module|clip)\\.")
"""Prefixes of names in states that DataParallel wrote, and in runs of `language_image`."""


def create_clip(name: str, weights: str | None, *, quick_gelu: bool = True) -> open_clip.CLIP:
    """Return both towers of CLIP, in float32.

    OpenAI published half precision, and Adam on half precision gives NaN after one step
    (https://github.com/openai/CLIP/issues/40).

    Args:
        name: open_clip's name of a CLIP, such as `RN50` or `ViT-B-16`, or one of `TINY`.
        weights: A tag that open_clip knows, e.g. `openai`; a file; None for random ones.
        quick_gelu: Whether the transformers use x sigmoid(1.702 x), with which OpenAI trained.

    Raises:
        VireidError: There is no such model, its towers are not CLIP's own, or its weights cannot
            be had or do not fit.
    """
    model = open_clip.CLIP(**_config(name), quick_gelu=quick_gelu)
    _check_towers(name, model)
    if weights is not None:
        path = _file_of(name, weights, quick_gelu)
        _load(model, name, path)
    return model


def _config(name: str) -> dict[str, Any]:
    known = open_clip.list_models()
    if name not in (*TINY, *known):
        hint = suggestion(name, [*TINY, *known], "RN50 and ViT-B-16 are two")
        raise VireidError(f"open_clip has no CLIP called '{name}'; {hint}")
    config = TINY.get(name) or open_clip.get_model_config(name)
    assert config is not None
    own = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
    if not config.keys() <= own or "hf_model_name" in config["text_cfg"]:
        raise _strange(name)
    return {key: value for key, value in config.items() if key != "quick_gelu"}


def _check_towers(name: str, model: open_clip.CLIP) -> None:
    image = model.visual
    plain = isinstance(image, ModifiedResNet) or (
        isinstance(image, VisionTransformer)
        and image.attn_pool is None
        and image.pool_type == "tok"
        and not image.final_ln_after_pool
    )
    if not plain or model.text_pool_type not in ("argmax", "eos"):
        raise _strange(name)


def _strange(name: str) -> VireidError:
    return VireidError(
        f"'{name}' has other towers than OpenAI's CLIP, which are not supported; RN50, RN101, "
        "ViT-B-16 and ViT-L-14 are"
    )


def _file_of(name: str, weights: str, quick_gelu: bool) -> Path:
    """Return the file of the weights, downloaded if need be."""
    known = get_pretrained_cfg(name, weights)
    if not known:
        return _local(name, weights)
    learnt_with = bool(known.get("quick_gelu", False)) or name.endswith("-quickgelu")
    if learnt_with != quick_gelu:
        raise VireidError(
            f"the weights '{weights}' of {name} were learnt with quick_gelu = "
            f"{str(learnt_with).lower()}; set settings.quick_gelu to that"
        )
    try:
        return Path(download_pretrained(known))
    except Exception as error:
        # Hub, network and file system each raise errors of their own.
        raise VireidError(
            f"the weights '{weights}' of {name} cannot be had ({_first_line(error)}); fetch "
            f"{_address(known)} on a machine with a connection, put the file anywhere on this one "
            "and set settings.weights to its path"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _address(known: Mapping[str, Any]) -> str:
    if known.get("url"):
        return str(known["url"])
    return f"https://huggingface.co/{str(known.get('hf_hub', '')).rstrip('/')}"


def _local(name: str, weights: str) -> Path:
    path = Path(os.path.expanduser(weights))  # noqa: PTH111  an unknown home stays as it is
    if path.is_file():
        return path
    tags = ", ".join(list_pretrained_tags_by_model(name)) or "none"
    raise VireidError(
        f"settings.weights is '{weights}', which is neither a file nor a tag that open_clip knows "
        f"for {name}; it knows {tags}"
    )


def _load(model: open_clip.CLIP, name: str, path: Path) -> None:
    state = _read(path)
    own = model.state_dict()
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    other = [
        f"{key} {list(state[key].shape)} instead of {list(own[key].shape)}"
        for key in sorted(own.keys() & state.keys())
        if state[key].shape != own[key].shape
    ]
    faults = {"missing": missing, "unexpected": unexpected, "of another shape": other}
    if any(faults.values()):
        told = "; ".join(f"{_some(keys)} {fault}" for fault, keys in faults.items() if keys)
        raise VireidError(
            f"{path} does not hold the weights of {name}: {told}; set settings.clip to the model "
            "that the file is of, or settings.weights to another file"
        )
    _check_finite(state, path)
    model.load_state_dict(state)


def _check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    broken = sorted(key for key, value in state.items() if not value.isfinite().all())
    if broken:
        raise VireidError(
            f"{path} holds numbers that are infinite or none at all, in {_some(broken)}: half "
            "precision overflowed when it was written, or it is damaged; fetch it again"
        )


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(keys[:3]) + more


def _read(path: Path) -> dict[str, Tensor]:
    """Return the state in a safetensors file, in an archive as OpenAI published them, or saved.

    Raises:
        VireidError: It is none of these.
    """
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch_files.read(path)
    except (UnreadableError, SafetensorError, OSError) as error:
        raise VireidError(
            f"{path} is damaged or no file of weights ({_first_line(error)}); give OpenAI's "
            "archive, a file that ends in .safetensors, or a state dict that torch 1.6 or later "
            "has saved"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise VireidError(f"{path} holds no weights by name")
    named = {_PREFIXES.sub("", k): v for k, v in state.items()}
    return {k: v for k, v in named.items() if k not in NOT_WEIGHTS}
