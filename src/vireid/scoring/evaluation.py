"""Scoring a model on people it has not seen, under every trial of a protocol.

scores = evaluation.score(Embedder.open("small"), datasets.read("nightwalk"), protocol)
print(scores.mean["R1"], scores.sd["R1"])

Flip averaging. Let u be the embedding of a picture and v that of its mirror image, both of length
one. Published code makes one of them in three ways, which rank differently:

* mean: (u + v) / |u + v|
* sum: u + v, whose length, and so its similarity, is less where u and v disagree
* concatenation: (u, v) / sqrt(2), so that mirror images are compared with mirror images only
"""

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float, Int

from vireid import datasets
from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.files import user_code
from vireid.files.untrusted import is_there
from vireid.models.centring import Means
from vireid.models.embedder import Embedder
from vireid.models.opening import folder_of, is_shipped
from vireid.recipes.recipe import DataOutline, outline_of
from vireid.records import ImageRecord, pictures_fingerprint
from vireid.scoring import METRICS
from vireid.scoring.baselines import WithoutPerson, controls
from vireid.scoring.metrics import RankingScores, score_ranking
from vireid.scoring.named_protocols import choose
from vireid.scoring.protocols import Flip, Protocol, Trial, list_fingerprint
from vireid.scoring.re_ranking import re_rank
from vireid.scoring.registered_pairs import prepared
from vireid.scoring.scores import (
    Group,
    QueryScores,
    ScoredDataset,
    ScoredModel,
    Scores,
    TrialScores,
)
from vireid.scoring.tracklets import mean_vector
from vireid.types.arrays import Queries, Vector, Vectors

Embeddings = Mapping[ImageRecord, Vector]


@typing.runtime_checkable
class EmbedsRecords(typing.Protocol):
    """An `Embedder`, or a baseline to compare it with."""

    @property
    def name(self) -> str:
        """Name in the table."""

    @property
    def fingerprint(self) -> str:
        """Hash that tells it from others of that name."""

    @property
    def checkpoint(self) -> str:
        """How the weights were chosen."""

    @property
    def learnt_on(self) -> str:
        """Label of the data set learnt on; "nothing" or "unknown"."""

    def embed_records(self, records: Sequence[ImageRecord]) -> Vectors:
        """Return unit vectors; row i is that of record i."""


def score(
    embedder: EmbedsRecords,
    dataset: Dataset,
    protocol: Protocol,
    group: Group = "test",
) -> Scores:
    """Embed the pictures of a data set that a protocol needs, and score every trial.

    Raises:
        VireidError: A picture cannot be read, the protocol finds nothing to rank, or the model has
            learnt from those people.
    """
    return score_all(embedder, dataset, [protocol], group)[0]


def score_all(
    embedder: EmbedsRecords,
    dataset: Dataset,
    protocols: Sequence[Protocol],
    group: Group = "test",
) -> list[Scores]:
    """Score under several protocols; each picture that any of them needs is embedded once.

    Raises:
        VireidError: What `score` raises.
    """
    return score_each([embedder], dataset, protocols, group)[0]


def score_each(
    embedders: Sequence[EmbedsRecords],
    dataset: Dataset,
    protocols: Sequence[Protocol],
    group: Group = "test",
) -> list[list[Scores]]:
    """Score several models as `score_all` scores one; trials are drawn once.

    Raises:
        VireidError: What `score` raises.
    """
    models = [scored_model(embedder) for embedder in embedders]
    for model in models:
        _check_unseen(dataset, group, model)
    scored = _scored_dataset(dataset, group)
    trials = {protocol: protocol.trials(_with(dataset, group)) for protocol in protocols}
    flipped = {p: drawn for p, drawn in trials.items() if p.test_time_flip != "none"}
    found = []
    with TemporaryDirectory(prefix="vireid-") as folder:
        shown = _shown(trials, Path(folder))
        for embedder, model in zip(embedders, models, strict=True):
            plain = _embed(embedder, trials, shown)
            mirrored = _embed(embedder, flipped, shown, mirrored=True) if flipped else {}
            found.append(
                [_scores(p, of, plain, mirrored, scored, model) for p, of in trials.items()]
            )
    return found


