"""fast-reid's ResNet-50: bag of tricks, AGW and SBS, with and without IBN; visible pictures."""

from vireid.models.import_formats._resnet50 import BLOCKS, layers_of
from vireid.models.import_formats._translation import (
    CannotImportError,
    State,
    Translation,
    check_biasless,
    renamed,
    some,
)

TITLE = "ResNet-50 of fast-reid: bagtricks, AGW, SBS; visible pictures only"
ADDRESS = "https://github.com/JDAI-CV/fast-reid"

PARTS = {"g": "g", "W.0": "out", "W.1": "norm", "theta": "theta", "phi": "phi"}
"""Parts of a non-local block."""
NECK = "heads.bottleneck.0."
POWER = "heads.pool_layer.p"
UNUSED = {f"{NECK}bias": "0, as it is not learnt"}
BASE = "backbone."


def translate(state: State) -> Translation:
    """Return fast-reid's ResNet-50 with these weights.

    Raises:
        CannotImportError: It is another network.
    """
    _check(state)
    non_local = any(name.startswith(f"{BASE}NL_") for name in state)
    table = _names(non_local=non_local)
    instance_norm = f"{BASE}layer1.0.bn1.IN.weight" in state
    weights, taken = renamed(state, table)
    # Both spectra begin with the one stem there is.
    stem = "network.trunk.stems.visible."
    weights |= {n.replace("visible", "infrared", 1): v for n, v in weights.items() if stem in n}
    weights = {_as_ours(name): value for name, value in weights.items()}
    settings = {"network": "fast-reid", "non_local": non_local}
    learnt = POWER in state
    if learnt:
        weights["network.pool.power"] = state[POWER].squeeze(0)
    classifier = state.get("heads.weight")
    return Translation(
        "released",
        settings
        | {
            "instance_norm": "ibn" if instance_norm else "plain",
            "pooling_power": 3.0 if learnt or non_local else 1.0,
            "learn_pooling_power": learnt,
        },
        weights,
        identities=None if classifier is None else len(classifier),
        height=384 if learnt else 256,
        width=128,
        taken=taken | ({POWER} if learnt else set()),
        unused=UNUSED,
        fresh=("classifier.",),
        visible_only=True,
        remarks=(
            "pictures of 384 x 128, as in SBS; else data.height and data.width"
            if learnt
            else "pictures of 256 x 128, as in bagtricks and AGW; else data.height and data.width",
            *_pooled(learnt=learnt, non_local=non_local),
            "pixels less ImageNet's mean, as fast-reid does unless MODEL.PIXEL_MEAN says otherwise",
            "last stride 1, as in these configurations of fast-reid",
        ),
    )


def _pooled(*, learnt: bool, non_local: bool) -> tuple[str, ...]:
    if learnt:
        return ()
    if non_local:
        return ("non-local blocks, so the mean of cubes is pooled; else settings.pooling_power=1",)
    return ("no non-local blocks, so the mean is pooled; else settings.pooling_power=3",)


def _names(*, non_local: bool) -> dict[str, str]:
    stem = "network.trunk.stems.visible"
    layers = layers_of(BASE, "network.", non_local=PARTS if non_local else None, attention=BASE)
    return {
        **{f"{BASE}{part}.": f"{stem}.{place}." for place, part in enumerate(("conv1", "bn1"))},
        **layers,
        **{f"{NECK}{part}": f"neck.{part}" for part in ("weight", "running_", "num_batches")},
        "heads.weight": "classifier.weight",
    }


def _as_ours(name: str) -> str:
    """Return vireid's name of a part of IBN's normalisation."""
    return name.replace(".bn1.IN.", ".bn1.instance.").replace(".bn1.BN.", ".bn1.batch.")


def _check(state: State) -> None:
    needed = [f"{BASE}conv1.weight", f"{NECK}weight"]
    needed += [f"{BASE}layer{n}.{count - 1}.conv3.weight" for n, count in BLOCKS.items()]
    if missing := [name for name in needed if name not in state]:
        raise CannotImportError(f"it has no {some(missing)}, which fast-reid's ResNet-50 has")
    if state[f"{NECK}weight"].ndim != 1:
        raise CannotImportError(
            "its head has a convolution before the neck (MODEL.HEADS.EMBEDDING_DIM), which "
            "vireid's has not"
        )
    check_biasless(state, [f"{NECK}bias"], "fast-reid")
