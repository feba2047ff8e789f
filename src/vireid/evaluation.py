"""Scores of a model on people it has not seen: every trial of a protocol, and all that was scored.

scores = evaluation.score(Embedder.open("small"), datasets.read("nightwalk"), protocol)
print(scores.mean["R1"], scores.sd["R1"])
"""

import json
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from rich import box
from rich.table import Table

from vireid import __version__, datasets
from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.metrics import RankingScores, score_ranking
from vireid.protocols import Protocol, Trial, fingerprint
from vireid.records import ImageRecord
from vireid.writing import write_whole

FORMAT = 1
"""Of `scores.json`."""
METRICS = ("R1", "R5", "R10", "R20", "mAP", "mINP")
Vector = Float[np.ndarray, " d"]
Vectors = Float[np.ndarray, "n d"]


@typing.runtime_checkable
class EmbedsRecords(typing.Protocol):
    """An `Embedder`, or a baseline to compare it with."""

    @property
    def name(self) -> str:
        """For the table."""

    @property
    def fingerprint(self) -> str:
        """Tells it from others of that name."""

    @property
    def checkpoint(self) -> str:
        """How the weights were chosen."""

    def embed_records(self, records: Sequence[ImageRecord], progress: bool = False) -> Vectors:
        """Row i is the unit vector of record i."""


@dataclass(frozen=True)
class ScoredModel:
    """Where embeddings come from."""

    name: str
    fingerprint: str
    checkpoint: str
    """How the weights were chosen; on the test people never."""


@dataclass(frozen=True)
class ScoredDataset:
    """What was found on disk."""

    name: str
    counts: Mapping[str, Mapping[str, int]]
    """People and pictures, by group."""
    differences: tuple[str, ...]
    """Where these are not as many as were published."""


