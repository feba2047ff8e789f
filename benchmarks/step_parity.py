"""Training steps beside those of released code: AGW, CAJ, CSDN and MMN's generator.

    python benchmarks/step_parity.py Cross-Modal-Re-ID-baseline CSDN MMN --write

These are clones of github.com/mangye16/Cross-Modal-Re-ID-baseline (AGW, and CAJ in a folder of it),
nengdong96/CSDN and ZYK100/MMN; none comes with vireid, each may be left out. Both sides get the
same random weights by a table of names, and the same pictures without augmentation; then features,
logits, losses, gradients, and weights after 20 steps along the published schedule are compared.
Nothing of a clone is changed: its own scripts train, as far as a batch and an optimizer go. What
vireid does otherwise on purpose (docs/deviations.md) is switched to theirs by a setting.

ResNet-50 and CLIP's RN50 at full width, pictures of 96 x 48; minutes on two cores. Exit status 1:
something was not equal.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.repositories import Clone, CloneError, recognised

if TYPE_CHECKING:
    from parity.comparing import Findings, Row

RESULTS = Path(__file__).parent / "results"
FOUND, PAGE = RESULTS / "step_parity.json", RESULTS / "step_parity.md"


def findings_of(clone: Clone) -> Iterator["Findings"]:
    """Compare with all that is in a clone."""
    # Importing torch takes seconds, and a folder that is no clone is told before.
    import torch

    from parity import agw, caj, csdn, mmn
    from parity.comparing import Findings

    comparisons: dict[str, dict[str, Any]] = {
        "AGW": {"AGW": agw.compare, "CAJ": caj.compare},
        "CSDN": {"CSDN": csdn.compare},
        "MMN": {"MMN": mmn.compare},
    }
    for name, compare in comparisons[clone.repository.name].items():
        findings = Findings(name, clone.repository.address, clone.commit, show=show)
        print(f"\n{name}, {clone.repository.address} at {clone.commit[:7]}", flush=True)
        for dtype in (torch.float64, torch.float32):
            compare(clone, dtype, findings)
        for title, lines in notes(findings):
            print(title, *(f"  {line}" for line in lines), sep="\n")
        yield findings


def show(row: "Row") -> None:
    """Print a row as soon as it is known."""
    print(f"{row.what:<56} {row.kind:<12} {told(row)}", flush=True)


def told(row: "Row") -> str:
    if row.tolerance is None:
        return f"{row.difference:.0e} as vireid is by default"
    verdict = "at most" if row.equal else "NOT EQUAL: more than"
    return f"{row.difference:.0e} {verdict} {row.tolerance:.0e} {row.where}"


def notes(findings: "Findings") -> list[tuple[str, list[str]]]:
    """Return what has to be told with the rows, with a title each."""
    found = {
        "Switched to theirs:": findings.switched,
        "Known differences that are left:": findings.kept,
        "Not compared:": findings.not_compared,
    }
    return [(title, list(lines)) for title, lines in found.items() if lines]


def kept_results(findings: list["Findings"]) -> dict[str, Any]:
    """Return all results there are, those of other clones as they were."""
    import torch

    results: dict[str, Any] = json.loads(FOUND.read_text()) if FOUND.is_file() else {}
    for each in findings:
        results[each.repository] = {
            "address": each.address,
            "commit": each.commit,
            "torch": torch.__version__,
            "switched": list(each.switched),
            "kept": list(each.kept),
            "not compared": list(each.not_compared),
            "rows": [asdict(row) | {"equal": row.equal} for row in each.rows],
        }
    return results


def page(results: dict[str, Any]) -> str:
    """Return the page of results."""
    from parity import comparing

    lines = ["# Training steps beside those of released code", "", *_text(__doc__)]
    lines += ["## What counts as equal", "", *_text(comparing.__doc__)]
    for name, found in results.items():
        lines += [
            f"## {name}",
            "",
            f"{found['address']} at {found['commit'][:7]}; torch {found['torch']}.",
            "",
        ]
        for title, key in (
            ("Switched to theirs", "switched"),
            ("Known differences that are left", "kept"),
            ("Not compared", "not compared"),
        ):
            if found[key]:
                lines += [f"{title}:", "", *(f"* {line}" for line in found[key]), ""]
        lines += [
            "| compared | numbers | difference | equal up to | theirs rounds by | where |",
            "|---|---|---|---|---|---|",
            *map(_line, found["rows"]),
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def _line(row: dict[str, Any]) -> str:
    allowed = "by default" if row["tolerance"] is None else f"{row['tolerance']:.0e}"
    verdict = allowed if row["equal"] else f"**{allowed}: not equal**"
    rounding = "" if row["rounding"] is None else f"{row['rounding']:.0e}"
    cells = (row["what"], row["kind"], f"{row['difference']:.0e}", verdict, rounding, row["where"])
    return f"| {' | '.join(cells)} |"


def _text(doc: str | None) -> list[str]:
    return [*(doc or "").strip().splitlines(), ""]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clones", type=Path, nargs="+", metavar="CLONE")
    parser.add_argument(
        "--any-commit", action="store_true", help="compare with other commits and changed files"
    )
    parser.add_argument("--write", action="store_true", help=f"write {FOUND.name} and {PAGE.name}")
    asked = parser.parse_args()
    try:
        clones = [recognised(folder, any_commit=asked.any_commit) for folder in asked.clones]
    except CloneError as error:
        sys.exit(f"step_parity.py: {error}")
    findings = [each for clone in clones for each in findings_of(clone)]
    if asked.write:
        results = kept_results(findings)
        FOUND.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(page(results), encoding="utf-8")
    unequal = [f"{each.repository}: {row.what}" for each in findings for row in each.unequal]
    if unequal:
        sys.exit(f"step_parity.py: not equal: {'; '.join(unequal)}")


if __name__ == "__main__":
    main()
