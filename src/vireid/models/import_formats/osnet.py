"""torchreid's OSNet, OSNet-IBN and OSNet-AIN of every width; they have seen visible pictures."""

from vireid.models.import_formats._translation import (
    CannotImportError,
    State,
    Translation,
    renamed,
    some,
)

TITLE = "OSNet, OSNet-IBN and OSNet-AIN of torchreid; visible pictures only"
ADDRESS = "https://github.com/KaiyangZhou/deep-person-reid"

DEPTHS = (1, 2, 3, 4)
BLOCKS = tuple((stage, block) for stage in range(3) for block in range(2))
UNIT = {"conv": "0", "bn": "1"}
LIGHT = {"conv1": "0", "conv2": "1", "bn": "2"}


def translate(state: State) -> Translation:
    """Return OSNet with these weights.

    Raises:
        CannotImportError: It is another network.
    """
    needed = ["conv1.conv.weight", "conv5.conv.weight", "conv2.0.gate.fc1.weight"]
    if missing := [name for name in needed if name not in state]:
        raise CannotImportError(f"it has no {some(missing)}, which OSNet has")
    if "fc.0.weight" not in state:
        raise CannotImportError("it has no fc.0.weight, the layer that embeds; vireid's OSNet has")
    searched = "pool2.0.conv.weight" in state
    form = "ain" if searched else "ibn" if "conv2.0.IN.weight" in state else "plain"
    weights, taken = renamed(state, names(searched=searched))
    classifier = state.get("classifier.weight")
    return Translation(
        "released",
        {
            "network": "osnet",
            "instance_norm": form,
            "osnet_width": len(state["conv1.conv.weight"]) / 64,
            "osnet_features": len(state["fc.0.weight"]),
        },
        weights,
        identities=None if classifier is None else len(classifier),
        height=256,
        width=128,
        taken=taken,
        unused={"classifier.": "a classifier with a bias; vireid's has none"},
        fresh=("classifier.",),
        visible_only=True,
        remarks=(
            "pictures of 256 x 128, as in torchreid's scripts; else data.height and data.width",
            "embeddings are compared by their cosine; torchreid's default is their distance, its "
            "test.dist_metric = cosine the same as here",
        ),
    )


def names(*, searched: bool) -> dict[str, str]:
    """Return vireid's beginnings of names by torchreid's.

    Args:
        searched: Whether it is OSNet-AIN, in which streams and pools have other names.
    """
    found = {
        **{f"conv1.{part}.": f"network.stem.{place}." for part, place in UNIT.items()},
        **{f"conv5.{part}.": f"network.last.{place}." for part, place in UNIT.items()},
        **{f"fc.{place}.": f"network.embed.{place}." for place in (0, 1)},
    }
    for stage, block in BLOCKS:
        theirs, ours = f"conv{stage + 2}.{block}", f"network.stages.{stage}.{block}"
        parts = {"conv1": "enter", "conv3": "leave", "downsample": "past"}
        for part, own in parts.items():
            found |= {f"{theirs}.{part}.{p}.": f"{ours}.{own}.{n}." for p, n in UNIT.items()}
        found |= {f"{theirs}.gate.fc{n}.": f"{ours}.gate.{2 * n - 1}." for n in (1, 2)}
        found[f"{theirs}.IN."] = f"{ours}.leave.1." if searched else f"{ours}.after."
        for depth in DEPTHS:
            for step in range(depth):
                light = _light(theirs, depth, step, searched=searched)
                own = f"{ours}.streams.{depth - 1}.{step}"
                found |= {f"{light}.{p}.": f"{own}.{n}." for p, n in LIGHT.items()}
    for stage in range(2):
        pool = f"pool{stage + 2}.0" if searched else f"conv{stage + 2}.2.0"
        found |= {f"{pool}.{p}.": f"network.between.{stage}.{n}." for p, n in UNIT.items()}
    return found


def _light(block: str, depth: int, step: int, *, searched: bool) -> str:
    """Return torchreid's name of one of the convolutions of a stream."""
    if searched:
        return f"{block}.conv2.{depth - 1}.layers.{step}"
    stream = f"{block}.conv2{'abcd'[depth - 1]}"
    return stream if depth == 1 else f"{stream}.{step}"
