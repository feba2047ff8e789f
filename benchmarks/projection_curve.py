"""What a projection of stripes gains from more people, more steps and a hidden layer.

    python benchmarks/projection_curve.py averages ROOT --dataset nightwalk --seed 0 --out a.npz
    python benchmarks/projection_curve.py averages mini --out mini.npz
    python benchmarks/projection_curve.py learn mini.npz a.npz+b.npz thermal.npz --steps 1500

`averages` computes what the network that does not learn sees of the training people, in pictures
changed by the recipe's augmentation; `learn` learns a projection from such files and tells after
every 500 steps how it finds mini's people to learn from and to validate on, of whom it has seen
none. Files joined by + show the same people. Weights are not kept: `vireid train stripes_learnt`
makes those. Test people take no part.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from vireid import datasets, recipes
from vireid.datasets import nightwalk
from vireid.losses.identity import identity_loss
from vireid.losses.weighted_triplet import weighted_triplet
from vireid.methods.stripes import LOGIT_SCALE, TRIPLET_SCALE, Stripes, _Projection
from vireid.pictures import pixels_of
from vireid.recipes import recipe as read_recipe
from vireid.records import ImageRecord, Modality
from vireid.training_data.augmentation import Augmentation, augment, draw_changes
from vireid.training_data.bridging import bridge
from vireid.types.arrays import Pixels

RECIPE = "stripes_learnt"
EVERY = 500


def main() -> None:
    """Compute averages, or learn from some."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("averages", "learn"))
    parser.add_argument("files", nargs="+")
    parser.add_argument("--dataset", default="nightwalk")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--hidden", type=int, default=0)
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "averages":
        compute(asked.files[0], asked.dataset, asked.seed, asked.out)
    else:
        learn(asked)


def compute(root: str, name: str, seed: int, out: Path) -> None:
    """Write the averages of training people, changed; or of mini's, as they are."""
    recipe = read_recipe.read(recipes.find(RECIPE))
    dataset = datasets.read(name, None if root == "mini" else root)
    records = [*dataset.train, *(dataset.validation if root == "mini" else ())]
    pictures = [pixels_of(r, recipe.data.height, recipe.data.width) for r in records]
    if root != "mini":
        pictures = _changed(pictures, records, dataset.root, recipe.augmentation, seed)
    method = Stripes(replace(recipe.settings, projection=0), 2).eval()
    found = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(pictures), 32):
            batch = torch.from_numpy(np.stack(pictures[start : start + 32]))
            images = batch.permute(0, 3, 1, 2).float() / 255
            found.append(method._averages(images).float().half().numpy())
    np.savez(
        out,
        averages=np.concatenate(found),
        identity=np.array([r.identity for r in records]),
        visible=np.array([r.modality is Modality.VISIBLE for r in records]),
        camera=np.array([str(r.camera) for r in records]),
    )


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
    """Learn a projection, and tell how it finds mini's people."""
    mini, *sources = ([np.load(part) for part in name.split("+")] for name in asked.files)
    averages, people = _joined(sources)
    config = Stripes.Config(
        projection=512, hidden=asked.hidden, dropout=0.2, people=asked.people, warm_up=1
    )
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    projection = _Projection(averages.shape[1], config, len(people))
    optimizer = torch.optim.AdamW(projection.parameters(), asked.rate, weight_decay=1e-4)
    print(f"{len(people)} people, {len(averages)} pictures", flush=True)
    for step in range(asked.steps):
        rate = asked.rate * min(1, (step + 1) / 100) * (1 + np.cos(np.pi * step / asked.steps)) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate
        drawn = rng.choice(len(people), asked.people, replace=False)
        rows = np.concatenate([rng.choice(people[k][m], 4) for m in (0, 1) for k in drawn])
        identities = torch.from_numpy(np.tile(np.repeat(drawn, 4), 2))
        projection.train()
        found = F.normalize(projection(torch.from_numpy(averages[rows]).float()), dim=1)
        loss = identity_loss(LOGIT_SCALE * projection.cosines(found), identities, 0.1)
        loss = loss + weighted_triplet(TRIPLET_SCALE * found, identities)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if (step + 1) % EVERY == 0 or step + 1 == asked.steps:
            with torch.inference_mode():
                seen = torch.from_numpy(mini[0]["averages"]).float()
                vectors = F.normalize(projection.eval()(seen), dim=1).numpy()
            scores = [100 * rank_1(each, mini[0]) for each in (vectors, _centred(vectors, mini[0]))]
            print(f"{step + 1} steps, loss {loss.item():.2f}: {scores[0]:.1f} / {scores[1]:.1f}")


def _joined(sources: Sequence[Sequence[Any]]) -> tuple[np.ndarray, list[list[np.ndarray]]]:
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


def rank_1(vectors: np.ndarray, people: Any, draws: int = 3) -> float:
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


def _centred(vectors: np.ndarray, people: Any) -> np.ndarray:
    centred = vectors.copy()
    for spectrum in (True, False):
        centred[people["visible"] == spectrum] -= vectors[people["visible"] == spectrum].mean(0)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True).clip(min=1e-9))


if __name__ == "__main__":
    main()
