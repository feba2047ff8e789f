"""Bodies from anny, thinned out to what a surveillance picture shows.

anny (https://github.com/naver/anny, Apache-2.0, body data CC0) turns a few phenotype numbers into a
mesh with a skeleton. Its 13,380 surface vertices spend most of their detail on faces, fingers and
toes; one vertex for every two-centimetre cell keeps the silhouette and makes a picture three times
cheaper.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

SURFACE_VERTICES = 13_380
"""Vertices of the MakeHuman base mesh that are body surface; those above are fitting geometry."""
CELL = 0.02
"""Edge in metres of the cells that keep one vertex each."""

TORSO, HEAD, NECK, ARM, HAND, LEG, FOOT = range(7)
_REGION_OF_BONE = (
    (ARM, ("upperarm", "lowerarm")),
    (HAND, ("wrist", "finger", "metacarpal")),
    (LEG, ("upperleg", "lowerleg")),
    (FOOT, ("foot", "toe")),
    (NECK, ("neck",)),
    (TORSO, ("root", "pelvis", "spine", "breast", "clavicle", "shoulder")),
)


@dataclass(frozen=True)
class Phenotype:
    """What anny needs to know about a body; every number in [0, 1]."""

    gender: float
    """0 female, 1 male."""
    age: float
    muscle: float
    weight: float
    height: float
    proportions: float
    african: float
    asian: float
    caucasian: float


@dataclass(frozen=True)
class Skeleton:
    """What all bodies share."""

    bones: dict[str, int]
    parents: tuple[int, ...]
    """Index of each bone's parent, -1 for the root; parents come before their children."""
    weights: Array
    """Share of each bone in each vertex, v x b."""
    triangles: NDArray[np.int32]
    regions: NDArray[np.int64]
    """Part of the body each vertex belongs to: TORSO, HEAD, ..."""


@dataclass(frozen=True)
class Body:
    """One naked body in anny's rest pose: metres, z up, facing -y, its left at +x."""

    skeleton: Skeleton
    vertices: Array
    """v x 3"""
    joints: Array
    """Where each bone starts, b x 3."""

    def joint(self, bone: str) -> Array:
        """Where a bone starts."""
        joint: Array = self.joints[self.skeleton.bones[bone]]
        return joint


class BodyShop:
    """Makes bodies; building one takes a minute the first time, after which anny has a cache."""

    def __init__(self) -> None:
        self._model = _anny()
        weights = _dense_weights(self._model)
        self._kept, triangles = _thin_out(self._model)
        bones = {name: i for i, name in enumerate(self._model.bone_labels)}
        kept_weights = weights[self._kept]
        self.skeleton = Skeleton(
            bones=bones,
            parents=tuple(int(p) for p in self._model.bone_parents),
            weights=kept_weights,
            triangles=triangles,
            regions=_regions(list(bones), kept_weights),
        )

    def body(self, phenotype: Phenotype) -> Body:
        """The body of somebody."""
        import torch

        with torch.no_grad():
            made = self._model(
                phenotype_kwargs={k: torch.tensor([v]) for k, v in vars(phenotype).items()}
            )
        return Body(
            self.skeleton,
            made["rest_vertices"][0].numpy().astype(np.float32)[self._kept],
            made["rest_bone_heads"][0].numpy().astype(np.float32),
        )


@cache
def shop() -> BodyShop:
    """The one shop of this process."""
    return BodyShop()


def _anny() -> Any:
    import anny

    return anny.Anny(
        rig="makehuman",
        topology="makehuman-full",
        local_changes="none",
        phenotypes="all",
        skinning_method="lbs",
    ).float()


def _dense_weights(model: Any) -> Array:
    indices, shares = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    dense = np.zeros((len(indices), len(model.bone_labels)), np.float32)
    np.add.at(dense, (np.arange(len(indices))[:, None], indices), shares)
    return dense


def _thin_out(model: Any) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Vertices to keep, and triangles between them, the same for every body."""
    quads = model.faces.numpy()
    quads = quads[(quads < SURFACE_VERTICES).all(1)]
    positions = model.template_vertices.numpy()[:SURFACE_VERTICES]
    cells = np.floor(positions / CELL).astype(np.int64)
    _, cell_of = np.unique(cells, axis=0, return_inverse=True)
    cell_of = cell_of.reshape(-1)
    used = np.unique(quads)
    centre = np.stack([np.bincount(cell_of, positions[:, i]) for i in range(3)], 1)
    middles = centre / np.bincount(cell_of)[:, None]
    off_centre = np.linalg.norm(positions - middles[cell_of], axis=1)
    order = used[np.lexsort((off_centre[used], cell_of[used]))]
    owners, first = np.unique(cell_of[order], return_index=True)
    new_index = np.full(cell_of.max() + 1, -1)
    new_index[owners] = np.arange(len(owners))
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    triangles = new_index[cell_of[triangles]]
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (a != c)]
    return order[first], np.ascontiguousarray(triangles, np.int32)


def _regions(bones: list[str], weights: Array) -> NDArray[np.int64]:
    region_of_bone = np.array(
        [next((r for r, names in _REGION_OF_BONE if b.startswith(names)), HEAD) for b in bones]
    )
    share = np.stack([weights[:, region_of_bone == r].sum(1) for r in range(7)], 1)
    largest: NDArray[np.int64] = share.argmax(1)
    return largest
