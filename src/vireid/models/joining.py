"""Joining of exported models: their embeddings side by side, each with its share of a similarity.

Models that know different things find more together than each of them, and no network has to learn
anew for it: the graphs of one spectrum become one graph. Pictures come in the size of the largest
model and are brought to that of the others within the graph, by the filter of `vireid.pictures`.
What they compute alike, such as the first layers of one frozen network, is computed once.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tomli_w
from jaxtyping import Float
from onnx import compose, helper, numpy_helper
from PIL import Image

from vireid import __version__
from vireid.files import documents
from vireid.files.atomic import check_is_new, new_folder, writing_to
from vireid.files.checksums import sha256_of
from vireid.models import onnx_graphs
from vireid.models.card import CARD, Exported, ModelError, read_exported
from vireid.models.embedder import Embedder
from vireid.models.opening import exported_folder
from vireid.records import Modality
from vireid.types.engine_options import StoredWeights

METHOD = "joined"
RECIPE = "recipe.toml"
DECIMALS = 6


@dataclass(frozen=True)
class Part:
    """One of the models that are joined."""

    folder: Path
    card: Exported
    share: float
    """Share of a similarity that it decides."""
    prefix: str
    """Beginning of the names of its nodes and weights in the graph of all."""
    recipe: Mapping[str, Any]
    """How it was learnt; empty where nothing says it."""


def join(
    names: Sequence[str],
    shares: Sequence[float],
    out: Path,
    *,
    caveat: str | None = None,
    weights: StoredWeights = "float32",
) -> Exported:
    """Write a model whose similarity is the weighted mean of those of others.

    Args:
        names: Exported or shipped models in float32, at least two.
        shares: Weight of each in the mean, above 0; together 1.
        out: Folder to write, which appears whole or not at all.
        caveat: What whoever reads its answers has to know; by default what the models say.
        weights: Number format in which weights are stored; it computes in float32 either way.

    Returns:
        The card of the new model.

    Raises:
        VireidError: One of them is a run, computes in another precision or is named twice; the
            shares do not fit; or the folder exists.
    """
    check_is_new(out, ModelError)
    parts = _parts(names, shares)
    largest = max((part.card for part in parts), key=lambda card: card.height * card.width)
    size = largest.height, largest.width
    fingerprint = _fingerprint(parts, weights)
    with writing_to(out), new_folder(out) as folder:
        made = {modality: _joined(parts, modality, size, weights) for modality in Modality}
        for graph in made.values():
            onnx_graphs.merge_equal(graph)
        told = {m: onnx_graphs.contract(m, *size, fingerprint, "float32") for m in Modality}
        onnx_graphs.write(made, folder, told)
        recipe = tomli_w.dumps(_recipe(parts))
        (folder / RECIPE).write_text(recipe, encoding="utf-8")
        card = Exported(
            vireid=__version__,
            method=METHOD,
            settings={"parts": [_about(part) for part in parts]},
            height=largest.height,
            width=largest.width,
            embedding_dim=sum(part.card.embedding_dim for part in parts),
            precision="float32",
            fingerprint=fingerprint,
            dataset=_same(part.card.dataset for part in parts),
            num_identities=None,
            learnt_in=_same(part.card.learnt_in for part in parts if _has_learnt(part.recipe)),
            caveat=caveat or _joined_words(part.card.caveat for part in parts),
            licence=_joined_words(part.card.licence for part in parts),
            name=out.name,
            files={path.name: sha256_of(path) for path in sorted(folder.iterdir())},
        )
        documents.write_json(folder / CARD, card)
        Embedder.open(folder).check()
    return card


def _parts(names: Sequence[str], shares: Sequence[float]) -> list[Part]:
    if len(names) < 2 or len(set(names)) < len(names):
        raise ModelError("join takes two models or more, each of them once")
    if len(shares) != len(names) or not all(share > 0 for share in shares):
        raise ModelError(f"{len(names)} models need as many shares, each above 0")
    if abs(sum(shares) - 1) > 10**-DECIMALS:
        raise ModelError(f"the shares add up to {sum(shares):g}; they have to add up to 1")
    given = enumerate(zip(names, shares, strict=True))
    return [_part(name, share, f"model {number}/") for number, (name, share) in given]


def _part(name: str, share: float, prefix: str) -> Part:
    folder = exported_folder(name)
    Embedder.open(name)  # finds files that are not those of the card, which joining would not
    card = read_exported(folder)
    if card.precision != "float32":
        raise ModelError(
            f"{name} is in {card.precision}; join the models in float32, and export what comes of "
            "it in another precision"
        )
    return Part(folder, card, round(share, DECIMALS), prefix, _recipe_of(folder))


def _joined(
    parts: Sequence[Part], modality: Modality, size: tuple[int, int], weights: StoredWeights
) -> onnx.ModelProto:
    """Return the graph of one spectrum, with the weights of all."""
    models = [onnx.load_model(part.folder / f"{modality}.onnx") for part in parts]
    opsets = {(opset.domain, opset.version) for model in models for opset in model.opset_import}
    if len({domain for domain, _ in opsets}) < len(opsets):
        raise ModelError("the models are of different versions of ONNX; export them again")
    nodes, constants, embeddings = list[Any](), dict[str, np.ndarray](), list[str]()
    for part, model in zip(parts, models, strict=True):
        if weights == "float16":
            onnx_graphs.halve_weights(model)
        given = f"{part.prefix}pictures"
        own = compose.add_prefix_graph(model.graph, part.prefix)
        resize, filters = _resize(part, size, given)
        nodes += [*resize, *own.node]
        constants |= filters
        constants |= {tensor.name: numpy_helper.to_array(tensor) for tensor in own.initializer}
        constants[f"{part.prefix}scale"] = np.array(part.share**0.5, np.float32)
        embeddings.append(f"{part.prefix}scaled")
        scaled = [f"{part.prefix}embeddings", f"{part.prefix}scale"]
        nodes.append(helper.make_node("Mul", scaled, embeddings[-1:]))
    nodes.append(helper.make_node("Concat", embeddings, ["embeddings"], axis=1))
    numbers = sum(part.card.embedding_dim for part in parts)
    graph = helper.make_graph(
        nodes,
        METHOD,
        [helper.make_tensor_value_info("pictures", onnx.TensorProto.UINT8, ["n", *size, 3])],
        [helper.make_tensor_value_info("embeddings", onnx.TensorProto.FLOAT, ["n", numbers])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph,
        ir_version=max(model.ir_version for model in models),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in sorted(opsets)],
    )


def _resize(
    part: Part, size: tuple[int, int], out: str
) -> tuple[list[Any], Mapping[str, np.ndarray]]:
    """Return nodes and their constants that bring `pictures` to the size of a model.

    Two products do it, one over columns and one over rows, which every engine computes alike.
    """
    height, width = part.card.height, part.card.width
    if (height, width) == size:
        return [helper.make_node("Identity", ["pictures"], [out])], {}
    constants: dict[str, np.ndarray] = {
        "columns": _filter(size[1], width),
        "rows": _filter(size[0], height),
        "in rows": np.array([0, size[0], width * 3]),
        "in colours": np.array([0, height, width, 3]),
        "black": np.array(0, np.float32),
        "white": np.array(255, np.float32),
    }
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Cast", ["pictures"], "exact", {"to": onnx.TensorProto.FLOAT}),
        ("MatMul", ["columns", "exact"], "narrow", {}),
        ("Reshape", ["narrow", "in rows"], "lines", {}),
        ("MatMul", ["rows", "lines"], "small", {}),
        ("Reshape", ["small", "in colours"], "coloured", {}),
        ("Round", ["coloured"], "rounded", {}),
        ("Clip", ["rounded", "black", "white"], "clipped", {}),
        ("Cast", ["clipped"], out, {"to": onnx.TensorProto.UINT8}),
    ]

    def named(name: str) -> str:
        return name if name in ("pictures", out) else f"{part.prefix}resize/{name}"

    nodes = [
        helper.make_node(kind, list(map(named, inputs)), [named(output)], **how)
        for kind, inputs, output, how in steps
    ]
    return nodes, {named(name): value for name, value in constants.items()}


def _filter(before: int, after: int) -> Float[np.ndarray, "after before"]:
    """Return the weights with which Pillow's bilinear filter makes a line of another length."""
    unit = Image.fromarray(np.eye(before, dtype=np.float32))
    return np.array(unit.resize((before, after), Image.Resampling.BILINEAR))


