"""Scores as values: model, data set, protocol, and the metrics of each trial."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float, Int
from msgspec import Meta

from vireid import __version__
from vireid.errors import VireidError
from vireid.files import documents
from vireid.files.documents import Count
from vireid.files.packed_arrays import packed, unpacked
from vireid.models.card import Training
from vireid.scoring import METRICS, statistics
from vireid.scoring.protocols import Protocol

Group = Literal["test", "validation"]
"""Group of people to score on: `test`, by whom nothing may be chosen, or `validation`, which is
there for choosing."""


@dataclass(frozen=True)
class ScoredModel:
    """The model that embeddings come from."""

    name: str
    fingerprint: str
    checkpoint: str
    """How the weights were chosen; never by the test people."""
    learnt_on: str = "unknown"
    """Label of the data set learnt on, its split included; "nothing" for baselines."""
    training: Training | None = None
    """Number and group of the people learnt from, and the seed; None where unknown."""
    learnt_in: str | None = None
    """Precision of the training passes; None where unknown, or nothing was learnt."""
    precision: str = "float32"
    """Precision in which pictures were embedded; older files do not say it, and there was no
    other."""


@dataclass(frozen=True)
class ScoredDataset:
    """The data set as found on disk."""

    name: str
    group: Group
    fingerprint: str
    """Fingerprint of the group's pictures: paths, sizes, identities and cameras."""
    counts: Mapping[str, Mapping[str, Any]]
    """`Counts` of people and pictures, by group."""
    differences: tuple[str, ...]
    """Remarks where these counts are not the published ones."""
    trial: int | None = None
    """Number of the split, of several published ones; None where there is one."""


@dataclass(frozen=True)
class TrialScores:
    """Scores of one trial: its metrics as fractions of 1, and what they were measured on."""

    number: int
    metrics: Mapping[str, Annotated[float, Meta(ge=0, le=1)]]
    queries: Count
    valid_queries: Count
    """Queries that have a match in the gallery; the metrics are means over these."""
    gallery_pictures: Count
    gallery_identities: Count
    gallery_sha256: str
    """List fingerprint of the gallery: equal where programs drew the same gallery."""

    def __post_init__(self) -> None:
        if missing := [name for name in METRICS if name not in self.metrics]:
            raise ValueError(f"trial {self.number} has no {', '.join(missing)}")


