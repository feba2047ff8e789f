"""Whether texts bridge visible and infrared pictures: CLIP4VI-ReID beside its controls.

    vireid render --out words ...; vireid train wide_clip_nightwalk data.root=words \
        --out runs/wide_clip                       as these recipes say
    vireid render --out people ...
    python benchmarks/text_bridge.py learn --root people --weights runs/wide_clip/model.safetensors
    python benchmarks/text_bridge.py table --write

`learn` learns the rows of the sweep clip4vi_reid_bridge seed by seed and keeps what each run has
measured of validation people after each stage, and how its whole embedding finds them. What is
there is not done again, and a run that was broken off goes on, so the same command goes on after
any interruption. `table` makes the table of what is there. Test people take no part.
`--sweep clip4vi_reid_bridge_long` learns five times as long.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from vireid import datasets, recipes
from vireid.experiments import sweep
from vireid.experiments.sweep import Sweep
from vireid.files import documents
from vireid.files.atomic import write_whole
from vireid.learning import training_history
from vireid.learning.training_history import Validated
from vireid.models.embedder import Embedder
from vireid.recipes.recipe import numbers
from vireid.records import Modality

RESULTS = Path(__file__).parent / "results"
SWEEP = "clip4vi_reid_bridge"
WAY_OUT = "remove the file; its rows are learnt again"
DIRECTIONS = ("visible to infrared", "infrared to visible")
EMBEDDING = "whole embedding"
RETRIEVAL = tuple(
    f"unseen people, {metric}/{there}" for metric in ("rank 1", "mAP") for there in DIRECTIONS
)
OTHERS = {
    "visible to text": "visible to text",
    "infrared to text": "infrared to text",
    "text, visible mean": "text of a person, cosine/to the visible mean",
    "text, infrared mean": "text of a person, cosine/to the infrared mean",
    "rank of description": "rank of the true description/mean",
}
QUESTIONS = "questions, unseen people, {}/"


@dataclass(frozen=True)
class Run:
    """What a run of a row has measured."""

    seconds: float
    """Time of all epochs."""
    measured: Mapping[str, Mapping[str, float | None]]
    """Figures by when they were measured, such as `after IFE`, and by name."""
    of_people: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Mean average precision of the queries of each validation person by the whole embedding, in
    the order of their numbers, by direction."""
    validated: Sequence[Validated] = ()
    """Scores of validation people while it learnt, where the sweep asks for them."""


@dataclass(frozen=True)
class Seed:
    """The rows of one seed that have been learnt."""

    sweep: str
    seed: int
    rows: dict[str, Run] = field(default_factory=dict)


def learn(
    wanted: Sweep, root: Path, weights: Path, work: Path, rows: Sequence[str], told: list[str]
) -> None:
    """Learn those of the rows that are missing, seed by seed."""
    for seed in wanted.seeds:
        path = RESULTS / wanted.name / f"seed-{seed}.json"
        found = _read(path) if path.exists() else Seed(wanted.name, seed)
        for name in rows:
            if name in found.rows and found.rows[name].of_people:
                continue
            alone = replace(wanted, rows={name: wanted.rows[name]}, seeds=(seed,))
            given = [f"data.root={root}", f"settings.weights={weights}", *told]
            sweep.run(alone, work / wanted.name, given)
            run = work / wanted.name / wanted.folder_of(name, seed)
            lines = training_history.read_measures(run / training_history.MEASURES)
            measured = {f"{line.when} {line.stage}": dict(line.figures) for line in lines}
            scores, of_people = scored(run, root)
            measured[EMBEDDING] = dict(scores)
            epochs = training_history.read_epochs(run / training_history.LOSSES)
            seconds = sum(epoch.seconds for epoch in epochs)
            curve = run / training_history.VALIDATION
            validated = training_history.read_validation(curve) if curve.exists() else ()
            found.rows[name] = Run(seconds, measured, of_people, validated)
            path.parent.mkdir(parents=True, exist_ok=True)
            documents.write_json(path, found)


