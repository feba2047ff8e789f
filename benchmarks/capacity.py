"""Capacity on paper: from what was measured to what 10^6 to 10^9 pictures would need.

    python -m benchmarks.capacity            prints the table of docs/scale.md

Nothing here is measured. Figures are read from `results/gallery_search.md` and `results/milvus.md`,
and multiplied: memory and time grow with the number of pictures, and processors share a search
evenly. Whether they do on many nodes was not run.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
SIZES = (10**6, 10**7, 10**8, 10**9)
NODE_BYTES, FILLED, PROCESSORS = 64e9, 0.7, 16
"""A node: its memory, the share of it that is filled, its processors. Chosen, not measured."""


@dataclass(frozen=True)
class Figures:
    """Measured figures, for vectors of 512 numbers."""

    scan_ms: float
    """Exact search among a million pictures, one processor (gallery in a folder)."""
    disk_bytes: float
    """Disk of a picture in a folder."""
    server_bytes: float
    """Memory of a picture on a Milvus server."""
    added: float
    """Pictures a second that one writer adds, 5,000 at a time."""
    change_s: float
    """Time of a change of one picture."""

    @classmethod
    def read(cls) -> "Figures":
        """Read them from the results."""
        folder = (RESULTS / "gallery_search.md").read_text()
        million = folder[folder.index("## 1,000,000 pictures") :]
        server = (RESULTS / "milvus.md").read_text()
        one = _number(r"\| add \| ([\d,.]+)", server)
        return cls(
            scan_ms=_number(r"among all pictures.*?\| gallery, float32 \| ([\d,.]+)", million),
            disk_bytes=_number(r"gallery, float32 \|(?:[^|]*\|){5} ([\d,.]+)", million),
            server_bytes=1e3 * _number(r"([\d.]+) kB a picture", server),
            added=_number(r"\| gallery \| ([\d,.]+)", server),
            change_s=one / 1e3,
        )


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text, re.DOTALL)
    if found is None:
        raise SystemExit(f"the results do not say {pattern}; measure them again")
    return float(found[1].replace(",", ""))


def table(known: Figures) -> list[str]:
    """Return the rows of the table, each with its formula."""
    nodes = {n: math.ceil(n * known.server_bytes / (NODE_BYTES * FILLED)) for n in SIZES}
    scan = {n: n / 1e6 * known.scan_ms for n in SIZES}
    rows = {
        f"folder: disk, GB (N x {known.disk_bytes:,.0f} B)": [
            f"{n * known.disk_bytes / 1e9:,.1f}" for n in SIZES
        ],
        f"folder: exact search, s, one processor (N x {known.scan_ms:.0f} ms / 10⁶)": [
            f"{scan[n] / 1e3:,.2f}" for n in SIZES
        ],
        f"Milvus: memory, GB (N x {known.server_bytes / 1e3:.1f} kB)": [
            f"{n * known.server_bytes / 1e9:,.1f}" for n in SIZES
        ],
        f"Milvus: nodes of {NODE_BYTES / 1e9:.0f} GB, {FILLED:.0%} filled": [
            f"{nodes[n]:,}" for n in SIZES
        ],
        f"exact search, s, those nodes x {PROCESSORS} processors (scan / processors)": [
            f"{scan[n] / 1e3 / (PROCESSORS * nodes[n]):,.3f}" for n in SIZES
        ],
        f"filling, hours, one writer (N / {known.added:,.0f} a second)": [
            f"{n / known.added / 3600:,.1f}" for n in SIZES
        ],
        f"changes of one picture a day (86,400 s / {known.change_s:.2f} s)": [
            f"{86_400 / known.change_s:,.0f}" for _ in SIZES
        ],
        "recall": ["1 (exact)" for _ in SIZES],
    }
    heads = ["10⁶", "10⁷", "10⁸", "10⁹"]
    lines = [f"| N pictures of 512 numbers | {' | '.join(heads)} |", "|---|---|---|---|---|"]
    return lines + [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]


if __name__ == "__main__":
    print("\n".join(table(Figures.read())))
