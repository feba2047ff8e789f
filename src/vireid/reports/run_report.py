"""A report of runs as one HTML file, which asks nothing of any server.

For each run: how it learnt, its scores, its CMC, how alike pictures of one and of two people are,
where embeddings lie, the queries that it answers best, as usual and worst, with the places that
made a query and its first hit similar, and whether its chances come true. For several runs also
their table with the differences that are settled.
"""

import base64
import html
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from vireid import __version__
from vireid.datasets import Dataset
from vireid.files.atomic import write_whole
from vireid.gallery import Hit
from vireid.learning import training_history
from vireid.learning.training_history import LOSSES, MEASURES
from vireid.models.embedder import Embedder
from vireid.models.occlusion import Places, places_alike
from vireid.models.opening import folder_of
from vireid.pictures import pixels_of
from vireid.records import ImageRecord, Modality
from vireid.reports import contact_sheet, learning_curves, measures_view, reliability_view
from vireid.reports.plots import as_png
from vireid.scoring import comparison as settling
from vireid.scoring import evaluation, named_protocols, reliability, results
from vireid.scoring.calibrating.pairs import Search
from vireid.scoring.metrics import RankingScores, score_ranking
from vireid.scoring.protocols import Trial
from vireid.types.arrays import Pixels, Vectors

SHOWN_RANKS = 20
SHOWN_HITS = 8
MAPPED = 600
"""Largest number of pictures on the map of embeddings."""
NAMED_PEOPLE = 10
"""Number of people with a colour of their own on that map."""
SHEET_WIDTH = 900
SAME, DIFFERENT = "#1a9850", "#d73027"
SPECTRA = {Modality.VISIBLE: "#f46d43", Modality.INFRARED: "#4575b4"}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem;
  color: #222; }
