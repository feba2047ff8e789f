"""The picture that `make demo` leaves behind: scores, learning curve, queries with their hits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec

from vireid.pictures import read_picture
from vireid.records import ImageRecord

RIGHT, WRONG, QUERY, GREY = "#2a9d4a", "#d1493f", "#33415c", "#8d99ae"


@dataclass(frozen=True)
class Score:
    """Mean over trials, in percent."""

    rank1: float
    mean_ap: float


@dataclass(frozen=True)
class Answer:
    """One query and what was found for it, best first."""

    query: ImageRecord
    hits: tuple[tuple[ImageRecord, float], ...]
    """Records with their similarity."""


def draw(
    scores: Mapping[str, Score],
    losses: Mapping[str, Sequence[float]],
    answers: Sequence[Answer],
    path: Path,
) -> None:
    """Write the report as a PNG."""
    mpl.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure = Figure(figsize=(13, 4.6 + 2.1 * len(answers)), layout="constrained", dpi=110)
    figure.suptitle("vireid: NightWalk mini, people never seen in training", fontsize=15)
    halves = figure.add_gridspec(2, 1, height_ratios=[4, 2.1 * len(answers)])
    top = halves[0].subgridspec(1, 2, width_ratios=[3, 2])
    draw_scores(figure.add_subplot(top[0]), scores)
    draw_losses(figure.add_subplot(top[1]), losses)
    draw_answers(figure, halves[1].subgridspec(len(answers), 1 + len(answers[0].hits)), answers)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def draw_scores(axes: Any, scores: Mapping[str, Score]) -> None:
    """A pair of bars for every row of the table."""
    names = list(scores)[::-1]
    for place, name in enumerate(names):
        score = scores[name]
        learnt = "model" in name
        for offset, value, label in ((0.2, score.rank1, "rank 1"), (-0.2, score.mean_ap, "mAP")):
            alpha = 1.0 if label == "rank 1" else 0.55
            axes.barh(place + offset, value, 0.38, color=RIGHT if learnt else GREY, alpha=alpha)
            axes.text(value, place + offset, f" {label} {value:.1f}", va="center", fontsize=10)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, 1.25 * max(score.rank1 for score in scores.values()) + 5)
    axes.set_xlabel("%, infrared queries among visible pictures")


def draw_losses(axes: Any, losses: Mapping[str, Sequence[float]]) -> None:
    """Each named loss over the steps of training, as a running mean."""
    for name, values in losses.items():
        axes.plot(running_mean(values), label=name, linewidth=1.8)
    axes.set_xlabel("step")
    axes.set_ylabel("loss, mean of 20 steps")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)


def running_mean(values: Sequence[float], over: int = 20) -> list[float]:
    """Mean of each value and up to `over - 1` before it."""
    windows = [values[max(0, end - over) : end] for end in range(1, len(values) + 1)]
    return [sum(window) / len(window) for window in windows]


def draw_answers(figure: Figure, grid: GridSpecFromSubplotSpec, answers: Sequence[Answer]) -> None:
    """A row for each query: the query, then its hits, framed green where it is the same person."""
    for row, answer in enumerate(answers):
        draw_picture(figure.add_subplot(grid[row, 0]), answer.query, "query", QUERY)
        for column, (record, similarity) in enumerate(answer.hits, start=1):
            right = record.identity == answer.query.identity
            axes = figure.add_subplot(grid[row, column])
            mark, colour = ("✓", RIGHT) if right else ("✗", WRONG)
            draw_picture(axes, record, f"{mark} {similarity:.2f}", colour)


def draw_picture(axes: Any, record: ImageRecord, title: str, colour: str) -> None:
    """A picture with a frame and a word above it."""
    axes.imshow(read_picture(record.path).resize((72, 144)))
    axes.set_title(f"{title}  {record.camera}", fontsize=9, color=colour, pad=3)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color=colour, linewidth=3)