@dataclass(frozen=True, kw_only=True)
class QueryScores:
    """What each query has scored: means over the trials in which it has a match.

    Arrays are packed, as there are thousands of queries; two results of one column have the same
    queries in the same order.
    """

    count: Annotated[int, Meta(ge=1, le=2**24)]
    people: str
    """Identities, as packed int32."""
    trials: str
    """Number of trials in which each query has a match, as packed uint16."""
    metrics: Mapping[str, str]
    """By name, as packed float32."""

    @classmethod
    def of(
        cls,
        people: Int[np.ndarray, " q"],
        trials: Int[np.ndarray, " q"],
        metrics: Mapping[str, Float[np.ndarray, " q"]],
    ) -> "QueryScores":
        """Pack what queries have scored."""
        return cls(
            count=len(people),
            people=packed(people, "int32"),
            trials=packed(trials, "uint16"),
            metrics={name: packed(values, "float32") for name, values in metrics.items()},
        )

    def __post_init__(self) -> None:
        """Refuse what cannot be unpacked."""
        self.identities()
        self.weights()
        for name in self.metrics:
            self.values(name)

    def identities(self) -> Int[np.ndarray, " q"]:
        """Return the person of each query."""
        found: Int[np.ndarray, " q"] = unpacked(self.people, "int32", (self.count,))
        return found

    def weights(self) -> Float[np.ndarray, " q"]:
        """Return the number of trials in which each query has a match."""
        found: Float[np.ndarray, " q"] = unpacked(self.trials, "uint16", (self.count,)).astype(
            float
        )
        return found

    def values(self, metric: str) -> Float[np.ndarray, " q"]:
        """Return the mean of a metric over these trials, for each query."""
        found: Float[np.ndarray, " q"] = unpacked(self.metrics[metric], "float32", (self.count,))
        return found.astype(np.float64)

    def beside(self, other: "QueryScores") -> "QueryScores":
        """Return these queries and those of another split."""
        return QueryScores.of(
            np.concatenate([self.identities(), other.identities()]),
            np.concatenate([self.weights(), other.weights()]).astype(np.int64),
            {
                name: np.concatenate([self.values(name), other.values(name)])
                for name in self.metrics
            },
        )


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of one model under one protocol: all trials, and what has to be told with them."""

    protocol: Protocol
    trials: Annotated[tuple[TrialScores, ...], Meta(min_length=1)]
    dataset: ScoredDataset
    model: ScoredModel
    version: str = __version__
    queries: QueryScores | None = None
    """What each query has scored; None in files of former versions."""

    @property
    def key(self) -> str:
        """Name of the score in words; a score with options has another key than one without."""
        return f"{self.dataset.name} {self.dataset.group}: {self.protocol.title}"

    @property
    def mean(self) -> dict[str, float]:
        """Mean of each metric over the trials."""
        return {name: fmean(self._of_trials(name)) for name in METRICS}

    @property
    def sd(self) -> dict[str, float] | None:
        """Sample standard deviation (divisor n - 1) over the trials; None for a single one."""
        if len(self.trials) < 2:
            return None
        return {name: stdev(self._of_trials(name)) for name in METRICS}

    @property
    def column(self) -> dict[str, Any]:
        """All that must be the same for two scores to be comparable, by dotted names."""
        protocol = {f"protocol.{name}": value for name, value in asdict(self.protocol).items()}
        del protocol["protocol.usual_removal"]  # what is hidden decides, not what is usual
        galleries = " ".join(trial.gallery_sha256 for trial in self.trials)
        return {
            **protocol,
            "data set": self.dataset.name,
            "group": self.dataset.group,
            "split": self.dataset.trial,
            "pictures": self.dataset.fingerprint,
            "galleries": hashlib.sha256(galleries.encode()).hexdigest()[:16],
        }

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Return the 95 % interval of a mean over people like these (bootstrap).

        None where the queries' scores are not known, or there is one person.
        """
        if self.queries is None:
            return None
        return statistics.interval(
            statistics.by_person([self.queries.values(metric)], *self._of_people())
        )

    def _of_people(self) -> tuple[Float[np.ndarray, " q"], Int[np.ndarray, " q"]]:
        assert self.queries is not None
        return self.queries.weights(), self.queries.identities()

    def draw_error(self, metric: str) -> float | None:
        """Return the error of a mean by the choice of galleries, sd / sqrt(trials).

        None for a single trial.
        """
        sd = self.sd
        return None if sd is None else sd[metric] / math.sqrt(len(self.trials))

    @classmethod
    def from_dict(
        cls,
        content: Mapping[str, Any],
        place: Path | str = "the result",
        error: type[VireidError] = VireidError,
    ) -> "Scores":
        """Read what `as_dict` has written.

        Args:
            content: As JSON has it.
            place: File that it stands in, for messages.
            error: Kind of error to raise.

        Raises:
            VireidError: Of the kind `error`: something is missing or of a wrong type.
        """
        dataset = content.get("dataset")
        if isinstance(dataset, Mapping) and "people" in dataset:  # as format 2 called the group
            content = {**content, "dataset": {**dataset, "group": dataset["people"]}}
        way_out = "move it away and score again with `vireid evaluate`"
        return documents.typed(place, content, cls, way_out, error)

    def as_dict(self) -> dict[str, Any]:
        """Return what `scores.json` holds of it."""
        return {
            "key": self.key,
            "protocol": asdict(self.protocol),
            "dataset": asdict(self.dataset),
            "model": asdict(self.model),
            "version": self.version,
            "mean": self.mean,
            "sd": self.sd,
            "min": {name: min(self._of_trials(name)) for name in METRICS},
            "max": {name: max(self._of_trials(name)) for name in METRICS},
            "trials": [asdict(trial) for trial in self.trials],
            "queries": self.queries and asdict(self.queries),
        }

    def _of_trials(self, metric: str) -> list[float]:
        return [trial.metrics[metric] for trial in self.trials]
