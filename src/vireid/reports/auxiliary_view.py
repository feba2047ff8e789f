"""A figure of a run's auxiliary modality, and of where it lies between the two spectra.

On top are pictures of a few people: visible, infrared, their mean, what the generator makes of
them, and what it has added to the mean. Below are embeddings of more people in all three modalities
before and after training, projected to the plane by t-SNE (van der Maaten, Hinton, JMLR 2008).
t-SNE keeps neighbours together; distances between groups in it mean nothing, so those are stated as
numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from vireid import datasets
from vireid.console import printable
from vireid.errors import VireidError
from vireid.files.atomic import write_whole
from vireid.learning import initial_weights
from vireid.methods.mun import AUXILIARY, MUN
from vireid.models import runs
from vireid.pictures import pixels_of
from vireid.recipes.recipe import Recipe
from vireid.records import ImageRecord, Modality
from vireid.reports.plots import as_png
from vireid.types.tensors import Images, images_of

SHOWN = 10
"""Number of people whose pictures are shown."""
SPREAD = 40
"""Number of people whose embeddings are shown."""
PAIRS_EACH = 3
COLOURS = {"visible": "#1a9850", "infrared": "#d73027", AUXILIARY: "#4575b4"}
MARKERS = {"visible": "o", "infrared": "s", AUXILIARY: "^"}
Shown = Float[np.ndarray, "_ _ _ _"]
"""Rows and columns of several pictures, in colour or with one number for each place."""
Points = Mapping[str, Float[torch.Tensor, "_ _"]]
"""Embeddings by modality; row i of each is of the same pair of pictures."""


@dataclass(frozen=True)
class Pairs:
    """Pictures of test people, in pairs of one person."""

    visible: Images
    infrared: Images


def write(run: Path, out: Path, seed: int = 0, *, trust_code: bool = False) -> None:
    """Write a PNG of the auxiliary modality of a run.

    Args:
        run: Folder of a finished run of MUN.
        out: PNG file to write.
        seed: Seed by which people and pictures are drawn.
        trust_code: Run the code of the run's data set if that is not vireid's.

    Raises:
        VireidError: It has no auxiliary modality, or its pictures cannot be read.
    """
    import sklearn.manifold  # noqa: F401  or it would be missed after the work only

    method, recipe = runs.load_method(run, trust_code=trust_code)
    if not isinstance(method, MUN) or method.generator is None:
        raise VireidError(
            f"{run} has no auxiliary modality to show; give a run of method mun whose "
            "settings.generator is not 'none'"
        )
    before = initial_weights.build(recipe, runs.read_details(run).num_identities).eval()
    assert isinstance(before, MUN)
    pairs = _pairs(recipe, seed)
    few = _every(pairs, PAIRS_EACH, SHOWN)
    with torch.inference_mode():
        rows = _pictures(method, few)
        spreads = {"before learning": _points(before, pairs), "after": _points(method, pairs)}
    title = f"{run.name}, test people"
    write_whole(out, as_png(lambda figure: _plot(figure, title, rows, spreads), 11, 11.5))


def _pairs(recipe: Recipe, seed: int) -> Pairs:
    data = datasets.read(recipe.data.dataset, recipe.data.root, recipe.data.trial)
    rng = np.random.default_rng(seed)
    by_person: dict[int, dict[Modality, list[ImageRecord]]] = {}
    for record in data.test:
        if record.identity is not None:
            of_person = by_person.setdefault(record.identity, {})
            of_person.setdefault(record.modality, []).append(record)
    both = [person for person in by_person.values() if len(person) == len(Modality)]
    if len(both) < 2:
        raise VireidError(f"{data.root} has no two test people with pictures of both spectra")
    chosen = [both[i] for i in rng.permutation(len(both))[:SPREAD]]
    halves = {m: [r for p in chosen for r in _some(rng, p[m])] for m in Modality}
    visible, infrared = (_images(halves[m], recipe) for m in Modality)
    return Pairs(visible, infrared)


def _some(rng: np.random.Generator, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    chosen = rng.choice(len(records), PAIRS_EACH, replace=len(records) < PAIRS_EACH)
    return [records[i] for i in chosen]


def _images(records: Sequence[ImageRecord], recipe: Recipe) -> Images:
    size = recipe.data.height, recipe.data.width
    pixels = np.stack([pixels_of(record, *size) for record in records])
    return images_of(torch.from_numpy(pixels))


def _every(pairs: Pairs, step: int, count: int) -> Pairs:
    """Return one pair of each of the first people."""
    return Pairs(pairs.visible[::step][:count], pairs.infrared[::step][:count])


def _pictures(method: MUN, pairs: Pairs) -> dict[str, Shown]:
    """Return the rows of the upper part by name, each n x rows x columns x 3, or x 1."""
    made = method.auxiliary(pairs.visible, pairs.infrared)
    columns = {"visible": pairs.visible, "infrared": pairs.infrared}
    if made.shape[1] == 3:
        mean = (pairs.visible + pairs.infrared) / 2
        change = (made - mean).abs().mean(dim=1, keepdim=True)
        columns |= {"their mean": mean, AUXILIARY: made.clamp(0, 1), "what was added": change}
    else:
        columns[f"{AUXILIARY}, mean of {made.shape[1]} maps"] = made.mean(dim=1, keepdim=True)
    return {name: images.permute(0, 2, 3, 1).numpy() for name, images in columns.items()}


def _points(method: MUN, pairs: Pairs) -> Points:
    return {
        "visible": method.embed(pairs.visible, Modality.VISIBLE),
        "infrared": method.embed(pairs.infrared, Modality.INFRARED),
        AUXILIARY: method.embed_auxiliary(pairs.visible, pairs.infrared),
    }


def _plot(
    figure: Any, title: str, columns: Mapping[str, Shown], spreads: Mapping[str, Points]
) -> None:
    figure.suptitle(printable(title))
    above, below = figure.subfigures(2, 1, height_ratios=[1.1, 1], squeeze=False)[:, 0]
    _show_pictures(above, columns)
    for axes, (when, points) in zip(below.subplots(1, 2), spreads.items(), strict=True):
        _plot_points(axes, when, points)


def _show_pictures(figure: Any, columns: Mapping[str, Shown]) -> None:
    """Show a row for each kind of picture, a column for each person."""
    people = len(next(iter(columns.values())))
    grid = figure.subplots(len(columns), people, squeeze=False)
    for axes_of_row, (name, images) in zip(grid, columns.items(), strict=True):
        most = float(images.max())
        for axes, image in zip(axes_of_row, images, strict=True):
            grey = image.shape[2] == 1
            shown = {"cmap": "magma", "vmin": 0, "vmax": most} if grey else {}
            axes.imshow(image[..., 0] if grey else image, aspect="equal", **shown)
            axes.set_axis_off()
        scale = f"\n(white: {most:.3f} of 1)" if name == "what was added" else ""
        axes_of_row[0].text(
            *(-0.15, 0.5, name + scale), transform=axes_of_row[0].transAxes, ha="right", va="center"
        )


def _plot_points(axes: Any, when: str, points: Points) -> None:
    places = in_the_plane(np.concatenate([rows.numpy() for rows in points.values()]))
    for (name, rows), some in zip(points.items(), np.split(places, len(points)), strict=True):
        style = {"marker": MARKERS[name], "color": COLOURS[name], "alpha": 0.7}
        axes.scatter(some[:, 0], some[:, 1], s=18, label=f"{name} ({len(rows)})", **style)
    gaps = [
        f"{a} to {b} {float((points[a].mean(0) - points[b].mean(0)).norm()):.2f}"
        for a, b in combinations(points, 2)
    ]
    axes.set_title(f"{when}; distance of mean embeddings:\n{', '.join(gaps)}", fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(fontsize=8)


def in_the_plane(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n 2"]:
    """Project points to the plane by t-SNE, the same way every time."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(points) - 1) / 3)
    placed = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(points)
    return np.asarray(placed)
