r"""What a projection of stripes gains from one's own people, learnt beside rendered ones.

    python benchmarks/projection_curve.py averages A/people.csv --dataset folder --out a.npz
    python benchmarks/own_people.py 11.npz thermal.npz --site A/people.csv=a_0.npz+a_1.npz \
        --site B/people.csv=b.npz --site C/people.csv=c.npz --own-people 0 4 --from stripes_learnt

Each site is what `vireid cut --pair` has made of two registered videos. The projection learns
beside the people of all sites but one, whose infrared crops are then searched for among its visible
ones, two seconds away; all ways round. Averages of changed pictures come again and again, those of
one site from several files joined by +. A row for each number of one's own people in a batch: mean
average precision and rank 1, as it is and centred, over the people of all sites; the spread of
seeds, and between which 95 % of the means of redrawn people lie. Below it what the same people have
gained over a model.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scripts.real_tracklets import interval

import projection_curve
from projection_curve import UNTRAINED
from vireid.experiments import adaptation
from vireid.methods.stripes import _Projection
from vireid.models.centring import Means
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord
from vireid.types.arrays import Vectors

COLUMNS = ("mAP", "rank 1", "mAP, centred", "rank 1, centred")


def main() -> None:
    """Learn without each site in turn, and print a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", help="averages of rendered people")
    parser.add_argument("--site", action="append", required=True, metavar="LIST=FILES")
    parser.add_argument("--own-people", type=int, nargs="+", default=[4])
    parser.add_argument("--from", dest="start_from", help="exported model to begin with")
    parser.add_argument("--over", default="stripes_learnt", help="model to compare with")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--hidden", type=int, default=0)
    parser.add_argument("--people", type=int, default=16, help="people in a batch")
    parser.add_argument("--share", type=float, nargs="+", default=[0.7])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--together", action="store_true", help="projections of all seeds, too")
    parser.add_argument("--mini", help="averages of mini's people, to see what rendered ones lose")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    sites = dict(site.rsplit("=", 1) for site in asked.site)
    seen = {name: _Site.of(Path(name)) for name in sites}
    print("| | people | " + " | ".join(COLUMNS) + " | mini |")
    usual = dict[str, np.ndarray]()
    for name in (UNTRAINED, asked.over):
        embedder = Embedder.open(name, threads=1)
        found = [_found(site, embedder.embed_records(site.records)) for site in seen.values()]
        usual[name] = _over_people(found)
        print(_row(name, [usual[name]], []), flush=True)
    rendered = projection_curve.joined([_loaded(name) for name in asked.files])
    mini = np.load(asked.mini) if asked.mini else None
    for own_people in asked.own_people:
        of_seeds = list[Mapping[str, _Projection]]()
        for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
            if own_people:
                of_seeds.append(
                    {
                        left_out: _learnt(
                            rendered, _without(left_out, sites), own_people, asked, seed
                        )
                        for left_out in sites
                    }
                )
            else:
                of_seeds.append(dict.fromkeys(sites, _learnt(rendered, [], 0, asked, seed)))
        begun = f"from {asked.start_from}" if asked.start_from else "anew"
        name = f"{own_people} of {asked.people} one's own, {begun}, {asked.steps} steps"
        for share in asked.share:
            told = f"{name}, share {share:g}" if len(asked.share) > 1 else name
            each = [_scored([projections], seen, share, mini) for projections in of_seeds]
            print(_row(told, [s[0] for s in each], [s[1] for s in each]), flush=True)
            gained = [s[0] - usual[asked.over] for s in each]
            print(_row(f"{told}, over {asked.over}", gained, []), flush=True)
            if asked.together:
                both, in_mini = _scored(of_seeds, seen, share, mini)
                print(_row(f"{told}, all seeds together", [both], [in_mini]), flush=True)


def _without(left_out: str, sites: Mapping[str, str]) -> list[list[Any]]:
    return [_loaded(files) for name, files in sites.items() if name != left_out]


