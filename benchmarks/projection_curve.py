r"""What brings what to a projection of stripes: people, pictures, changes, width, steps.

    python benchmarks/projection_curve.py averages ROOT --dataset nightwalk --seed 0 --out a.npz
    python benchmarks/projection_curve.py averages mini --out mini.npz
    python benchmarks/projection_curve.py learn mini.npz a.npz+b.npz thermal.npz --hidden 1024 \
        --site SITE/people.csv --photographs FOLDER

`averages` computes what the network that does not learn sees of the training people, in pictures
changed by the recipe's augmentation, of which `--without backgrounds` leaves one out and `--without
bridging` all. `learn` learns a projection from such files and prints rows of two tables: how the
projection, and how averages and projection joined, find mini's people to learn from and to validate
on, of whom it has seen none. Files joined by + show the same people. Tracks and registered pairs of
real people are a check. Weights are not kept: `vireid train stripes_learnt` makes
those. Test people take no part.

    python benchmarks/projection_curve.py averages TWO_SITES.csv --dataset folder --out real.npz
    python benchmarks/projection_curve.py learn mini.npz a.npz --beside real.npz --site THIRD.csv

learns from real people beside the rendered ones: some of each batch are theirs.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scripts import real_photographs, real_tracklets
from torch.nn import functional as F  # noqa: N812

from vireid import datasets, recipes
from vireid.datasets import nightwalk
from vireid.losses.identity import identity_loss
from vireid.losses.weighted_triplet import weighted_triplet
from vireid.methods.stripes import LOGIT_SCALE, TRIPLET_SCALE, Stripes, _Projection
from vireid.models import runs
from vireid.models.centring import Means
from vireid.models.embedder import Embedder
from vireid.models.opening import folder_of
from vireid.pictures import pixels_of
from vireid.recipes import recipe as read_recipe
from vireid.records import ImageRecord, Modality
from vireid.training_data.augmentation import Augmentation, augment, draw_changes
from vireid.training_data.bridging import Bridging, bridge
from vireid.types.arrays import Pixels, Vectors

RECIPE = "stripes_learnt"
UNTRAINED = "stripes"
"""Shipped model whose embeddings are the averages, both layers' joined at length one."""
LAYERS = 2
AT_ONCE = 64


def main() -> None:
    """Compute averages, or learn from some."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("averages", "learn"))
    parser.add_argument("files", nargs="+")
    parser.add_argument("--dataset", default="nightwalk")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", help="a setting of [augmentation], or bridging for all")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--name", default="", help="first cell of the row")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--hidden", type=int, default=0)
    parser.add_argument("--learnt-from", type=int, help="so many people, drawn from all")
    parser.add_argument("--people", type=int, default=16, help="people in a batch")
    parser.add_argument("--beside", help="averages of real people to learn from too")
    parser.add_argument("--beside-people", type=int, default=4, help="of theirs in a batch")
    parser.add_argument("--from", dest="start_from", help="exported model to begin with")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--share", type=float, default=0.7)
    parser.add_argument("--site", type=Path, action="append", default=[])
    parser.add_argument("--photographs", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "averages":
        compute(asked.files[0], asked.dataset, asked.seed, asked.without, asked.out)
    else:
        learn(asked)


def compute(root: str, name: str, seed: int, without: str | None, out: Path) -> None:
    """Write the averages of training people, changed; or of mini's, as they are."""
    recipe = read_recipe.read(recipes.find(RECIPE))
    dataset = datasets.read(name, None if root == "mini" else root)
    records = [*dataset.train, *(dataset.validation if root == "mini" else ())]
    if name == "folder":  # people of one's own, all of whom may be learnt from
        records = [r for r in (*records, *dataset.test) if r.identity is not None]
    pictures = [pixels_of(r, recipe.data.height, recipe.data.width) for r in records]
    if root != "mini":
        changes = _less(recipe.augmentation, without)
        pictures = _changed(pictures, records, dataset.root, changes, seed)
    embedder = Embedder.open(UNTRAINED, threads=1)
    averages = np.zeros((len(pictures), embedder.embedding_dim), np.float16)
    for modality in Modality:
        own = [place for place, r in enumerate(records) if r.modality is modality]
        for start in range(0, len(own), AT_ONCE):
            places = own[start : start + AT_ONCE]
            averages[places] = averages_in(embedder.embed([pictures[p] for p in places], modality))
    np.savez(
        out,
        averages=averages,
        identity=np.array([r.identity for r in records]),
        visible=np.array([r.modality is Modality.VISIBLE for r in records]),
        camera=np.array([str(r.camera) for r in records]),
    )


