"""What `make demo` runs: learn a little, score it, index a gallery, search it, show the result.

Takes a few minutes on two cores. Everything goes through what a user calls: the commands are
printed, and scores come from the same evaluation as `vireid evaluate`.
"""

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image
from rich.console import Console

from scripts import demo_report
from vireid import Embedder, Gallery, ImageRecord, Modality, datasets
from vireid.datasets import Dataset
from vireid.progress import on_terminal
from vireid.reports import contact_sheet
from vireid.scoring import baselines
from vireid.scoring.evaluation import EmbedsRecords, score
from vireid.scoring.named_protocols import find
from vireid.scoring.scores import Scores
from vireid.scoring.tables import table
from vireid.search.indexing import index
from vireid.search.opening import DEFAULT_MODEL

DEMO = Path("demo")
RUN, GALLERY, SHEET, REPORT = (
    DEMO / name for name in ("run", "visible.gallery", "search.png", "report.png")
)
RECIPE = "agw_nightwalk_mini"
HITS, QUERIES_LOOKED_AT = 8, 200
console = Console(soft_wrap=True)


def main() -> None:
    """Run the whole demo, from an empty folder."""
    began = time.perf_counter()
    shutil.rmtree(DEMO, ignore_errors=True)
    dataset = datasets.read("nightwalk")
    say(f"NightWalk mini, rendered people under six cameras: {in_words(dataset)}")
    unlearnt = baselines.chance(), baselines.raw_pixels(), baselines.colour_histograms()
    rows = [scored(baseline, dataset) for baseline in unlearnt]
    rows.append(scored(Embedder.open("small"), dataset, "model small"))

    say("The shipped model small goes on learning, on people it has never seen.")
    run("train", RECIPE, "--out", str(RUN))
    rows.append(scored(Embedder.open(RUN), dataset, "model small after learning"))

    embedder = Embedder.open(DEFAULT_MODEL)
    rows.append(scored(embedder, dataset, f"model {DEFAULT_MODEL}"))

    say("Infrared queries among visible pictures, of people nobody has learnt from:")
    console.print(table(rows))
    say(f"{DEFAULT_MODEL}, the model of new galleries, fills one with visible pictures of them ...")
    queries = fill_gallery(embedder, dataset)
    say("... and finds in it, among visible pictures, who is on an infrared one.")
    query = os.path.relpath(queries[0].path)
    run("search", str(GALLERY), query, "--top", str(HITS), "--sheet", str(SHEET))
    found = first_right(embedder, queries[:QUERIES_LOOKED_AT])
    say("An easy, a typical and a failed query, as the right person is found:")
    sheets = [shown(embedder, query, title) for title, query in chosen(found).items()]
    demo_report.write(rows, learning_curve(RUN), sheets, REPORT)
    say_what_next(rows, time.perf_counter() - began)


def in_words(dataset: Dataset) -> str:
    """Return how many people and pictures there are, to learn from and to score on."""
    learnt_from = dataset.train + dataset.validation
    sizes = [(len({r.identity for r in rs}), len(rs)) for rs in (learnt_from, dataset.test)]
    return "{} people on {} pictures to learn from, {} others on {} to score on".format(
        *sizes[0], *sizes[1]
    )


def scored(embedder: EmbedsRecords, dataset: Dataset, name: str | None = None) -> Scores:
    """Return the scores of one row of the table, under the name it has there."""
    scores = score(embedder, dataset, find("sysu/official"))
    model = dataclasses.replace(scores.model, name=name or scores.model.name)
    return dataclasses.replace(scores, model=model)


def fill_gallery(embedder: Embedder, dataset: Dataset) -> list[ImageRecord]:
    """Index the visible test pictures; returns the infrared ones, in random order."""
    visible = [record for record in dataset.test if record.modality is Modality.VISIBLE]
    with Gallery.create(GALLERY, embedder) as gallery, on_terminal():
        index(visible, embedder, gallery)
    console.print(f"{GALLERY}: {len(visible)} pictures")
    infrared = [record for record in dataset.test if record.modality is Modality.INFRARED]
    return random.Random(0).sample(infrared, len(infrared))


def first_right(embedder: Embedder, queries: list[ImageRecord]) -> dict[ImageRecord, int]:
    """Return at which rank each query finds the right person first."""
    with Gallery.open(GALLERY, embedder) as gallery:
        vectors = embedder.embed_records(queries)
        found = gallery.search(vectors, len(gallery), modality=Modality.VISIBLE)
    return {
        query: next(hit.rank for hit in hits if hit.record.identity == query.identity)
        for query, hits in zip(queries, found, strict=True)
    }


def chosen(found: dict[ImageRecord, int]) -> dict[str, ImageRecord]:
    """Return the best, the middle and the worst of some queries, by what they are."""
    queries = sorted(found, key=lambda query: found[query])
    kinds = {"easy": queries[0], "typical": queries[len(queries) // 2], "failed": queries[-1]}
    return {f"{kind}: the right person at rank {found[q]}": q for kind, q in kinds.items()}


def shown(embedder: Embedder, query: ImageRecord, title: str) -> Image.Image:
    """Return the contact sheet of a query, and print its title."""
    console.print(f"  {title}")
    with Gallery.open(GALLERY, embedder) as gallery:
        (hits,) = gallery.search(embedder.embed_records([query]), HITS, modality=Modality.VISIBLE)
    return contact_sheet.compose(query, hits, title)


def learning_curve(folder: Path) -> dict[str, list[float]]:
    """Return each named loss of a run, epoch by epoch."""
    lines = (folder / "losses.jsonl").read_text().splitlines()
    epochs = [json.loads(line)["losses"] for line in lines]
    return {name: [epoch[name] for epoch in epochs] for name in epochs[0]}


def run(*command: str) -> None:
    """Show a command of vireid and run it; ends the demo if it fails."""
    console.print(f"[bold]$ vireid {' '.join(command)}[/bold]")
    status = subprocess.run([sys.executable, "-m", "vireid", *command], check=False).returncode
    if status:
        sys.exit(status)


def say(text: str) -> None:
    """Print a line between two parts."""
    console.print(f"\n[cyan]{text}[/cyan]")


def say_what_next(rows: list[Scores], seconds: float) -> None:
    """Say where the result is, what it means and what to try next."""
    chance, after = rows[0].mean["R1"], rows[-1].mean["R1"]
    say(
        f"Done in {seconds / 60:.1f} minutes. The right person comes first for {100 * after:.0f} % "
        f"of the queries, {after / chance:.0f} times as often as by chance."
    )
    console.print(
        f"  look at        {REPORT}\n"
        f"  search         vireid search {GALLERY} ANY_INFRARED.jpg --query-modality infrared\n"
        "  your pictures  vireid index FOLDER --out site.gallery --modality visible\n"
        f"  score it       vireid evaluate {RUN}\n"
        "  read on        README.md, docs/concepts.md"
    )


if __name__ == "__main__":
    main()
