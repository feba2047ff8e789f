"""DEEN: AGW's two streams with joined layers, and three views of each picture."""

from vireid.models.import_formats._resnet50 import UNUSED_IN_TWO_STREAMS, layers_of, stems_of
from vireid.models.import_formats._translation import (
    CannotImportError,
    State,
    Translation,
    check_biasless,
    renamed,
    some,
)

TITLE = "DEEN, two streams and three views, from the repository of LLCM"
ADDRESS = "https://github.com/ZYK100/LLCM"

PARTS_OF_JOIN = {"g": "g", "theta": "theta", "phi": "phi", "W.0": "out", "W.1": "norm"}
NAMES = {
    **stems_of("network."),
    **layers_of("base_resnet.base.", "network."),
    **{
        f"MFA{number + 1}.{theirs}.{part}.": f"network.joins.{number}.{ours}.{own}."
        for number in range(3)
        for theirs, ours in (("CNL", "by_channel"), ("PNL", "by_place"))
        for part, own in PARTS_OF_JOIN.items()
    },
    **{
        f"DEE.FC{view + 1}{look + 1}.": f"network.expand.looks.{view}.{look}."
        for view in range(2)
        for look in range(3)
    },
    **{f"DEE.FC{view + 1}.": f"network.expand.leave.{view}." for view in range(2)},
    **{f"bottleneck.{part}": f"neck.{part}" for part in ("weight", "running_", "num_batches")},
    "classifier.weight": "classifier.weight",
}
"""Vireid's beginnings of names by DEEN's."""
LAST = "base_resnet.base.layer4."
UNUSED = {**UNUSED_IN_TWO_STREAMS, "bottleneck.bias": "0, as it is not learnt"}


def translate(state: State) -> Translation:
    """Return DEEN's network with these weights.

    Raises:
        CannotImportError: It is another network.
    """
    needed = ["thermal_module.thermal.conv1.weight", "DEE.FC11.weight", "DEE.FC1.weight"]
    needed += ["MFA1.CNL.theta.weight", "MFA2.PNL.theta.weight", "bottleneck.weight"]
    if missing := [name for name in needed if name not in state]:
        raise CannotImportError(f"it has no {some(missing)}, which DEEN's network has")
    check_biasless(state, ["bottleneck.bias"], "DEEN's code")
    layers = 4 if any(name.startswith("MFA3.") for name in state) else 3
    used = {name: v for name, v in state.items() if layers == 4 or not name.startswith(LAST)}
    weights, taken = renamed(used, NAMES)
    classifier = state.get("classifier.weight")
    return Translation(
        "released",
        {"network": "deen", "layers": layers},
        weights,
        identities=None if classifier is None else len(classifier),
        height=384,
        width=144,
        taken=taken,
        unused=UNUSED | ({LAST: "left out for RegDB"} if layers == 3 else {}),
        fresh=("classifier.",),
        remarks=(
            "pictures of 384 x 144, as in DEEN's code; else data.height and data.width",
            "scores are means over three views of the cosines behind the neck; those that add "
            "pooled features (its 'distmat7', 'distmat8') are others",
            "no mirror image takes part in an embedding; DEEN's code adds it: "
            "vireid evaluate --flip",
        ),
    )