def _less(settings: Augmentation, without: str | None) -> Augmentation:
    """Return an augmentation without one change, or without all that bridge spectra."""
    if without is None:
        return settings
    names = vars(Bridging()) if without == "bridging" else [without]
    return replace(settings, **{name: type(getattr(settings, name))(0) for name in names})


def averages_in(embeddings: Vectors) -> Vectors:
    """Return averages of each layer at length one."""
    averages: Vectors = embeddings * np.float32(LAYERS**0.5)
    return averages


def _changed(
    pictures: Sequence[Pixels],
    records: Sequence[ImageRecord],
    root: Path,
    settings: Augmentation,
    seed: int,
) -> list[Pixels]:
    rng = np.random.default_rng(seed)
    changed = list(pictures)
    for modality in Modality:
        places = [i for i, r in enumerate(records) if r.modality is modality]
        for place, other in zip(places, rng.permutation(places), strict=True):
            own, others = (nightwalk.person_mask(records[i].path, root) for i in (place, other))
            masks = None if own is None or others is None else (own, others)
            bridged = bridge(
                pictures[place], settings, modality, rng, other=pictures[other], masks=masks
            )
            moved = draw_changes(settings, modality, (1, *bridged.shape[:2]), rng)
            changed[place] = augment([bridged], moved)[0]
    return changed


def learn(asked: argparse.Namespace) -> None:
    """Learn a projection, and print how it finds people."""
    mini, *sources = ([np.load(part) for part in name.split("+")] for name in asked.files)
    averages, people = joined(sources)
    rng = np.random.default_rng(asked.seed)
    if asked.learnt_from:
        drawn = rng.choice(len(people), asked.learnt_from, replace=False)
        people = [people[k] for k in drawn]
    real = list[list[np.ndarray]]()
    if asked.beside:
        more, real = joined([[np.load(part) for part in asked.beside.split("+")]])
        real = [[rows + len(averages) for rows in person] for person in real]
        averages = np.concatenate([averages, more])
    projection = learnt(averages, people, real, asked, rng, asked.seed)
    pictures = sum(len(rows) for person in people for rows in person)
    cells = [asked.name, f"{len(people):,}", f"{pictures:,}", f"{asked.steps:,}"]
    rendered, real_cells = _found(projection.eval(), mini[0], asked)
    for ground, found in (("rendered", rendered), ("real", real_cells)):
        print(f"{ground}: | {' | '.join([*cells, *found])} |", flush=True)


def learnt(
    averages: np.ndarray,
    people: Sequence[Sequence[np.ndarray]],
    real: Sequence[Sequence[np.ndarray]],
    asked: argparse.Namespace,
    rng: np.random.Generator,
    seed: int = 0,
) -> _Projection:
    """Return a projection learnt from averages.

    Args:
        averages: One a picture, changed.
        people: Rows of each rendered person, in either spectrum.
        real: The same of real people; `asked.beside_people` of each batch are theirs.
        asked: hidden, people, beside_people, rate, steps; start_from, an exported model.
        rng: Draws people and pictures.
        seed: Of the weights and of dropout.
    """
    config = Stripes.Config(
        projection=512, hidden=asked.hidden, dropout=0.2, people=asked.people, warm_up=1
    )
    torch.manual_seed(seed)
    everybody = [*people, *real]
    projection = _Projection(averages.shape[1], config, len(everybody))
    if asked.start_from:
        begin_with(projection, asked.start_from)
    of_real = asked.beside_people if real else 0
    optimizer = torch.optim.AdamW(projection.parameters(), asked.rate, weight_decay=1e-4)
    for step in range(asked.steps):
        rate = asked.rate * min(1, (step + 1) / 100) * (1 + np.cos(np.pi * step / asked.steps)) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate
        drawn = rng.choice(len(people), asked.people - of_real, replace=False)
        if real:
            some = len(people) + rng.choice(len(real), of_real, replace=False)
            drawn = np.concatenate([drawn, some])
        rows = np.concatenate([rng.choice(everybody[k][m], 4) for m in (0, 1) for k in drawn])
        identities = torch.from_numpy(np.tile(np.repeat(drawn, 4), 2))
        with torch.autocast("cpu", torch.bfloat16):
            found = F.normalize(projection(torch.from_numpy(averages[rows]).float()), dim=1)
            loss = identity_loss(LOGIT_SCALE * projection.cosines(found), identities, 0.1)
            loss = loss + weighted_triplet(TRIPLET_SCALE * found, identities)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return projection


