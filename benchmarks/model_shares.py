"""What each model's share of a similarity brings where models are joined.

    python benchmarks/model_shares.py stripes stripes_wide small_bridged --shares 0.4,0.4,0.2 \
        --shares 0.3,0.4,0.3 --rendered VALIDATION --tracks PEOPLE.csv --photographs FOLDER --write

Each row joins the models as `vireid join` does, but that each sees pictures in its own size.
Rendered people are the validation people of a NightWalk, infrared pictures searched among all
visible ones. Real people are a list that `vireid cut --pair` has made (protocol `folder/tracks`),
and registered pictures (`scripts/real_photographs.py`); they stand in a table of their own.
`--also` adds rows of single models.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scripts import real_photographs

import _steps
from vireid import datasets
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality
from vireid.scoring import evaluation, named_protocols
from vireid.scoring.metrics import score_ranking
from vireid.types.arrays import Vectors

RESULTS = _steps.results("model_shares")
DIRECTIONS = ("infrared-to-visible", "visible-to-infrared")


@dataclass(frozen=True)
class Model:
    """A model that embeds each picture once."""

    embedder: Embedder
    known: dict[tuple[Path, Modality], np.ndarray] = field(default_factory=dict)

    def embed_records(self, records: Sequence[ImageRecord]) -> Vectors:
        """Return unit vectors; row i is that of record i."""
        new = [record for record in records if _key(record) not in self.known]
        self.known.update(zip(map(_key, new), self.embedder.embed_records(new), strict=True))
        return np.stack([self.known[_key(record)] for record in records])


@dataclass(frozen=True)
class Joined:
    """Models beside one another, each with its share of a similarity."""

    name: str
    parts: Sequence[tuple[Model, float]]
    fingerprint: str = "joined"
    checkpoint: str = "last epoch"
    learnt_on: str = "nothing"

    def embed_records(self, records: Sequence[ImageRecord]) -> Vectors:
        """Return unit vectors; row i is that of record i."""
        return np.concatenate(
            [np.float32(share**0.5) * model.embed_records(records) for model, share in self.parts],
            axis=1,
        )


def _key(record: ImageRecord) -> tuple[Path, Modality]:
    return record.path, record.modality


def rows(
    names: Sequence[str], shares: Sequence[Sequence[float]], others: Sequence[str]
) -> Iterator[Joined]:
    for name in others:
        yield Joined(f"`{name}`", [(Model(Embedder.open(name, 1)), 1.0)])
    models = [Model(Embedder.open(name, 1)) for name in names]
    for each in shares:
        parts = [(model, share) for model, share in zip(models, each, strict=True) if share]
        yield Joined(", ".join(f"{share:g}" for share in each), parts)


def rendered(joined: Joined, people: Sequence[ImageRecord]) -> str:
    """Return rank 1 and mAP of infrared pictures among all visible ones."""
    vectors = joined.embed_records(people)
    visible = np.array([record.modality is Modality.VISIBLE for record in people])
    who = np.array([record.identity for record in people])
    found = score_ranking(vectors[~visible] @ vectors[visible].T, who[~visible], who[visible])
    return _percent(found.rank(1), found.mean_ap)


def real(joined: Joined, tracks: Path | None, pairs: real_photographs.People | None) -> str:
    """Return the cells of real people."""
    cells = []
    if tracks:
        plain = [named_protocols.find("folder/tracks", direction=each) for each in DIRECTIONS]
        protocols = [*plain, *(replace(each, test_time_centre="camera") for each in plain)]
        data = datasets.read("folder", tracks, None)
        scores = evaluation.score_all(joined, data, protocols)
        cells += [_percent(each.mean["R1"], each.mean["mAP"]) for each in scores]
    if pairs:
        cells.append(_percent(*real_photographs.scored(joined, pairs)))
    return " | ".join(cells)


def _shares(told: str) -> list[float]:
    return [float(share) for share in told.split(",")]


def _percent(rank_1: float, mean_ap: float) -> str:
    return f"{100 * rank_1:.1f} / {100 * mean_ap:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--shares", action="append", type=_shares, required=True, metavar="S,S,...")
    parser.add_argument("--also", action="append", default=[], metavar="MODEL")
    parser.add_argument("--rendered", type=Path, required=True)
    parser.add_argument("--tracks", type=Path)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    told = parser.parse_args()
    for each in told.shares:
        if len(each) != len(told.models) or abs(sum(each) - 1) > 1e-6:
            parser.error(f"{len(told.models)} models need as many shares, together 1, not {each}")
    people = datasets.read("nightwalk", told.rendered, None).validation
    count = len({record.identity for record in people})
    head = "shares of " + ", ".join(f"`{Path(name).name}`" for name in told.models)
    of_rendered = [f"| {head} | {count} rendered people |", "|---|---:|"]
    heads = []
    if told.tracks:
        there = ("infrared to visible", "visible to infrared")
        heads += [*there, *(f"centred, {each}" for each in there)]
    if told.photographs:
        heads.append("registered pairs")
    of_real = [f"| {head} | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    with tempfile.TemporaryDirectory() as scratch:
        pairs = None
        if told.photographs:
            pairs = real_photographs.cut(told.photographs, Path(scratch))
        for row in rows(told.models, told.shares, told.also):
            of_rendered.append(f"| {row.name} | {rendered(row, people)} |")
            if heads:
                of_real.append(f"| {row.name} | {real(row, told.tracks, pairs)} |")
    found = ["Rank 1 / mAP in percent. Rendered people:\n", *of_rendered]
    if heads:
        found += ["\nReal people:\n", *of_real]
    report = _steps.report("Shares of joined models", __doc__, ["\n".join(found)])
    _steps.publish(report, RESULTS, write=told.write)


if __name__ == "__main__":
    main()