def _shown(
    trials: Mapping[Protocol, Sequence[Trial]], folder: Path
) -> Mapping[ImageRecord, ImageRecord]:
    """Return the pictures that are shown in place of others, written into a folder.

    Raises:
        VireidError: Protocols that show the pictures as they are stand beside ones that do not.
    """
    kinds = {protocol.registered for protocol in trials}
    if kinds == {True, False}:
        raise VireidError("score folder/registered alone, as it changes the pictures")
    if True not in kinds:
        return {}
    records = list(_needed(trials))
    return dict(zip(records, prepared(records, folder), strict=True))


def evaluate(
    embeddings: Embeddings,
    dataset: Dataset,
    protocol: Protocol,
    model: ScoredModel,
    mirrored: Embeddings | None = None,
    group: Group = "test",
) -> Scores:
    """Score embeddings that exist already.

    Args:
        embeddings: Unit vectors of at least the pictures that the protocol draws.
        dataset: Data set that has the pictures.
        protocol: Protocol to score under.
        model: Model that the embeddings come from, for the record.
        mirrored: Unit vectors of the mirror images, if the protocol averages over flips.
        group: Group of people to score on.

    Raises:
        VireidError: The protocol finds nothing to rank, an embedding is not a number, or the model
            has learnt from people that it is to be scored on.
    """
    _check_unseen(dataset, group, model)
    drawn = protocol.trials(_with(dataset, group))
    scored = _scored_dataset(dataset, group)
    return _scores(protocol, drawn, embeddings, mirrored or {}, scored, model)


def score_models(
    models: Sequence[str],
    dataset: str | None = None,
    root: Path | None = None,
    *,
    choose: Callable[[Dataset], Sequence[Protocol]] = choose,
    group: Group = "test",
    trust_code: bool = False,
    data: Sequence[Dataset] | None = None,
) -> list[Scores]:
    """Score a model, or the models of a data set's splits as one, under every protocol.

    Args:
        models: Names that `Embedder.open` takes, or a folder that `vireid train --trials` has
            written.
        dataset: Name of a data set, see `dataset_of`.
        root: Folder of the data set, see `dataset_of`.
        choose: Returns the protocols for a data set; by default all variants of its usual one.
        group: Group of people to score on.
        trust_code: See `Embedder.open`.
        data: What `data_of` has read, so that it is not read again.

    Raises:
        VireidError: What `score_all` raises; several models that are not of one data set's splits.
    """
    each = models_of(models)
    data = data or data_of(models, dataset, root, trust_code=trust_code)
    scores = [
        score_all(Embedder.open(model, trust_code=trust_code), found, choose(found), group)
        for model, found in zip(each, data, strict=True)
    ]
    name = Path(models[0]).absolute().name if len(models) == 1 else f"{len(each)} models"
    return [joined(of_one, name) for of_one in zip(*scores, strict=True)]


def score_controls(
    models: Sequence[str],
    data: Sequence[Dataset],
    *,
    choose: Callable[[Dataset], Sequence[Protocol]] = choose,
    group: Group = "test",
    trust_code: bool = False,
    most: int | None = None,
) -> list[Scores]:
    """Score what sees no person, as `score_models` scores models, without options at test time.

    That are the baselines, and where pictures of one place are compared (`folder/tracks` and
    `folder/registered`) each model with the person blanked.

    Args:
        models: See `score_models`.
        data: The data set of each model, as `data_of` reads it.
        choose: See `score_models`.
        group: Group of people to score on.
        trust_code: See `Embedder.open`.
        most: Largest number of pictures in the group; where there are more, nothing is scored.

    Raises:
        VireidError: What `score_all` raises.
    """
    if most is not None and sum(len(found.groups[group]) for found in data) > most:
        return []
    of_splits = []
    for model, found in zip(models_of(models), data, strict=True):
        protocols = [p for p in choose(found) if p.test_time == "plain"]
        blind: list[EmbedsRecords] = [*controls()]
        if any(p.registered or p.gap is not None for p in protocols):
            blind.append(WithoutPerson(Embedder.open(model, trust_code=trust_code)))
        of_splits.append(score_each(blind, found, protocols, group))
    return [
        joined(of_one, of_one[0].model.name)
        for of_control in zip(*of_splits, strict=True)
        for of_one in zip(*of_control, strict=True)
    ]


