"""Adapting a model to one's own cameras, from people whom two registered videos have labelled.

`vireid cut --pair` finds people in both spectra, without anybody naming them. They are few, so
little is learnt from them, over the embeddings of a model that stays as it is:

* the mean of each spectrum, which is subtracted
* the directions in which embeddings of one person differ most (pose, spectrum, light), which count
  less: within-class covariance normalisation, shrunk towards none (Hatch, Kajarekar and Stolcke,
  Interspeech 2006)

Beside other people, such as rendered ones, the model itself may go on learning from them.

What of it is good is chosen by cross-validation over people. If nothing is clearly better than the
model as it was, nothing is written. Weights for each number were tried and were no better
(docs/methods/stripes.md).
"""

import hashlib
import random
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from vireid.console import remark
from vireid.datasets import folder as folders
from vireid.errors import MissingExtraError, VireidError
from vireid.files.atomic import check_is_new, new_folder, writing_to
from vireid.files.checksums import sha256_of
from vireid.files.documents import write_json
from vireid.models.card import CARD, read_exported
from vireid.models.embedder import Embedder
from vireid.models.onnx_network import weights_among
from vireid.models.opening import exported_folder
from vireid.records import ImageRecord, Modality, moment
from vireid.types.arrays import Vector, Vectors

if TYPE_CHECKING:
    from vireid.experiments.further_learning import FurtherLearning

MOST_DIRECTIONS = 64
FOLDS = 5
LEAST_PEOPLE = 6
FURTHER_FOLDS = 2
"""Parts of the people where the model goes on learning, once without each."""
LEAST_TO_LEARN_FROM = 8
GAP = 2.0
"""Seconds from which another picture of a person is one to find."""
REPORT = "adaptation.json"
ABOUT = ("recipe.toml", "log.txt", "losses.jsonl")
"""Files that tell how a model went on learning."""


@dataclass(frozen=True)
class Way:
    """What may be done to a model."""

    further: bool = False
    """Whether it goes on learning."""
    centred: bool = True
    """Whether the mean of each spectrum is subtracted."""
    strength: float | None = None
    """How much directions within people are shrunk: less with a larger number, None for not at
    all."""

    def __str__(self) -> str:
        shrunk = f"directions shrunk ({self.strength:g})" if self.strength else ""
        parts = (
            "learnt further" if self.further else "",
            "centred" if self.centred else "",
            shrunk,
        )
        return ", ".join(filter(None, parts))


WAYS = (Way(), Way(strength=10.0), Way(strength=1.0))
FURTHER_WAYS = (Way(further=True, centred=False), Way(further=True))
"""Directions within people look small to a model that has learnt from these people."""


@dataclass(frozen=True, eq=False)
class Change:
    """What is done to embeddings."""

    means: Mapping[Modality, Vector]
    directions: Float[np.ndarray, "k d"]
    """Unit vectors, at right angles to one another."""
    factors: Float[np.ndarray, " k"]
    """By how much what lies in each direction counts, from 0 to 1."""

    def applied(self, vectors: Vectors, records: Sequence[ImageRecord]) -> Vectors:
        """Return embeddings as the adapted model makes them."""
        left = vectors - np.stack([self.means[record.modality] for record in records])
        inside = left @ self.directions.T
        left = left + (inside * (self.factors - 1)) @ self.directions
        changed: Vectors = left / np.linalg.norm(left, axis=1, keepdims=True).clip(min=1e-9)
        return changed


@dataclass(frozen=True)
class Gain:
    """What some people are found with, before and after."""

    people: int
    before: dict[str, float]
    after: dict[str, float]
    difference: float
    """Mean over people of what average precision has gained."""
    error: float
    """Standard error of that mean, over people."""

    def __str__(self) -> str:
        told = (
            f"{name} {100 * self.before[name]:.1f} to {100 * self.after[name]:.1f} %"
            for name in self.before
        )
        return f"{self.people} people: {', '.join(told)}; {self.spread}"

    @property
    def spread(self) -> str:
        """The difference in words, with its standard error."""
        return f"AP {100 * self.difference:+.1f} ± {100 * self.error:.1f} a person"


