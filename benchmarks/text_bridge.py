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
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from vireid import datasets, recipes, sweep
from vireid.files import documents
from vireid.files.atomic import write_whole
from vireid.learning import history
from vireid.models.embedder import Embedder
from vireid.recipes.recipe import numbers
from vireid.records import Modality
from vireid.scoring.metrics import score_ranking
from vireid.sweep import Sweep

RESULTS = Path(__file__).parent / "results"
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
            if name in found.rows:
                continue
            alone = Sweep(**{**vars(wanted), "rows": {name: wanted.rows[name]}, "seeds": (seed,)})
            given = [f"data.root={root}", f"settings.weights={weights}", *told]
            sweep.run(alone, work / wanted.name, given)
            run = work / wanted.name / wanted.folder_of(name, seed)
            lines = history.read_measures(run / history.MEASURES)
            measured = {f"{line.when} {line.stage}": dict(line.figures) for line in lines}
            measured[EMBEDDING] = dict(scored(run, root))
            epochs = history.read_epochs(run / history.LOSSES)
            found.rows[name] = Run(sum(epoch.seconds for epoch in epochs), measured)
            path.parent.mkdir(parents=True, exist_ok=True)
            documents.write_json(path, found)


def scored(run: Path, root: Path) -> dict[str, float]:
    """Return how the embeddings of a run find validation people across the spectra."""
    people = datasets.read("nightwalk", root, None).validation
    vectors = Embedder.open(run).embed_records(people)
    who = np.array([record.identity for record in people])
    is_visible = np.array([record.modality is Modality.VISIBLE for record in people])
    found = {}
    for direction, asked in zip(DIRECTIONS, (is_visible, ~is_visible), strict=True):
        similarity = vectors[asked] @ vectors[~asked].T
        hidden = np.zeros(similarity.shape, bool)
        scores = score_ranking(similarity, who[asked], who[~asked], hidden, "plain")
        found[f"unseen people, rank 1/{direction}"] = scores.rank(1)
        found[f"unseen people, mAP/{direction}"] = scores.mean_ap
    return found


def table(wanted: Sweep, found: Sequence[Seed]) -> str:
    """Return the tables of the seeds that are there, in Markdown."""
    done = ", ".join(f"{s.seed} ({len(s.rows)} of {len(wanted.rows)} rows)" for s in found)
    lines = [f"# {wanted.name}", "", f"Seeds done: {done or 'none'}.", ""]
    heads = [name.removeprefix("unseen people, ").replace("/", ", ") for name in RETRIEVAL]
    for when in ("before TSG", "after TSG", "after IFE", "after HSA", EMBEDDING):
        by = "the whole embedding" if when == EMBEDDING else f"projected features {when}"
        lines += [f"Validation people found by {by}, percent, mean over seeds:", "", *_head(heads)]
        for name in wanted.rows:
            lines.append(_line(name, [_percent(found, name, when, f) for f in RETRIEVAL]))
        lines += ["", "The same less that of 'texts', mean ± standard error over seeds:", ""]
        lines += _head(heads)
        for name in list(wanted.rows)[1:]:
            lines.append(_line(name, [_apart(found, name, when, f) for f in RETRIEVAL]))
        lines.append("")
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
    parser.add_argument("--root", type=Path, default=Path("people"))
    parser.add_argument("--weights", type=Path, default=Path("runs/wide_clip/model.safetensors"))
    parser.add_argument("--work", type=Path, default=Path("runs"), help="folder of the run folders")
    parser.add_argument("--rows", type=numbers, help="numbers of rows, from 1; by default all")
    parser.add_argument("--write", action="store_true", help="write the table beside the results")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    told = parser.parse_intermixed_args()
    wanted = sweep.read(recipes.find("clip4vi_reid_bridge"))
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
