"""Tables of texts as Markdown, LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Sequence

from vireid.console import printable

Grid = Sequence[Sequence[str]]
"""Lines of a table, its heading first."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def markdown(grid: Grid) -> str:
    """Return a table of Markdown; the first column holds names, the others numbers."""
    head, *lines = ([printable(cell).replace("|", "\\|") for cell in line] for line in grid)
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


def latex(grid: Grid) -> str:
    """Return a table of LaTeX with the rules of booktabs."""
    head, *lines = (" & ".join(map(_in_latex, line)) + r" \\" for line in grid)
    columns = "l" + "r" * (len(grid[0]) - 1)
    above = (rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule")
    return "\n".join((*above, *lines, r"\bottomrule", r"\end{tabular}"))


def as_csv(grid: Grid) -> str:
    """Return a table of comma-separated values."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(grid)
    return written.getvalue().rstrip("\n")


def _in_latex(text: str) -> str:
    return re.sub("|".join(map(re.escape, _LATEX)), lambda found: _LATEX[found[0]], printable(text))