@dataclass(frozen=True)
class Adapted:
    """The result of an adaptation."""

    model: str
    way: Way
    chosen_by: Gain
    """On people whom the rest was not learnt from, by which the way was chosen."""
    held_out: Gain | None
    """On people who had no part in it."""
    learnt_from: int
    """Number of people learnt from."""
    tried: Mapping[str, Gain] = field(default_factory=dict)
    """Gains of all ways that were tried, on the same people as `chosen_by`."""


def adapt(
    model: str,
    learnt: Path,
    out: Path,
    held_out: Path | None = None,
    *,
    beside: Sequence[str] = (),
    overrides: Sequence[str] = (),
    trust_code: bool = False,
) -> Adapted:
    """Adapt a model, and write it.

    Args:
        model: Name of an exported or shipped model.
        learnt: Folder or list of people in both spectra, as `vireid cut --pair` writes it.
        out: Folder of the new model, which does not exist yet.
        held_out: List of other people of these cameras; by default a third of the people.
        beside: Data sets beside which the model goes on learning from the people, each as
            `NAME:FOLDER`; without any it stays as it is.
        overrides: Settings of the model's recipe for that, such as `settings.epochs=8`.
        trust_code: See `Embedder.open`.

    Raises:
        Interrupted: Ctrl-C while the model went on learning; the same call goes on with it.
        VireidError: There are too few people, the model is no exported one or cannot go on
            learning, or nothing that was tried is better than the model as it is.
    """
    check_is_new(out)
    source = exported_folder(model)
    embedder = Embedder.open(model, trust_code=trust_code)
    people = _people(learnt, LEAST_TO_LEARN_FROM if beside else LEAST_PEOPLE)
    others = _people(held_out, 2) if held_out else ()
    if not held_out:
        people, others = _divided(people)
    runs = out.with_name(f"{out.name}.learning")
    further = None
    if beside:
        from vireid.experiments import further_learning  # needs torch

        further = further_learning.of_model(model, beside, runs, overrides, trust_code=trust_code)
    vectors = embedder.embed_records(people)
    tried = _tried(vectors, people, further)
    way = max(tried, key=lambda each: tried[each].difference)
    gain = tried[way]
    if gain.difference <= gain.error:
        _remove(runs)
        raise VireidError(
            f"nothing that was learnt from {learnt} is clearly better than {model} as it is "
            f"({way}: {gain}); nothing was written. More people, or longer videos, may help"
        )
    after = embedder
    if way.further:
        assert further is not None
        source = further.exported("all", people)
        after = Embedder.open(str(source), trust_code=trust_code)
        vectors = after.embed_records(people)
    change = learn(vectors, people, way)
    found = Adapted(
        model,
        way,
        gain,
        _gain_of(embedder, after, others, change) if others else None,
        len({record.who for record in people}),
        {str(each): of_each for each, of_each in tried.items()},
    )
    write(change, source, out, found)
    _remove(runs)
    return found


def learn(vectors: Vectors, records: Sequence[ImageRecord], way: Way) -> Change | None:
    """Return what is learnt from embeddings of people in both spectra; None where nothing is.

    Args:
        vectors: Row i is the unit vector of record i.
        records: Pictures of people who are known.
        way: What is wanted of it.
    """
    if not way.centred:
        return None
    visible = np.array([record.modality is Modality.VISIBLE for record in records])
    means = {
        Modality.VISIBLE: vectors[visible].mean(axis=0),
        Modality.INFRARED: vectors[~visible].mean(axis=0),
    }
    nothing = np.zeros((0, vectors.shape[1]), np.float32)
    plain = Change(means, nothing, nothing[:, 0])
    if way.strength is None:
        return plain
    centred = plain.applied(vectors, records)
    within = np.concatenate(
        [centred[of] - centred[of].mean(axis=0) for of in _by_person(records).values()]
    )
    _, lengths, directions = np.linalg.svd(within / np.sqrt(len(within)), full_matrices=False)
    usual = way.strength * float((lengths**2).mean())
    factors = np.sqrt(usual / (lengths**2 + usual))
    kept = slice(0, MOST_DIRECTIONS)
    return Change(means, directions[kept].astype(np.float32), factors[kept].astype(np.float32))


