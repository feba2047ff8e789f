"""MUN beside AGW and beside parts of itself on thermal pictures, paired over ten splits.

    vireid render --layout regdb --size standard --no-masks --out thermal
    python benchmarks/neutral_ground.py learn --root thermal --splits 1-10
    python benchmarks/neutral_ground.py table --write

`learn` learns and scores the rows of a sweep on one split after the other, in both directions, and
keeps each row in the results as soon as it is scored. What is there is not done again, so the same
command goes on after any interruption, on any machine. `--rows 1-6` takes the first six alone.
`table` makes the table of what is there. For another sweep:

    python benchmarks/neutral_ground.py learn --sweep mun_thermal_validation --root validation \
        settings.epochs=5
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from vireid import datasets, recipes
from vireid.errors import VireidError
from vireid.experiments import sweep
from vireid.experiments.sweep import Sweep
from vireid.files import documents
from vireid.files.atomic import write_whole
from vireid.learning import training_history
from vireid.models import runs
from vireid.models.embedder import Embedder
from vireid.recipes.recipe import numbers
from vireid.records import Modality
from vireid.scoring import evaluation, named_protocols
from vireid.scoring.metrics import score_ranking

RESULTS = Path(__file__).parent / "results"
WAY_OUT = "remove the file; its rows are learnt again"
METRICS = ("R1", "mAP")
KINDS = {
    "scores": "",
    "other_moments": ", where each query has to find pictures of other moments than its own",
}
"""Kinds of scores that a row has, and what a table says of them."""
COMPARED = ("MUN", "MUN, pairs of a moment", "as formerly")
"""Rows with which others are compared, where a sweep has them."""
MEASURED = {
    "told apart": "told apart by one direction",
    "gap": "gap between the spectra/means of all embeddings",
    "pictures across": "pictures of a person/across the spectra",
    "within visible": "pictures of a person/within visible",
    "within thermal": "pictures of a person/within infrared",
    "centres v-r": "centres of a person/visible to infrared",
    "v-a": "centres of a person/visible to auxiliary",
    "r-a": "centres of a person/infrared to auxiliary",
    "gate's deviation": "gate/deviation over pairs",
    "change if held": "gate/change if held",
}
"""Figures of a run that are shown, by the heads of their columns."""
DIRECTIONS = {
    "visible-to-infrared": "visible to thermal",
    "infrared-to-visible": "thermal to visible",
}
HEADS = [f"{metric}, {there}" for there in DIRECTIONS.values() for metric in METRICS]
COLUMNS = [(direction, metric) for direction in DIRECTIONS for metric in METRICS]


@dataclass(frozen=True)
class Row:
    """A row of the sweep on one split."""

    changes: Mapping[str, Any]
    """Changes to the sweep's recipe."""
    model: str | None
    """Fingerprint of the model."""
    seconds: float
    """Time of all epochs."""
    scores: Mapping[str, Mapping[str, float]]
    """Metrics as fractions of 1, by direction."""
    measured: Mapping[str, float | None]
    """Last figures that the run measured of itself."""
    other_moments: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Metrics when each query has to find pictures of other moments than its own."""


@dataclass(frozen=True)
class Split:
    """The rows of one split that have been scored."""

    sweep: str
    split: int
    overrides: tuple[str, ...]
    rows: dict[str, Row] = field(default_factory=dict)


def learn(
    wanted: Sweep,
    root: Path,
    work: Path,
    splits: Sequence[int],
    rows: Sequence[str],
    told: list[str],
) -> None:
    """Learn and score those of the rows that are missing, split by split."""
    for number in splits:
        path = _path(wanted, number)
        found = _read(path) if path.exists() else Split(wanted.name, number, tuple(told))
        _check(path, found, wanted, told)
        for name in rows:
            folder = work / wanted.name / f"split-{number}"
            row = found.rows.get(name) or _learnt(wanted, name, root, folder, number, told)
            run = folder / wanted.folder_of(name, wanted.seeds[0])
            if not row.other_moments and run.exists():
                row = replace(row, other_moments=_of_other_moments(run, root, number))
            if row != found.rows.get(name):
                found.rows[name] = row
                path.parent.mkdir(parents=True, exist_ok=True)
                documents.write_json(path, found)


def _learnt(wanted: Sweep, name: str, root: Path, folder: Path, split: int, told: list[str]) -> Row:
    changes = wanted.rows[name]
    seed = wanted.seeds[0]
    alone = replace(wanted, rows={name: changes}, seeds=(seed,))
    data = datasets.read("regdb", root, split)
    sweep.run(alone, folder, [f"data.root={root}", f"data.trial={split}", *told])
    run = folder / wanted.folder_of(name, seed)
    scores = evaluation.score_all(Embedder.open(run), data, named_protocols.choose(data))
    measures = run / training_history.MEASURES
    return Row(
        changes,
        runs.read_details(run).fingerprint,
        sum(epoch.seconds for epoch in training_history.read_epochs(run / training_history.LOSSES)),
        {each.protocol.direction: dict(each.mean) for each in scores},
        training_history.read_measures(measures)[-1].figures if measures.exists() else {},
    )


def _of_other_moments(run: Path, root: Path, split: int) -> dict[str, dict[str, float]]:
    """Return R1 and mAP in both directions without the gallery picture of a query's moment."""
    test = datasets.read("regdb", root, split).test
    vectors = Embedder.open(run).embed_records(test)
    who, moments = np.array([r.identity for r in test]), np.array([r.moment for r in test])
    is_visible = np.array([r.modality is Modality.VISIBLE for r in test])
    found = {}
    for direction, queries in zip(DIRECTIONS, (is_visible, ~is_visible), strict=True):
        hidden = (who[queries][:, None] == who[~queries]) & (
            moments[queries][:, None] == moments[~queries]
        )
        similarity = vectors[queries] @ vectors[~queries].T
        scores = score_ranking(similarity, who[queries], who[~queries], hidden, "plain")
        found[direction] = {"R1": scores.rank(1), "mAP": scores.mean_ap}
    return found


