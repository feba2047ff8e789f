"""MMN: AGW's two streams, whose maps are cut into four stripes."""

import torch
from torch import Tensor

from vireid.models.import_formats._resnet50 import UNUSED_IN_TWO_STREAMS, layers_of, stems_of
from vireid.models.import_formats._translation import (
    CannotImportError,
    State,
    Translation,
    check_biasless,
    renamed,
    some,
)

TITLE = "MMN, two streams and four stripes"
ADDRESS = "https://github.com/ZYK100/MMN"

STRIPES = (1, 2, 3, 4)
NECKS = tuple(f"bottleneck{stripe}" for stripe in STRIPES)
GENERATOR = "MMN's generator of a middle modality, which embedding a picture itself does not need"
NAMES = stems_of("network.") | layers_of("base_resnet.base.", "network.")
OF_NECK = ("weight", "running_mean", "running_var")
UNUSED = {
    **UNUSED_IN_TWO_STREAMS,
    **{f"{neck}.bias": "0, as it is not learnt" for neck in NECKS},
    **{f"{neck}.num_batches_tracked": "a count, which embedding does not need" for neck in NECKS},
    **{f"classifier{n}.": "a classifier of each stripe; vireid has one" for n in STRIPES},
    **{f"{part}{n}.": GENERATOR for part in ("encode", "fc", "bn") for n in (1, 2)},
    "decode.": GENERATOR,
}


def translate(state: State) -> Translation:
    """Return MMN's network with these weights.

    Raises:
        CannotImportError: It is another network.
    """
    needed = [f"{neck}.{part}" for neck in NECKS for part in OF_NECK]
    needed += ["encode1.weight", "thermal_module.thermal.conv1.weight"]
    if missing := [name for name in needed if name not in state]:
        raise CannotImportError(f"it has no {some(missing)}, which MMN's network has")
    check_biasless(state, [f"{neck}.bias" for neck in NECKS], "MMN's code")
    weights, taken = renamed(state, NAMES)
    # Four normalisations over 2048 numbers each are one over all of them.
    joined: dict[str, Tensor] = {
        f"neck.{part}": torch.cat([state[f"{neck}.{part}"] for neck in NECKS]) for part in OF_NECK
    }
    classifier = state.get("classifier1.weight")
    return Translation(
        "released",
        {"network": "mmn"},
        weights | joined,
        identities=None if classifier is None else len(classifier),
        height=384,
        width=192,
        taken=taken | {f"{neck}.{part}" for neck in NECKS for part in OF_NECK},
        unused=UNUSED,
        fresh=("classifier.",),
        remarks=(
            "pictures of 384 x 192, as in MMN's code; else data.height and data.width",
            "a picture is embedded itself, as the first of the two vectors that MMN's code gives; "
            "scores that add up those of generated pictures (its 'distmat4') are others",
        ),
    )
