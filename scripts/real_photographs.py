"""How far a model carries to real photographs: registered visible/thermal pictures with boxes.

    python -m scripts.real_photographs FOLDER --out real_photographs [--model small]

FOLDER has `visible/NAME.png`, `infrared/NAME.png` of the same instant and `boxes.csv` with the
columns picture,x1,y1,x2,y2: one box cuts the same person from both. The visible people become a
gallery, each thermal one a query. Pose and background are shared between the two, so this is
easier than re-identification: it asks whether a model sees the same person at all.
"""

import argparse
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vireid import Embedder, Gallery, ImageRecord, Modality
from vireid.reports import contact_sheet
from vireid.scoring import baselines
from vireid.scoring.evaluation import EmbedsRecords
from vireid.scoring.metrics import RankingScores, score_ranking

SHOWN = 12
"""Queries on the contact sheet."""


@dataclass(frozen=True)
class People:
    """The same people cut from both spectra, in the same order."""

    gallery: list[ImageRecord]
    queries: list[ImageRecord]


def main() -> None:
    """Cut, index, search and score, and write a contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="small")
    asked = parser.parse_args()
    people = cut(asked.folder, asked.out)
    embedder = Embedder.open(asked.model)
    rows = {
        "chance (expected)": chance(len(people.queries)),
        "raw pixels": scored(baselines.raw_pixels(), people),
        f"{embedder.name} ({embedder.fingerprint})": scored(embedder, people),
    }
    for name, (r1, mean_ap) in rows.items():
        print(f"{name:40} R1 {100 * r1:5.1f} %   mAP {100 * mean_ap:5.1f} %")
    (asked.out / "scores.json").write_text(json.dumps(rows, indent=1))
    write_sheet(embedder, people, asked.out)
    print(f"look at {asked.out / 'contact_sheet.png'}")


def cut(folder: Path, out: Path) -> People:
    """Cut every box from both spectra; a person's identity is the number of the box."""
    people = People([], [])
    for identity, (picture, box) in enumerate(_boxes(folder / "boxes.csv")):
        for modality, records in (
            (Modality.VISIBLE, people.gallery),
            (Modality.INFRARED, people.queries),
        ):
            path = out / modality / f"{identity:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.open(folder / modality / picture).convert("RGB").crop(box).save(path)
            records.append(ImageRecord(path, modality, identity, Path(picture).stem))
    return people


def scored(embedder: EmbedsRecords, people: People) -> tuple[float, float]:
    """Return R1 and mAP of finding the visible half of each thermal person."""
    similarity = embedder.embed_records(people.queries) @ embedder.embed_records(people.gallery).T
    identities = np.arange(len(people.queries))
    ranking: RankingScores = score_ranking(similarity, identities, identities)
    return ranking.rank(1), ranking.mean_ap


def chance(people: int) -> tuple[float, float]:
    """Return the expected R1 and mAP of a random order with one match."""
    return 1 / people, float(np.mean(1 / np.arange(1, people + 1)))


def write_sheet(embedder: Embedder, people: People, out: Path) -> None:
    """Write the first queries and what a gallery finds for them, one below the other."""
    path = out / "people.gallery"
    with Gallery.open(path) if path.exists() else Gallery.create(path, embedder) as gallery:
        gallery.add(embedder.embed_records(people.gallery), people.gallery)
        found = gallery.search(embedder.embed_records(people.queries[:SHOWN]), top=6)
    sheets = [
        contact_sheet.compose(query, hits)
        for query, hits in zip(people.queries[:SHOWN], found, strict=True)
    ]
    page = Image.new("RGB", (sheets[0].width, sum(sheet.height for sheet in sheets)), "white")
    top = 0
    for sheet in sheets:
        page.paste(sheet, (0, top))
        top += sheet.height
    page.save(out / "contact_sheet.png")


def _boxes(path: Path) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            x1, y1, x2, y2 = (round(float(row[name])) for name in ("x1", "y1", "x2", "y2"))
            yield row["picture"], (x1, y1, x2, y2)


if __name__ == "__main__":
    main()
