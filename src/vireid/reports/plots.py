"""The frame of every plot: its size, its style, and its bytes as a PNG."""

import io
from collections.abc import Callable
from typing import Any

DPI = 110
"""Pixels in an inch."""


def as_png(plot: Callable[[Any], None], width: float, height: float) -> bytes:
    """Return a plot as a PNG.

    Args:
        plot: Plots on matplotlib's figure that it is given.
        width: Inches.
        height: Inches.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {
            "axes.spines.top": False,
            "axes.spines.right": False,
            "text.parse_math": False,  # a dollar sign in a name begins no formula
        }
    ):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
        plot(figure)
        written = io.BytesIO()
        figure.savefig(written, format="png")
    return written.getvalue()