def _fingerprint(parts: Sequence[Part], weights: StoredWeights) -> str:
    told = "".join(f"{part.card.fingerprint} {part.share} " for part in parts)
    if weights != "float32":
        told += weights
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _about(part: Part) -> dict[str, Any]:
    card = part.card
    return {"name": card.name, "share": part.share, "fingerprint": card.fingerprint}


def _recipe(parts: Sequence[Part]) -> dict[str, Any]:
    """Return how the models were learnt, and what all of them have learnt from, if it is known.

    Where they have learnt from several data sets it is left out, as of a model of unknown origin.
    """
    joined = [{**_about(part), "recipe": part.recipe} for part in parts]
    told = [part.recipe.get("data", {}) for part in parts if _has_learnt(part.recipe)] or [{}]
    if not told[0] or len({(data.get("dataset"), data.get("trial")) for data in told}) > 1:
        return {"method": METHOD, "parts": joined}
    most = max(told, key=lambda data: data.get("learn_from") != "train")
    return {"method": METHOD, "data": most, "parts": joined}


def _has_learnt(recipe: Mapping[str, Any]) -> bool:
    """Whether a model has learnt from people: not without an epoch, and with no other to begin."""
    return recipe.get("settings", {}).get("epochs") != 0 or "start_from" in recipe


def _recipe_of(folder: Path) -> dict[str, Any]:
    path = folder / RECIPE
    if not path.exists():
        return {}
    return documents.read_toml(path, dict[str, Any], "copy the whole folder again", ModelError)


def _same(values: Iterator[str | None]) -> str | None:
    """Return what all say, or None if they differ."""
    said = set(values)
    return said.pop() if len(said) == 1 else None


def _joined_words(said: Iterator[str | None]) -> str | None:
    return "; ".join(dict.fromkeys(filter(None, said))) or None