def models_of(models: Sequence[str]) -> list[str]:
    """Return each model, where a folder may hold those of a data set's splits."""
    return [model for given in models for model in models_in(given)]


def data_of(
    models: Sequence[str],
    dataset: str | None = None,
    root: Path | None = None,
    *,
    trust_code: bool = False,
) -> list[Dataset]:
    """Read the data set of each model; see `score_models` and `dataset_of`.

    Raises:
        VireidError: It cannot be read, or several are not the splits of one.
    """
    each = models_of(models)
    data = [dataset_of(model, dataset, root, trust_code=trust_code) for model in each]
    _check_splits(data)
    return data


def joined(scores: Sequence[Scores], name: str) -> Scores:
    """Join the trials of several models, each scored on its own split, into one result.

    A single result is returned as it is.

    Args:
        scores: Scores under one protocol, on the splits of one data set.
        name: Name of all models together.
    """
    if len(scores) == 1:
        return scores[0]
    scores = sorted(scores, key=lambda each: each.protocol.trial_numbers)
    first, models = scores[0], [each.model for each in scores]
    trials = tuple(trial for each in scores for trial in each.trials)
    differences = dict.fromkeys(line for each in scores for line in each.dataset.differences)
    return replace(
        first,
        protocol=replace(first.protocol, trial_numbers=tuple(trial.number for trial in trials)),
        trials=trials,
        queries=_together_queries([each.queries for each in scores]),
        dataset=replace(
            first.dataset,
            fingerprint=" ".join(each.dataset.fingerprint for each in scores),
            differences=tuple(differences),
            trial=None,
        ),
        model=ScoredModel(
            name=name,
            fingerprint=" ".join(model.fingerprint for model in models),
            checkpoint=", ".join(dict.fromkeys(model.checkpoint for model in models)),
            learnt_on=", ".join(model.learnt_on for model in models),
            training=models[0].training if len({model.training for model in models}) == 1 else None,
            learnt_in=_together([model.learnt_in for model in models]),
            precision=_together([model.precision for model in models]) or first.model.precision,
        ),
    )


def _together_queries(each: Sequence[QueryScores | None]) -> QueryScores | None:
    known = [queries for queries in each if queries is not None]
    return reduce(QueryScores.beside, known) if len(known) == len(each) else None


def _together(precisions: Sequence[str | None]) -> str | None:
    """Return the precisions of several models as one text; None where no model says any."""
    told = dict.fromkeys(each or "unknown precision" for each in precisions)
    return " and ".join(told) if any(precisions) else None


def models_in(folder: str) -> list[str]:
    """Return the runs that `vireid train --trials` left in a folder; else the folder itself."""
    runs = [path.parent for path in Path(folder).glob("trial-*/run.json")]
    if is_shipped(folder) or not runs or (Path(folder) / "run.json").exists():
        return [folder]
    return [str(run) for run in sorted(runs, key=lambda run: (len(run.name), run.name))]


def scores_file(models: Sequence[str]) -> Path | None:
    """Return the file of a single model's scores, in its folder; None for several models.

    None too for shipped models: nothing is written into the package.
    """
    if len(models) > 1 or is_shipped(models[0]) or not Path(models[0]).is_dir():
        return None
    return Path(models[0]) / "scores.json"


