"""A calibration as a table for people."""

from rich import box
from rich.table import Table

from vireid.console import plain
from vireid.models.calibration import Calibration, Direction, in_percent


def table(found: Calibration) -> Table:
    """Return what was learnt, a row for each direction."""
    shown = Table(
        title=plain(f"Calibrated on {found.learnt_from}", style="table.title"),
        caption=plain(
            "similarity at which the chance is 50 % and 90 %, if the pair was as likely the same "
            "person as not, with the 95 % interval of the chance there; log loss of held-out "
            "people in nats (0.693: similarities say nothing)"
        ),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    shown.add_column("direction")
    for heading in ("people", "same", "different", "curve", "log loss", "50 %", "90 %"):
        shown.add_column(heading, justify="right")
    for name, known in found.directions.items():
        losses = f"{known.log_loss[known.curve.kind]:.3f}"
        cells = (f"{known.people}", f"{known.same:,}", f"{known.different:,}", known.curve.kind)
        at = (_similarity_at(known, share) for share in (0.5, 0.9))
        shown.add_row(plain(name), *map(plain, (*cells, losses, *at)))
    return shown


def _similarity_at(known: Direction, chance: float) -> str:
    curve = known.curve
    reached = [s for s in curve.similarities if curve.probability(s, 0.5) >= chance]
    if not reached:
        return "never"
    low, high = (in_percent(end) for end in curve.interval(reached[0], 0.5))
    return f"{reached[0]:.2f} ({low} to {high})"