def scored(run: Path, root: Path) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return how the embeddings of a run find validation people across the spectra.

    Returns:
        Rank 1 and mAP by name; mean average precision of each person by direction.
    """
    people = datasets.read("nightwalk", root, None).validation
    vectors = Embedder.open(run).embed_records(people)
    who = np.array([record.identity for record in people])
    is_visible = np.array([record.modality is Modality.VISIBLE for record in people])
    found, of_people = {}, {}
    for direction, asked in zip(DIRECTIONS, (is_visible, ~is_visible), strict=True):
        order = np.argsort(-(vectors[asked] @ vectors[~asked].T), axis=1, kind="stable")
        right = who[~asked][order] == who[asked][:, None]
        precision = right.cumsum(axis=1) / np.arange(1, right.shape[1] + 1)
        average = (precision * right).sum(axis=1) / right.sum(axis=1)
        found[f"unseen people, rank 1/{direction}"] = float(right[:, 0].mean())
        found[f"unseen people, mAP/{direction}"] = float(average.mean())
        of_people[direction] = [
            float(average[who[asked] == each].mean()) for each in np.unique(who)
        ]
    return found, of_people


def table(wanted: Sweep, found: Sequence[Seed]) -> str:
    """Return the tables of the seeds that are there, in Markdown."""
    done = ", ".join(f"{s.seed} ({len(s.rows)} of {len(wanted.rows)} rows)" for s in found)
    lines = [f"# {wanted.name}", "", f"Seeds done: {done or 'none'}.", ""]
    heads = [name.removeprefix("unseen people, ").replace("/", ", ") for name in RETRIEVAL]
    for when in ("before TSG", "after TSG", "after IFE", "after HSA", EMBEDDING):
        by = "the whole embedding" if when == EMBEDDING else f"projected features {when}"
        lines += [f"Validation people found by {by}, percent, mean over seeds:", "", *_head(heads)]
        lines += _filled(wanted.rows, partial(_percents, found, when))
        apart = _filled(wanted.rows, partial(_differences, found, when))
        if apart:
            title = "The same less that of 'texts', mean ± standard error over seeds:"
            lines += ["", title, "", *_head(heads), *apart]
        lines.append("")
    apart = _filled(wanted.rows, partial(_apart_by_people, found))
    if apart:
        title = "mAP of the whole embedding less that of 'texts', percent, mean ± standard error"
        lines += [f"{title} over validation people (means over seeds that both rows have):", ""]
        lines += [*_head(DIRECTIONS), *apart, ""]
    lines += _curves(wanted, found)
    lines += ["Of the people learnt from, mean over seeds:", "", *_head([*OTHERS], "row, when")]
    for name in wanted.rows:
        for when in ("after TSG", "after IFE", "after HSA"):
            values = [_values(found, name, when, figure) for figure in OTHERS.values()]
            if any(values):
                cells = [f"{fmean(each.values()):.3f}" if each else "" for each in values]
                lines.append(_line(f"{name}, {when}", cells))
    lines += ["", "Questions about infrared pictures of validation people, percent right:", ""]
    asked = _questions(found, "infrared")
    lines += _head(asked, "row, when")
    for name in wanted.rows:
        for when in ("after TSG", "after IFE", "after HSA"):
            figures = [f"{QUESTIONS.format('infrared')}{question}" for question in asked]
            cells = [_percent(found, name, when, figure) for figure in figures]
            if any(cells):
                lines.append(_line(f"{name}, {when}", cells))
    return "\n".join([*lines, ""])


def _curves(wanted: Sweep, found: Sequence[Seed]) -> list[str]:
    """Return the table of how validation people were found while rows learnt the last stage."""
    curves = {
        name: [_last_stage(s.rows[name].validated) for s in found if name in s.rows]
        for name in wanted.rows
    }
    epochs = sorted({epoch for of in curves.values() for curve in of for epoch in curve})
    if not epochs:
        return []
    title = "mAP of validation people after epochs of the last stage, percent, mean over seeds:"

    def cells(name: str) -> list[str]:
        values = [[curve[epoch] for curve in curves[name] if epoch in curve] for epoch in epochs]
        return [f"{100 * fmean(each):.2f}" if each else "" for each in values]

    return [title, "", *_head([str(epoch) for epoch in epochs]), *_filled(wanted.rows, cells), ""]


def _last_stage(validated: Sequence[Validated]) -> dict[int, float]:
    last = max((line.stage_number for line in validated), default=0)
    return {line.epoch: line.metrics["mAP"] for line in validated if line.stage_number == last}


def _questions(found: Sequence[Seed], spectrum: str) -> list[str]:
    begin = QUESTIONS.format(spectrum)
    names = (
        name
        for seed in found
        for run in seed.rows.values()
        for figures in run.measured.values()
        for name in figures
        if name.startswith(begin)
    )
    return list(dict.fromkeys(name.removeprefix(begin) for name in names))


def _head(heads: Sequence[str], first: str = "row") -> list[str]:
    return [f"| {first} | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]


def _percents(found: Sequence[Seed], when: str, name: str) -> list[str]:
    return [_percent(found, name, when, figure) for figure in RETRIEVAL]


def _differences(found: Sequence[Seed], when: str, name: str) -> list[str]:
    return [_apart(found, name, when, figure) for figure in RETRIEVAL]


def _apart_by_people(found: Sequence[Seed], name: str) -> list[str]:
    both = [s.rows for s in found if name in s.rows and "texts" in s.rows and name != "texts"]
    cells = []
    for there in DIRECTIONS:
        pairs = [(rows[name].of_people, rows["texts"].of_people) for rows in both]
        known = [np.subtract(mine[there], first[there]) for mine, first in pairs if mine and first]
        if known:
            apart = 100 * np.mean(known, axis=0)
            cells.append(f"{apart.mean():+.2f} ± {apart.std(ddof=1) / len(apart) ** 0.5:.2f}")
    return cells


def _filled(names: Iterable[str], cells_of: Callable[[str], list[str]]) -> list[str]:
    """Return the lines of the rows that have values."""
    cells = {name: cells_of(name) for name in names}
    return [_line(name, found) for name, found in cells.items() if any(found)]


def _line(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _values(found: Sequence[Seed], name: str, when: str, figure: str) -> dict[int, float]:
    """Return a figure of a row by seed, where it was measured."""
    given = {s.seed: s.rows[name].measured.get(when, {}) for s in found if name in s.rows}
    return {s: v for s, figures in given.items() if (v := figures.get(figure)) is not None}


def _percent(found: Sequence[Seed], name: str, when: str, figure: str) -> str:
    values = _values(found, name, when, figure)
    return f"{100 * fmean(values.values()):.2f}" if values else ""


def _apart(found: Sequence[Seed], name: str, when: str, figure: str) -> str:
    if name == "texts":
        return ""
    mine, first = _values(found, name, when, figure), _values(found, "texts", when, figure)
    apart = [100 * (mine[seed] - first[seed]) for seed in mine if seed in first]
    if not apart:
        return ""
    error = f" ± {stdev(apart) / len(apart) ** 0.5:.2f}" if len(apart) > 1 else ""
    return f"{fmean(apart):+.2f}{error}"


def _read(path: Path) -> Seed:
    return documents.read_json(path, Seed, WAY_OUT)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=["learn", "table"])
    parser.add_argument("--sweep", default=SWEEP)
    parser.add_argument("--root", type=Path, default=Path("people"))
    parser.add_argument("--weights", type=Path, default=Path("runs/wide_clip/model.safetensors"))
    parser.add_argument("--work", type=Path, default=Path("runs"), help="folder of the run folders")
    parser.add_argument("--rows", type=numbers, help="numbers of rows, from 1; by default all")
    parser.add_argument("--seeds", type=numbers, help="by default those of the sweep")
    parser.add_argument("--write", action="store_true", help="write the table beside the results")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    told = parser.parse_intermixed_args()
    wanted = sweep.read(recipes.find(told.sweep))
    if told.seeds:
        wanted = replace(wanted, seeds=tuple(told.seeds))
    names = list(wanted.rows)
    rows = [names[number - 1] for number in told.rows] if told.rows else names
    if told.task == "learn":
        given = (told.root.absolute(), told.weights.absolute(), told.work, rows, told.overrides)
        learn(wanted, *given)
    folder = RESULTS / wanted.name
    found = [_read(path) for path in sorted(folder.glob("seed-*.json"))]
    shown = table(wanted, found)
    print(shown)
    if told.write:
        write_whole(folder / "table.md", shown.encode())


if __name__ == "__main__":
    main()