def dataset_of(
    model: str, name: str | None = None, root: Path | None = None, *, trust_code: bool = False
) -> Dataset:
    """Return the data set to score a model on: by default the one it has learnt on.

    Args:
        model: A run folder, an exported model (both hold the recipe) or a shipped model's name.
        name: Another data set, or code that reads one.
        root: Folder of the data set.
        trust_code: Run the code that the run has kept for its data set.

    Raises:
        VireidError: There is no such data set, its folder is not as it should be, or nobody trusts
            the code that reads it.
    """
    folder = folder_of(model)
    # where the data of a shipped model lay is no place of this machine
    outline = None if is_shipped(model) else outline_of(folder / "recipe.toml").data
    learnt_on = outline or DataOutline()
    own = learnt_on.dataset or "nightwalk"
    if name is None:
        user_code.check_trusted([own], folder, trust_code=trust_code)
        name = user_code.located(own, folder)
    if datasets.name_of(name) != datasets.name_of(own):
        return datasets.read(name, root)
    if root is None and learnt_on.root is not None:
        _check_is_there(learnt_on.root, model, folder / "recipe.toml")
    return datasets.read(name, root or learnt_on.root, learnt_on.trial)


def _check_is_there(root: str, model: str, recipe: Path) -> None:
    """Check that the data set of a model is still there; a relative path may lead elsewhere.

    Raises:
        VireidError: It is not there.
    """
    if not is_there(Path(root)):
        seen_from = "" if Path(root).is_absolute() else f" from here ({Path.cwd()})"
        raise VireidError(
            f"{model} has learnt from the data set in {root}, as its recipe {recipe} says, and "
            f"that is not there{seen_from}; say with --root where it is now"
        )


def scored_model(embedder: EmbedsRecords) -> ScoredModel:
    """Return a model as results name it."""
    common = ScoredModel(
        embedder.name, embedder.fingerprint, embedder.checkpoint, embedder.learnt_on
    )
    if not isinstance(embedder, Embedder):
        return common
    card = embedder.card
    return replace(
        common, training=embedder.training, learnt_in=card.learnt_in, precision=card.precision
    )


def _scored_dataset(dataset: Dataset, group: Group) -> ScoredDataset:
    return ScoredDataset(
        name=dataset.name,
        group=group,
        fingerprint=pictures_fingerprint(dataset.groups[group], dataset.root),
        counts=dataset.counts,
        differences=dataset.differences,
        trial=dataset.trial,
    )


def _scores(
    protocol: Protocol,
    drawn: Sequence[Trial],
    embeddings: Embeddings,
    mirrored: Embeddings,
    dataset: ScoredDataset,
    model: ScoredModel,
) -> Scores:
    means = None
    if protocol.test_time_centre == "camera":
        means = _means(drawn, embeddings, mirrored, protocol.test_time_flip)
    rankings = [_rank(trial, protocol, embeddings, mirrored, means) for trial in drawn]
    return Scores(
        protocol=replace(protocol, trial_numbers=tuple(trial.number for trial in drawn)),
        trials=tuple(_of_trial(*pair) for pair in zip(drawn, rankings, strict=True)),
        dataset=dataset,
        model=model,
        queries=_of_queries(drawn, rankings),
    )


def _of_queries(drawn: Sequence[Trial], rankings: Sequence[RankingScores]) -> QueryScores:
    """Return what each query has scored, over all trials."""
    places: dict[ImageRecord, int] = {}
    for trial in drawn:
        for record in trial.queries:
            places.setdefault(record, len(places))
    counts = np.zeros(len(places), np.int64)
    sums = {name: np.zeros(len(places)) for name in METRICS}
    for trial, ranking in zip(drawn, rankings, strict=True):
        own = np.array([places[trial.queries[place]] for place in ranking.valid])
        counts[own] += 1
        for name, values in _of_each(ranking).items():
            sums[name][own] += values
    valid = np.flatnonzero(counts)
    people = np.array([record.identity for record in places])
    metrics = {name: total[valid] / counts[valid] for name, total in sums.items()}
    return QueryScores.of(people[valid], counts[valid], metrics)