def table(wanted: Sweep, found: Sequence[Split], against: Sequence[str]) -> str:
    """Return the tables of the splits that are there, in Markdown."""
    done = ", ".join(f"{s.split} ({len(s.rows)} of {len(wanted.rows)} rows)" for s in found)
    lines = [f"# {wanted.name}", "", f"Splits done: {done or 'none'}.", ""]
    for kind, words in KINDS.items():
        lines += [f"Percent, mean over the splits that a row has{words}:", "", *_head(HEADS)]
        for name in wanted.rows:
            scores = [_scores(found, kind, name, *column) for column in COLUMNS]
            lines.append(_line(name, len(scores[0]), [_in_percent(each) for each in scores]))
        for other in against:
            lines += [
                "",
                f"Percent less that of '{other}' on the same splits{words}, mean ± standard error "
                "of these paired differences:",
                "",
                *_head(HEADS),
            ]
            for name in (name for name in wanted.rows if name != other):
                apart = [_differences(found, kind, name, other, *column) for column in COLUMNS]
                lines.append(_line(name, len(apart[0]), [_with_error(each) for each in apart]))
        lines.append("")
    lines += [
        "Measured on training people after the last epoch, mean over splits; distances are "
        "squared, the last two are a deviation and a share:",
        "",
        *_head(list(MEASURED)),
    ]
    for name in wanted.rows:
        figures = [_measured(found, name, figure) for figure in MEASURED.values()]
        lines.append(_line(name, len(figures[0]), [_mean(each) for each in figures]))
    return "\n".join([*lines, ""])


def _head(heads: Sequence[str]) -> list[str]:
    return [f"| row | splits | {' | '.join(heads)} |", f"|---|---:|{'---:|' * len(heads)}"]


def _line(name: str, splits: int, cells: Sequence[str]) -> str:
    return f"| {name} | {splits} | {' | '.join(cells)} |"


def _scores(
    found: Sequence[Split], kind: str, name: str, direction: str, metric: str
) -> dict[int, float]:
    """Return a row's metric in percent, by split."""
    tables = {s.split: getattr(s.rows[name], kind) for s in found if name in s.rows}
    return {split: 100 * scores[direction][metric] for split, scores in tables.items() if scores}


def _differences(
    found: Sequence[Split], kind: str, name: str, other: str, direction: str, metric: str
) -> list[float]:
    """Return how much more a row has than another, on each split that has both."""
    mine = _scores(found, kind, name, direction, metric)
    theirs = _scores(found, kind, other, direction, metric)
    return [mine[split] - theirs[split] for split in mine if split in theirs]


def _measured(found: Sequence[Split], name: str, figure: str) -> list[float]:
    values = [s.rows[name].measured.get(figure) for s in found if name in s.rows]
    return [value for value in values if value is not None]


def _in_percent(scores: Mapping[int, float]) -> str:
    return f"{fmean(scores.values()):.2f}" if scores else ""


def _with_error(values: Sequence[float]) -> str:
    if not values:
        return ""
    error = f" ± {stdev(values) / len(values) ** 0.5:.2f}" if len(values) > 1 else ""
    return f"{fmean(values):+.2f}{error}"


def _mean(values: Sequence[float]) -> str:
    return f"{fmean(values):.3f}" if values else ""


def _path(wanted: Sweep, split: int) -> Path:
    return RESULTS / wanted.name / f"split-{split}.json"


def _all(wanted: Sweep) -> list[Split]:
    """Return the splits that are there, in order."""
    files = (RESULTS / wanted.name).glob("split-*.json")
    return sorted(map(_read, files), key=lambda split: split.split)


def _read(path: Path) -> Split:
    return documents.read_json(path, Split, WAY_OUT)


def _check(path: Path, found: Split, wanted: Sweep, told: Sequence[str]) -> None:
    """Check that what has been learnt is what is wanted.

    Raises:
        VireidError: It was learnt with other settings.
    """
    if found.overrides != tuple(told):
        raise VireidError(
            f"{path} was learnt with {' '.join(found.overrides) or 'no overrides'}; give the same, "
            "or remove the file"
        )
    for name, row in found.rows.items():
        if name in wanted.rows and row.changes != wanted.rows[name]:
            raise VireidError(
                f"{path}: the sweep's row '{name}' is another now; rename it, or {WAY_OUT}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=["learn", "table"])
    parser.add_argument("--sweep", default="mun_neutral_ground")
    parser.add_argument("--root", type=Path, default=Path("thermal"))
    parser.add_argument("--work", type=Path, default=Path("runs"), help="folder of the run folders")
    parser.add_argument("--splits", type=numbers, default=list(range(1, 11)))
    parser.add_argument("--rows", type=numbers, help="numbers of rows, from 1; by default all")
    parser.add_argument("--against", action="append", help="row to compare the others with")
    parser.add_argument("--write", action="store_true", help="write the table beside the results")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    told = parser.parse_intermixed_args()
    wanted = sweep.read(recipes.find(told.sweep))
    names = list(wanted.rows)
    rows = [names[number - 1] for number in told.rows] if told.rows else names
    if told.task == "learn":
        learn(wanted, told.root.absolute(), told.work, told.splits, rows, told.overrides)
    shown = table(wanted, _all(wanted), told.against or [n for n in COMPARED if n in names])
    print(shown)
    if told.write:
        write_whole(RESULTS / wanted.name / "table.md", shown.encode())


if __name__ == "__main__":
    main()
