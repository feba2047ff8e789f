"""AGW, CAJ, DDAG without its part attention: two stems, a shared ResNet-50, a neck."""

from vireid.models.import_formats._resnet50 import (
    BLOCKS,
    STEMS,
    UNUSED_IN_TWO_STREAMS,
    layers_of,
    stems_of,
)
from vireid.models.import_formats._translation import (
    CannotImportError,
    State,
    Translation,
    check_biasless,
    renamed,
    some,
)

TITLE = "AGW, CAJ, DDAG and others with their two-stream ResNet-50"
ADDRESS = "https://github.com/mangye16/Cross-Modal-Re-ID-baseline"

PARTS = {"g.0": "g", "W.0": "out", "W.1": "norm", "theta": "theta", "phi": "phi"}
"""Parts of a non-local block."""
GRAPH_ATTENTION = "DDAG's attention over the pictures of a batch, which it has in training only"
UNUSED = {
    **UNUSED_IN_TWO_STREAMS,
    "bottleneck.bias": "0, as it is not learnt",
    "classifier": "further classifiers, which embedding does not need",
    "attention_": GRAPH_ATTENTION,
    "out_att.": GRAPH_ATTENTION,
}
"""Beginnings of names of what the code has beside, with the reason why embedding needs none."""


def translate(state: State) -> Translation:
    """Return the network of AGW's code with these weights.

    Raises:
        CannotImportError: It is another network.
    """
    non_local = any(name.startswith("NL_") for name in state)
    _check(state, non_local)
    weights, taken = renamed(state, names(non_local))
    classifier = state.get("classifier.weight")
    return Translation(
        "agw",
        {"non_local": non_local, "pooling_power": 3.0 if non_local else 1.0, "pretrained": False},
        weights,
        identities=None if classifier is None else len(classifier),
        height=288,
        width=144,
        taken=taken,
        unused=UNUSED,
        fresh=("classifier.",),
        remarks=(
            "pictures of 288 x 144, as in AGW's code; else data.height and data.width",
            "last stride 1, as in AGW's code; else settings.last_stride=2",
            "both spectra pass through layer1 to layer4 of base_resnet, as in AGW's code",
            "non-local blocks, so the mean of cubes is pooled; else settings.pooling_power=1"
            if non_local
            else "no non-local blocks, so the mean is pooled, as by AGW's 'base'; else "
            "settings.pooling_power=3",
        ),
    )


def names(non_local: bool) -> dict[str, str]:
    """Return vireid's beginnings of names by those of AGW's code.

    Args:
        non_local: Whether there are non-local blocks.
    """
    found = stems_of() | layers_of("base_resnet.base.", non_local=PARTS if non_local else None)
    for part in ("weight", "running_", "num_batches"):
        found[f"bottleneck.{part}"] = f"neck.{part}"
    return {**found, "classifier.weight": "classifier.weight"}


def _check(state: State, non_local: bool) -> None:
    needed = [f"{stem}.conv1.weight" for stem in STEMS]
    needed += [f"base_resnet.base.layer{n}.{count - 1}.conv3.weight" for n, count in BLOCKS.items()]
    if missing := [name for name in needed if name not in state]:
        raise CannotImportError(
            f"it has no {some(missing)}, which the two-stream ResNet-50 of AGW's code has"
        )
    check_biasless(state, ["bottleneck.bias"], "AGW's code")
    inner = state["NL_2.0.theta.weight"].shape[0] if non_local else 1
    if inner != 1:
        raise CannotImportError(
            f"its non-local blocks have {inner} inner channels, where those of AGW's code have 1"
        )