def _of_each(ranking: RankingScores) -> dict[str, Float[np.ndarray, " v"]]:
    """Return the metrics of each valid query."""
    hits = {f"R{k}": (ranking.ranks <= k).astype(np.float64) for k in (1, 5, 10, 20)}
    return {**hits, "mAP": ranking.average_precisions, "mINP": ranking.inverse_penalties}


def _with(dataset: Dataset, group: Group) -> Dataset:
    """Return the data set with the people of a group in the place of the test people."""
    if group == "test":
        return dataset
    return replace(dataset, test=dataset.validation, test_queries=None, test_gallery=None)


def _check_unseen(dataset: Dataset, group: Group, model: ScoredModel) -> None:
    """Check that a model is not scored on people that it has learnt from."""
    if group == "validation":
        check_validation(dataset, model)
    if _may_know_another_split(dataset, model):
        raise VireidError(
            f"{model.name} has learnt on {model.learnt_on}, so it cannot be scored on "
            f"{dataset.label}: every split needs a model of its own, which "
            "`vireid train RECIPE --trials 1-10` makes"
        )


def _may_know_another_split(dataset: Dataset, model: ScoredModel) -> bool:
    """Whether a model has learnt from another split of a data set, or nothing says whom from."""
    learnt_on = model.learnt_on
    other = learnt_on.split(" ")[0] in (dataset.name, "unknown") and learnt_on != dataset.label
    return dataset.trial is not None and other


def check_validation(dataset: Dataset, model: ScoredModel) -> None:
    """Check that a data set has validation people, and that a model has not learnt from them.

    Raises:
        VireidError: It has none, or the model has.
    """
    if not dataset.validation:
        raise VireidError(
            f"{dataset.label} has no validation people; choose settings on a data set that has, "
            "such as sysu_mm01 or nightwalk"
        )
    if model.learnt_on == "unknown":
        raise VireidError(
            f"nothing says whom {model.name} has learnt from (it has no recipe.toml), and it may "
            "be the validation people; train a model with --validate"
        )
    learnt_from = model.training.learnt_from if model.training else None
    if model.learnt_on == dataset.label and learnt_from != "train":
        raise VireidError(
            f"{model.name} has learnt from the validation people of {dataset.label} too, so they "
            "cannot judge it; train a model with --validate, which leaves them out"
        )


def _check_splits(data: Sequence[Dataset]) -> None:
    """Check that several models are those of different splits of one data set."""
    labels = [dataset.label for dataset in data]
    apart = len({dataset.name for dataset in data}) > 1 or None in {d.trial for d in data}
    if len(data) > 1 and apart:
        raise VireidError(
            "several models make one result only if they are of the splits of one data set, as "
            "`vireid train RECIPE --trials 1-10` makes them; score others one at a time"
        )
    if len(set(labels)) < len(labels):
        raise VireidError(f"give one model of each split; these are of {', '.join(labels)}")


def _needed(trials: Mapping[Protocol, Sequence[Trial]]) -> dict[ImageRecord, None]:
    """Return the pictures that some trial needs, each once."""
    drawn = (trial for of_protocol in trials.values() for trial in of_protocol)
    return dict.fromkeys(picture for trial in drawn for picture in trial.pictures)


def _embed(
    embedder: EmbedsRecords,
    trials: Mapping[Protocol, Sequence[Trial]],
    shown: Mapping[ImageRecord, ImageRecord],
    *,
    mirrored: bool = False,
) -> Embeddings:
    """Embed every picture that is needed, once; some are shown in place of others."""
    needed = list(_needed(trials))
    pictures = [shown.get(record, record) for record in needed]
    if not mirrored:
        return dict(zip(needed, embedder.embed_records(pictures), strict=True))
    if not isinstance(embedder, Embedder):
        raise VireidError(f"{embedder.name} cannot be averaged over flips; only models can")
    vectors = embedder.embed_records(pictures, mirrored=True)
    return dict(zip(needed, vectors, strict=True))


