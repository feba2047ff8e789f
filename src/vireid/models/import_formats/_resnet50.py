"""ResNet-50 as released code names it, and the two streams of AGW's code."""

from collections.abc import Mapping

STEMS = {"visible_module.visible": "visible", "thermal_module.thermal": "infrared"}
BLOCKS = {1: 3, 2: 4, 3: 6, 4: 3}
"""Blocks of ResNet-50, by layer."""
NON_LOCAL = {1: 0, 2: 2, 3: 3, 4: 0}
"""Non-local blocks behind the last blocks of each layer."""
UNUSED_PARTS = "parts of three ResNet-50 that the code does not use"
UNUSED_IN_TWO_STREAMS = {
    **{f"{stem}.{part}": UNUSED_PARTS for stem in STEMS for part in ("layer", "fc.")},
    **{f"base_resnet.base.{part}.": UNUSED_PARTS for part in ("conv1", "bn1", "fc")},
}
"""Beginnings of names that code with AGW's two streams has beside."""


def stems_of(above: str = "") -> dict[str, str]:
    """Return vireid's beginnings of the names of both stems, by those of AGW's code.

    Args:
        above: What vireid's names have before `trunk`.
    """
    return {
        f"{module}.{part}.": f"{above}trunk.stems.{modality}.{place}."
        for module, modality in STEMS.items()
        for place, part in enumerate(("conv1", "bn1"))
    }


def layers_of(
    theirs: str,
    above: str = "",
    *,
    non_local: Mapping[str, str] | None = None,
    attention: str = "",
) -> dict[str, str]:
    """Return vireid's beginnings of names within four layers, by those of released code.

    Args:
        theirs: What their names have before `layer1`.
        above: What vireid's names have before `trunk`.
        non_local: Vireid's names of the parts of a non-local block by theirs, where there are such.
        attention: What their names have before `NL_1`.
    """
    found = {}
    for layer, blocks in BLOCKS.items():
        ahead = f"{above}trunk.shared.{layer - 1}"
        plain = blocks - (NON_LOCAL[layer] if non_local else 0)
        for i in range(blocks):
            # Each of the last blocks is followed by a non-local one.
            place = i + max(0, i - plain)
            found[f"{theirs}layer{layer}.{i}."] = f"{ahead}.{place}."
            for part, own in (non_local or {}).items() if i >= plain else ():
                name = f"{attention}NL_{layer}.{i - plain}.{part}."
                found[name] = f"{ahead}.{place + 1}.{own}."
    return found
