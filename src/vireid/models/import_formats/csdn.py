"""CSDN: CLIP's RN50 with two stems, generalised mean, attention pooling and two necks."""

import math

import torch
from torch import Tensor

from vireid.backbones.clip_text import AFTER, BEFORE, numbers_of
from vireid.models.import_formats._translation import (
    CannotImportError,
    State,
    Translation,
    renamed,
    some,
)

TITLE = "CSDN, CLIP's ResNet-50 of two streams"
ADDRESS = "https://github.com/nengdong96/CSDN"

PATCH = 16
"""Pixels of a picture's side for each place of the last feature map."""
WORDS = 49408
"""Words and parts of words that CLIP knows."""
PLACES_OF_STEM = (0, 1, 3, 4, 6, 7)
"""Places of convolutions and batch normalisations in vireid's stem, which has one for each ReLU."""
NAMES = {
    **{
        f"image_encoder{number}.{theirs}.": f"images.stems.{modality}.{ours}."
        for number, modality in ((1, "visible"), (2, "infrared"))
        for theirs, ours in enumerate(PLACES_OF_STEM)
    },
    "image_encoder.": "images.layers.",
    "attnpool.positional_embedding": "images.attend.positions",
    "attnpool.q_proj.": "images.attend.query.",
    "attnpool.k_proj.": "images.attend.key.",
    "attnpool.v_proj.": "images.attend.value.",
    "attnpool.c_proj.": "images.attend.leave.",
    "classifier.GEM.p": "pool.power",
    "classifier.BN.": "necks.0.",
    "classifier.classifier.": "classifiers.0.",
    "classifier2.BN.": "necks.1.",
    "classifier2.classifier.": "classifiers.1.",
    "text_encoder.transformer.resblocks.": "text.blocks.",
    "text_encoder.positional_embedding": "text.positions",
    "text_encoder.ln_final.": "text.norm.",
    "text_encoder.text_projection": "text.projection.weight",
}
"""Vireid's beginnings of names by CSDN's."""
TOKENS = tuple(f"prompt_learner{number}.cls_ctx" for number in (1, 2))
AROUND = tuple(f"prompt_learner1.token_{part}" for part in ("prefix", "suffix"))
SETTINGS = {
    "clip": "RN50",
    "pretrained": False,
    "stem_relus": 1,
    "neck_bias": True,
    "view_colours": "normalised",
    "triplet_weights": "code",
    "warm_up_from": "floor",
    "tsg_images": "visible and infrared",
    "ife": False,
    "hsa_text": "frozen",
    "text_image_weight": 0.0,
}
UNUSED = {
    "attention_fusion.": "its fusion of texts, which embedding does not need",
    "prompt_learner2.token_": "the words around those that are learnt, which are there once",
}


def translate(state: State) -> Translation:
    """Return the network of CSDN with these weights.

    Raises:
        CannotImportError: It is another network.
    """
    needed = ("image_encoder1.0.weight", "image_encoder2.0.weight", "attnpool.k_proj.weight")
    if missing := [name for name in (*needed, *TOKENS, *AROUND) if name not in state]:
        raise CannotImportError(f"it has no {some(missing)}, which CSDN's network has")
    height, width = _size(state["attnpool.positional_embedding"])
    weights, taken = renamed(state, NAMES)
    return Translation(
        "clip4vi_reid",
        {**SETTINGS, "picture": [height, width]},
        weights | as_ours(state),
        identities=len(state[TOKENS[0]]),
        height=height,
        width=width,
        taken=taken | {*TOKENS, *AROUND},
        unused=UNUSED,
        reads_text=False,
        remarks=(
            "no sentence can be searched for, as the checkpoint holds only the words of its prompt",
            "no mirror image takes part in an embedding; CSDN's last version joins it: "
            "vireid evaluate --flip concatenation",
        ),
    )


def as_ours(state: State) -> dict[str, Tensor]:
    """Return the weights that vireid keeps in another shape than CSDN."""
    found = {}
    if "classifier.GEM.p" in state:
        found["pool.power"] = state["classifier.GEM.p"].squeeze(0)
    if "text_encoder.text_projection" in state:
        found["text.projection.weight"] = state["text_encoder.text_projection"].T.contiguous()
    if TOKENS[0] in state:
        found["prompts.tokens"] = torch.stack([state[name] for name in TOKENS])
    if AROUND[0] in state:
        found["text.words.weight"] = _words(*(state[name][0] for name in AROUND))
    return found


def _words(before: Tensor, after: Tensor) -> Tensor:
    """Return a table of all words with those of the prompt in their places, all others 0."""
    start, *said, end = numbers_of(f"{BEFORE} {AFTER}", 77)
    learnt = len(numbers_of(BEFORE, 77)) - 2
    words = torch.zeros(WORDS, before.shape[1], dtype=before.dtype)
    words[[start, *said[:learnt]]] = before
    ending = [*said[learnt:], end]
    words[ending] = after[: len(ending)]
    return words


def _size(positions: Tensor) -> tuple[int, int]:
    """Return the size of pictures; they are twice as high as wide."""
    places = len(positions) - 1
    across = math.isqrt(places // 2)
    if 2 * across * across != places:
        raise CannotImportError(
            f"it attends to {places} places, which are no picture twice as high as wide, as CSDN's "
            "are"
        )
    return 2 * across * PATCH, across * PATCH