def begin_with(projection: _Projection, model: str) -> None:
    """Give a projection the weights of an exported model, but for people's."""
    state, part = runs.read_weights(folder_of(model) / runs.WEIGHTS), "projection."
    own = {name.removeprefix(part): v for name, v in state.items() if name.startswith(part)}
    projection.load_state_dict(own, strict=False)


def _found(
    projection: _Projection, mini: Any, asked: argparse.Namespace
) -> tuple[list[str], list[str]]:
    """Return cells of rendered people, alone and joined; of tracks, centred, and of pairs."""
    alone, both = vectors_of(projection, mini["averages"], asked.share)
    rendered = [f"{100 * rank_1(vectors, mini):.1f}" for vectors in (alone, both)]
    cells = list[str]()
    embedder = Embedder.open(UNTRAINED, threads=1)

    def of_records(records: Sequence[ImageRecord]) -> Vectors:
        found: Vectors = vectors_of(
            projection, averages_in(embedder.embed_records(records)), asked.share
        )[1]
        return found

    if asked.site:
        tracked = real_tracklets.read(asked.site)
        vectors = of_records(tracked.records)
        for each in (vectors, Means.of(vectors, tracked.records).less(vectors, tracked.records)):
            of_people = real_tracklets.found(tracked, each, 2.0)
            cells.append(f"{100 * np.mean([np.mean(of) for of in of_people.values()]):.0f}")
    if asked.photographs:
        with tempfile.TemporaryDirectory() as place:
            cut = real_photographs.cut(asked.photographs, Path(place))
            similarity = of_records(cut.queries) @ of_records(cut.gallery).T
        cells.append(f"{100 * np.mean(similarity.argmax(1) == np.arange(len(similarity))):.0f}")
    return rendered, cells


def vectors_of(
    projection: _Projection, averages: np.ndarray, share: float
) -> tuple[Vectors, Vectors]:
    """Return the projection of averages, and both joined, at length one."""
    seen = torch.from_numpy(np.asarray(averages, np.float32))
    with torch.inference_mode():
        projected, plain = F.normalize(projection(seen), dim=1), F.normalize(seen, dim=1)
    joined = torch.cat([(1 - share) ** 0.5 * plain, share**0.5 * projected], dim=1)
    return projected.numpy(), joined.numpy()


def joined(sources: Sequence[Sequence[Any]]) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """Return all averages, and the rows of each person in either spectrum."""
    rows: list[list[np.ndarray]] = []
    parts: list[np.ndarray] = []
    first = 0
    for source in sources:
        identity, visible, own = (
            np.concatenate([part[name] for part in source])
            for name in ("identity", "visible", "averages")
        )
        for person in np.unique(identity):
            of = [first + np.flatnonzero((identity == person) & (visible == v)) for v in (1, 0)]
            rows += [of] if all(map(len, of)) else []
        parts.append(own)
        first += len(own)
    return np.concatenate(parts), rows


def rank_1(vectors: np.ndarray, people: Mapping[str, np.ndarray], draws: int = 3) -> float:
    """Return rank 1 of infrared queries among one visible picture a person and camera."""
    rng, hits = np.random.default_rng(0), list[float]()
    identity, camera, visible = (people[name] for name in ("identity", "camera", "visible"))
    queries = np.flatnonzero(~visible)
    for _ in range(draws):
        gallery = np.array(
            [
                rng.choice(np.flatnonzero(visible & (camera == c) & (identity == i)))
                for c in np.unique(camera[visible])
                for i in np.unique(identity[visible & (camera == c)])
            ]
        )
        similarity = vectors[queries] @ vectors[gallery].T
        hidden = (camera[queries] == "cam3")[:, None] & (camera[gallery] == "cam2")
        first = np.where(hidden, -np.inf, similarity).argmax(axis=1)
        hits.append(float((identity[gallery][first] == identity[queries]).mean()))
    return float(np.mean(hits))


if __name__ == "__main__":
    main()