def _people(path: Path, least: int) -> tuple[ImageRecord, ...]:
    """Return the pictures of people who are known, and in both spectra."""
    records = [record for record in folders.find(path).records if record.who is not None]
    spectra = defaultdict[object, set[Modality]](set)
    for record in records:
        spectra[record.who].add(record.modality)
    kept = tuple(record for record in records if len(spectra[record.who]) == len(Modality))
    count = len({record.who for record in kept})
    if count < least:
        raise VireidError(
            f"{path} has {count} people in both spectra, and {least} are needed; make a list with "
            "`vireid cut --pair`, of longer or more videos"
        )
    return kept


def _divided(
    records: Sequence[ImageRecord],
) -> tuple[tuple[ImageRecord, ...], tuple[ImageRecord, ...]]:
    """Return two thirds of the people, and the others."""
    people = sorted({str(record.who) for record in records})
    random.Random(0).shuffle(people)
    other = set(people[: len(people) // 3])
    return (
        tuple(record for record in records if str(record.who) not in other),
        tuple(record for record in records if str(record.who) in other),
    )


def _by_person(records: Sequence[ImageRecord]) -> dict[object, list[int]]:
    places = defaultdict[object, list[int]](list)
    for place, record in enumerate(records):
        places[record.who].append(place)
    return places


def _tried(
    vectors: Vectors, records: Sequence[ImageRecord], further: "FurtherLearning | None"
) -> dict[Way, Gain]:
    """Return what each way gains on people whom it was not learnt from.

    A model that goes on learning knows those whom it learns from too well to take them for others;
    then the others are searched for among themselves.
    """
    everybody = sorted(_by_person(records), key=str)
    folds = FURTHER_FOLDS if further else FOLDS
    before: dict[object, tuple[float, float]] = {}
    after: dict[Way, dict[object, tuple[float, float]]]
    after = {way: {} for way in (WAYS + FURTHER_WAYS if further else WAYS)}
    for number in range(folds):
        fold = set(everybody[number::folds])
        rest = [place for place, record in enumerate(records) if record.who not in fold]
        learnt_from = [records[place] for place in rest]
        seen = {False: vectors}
        if further:
            remark(f"{number + 1}/{folds}  learning without {len(fold)} people, to be searched for")
            embedder = further.embedder(f"without-{number + 1}", learnt_from)
            seen[True] = embedder.embed_records(records)
        kept = [p for p, record in enumerate(records) if record.who in fold or not further]
        among = [records[place] for place in kept]
        before |= _found(vectors[kept], among, fold)
        for way, found in after.items():
            own = seen[way.further]
            change = learn(own[rest], learnt_from, way)
            found |= _found(_changed(own, records, change)[kept], among, fold)
    return {way: _gain(before, found) for way, found in after.items()}


def _changed(vectors: Vectors, records: Sequence[ImageRecord], change: Change | None) -> Vectors:
    return vectors if change is None else change.applied(vectors, records)


def _gain_of(
    before: Embedder, after: Embedder, records: Sequence[ImageRecord], change: Change | None
) -> Gain:
    everybody = set(_by_person(records))
    changed = _changed(after.embed_records(records), records, change)
    return _gain(
        _found(before.embed_records(records), records, everybody),
        _found(changed, records, everybody),
    )


def _gain(
    before: Mapping[object, tuple[float, float]], after: Mapping[object, tuple[float, float]]
) -> Gain:
    if len(before) < 2:
        raise VireidError(
            f"{len(before)} people are seen again after {GAP:g} seconds or more in the other "
            "spectrum, and a gain needs two; take longer videos, with --start"
        )
    differences = np.array([after[person][0] - before[person][0] for person in before])
    error = float(differences.std(ddof=1) / np.sqrt(len(differences)))
    means = [np.mean([of[person] for person in before], axis=0) for of in (before, after)]
    named = [{"mAP": float(mean[0]), "rank 1": float(mean[1])} for mean in means]
    return Gain(len(before), named[0], named[1], float(differences.mean()), error)


def _found(
    vectors: Vectors, records: Sequence[ImageRecord], people: set[Any]
) -> dict[object, tuple[float, float]]:
    """Return the mean average precision and rank 1 of each person's infrared pictures.

    They are searched for among all visible pictures, without those of the same person from less
    than two seconds away, or from the same moment where times are not known.
    """
    visible = [place for place, r in enumerate(records) if r.modality is Modality.VISIBLE]
    who = np.array([str(records[place].who) for place in visible])
    found = defaultdict[object, list[tuple[float, float]]](list)
    for place, query in enumerate(records):
        if query.modality is Modality.VISIBLE or query.who not in people:
            continue
        same = who == str(query.who)
        near = np.array([_is_near(query, records[other]) for other in visible])
        order = np.argsort(-(vectors[visible] @ vectors[place]), kind="stable")
        right = same[order][~(same & near)[order]]
        if right.any():
            precision = np.cumsum(right) / np.arange(1, len(right) + 1)
            found[query.who].append((float(precision[right].mean()), float(right[0])))
    return {
        person: (float(np.mean([s[0] for s in of])), float(np.mean([s[1] for s in of])))
        for person, of in found.items()
    }


def _is_near(one: ImageRecord, other: ImageRecord) -> bool:
    if one.time is None or other.time is None:
        return one.moment is not None and one.moment == other.moment
    return abs(moment(one.time) - moment(other.time)) < GAP * 1e6


def write(change: Change | None, source: Path, out: Path, found: Adapted) -> None:
    """Write an adapted model: the graphs of a model, and the change, if there is one.

    Args:
        change: What is done to embeddings.
        source: Folder of the exported model, which has gone on learning if that is the way.
        out: Folder to write.
        found: What is told of it.

    Raises:
        VireidError: The disk is full.
    """
    exported = read_exported(source)
    about = [name for name in ABOUT if found.way.further and (source / name).exists()]
    with writing_to(out), new_folder(out) as folder:
        for name in (*weights_among(exported.files), *about):
            shutil.copyfile(source / name, folder / name)
        for modality in Modality:
            name = f"{modality}.onnx"
            graph = (source / name).read_bytes()
            (folder / name).write_bytes(_with_change(graph, change, modality) if change else graph)
        write_json(folder / REPORT, asdict(found))
        sums = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
        told = "; ".join(filter(None, [exported.caveat, _caveat(found)]))
        described = replace(
            exported,
            text=None,  # sentences were fitted to the pictures as they were embedded before
            fingerprint=hashlib.sha256("".join(sums.values()).encode()).hexdigest()[:16],
            dataset=None,
            num_identities=None,
            caveat=told,
            name=out.name,
            files=sums,
        )
        write_json(folder / CARD, asdict(described))


def _caveat(found: Adapted) -> str:
    told = f"adapted to the cameras of {found.learnt_from} people ({found.way})"
    centred = "; vectors are centred already, so that --centre changes little"
    return told + (centred if found.way.centred else "")


def _remove(runs: Path) -> None:
    """Remove the runs of a model that went on learning, if there are any."""
    if runs.exists():
        shutil.rmtree(runs)


def _with_change(graph_of_model: bytes, change: Change, modality: Modality) -> bytes:
    """Return a graph that does the change after all else."""
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnx", "export") from error
    model = onnx.load_model_from_string(graph_of_model)
    graph = model.graph
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == "embeddings":
                    names[place] = "before"
    constants = {
        "change_mean": change.means[modality][None],
        "change_ones": np.ones((len(change.means[modality]), 1)),
        "change_least": np.array(1e-9),
    }
    nodes: list[tuple[str, tuple[str, ...], str]] = [("Sub", ("before", "change_mean"), "left")]
    last = "left"
    if len(change.factors):
        constants["change_into"] = change.directions.T
        constants["change_out"] = (change.factors - 1)[:, None] * change.directions
        nodes += [
            ("MatMul", ("left", "change_into"), "inside"),
            ("MatMul", ("inside", "change_out"), "taken"),
            ("Add", ("left", "taken"), "rest"),
        ]
        last = "rest"
    nodes += [
        ("Mul", (last, last), "squares"),
        ("MatMul", ("squares", "change_ones"), "sums"),
        ("Sqrt", ("sums",), "lengths"),
        ("Max", ("lengths", "change_least"), "divisors"),
        ("Div", (last, "divisors"), "embeddings"),
    ]
    for name, value in constants.items():
        array = np.ascontiguousarray(value, np.float32)
        graph.initializer.append(numpy_helper.from_array(array, name))
    graph.node.extend(_made(helper, nodes))
    return bytes(model.SerializeToString())


def _made(helper: Any, nodes: Sequence[tuple[str, tuple[str, ...], str]]) -> Iterator[Any]:
    for kind, inputs, output in nodes:
        yield helper.make_node(kind, list(inputs), [output], name=f"change_{output}")