h1, h2, h3 { line-height: 1.2; } h2 { border-top: 2px solid #222; padding-top: 1rem; }
img { max-width: 100%; height: auto; } figure { margin: 1rem 0; }
figcaption { color: #555; font-size: .9rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
td:first-child, th:first-child { text-align: left; }
.note { background: #fff6d6; padding: .5rem 1rem; }
"""


@dataclass(frozen=True, eq=False)
class Look:
    """What is looked at of one model: its test pictures, and the first trial of its protocol."""

    name: str
    model: str
    embedder: Embedder
    dataset: Dataset
    records: Sequence[ImageRecord]
    vectors: Vectors
    trial: Trial
    similarity: Float[np.ndarray, "q g"]
    ranking: RankingScores
    title: str

    @classmethod
    def at(
        cls, model: str, name: str | None, root: Path | None, *, trust_code: bool = False
    ) -> "Look":
        """Embed the test pictures of a model's data set.

        Raises:
            VireidError: The model or the data set cannot be opened.
        """
        embedder = Embedder.open(model, trust_code=trust_code)
        dataset = evaluation.dataset_of(model, name, root, trust_code=trust_code)
        protocol = named_protocols.choose(dataset)[0]
        trial = protocol.trials(dataset)[0]
        records = list(dict.fromkeys([*dataset.test, *trial.pictures]))
        vectors = embedder.embed_records(records)
        by_record = dict(zip(records, vectors, strict=True))
        similarity = evaluation.plain_similarities(trial, by_record)
        people = [np.array([r.identity for r in of]) for of in (trial.queries, trial.gallery)]
        ranking = score_ranking(
            similarity, people[0], people[1], protocol.hidden(trial), protocol.cmc
        )
        shown = np.where(protocol.hidden(trial), -np.inf, similarity)
        title = f"{dataset.label}, {protocol.title}, first trial"
        about = (records, vectors, trial, shown, ranking, title)
        return cls(Path(model).absolute().name, model, embedder, dataset, *about)

    def best_first(self) -> Int[np.ndarray, " v"]:
        """Return the places of the valid queries, those that are answered best first."""
        return np.argsort(-self.ranking.average_precisions, kind="stable")

    def query(self, place: int) -> tuple[ImageRecord, tuple[Hit, ...]]:
        """Return a valid query and its best hits."""
        row = int(self.ranking.valid[place])
        order = np.argsort(-self.similarity[row], kind="stable")[:SHOWN_HITS]
        hits = (
            Hit(rank, float(self.similarity[row, column]), self.trial.gallery[column])
            for rank, column in enumerate(order, 1)
        )
        return self.trial.queries[row], tuple(hits)


def write(
    models: Sequence[str],
    out: Path,
    dataset: str | None = None,
    root: Path | None = None,
    *,
    trust_code: bool = False,
) -> int:
    """Write a report of runs, exported or shipped models; return its size in bytes.

    Args:
        models: Names that `Embedder.open` takes.
        out: HTML file to write.
        dataset: Name of a data set; by default the one that each model has learnt on.
        root: Folder of the data set.
        trust_code: See `Embedder.open`.

    Raises:
        VireidError: A model or a data set cannot be opened.
    """
    looks = [Look.at(model, dataset, root, trust_code=trust_code) for model in models]
    parts = [*_beside(models)] if len(models) > 1 else []
    parts += [part for look in looks for part in _of_run(look)]
    title = ", ".join(look.name for look in looks)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>"
        f"<p>Made by vireid {__version__}.</p>{''.join(parts)}</html>\n"
    )
    content = page.encode(errors="replace")
    write_whole(out, content)
    return len(content)


def _beside(models: Sequence[str]) -> Iterator[str]:
    found, missing = results.found_in(models)
    yield "<h2>Side by side</h2>"
    if not found:
        yield _note("none of these has scores; make them with <code>vireid evaluate</code>")
        return
    settled = settling.settle(results.compare(found), missing)
    for letter, scores in settled.comparison.columns.items():
        yield f"<p>{letter}: {html.escape(scores.key)}</p>"
    yield _table(settled.grid())
    if settled.differences:
        yield "<h3>Differences</h3>" + _table(settled.grid_of_differences())
    yield from (_note(html.escape(note)) for note in [*settled.comparison.notes, *settled.notes])


def _of_run(look: Look) -> Iterator[str]:
    yield f"<h2>{html.escape(look.name)}</h2>"
    card = look.embedder.card
    about = {
        "model": f"{card.name}, fingerprint {card.fingerprint}",
        "pictures": f"{card.width} x {card.height} pixels",
        "has learnt on": look.embedder.learnt_on,
        "learnt from": str(look.embedder.training or "unknown"),
        "looked at": look.title,
    }
    yield _table([["", ""], *([name, text] for name, text in about.items())])
    if card.caveat:
        yield _note(html.escape(card.caveat))
    yield from _learning(folder_of(look.model))
    yield from _scores(look)
    yield _figure(_cmc(look), f"CMC: {look.title}")
    yield _figure(
        _histograms(look),
        "How alike two pictures are, of one person and of two. Where the two overlap, no threshold "
        "tells them apart.",
    )
    yield _figure(
        _map(look),
        "Embeddings of test people in two dimensions (principal components, then t-SNE). Left by "
        "spectrum: two clouds mean that the spectrum counts more than the person.",
    )
    yield from _queries(look)
    yield _figure(
        _what_matched(look),
        "What made a query and its first hit similar: red places are those without which the "
        "similarity falls, the redder the more. Each place was covered in turn.",
    )
    yield from _how_sure(look)


def _learning(folder: Path) -> Iterator[str]:
    if (folder / LOSSES).exists():
        plot = learning_curves.plot(training_history.read_epochs(folder / LOSSES), folder)
        yield "<h3>Learning</h3>" + _figure(plot, "Losses and learning rates, by epoch.")
    if (folder / MEASURES).exists():
        lines = training_history.read_measures(folder / MEASURES)
        yield _figure(measures_view.plot(lines), "What the stages measured of themselves.")


def _scores(look: Look) -> Iterator[str]:
    found, _ = results.found_in([look.model])
    yield "<h3>Scores</h3>"
    own = [each for each in found if each.model.fingerprint == look.embedder.fingerprint]
    if not own:
        yield _note("not scored yet: <code>vireid evaluate</code>")
        return
    lines = [["protocol", "R1", "mAP", "mINP", "95 % interval of mAP over people"]]
    for each in own:
        ends = each.interval("mAP")
        span = f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}" if ends else "-"
        values = (f"{100 * each.mean[metric]:.1f}" for metric in ("R1", "mAP", "mINP"))
        lines.append([each.key, *values, span])
    yield _table(lines)


def _cmc(look: Look) -> bytes:
    def draw(figure: Any) -> None:
        axes = figure.subplots()
        ranks = range(1, min(SHOWN_RANKS, len(look.ranking.cmc)) + 1)
        axes.plot(ranks, [100 * look.ranking.rank(k) for k in ranks], marker="o", color="#4575b4")
        axes.set(xlabel="rank", ylabel="queries found, %", ylim=(0, 102), xticks=ranks)
        axes.grid(alpha=0.3)

    return as_png(draw, 7, 3.4)


def _histograms(look: Look) -> bytes:
    known = [place for place, record in enumerate(look.records) if record.identity is not None]
    records, vectors = [look.records[place] for place in known], look.vectors[known]
    ways = [(query, gallery) for query in Modality for gallery in Modality]

    def draw(figure: Any) -> None:
        for axes, (query, gallery) in zip(figure.subplots(2, 2).flat, ways, strict=True):
            search = Search.among(vectors, records, query, gallery)
            same = search.query_people[:, None] == search.gallery_people
            scores = search.similarity()
            for pairs, colour, label in (
                (scores[same & ~search.hidden], SAME, "one person"),
                (scores[~same & ~search.hidden], DIFFERENT, "two people"),
            ):
                if len(pairs):
                    axes.hist(pairs, 60, density=True, color=colour, alpha=0.5, label=label)
            axes.set(title=f"{query} to {gallery}", xlabel="similarity", yticks=[])
            axes.legend(frameon=False)

    return as_png(draw, 10, 6)


def _map(look: Look) -> bytes:
    generator = np.random.default_rng(0)
    chosen = np.sort(generator.permutation(len(look.records))[:MAPPED])
    places = _in_two(look.vectors[chosen])
    records = [look.records[place] for place in chosen]
    people, counts = np.unique([r.identity or -1 for r in records], return_counts=True)
    named = people[np.argsort(-counts)][:NAMED_PEOPLE]

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        for modality, colour in SPECTRA.items():
            own = [r.modality is modality for r in records]
            left.scatter(*places[own].T, s=9, color=colour, label=str(modality))
        left.legend(frameon=False)
        others = [r.identity not in named for r in records]
        right.scatter(*places[others].T, s=6, color="0.85")
        for number, person in enumerate(named):
            for modality, marker in ((Modality.VISIBLE, "o"), (Modality.INFRARED, "^")):
                own = [r.identity == person and r.modality is modality for r in records]
                right.scatter(*places[own].T, s=28, marker=marker, color=f"C{number}")
        left.set(title="by spectrum", xticks=[], yticks=[])
        right.set(title=f"{len(named)} people (triangles: infrared)", xticks=[], yticks=[])

    return as_png(draw, 10, 4.8)


def _in_two(vectors: Vectors) -> Float[np.ndarray, "n 2"]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    fewer = PCA(min(30, *vectors.shape), random_state=0).fit_transform(vectors)
    perplexity = min(30, (len(fewer) - 1) / 3)
    return np.asarray(TSNE(2, perplexity=perplexity, random_state=0).fit_transform(fewer))


def _queries(look: Look) -> Iterator[str]:
    order = look.best_first()
    middle = len(order) // 2
    yield "<h3>Queries</h3>"
    for name, place in (
        ("best", order[0]),
        ("best but one", order[min(1, len(order) - 1)]),
        ("typical", order[middle]),
        ("typical", order[min(middle + 1, len(order) - 1)]),
        ("worst but one", order[max(-2, -len(order))]),
        ("worst", order[-1]),
    ):
        query, hits = look.query(int(place))
        precision = look.ranking.average_precisions[place]
        title = f"{name}: average precision {100 * precision:.0f} %"
        yield _picture(contact_sheet.compose(query, hits, title), title)


def _what_matched(look: Look) -> bytes:
    """Draw the best, the typical and the worst query beside their first hits."""
    order = look.best_first()
    shown = {"best": order[0], "typical": order[len(order) // 2], "worst": order[-1]}

    def draw(figure: Any) -> None:
        pairs = figure.subplots(1, 2 * len(shown))
        for number, (name, place) in enumerate(shown.items()):
            query, (hit, *_) = look.query(int(place))
            right = "right" if hit.record.identity == query.identity else "wrong"
            both = (query, hit.record)
            pictures = [pixels_of(r, look.embedder.height, look.embedder.width) for r in both]
            vectors = [
                look.embedder.embed_pixels(pixels[None], record.modality)[0]
                for pixels, record in zip(pictures, both, strict=True)
            ]
            for side, title in enumerate((name, f"first hit, {right}")):
                about = pictures[side], both[side].modality, vectors[1 - side]
                places = places_alike(look.embedder, *about)
                _draw_places(pairs[2 * number + side], pictures[side], places, title)

    return as_png(draw, 10, 3.6)


def _draw_places(axes: Any, pixels: Pixels, places: Places, title: str) -> None:
    height, width = pixels.shape[:2]
    strength = np.clip(places / max(float(places.max()), 1e-9), 0, 1).astype(np.float32)
    smooth = np.asarray(
        Image.fromarray(strength).resize((width, height), Image.Resampling.BILINEAR)
    )
    axes.imshow(pixels.mean(axis=2), cmap="gray")
    axes.imshow(np.ones_like(smooth), cmap="Reds_r", vmin=1, vmax=2, alpha=0.7 * smooth)
    axes.set(title=title, xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.title.set_size(10)


def _how_sure(look: Look) -> Iterator[str]:
    found, remark = reliability.measure(look.embedder, look.dataset)
    yield "<h3>How sure</h3>"
    if remark or look.embedder.calibration is None:
        yield _note(html.escape(remark or "not calibrated: vireid calibrate"))
    yield _figure(
        reliability_view.plot(found),
        "Left: do chances come true? Right: missed matches against false ones.",
    )


def _figure(png: bytes, caption: str) -> str:
    return _embedded(png, "png", caption)


def _picture(picture: Image.Image, caption: str) -> str:
    if picture.width > SHEET_WIDTH:
        picture = picture.resize((SHEET_WIDTH, picture.height * SHEET_WIDTH // picture.width))
    written = io.BytesIO()
    picture.convert("RGB").save(written, "JPEG", quality=80)
    return _embedded(written.getvalue(), "jpeg", caption)


def _embedded(content: bytes, kind: str, caption: str) -> str:
    told = html.escape(caption)
    data = base64.b64encode(content).decode()
    image = f'<img alt="{told}" src="data:image/{kind};base64,{data}">'
    return f"<figure>{image}<figcaption>{told}</figcaption></figure>"


def _table(grid: Sequence[Sequence[str]]) -> str:
    head, *lines = grid
    rows = "".join(_row(line, "td") for line in lines)
    return f"<table>{_row(head, 'th') if any(head) else ''}{rows}</table>"


def _row(cells: Sequence[str], tag: str) -> str:
    inside = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inside}</tr>"


def _note(told: str) -> str:
    return f'<p class="note">{told}</p>'