def _scored(
    projections: Sequence[Mapping[str, _Projection]],
    seen: Mapping[str, "_Site"],
    share: float,
    mini: Any,
) -> tuple[np.ndarray, float]:
    """Return what projections find together of each person, and rank 1 of mini's people."""
    found, in_mini = list[Mapping[object, tuple[float, ...]]](), list[float]()
    for left_out, site in seen.items():
        own = [each[left_out] for each in projections]
        found.append(_found(site, _vectors(own, site.averages, share)))
        if mini is not None:
            vectors = _vectors(own, mini["averages"], share)
            in_mini.append(100 * projection_curve.rank_1(vectors, mini))
        if len({id(each[name]) for each in projections for name in seen}) == len(projections):
            mini = None  # one projection for all sites
    return _over_people(found), float(np.mean(in_mini)) if in_mini else float("nan")


def _vectors(projections: Sequence[_Projection], averages: np.ndarray, share: float) -> Vectors:
    """Return averages and several projections joined, each with its part of the share."""
    alone = [projection_curve.vectors_of(each, averages, share)[0] for each in projections]
    seen = np.asarray(averages, np.float32)
    plain = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    parts = [(share / len(alone)) ** 0.5 * each for each in alone]
    joined: Vectors = np.concatenate([(1 - share) ** 0.5 * plain, *parts], axis=1, dtype=np.float32)
    return joined


class _Site:
    """The crops of one site, and their averages."""

    def __init__(self, records: Sequence[ImageRecord], averages: Vectors) -> None:
        self.records, self.averages = records, averages

    @classmethod
    def of(cls, path: Path) -> "_Site":
        records = adaptation._people(path, 2)
        embedder = Embedder.open(UNTRAINED, threads=1)
        return cls(records, projection_curve.averages_in(embedder.embed_records(records)))


def _loaded(files: str) -> list[Any]:
    return [np.load(part) for part in files.split("+")]


def _learnt(
    rendered: tuple[np.ndarray, list[list[np.ndarray]]],
    own: Sequence[Sequence[Any]],
    own_people: int,
    asked: argparse.Namespace,
    seed: int,
) -> _Projection:
    averages, people = rendered
    more, real = projection_curve.joined(own) if own else (averages[:0], [])
    real = [[rows + len(averages) for rows in person] for person in real]
    wanted = argparse.Namespace(**{**vars(asked), "beside_people": own_people})
    everything = np.concatenate([averages, more])
    rng = np.random.default_rng(seed)
    projection = projection_curve.learnt(everything, people, real, wanted, rng, seed)
    return projection.eval()


def _found(site: _Site, vectors: Vectors) -> dict[object, tuple[float, ...]]:
    """Return for each person what `COLUMNS` say."""
    everybody = {record.who for record in site.records}
    centred = Means.of(vectors, site.records).less(vectors, site.records)
    plain, after = (adaptation._found(each, site.records, everybody) for each in (vectors, centred))
    return {person: (*plain[person], *after[person]) for person in plain}


def _over_people(found: Sequence[Mapping[object, tuple[float, ...]]]) -> np.ndarray:
    return np.array([values for of_site in found for values in of_site.values()])


def _row(name: str, of_seeds: Sequence[np.ndarray], mini: Sequence[float]) -> str:
    """Return a row: mean, spread of seeds where there are several, interval over people."""
    over_seeds = 100 * np.stack(of_seeds)
    means, spread = over_seeds.mean(axis=(0, 1)), over_seeds.mean(axis=1)
    cells = [name, str(over_seeds.shape[1])]
    for column, mean in enumerate(means):
        _, low, high = interval(list(over_seeds.mean(axis=0)[:, column]))
        several = f" ± {spread[:, column].std(ddof=1):.1f}" if len(of_seeds) > 1 else ""
        cells.append(f"{mean:.1f}{several} ({low:.0f} to {high:.0f})")
    spread_of_mini = f" ± {np.std(mini, ddof=1):.1f}" if len(mini) > 1 else ""
    cells.append(f"{np.mean(mini):.1f}{spread_of_mini}" if mini else "")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