def _means(
    drawn: Sequence[Trial], embeddings: Embeddings, mirrored: Embeddings, flip: Flip
) -> Means:
    """Return the means of cameras, over all that the trials hold."""
    trial_of = {r: trial for trial in drawn for r in (*trial.queries, *trial.gallery)}
    vectors = [_vectors(of, [r], embeddings, mirrored, flip) for r, of in trial_of.items()]
    return Means.of(np.concatenate(vectors), list(trial_of))


def plain_similarities(trial: Trial, embeddings: Embeddings) -> Float[np.ndarray, "q g"]:
    """Return the similarities of a trial's queries to its gallery, without options at test time.

    Args:
        trial: Trial of a protocol.
        embeddings: Unit vectors of the pictures.
    """
    queries, gallery = (
        _vectors(trial, records, embeddings, {}, "none")
        for records in (trial.queries, trial.gallery)
    )
    found: Float[np.ndarray, "q g"] = queries @ gallery.T
    return found


def _rank(
    trial: Trial,
    protocol: Protocol,
    embeddings: Embeddings,
    mirrored: Embeddings,
    means: Means | None,
) -> RankingScores:
    queries, gallery = (
        _vectors(trial, records, embeddings, mirrored, protocol.test_time_flip)
        for records in (trial.queries, trial.gallery)
    )
    if means is not None:
        queries, gallery = means.less(queries, trial.queries), means.less(gallery, trial.gallery)
    return score_ranking(
        _similarity(trial, protocol, queries, gallery),
        _identities(trial.queries),
        _identities(trial.gallery),
        protocol.hidden(trial),
        protocol.cmc,
    )


def _of_trial(trial: Trial, ranking: RankingScores) -> TrialScores:
    return TrialScores(
        number=trial.number,
        metrics=_metrics(ranking),
        queries=ranking.queries,
        valid_queries=ranking.valid_queries,
        gallery_pictures=len(trial.gallery),
        gallery_identities=len(set(_identities(trial.gallery))),
        gallery_sha256=list_fingerprint(trial.gallery),
    )


def _similarity(
    trial: Trial,
    protocol: Protocol,
    queries: Queries,
    gallery: Float[np.ndarray, "g d"],
) -> Float[np.ndarray, "q g"]:
    """Return similarities; re-ranking may use the cameras, but not the identities."""
    if protocol.re_ranking:
        return re_rank(queries, gallery, protocol.hidden_by_camera(trial), protocol.re_ranking)
    similarity: Float[np.ndarray, "q g"] = queries @ gallery.T
    return similarity


def _vectors(
    trial: Trial,
    records: Sequence[ImageRecord],
    embeddings: Embeddings,
    mirrored: Embeddings,
    flip: Flip,
) -> Float[np.ndarray, "n _"]:
    """Return vectors of pictures, or of both flips; the module's docstring has the formulas."""
    plain = np.stack([_mean(trial.frames_of(record), embeddings) for record in records])
    if flip == "none":
        return plain
    turned = np.stack([_mean(trial.frames_of(record), mirrored) for record in records])
    if flip == "concatenation":
        return np.concatenate([plain, turned], axis=1) / np.float32(np.sqrt(2))
    total: Vectors = plain + turned
    if flip == "sum":
        return total
    mean: Vectors = total / np.linalg.norm(total, axis=1, keepdims=True).clip(min=1e-12)
    return mean


def _mean(frames: Sequence[ImageRecord], embeddings: Embeddings) -> Vector:
    return mean_vector([embeddings[frame] for frame in frames])


def _identities(records: Sequence[ImageRecord]) -> Int[np.ndarray, " n"]:
    return np.array([record.identity for record in records])


def _metrics(ranking: RankingScores) -> dict[str, float]:
    ranks = {f"R{k}": ranking.rank(k) for k in (1, 5, 10, 20)}
    return {**ranks, "mAP": ranking.mean_ap, "mINP": ranking.mean_inp}