@dataclass(frozen=True)
class TrialScores:
    """One trial: its metrics as fractions of 1, and what they were measured on."""

    number: int
    metrics: Mapping[str, float]
    queries: int
    valid_queries: int
    """Queries that the gallery has a match for; the metrics are means over these."""
    gallery_pictures: int
    gallery_identities: int
    gallery_sha256: str
    """Of the list of gallery pictures: equal where programs drew the same gallery."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """All trials of one model under one protocol, with everything that has to be told with them."""

    protocol: Protocol
    trials: tuple[TrialScores, ...]
    dataset: ScoredDataset
    model: ScoredModel
    version: str = __version__

    @property
    def mean(self) -> dict[str, float]:
        """Over the trials."""
        return {name: fmean(self._of_trials(name)) for name in METRICS}

    @property
    def sd(self) -> dict[str, float] | None:
        """Sample standard deviation (divisor n - 1) over the trials; None for a single one."""
        if len(self.trials) < 2:
            return None
        return {name: stdev(self._of_trials(name)) for name in METRICS}

    def as_dict(self) -> dict[str, Any]:
        """What `scores.json` holds of it."""
        return {
            "protocol": asdict(self.protocol),
            "dataset": asdict(self.dataset),
            "model": asdict(self.model),
            "version": self.version,
            "mean": self.mean,
            "sd": self.sd,
            "min": {name: min(self._of_trials(name)) for name in METRICS},
            "max": {name: max(self._of_trials(name)) for name in METRICS},
            "trials": [asdict(trial) for trial in self.trials],
        }

    def table(self) -> Table:
        """For people; `table` puts several into one."""
        return table([self])

    def _of_trials(self, metric: str) -> list[float]:
        return [trial.metrics[metric] for trial in self.trials]


def score(
    embedder: EmbedsRecords, dataset: Dataset, protocol: Protocol, progress: bool = False
) -> Scores:
    """Embed what a protocol needs of a data set's test pictures, and score every trial.

    Raises:
        VireidError: A picture cannot be read, or the protocol finds nothing to rank.
    """
    return score_all(embedder, dataset, [protocol], progress)[0]


def score_all(
    embedder: EmbedsRecords, dataset: Dataset, protocols: Sequence[Protocol], progress: bool = False
) -> list[Scores]:
    """Score under several protocols; every picture that any of them needs is embedded once."""
    trials = [t for protocol in protocols for t in protocol.trials(dataset.test, dataset.root)]
    needed = list(dict.fromkeys(record for t in trials for record in (*t.queries, *t.gallery)))
    vectors = embedder.embed_records(needed, progress=progress)
    embeddings = dict(zip(needed, vectors, strict=True))
    model = ScoredModel(embedder.name, embedder.fingerprint, embedder.checkpoint)
    return [evaluate(embeddings, dataset, protocol, model) for protocol in protocols]


def evaluate(
    embeddings: Mapping[ImageRecord, Vector],
    dataset: Dataset,
    protocol: Protocol,
    model: ScoredModel,
) -> Scores:
    """Score embeddings that are already there.

    Args:
        embeddings: Unit vectors of at least the test pictures that the protocol draws.
        dataset: Whose test pictures.
        protocol: How.
        model: Where the embeddings come from, for the record.

    Raises:
        VireidError: The protocol finds nothing to rank, or an embedding is not a number.
    """
    drawn = protocol.trials(dataset.test, dataset.root)
    return Scores(
        protocol=protocol,
        trials=tuple(_score_trial(trial, protocol, embeddings) for trial in drawn),
        dataset=ScoredDataset(dataset.name, dataset.counts, dataset.differences),
        model=model,
    )


def dataset_of(model: str, name: str | None = None, root: Path | None = None) -> Dataset:
    """The data set to score a model on: by default the one it has learnt on, else NightWalk.

    Args:
        model: A run folder, an exported model (both hold the recipe) or a shipped model's name.
        name: Another data set.
        root: Its folder.

    Raises:
        VireidError: There is no such data set, or its folder is not as it should be.
    """
    learnt_on = _data_of_recipe(Path(model) / "recipe.toml")
    name = name or learnt_on.get("dataset", "nightwalk")
    if root is None and name == learnt_on.get("dataset"):
        root = learnt_on.get("root")
    return datasets.read(name, root)


def table(scores: Sequence[Scores]) -> Table:
    """For people: a row per model and protocol, in percent; what rows have in common on top."""
    heads = [_head(each) for each in scores]
    common = [name for name in heads[0] if len({head[name] for head in heads}) == 1]
    shown = Table(
        title=", ".join(heads[0][name] for name in common),
        caption=_caption(scores),
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    differing = [name for name in heads[0] if name not in common]
    for name in differing:
        shown.add_column(name)
    for name in METRICS:
        shown.add_column(name, justify="right", no_wrap=True)
    for each, head in zip(scores, heads, strict=True):
        shown.add_row(*(head[name] for name in differing), *_cells(each))
    return shown


def write(scores: Sequence[Scores], path: Path) -> None:
    """Write `scores.json`: the whole file, or nothing if that fails."""
    content = {"format": FORMAT, "scores": [each.as_dict() for each in scores]}
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def _data_of_recipe(path: Path) -> dict[str, Any]:
    """The table `[data]`; read without the method, which would need torch."""
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise VireidError(f"{path} is not TOML: {error}") from error
    data: dict[str, Any] = recipe.get("data", {})
    return data


def _head(scores: Scores) -> dict[str, str]:
    """What tells one row of a table from another."""
    protocol = scores.protocol
    return {
        "model": scores.model.name,
        "data set": scores.dataset.name,
        "protocol": protocol.id,
        "gallery": f"{protocol.mode} {protocol.shot}",
    }


def _cells(scores: Scores) -> list[str]:
    sd = scores.sd
    return [
        f"{100 * scores.mean[name]:.1f}" + (f"±{100 * sd[name]:.1f}" if sd else "")
        for name in METRICS
    ]


def _caption(scores: Sequence[Scores]) -> str:
    trials = " or ".join(sorted({str(len(each.trials)) for each in scores}))
    checkpoints = ", ".join(sorted({each.model.checkpoint for each in scores}))
    differences = sorted({line for each in scores for line in each.dataset.differences})
    return "\n".join(
        [f"percent, mean ± standard deviation over {trials} trials; {checkpoints}", *differences]
    )


def _score_trial(
    trial: Trial, protocol: Protocol, embeddings: Mapping[ImageRecord, Vector]
) -> TrialScores:
    queries, gallery = (
        np.stack([embeddings[record] for record in records])
        for records in (trial.queries, trial.gallery)
    )
    ranking = score_ranking(
        queries @ gallery.T,
        _identities(trial.queries),
        _identities(trial.gallery),
        protocol.hidden(trial),
        protocol.cmc,
    )
    return TrialScores(
        number=trial.number,
        metrics=_metrics(ranking),
        queries=ranking.queries,
        valid_queries=ranking.valid_queries,
        gallery_pictures=len(trial.gallery),
        gallery_identities=len(set(_identities(trial.gallery))),
        gallery_sha256=fingerprint(trial.gallery),
    )


def _identities(records: Sequence[ImageRecord]) -> Int[np.ndarray, " n"]:
    return np.array([record.identity for record in records])


def _metrics(ranking: RankingScores) -> dict[str, float]:
    ranks = {f"R{k}": ranking.rank(k) for k in (1, 5, 10, 20)}
    return {**ranks, "mAP": ranking.mean_ap, "mINP": ranking.mean_inp}
