"""How far a model finds the tracklets of real people across spectra, some seconds later.

    python -m scripts.real_tracklets SITE/people.csv ... [--model stripes --model small] [--gap 2]

Each SITE is what `vireid cut --pair` has made of two registered videos. Every infrared crop of a
person who is in both spectra is searched for among the visible tracklets of all sites. Of them only
frames count that are at least GAP seconds away, whoever is on them, so that nobody is found by the
instant; tracklets of people without partner are there too. Rank 1 is a mean over the crops of each
person, then over people; the interval is that of 2,000 draws of as many people.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vireid.datasets import folder
from vireid.models.centring import Means
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality, moment
from vireid.scoring import baselines
from vireid.scoring.evaluation import EmbedsRecords
from vireid.scoring.tracklets import mean_vector

DRAWS = 2_000
Found = Mapping[object, Sequence[bool]]
"""For each person, whether each of the infrared crops has found them first."""


@dataclass(frozen=True)
class People:
    """The crops of all sites."""

    records: Sequence[ImageRecord]
    tracklets: Mapping[str, Sequence[int]]
    """Places of the frames of each visible tracklet."""


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lists", type=Path, nargs="+")
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--gap", type=float, default=2.0)
    asked = parser.parse_args()
    people = read(asked.lists)
    models: list[EmbedsRecords] = [Embedder.open(name) for name in asked.model or ["stripes"]]
    rows: dict[str, Found] = {}
    for embedder in (*baselines.controls(), *models):
        vectors = embedder.embed_records(people.records)
        rows[embedder.name] = found(people, vectors, asked.gap)
        centred = Means.of(vectors, people.records).less(vectors, people.records)
        rows[f"{embedder.name}, centred"] = found(people, centred, asked.gap)
    some = next(iter(rows.values()))
    crops = sum(map(len, some.values()))
    print(f"{len(some)} people, {crops} crops, {len(people.tracklets)} visible tracklets")
    for name, of_people in rows.items():
        mean, low, high = interval([float(np.mean(of)) for of in of_people.values()])
        print(f"{name:40} R1 {100 * mean:5.1f} %   {100 * low:3.0f} to {100 * high:.0f}")


def read(lists: Sequence[Path]) -> People:
    """Read what was cut; people and tracklets of different sites are different."""
    records = list[ImageRecord]()
    for site, path in enumerate(lists):
        for record in folder.find(path).records:
            who = None if record.identity is None else f"{site}/{record.identity}"
            named = replace(record, tracklet=f"{site}/{record.tracklet}", person=who)
            records.append(replace(named, identity=None))
    tracklets = defaultdict[str, list[int]](list)
    for place, record in enumerate(records):
        if record.modality is Modality.VISIBLE:
            tracklets[record.tracklet or ""].append(place)
    return People(records, tracklets)


def found(people: People, vectors: Float[np.ndarray, "n d"], gap: float) -> Found:
    """Return for each person whether each infrared crop has found a tracklet of theirs first.

    Crops of people who are nowhere else at that distance are left out.
    """
    records, hits = people.records, defaultdict[object, list[bool]](list)
    seconds = np.array([moment(r.time) / 1e6 if r.time else np.nan for r in records])
    for place, query in enumerate(records):
        if query.modality is Modality.VISIBLE or query.person is None:
            continue
        near = np.abs(seconds - seconds[place]) < gap
        left = {
            name: [n for n in of if not (near[n] and _site(records[n]) == _site(query))]
            for name, of in people.tracklets.items()
        }
        among = {records[of[0]].tracklet: of for of in left.values() if of}
        if not any(records[of[0]].person == query.person for of in among.values()):
            continue
        scores = [float(mean_vector(list(vectors[of])) @ vectors[place]) for of in among.values()]
        best = list(among.values())[int(np.argmax(scores))]
        hits[query.person].append(records[best[0]].person == query.person)
    return hits


def _site(record: ImageRecord) -> str:
    return (record.tracklet or "").partition("/")[0]


def interval(of_people: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean over people, and between which 95 % of the means of redrawn people lie."""
    values = np.array(of_people)
    rng = np.random.default_rng(0)
    means = rng.choice(values, (DRAWS, len(values))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


if __name__ == "__main__":
    main()
