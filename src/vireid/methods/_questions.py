"""Questions about how people look, asked of their pictures, and pictures found by pictures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vireid.errors import VireidError
from vireid.methods._sentences import QUESTIONS, Appearance, Sentence
from vireid.types.tensors import Embeddings

Known = tuple[Float[Tensor, "_ d"], Int[Tensor, " _"]]
"""Vectors of pictures, and the person on each."""
Says = Callable[[Sequence[str]], Embeddings]
"""Returns the vectors of sentences, of any length."""


def appearance_of(person: Mapping[str, Any]) -> Appearance:
    """Return the looks of a person as a data set tells them.

    Raises:
        VireidError: They cannot be said in words.
    """
    try:
        return Appearance.of(person)
    except (KeyError, StopIteration, TypeError, AttributeError) as error:
        raise VireidError(
            f"what the data set tells about the looks of a person cannot be said in words "
            f"({error!r}): {dict(person)}; render the set again"
        ) from error


def true_of(
    sentences: Sequence[Sentence], people: Sequence[Appearance]
) -> Bool[Tensor, "sentences people"]:
    """Return whether each sentence is true of each person."""
    return torch.tensor(
        [[s.is_true_of(somebody.attributes) for somebody in people] for s in sentences]
    )


def answered(says: Says, seen: Embeddings, people: Sequence[Appearance]) -> dict[str, float]:
    """Return how often pictures find the right answer to each question about people.

    For each answer the share of the pictures of which it is true that find it, averaged over the
    answers. Guessing gives 1 / answers.

    Args:
        says: Returns the vectors of sentences.
        seen: Vectors of pictures of any length, in the space of sentences.
        people: The person on each picture.
    """
    return {name: _told(says, answers, seen, people) for name, answers in QUESTIONS.items()}


def _told(
    says: Says, answers: Sequence[Sentence], seen: Embeddings, people: Sequence[Appearance]
) -> float:
    texts = F.normalize(says([answer.text for answer in answers]), dim=1)
    chosen = (seen @ texts.T).argmax(dim=1)
    right = true_of(answers, people).to(chosen.device)
    shares = [(chosen[of] == i).float().mean().item() for i, of in enumerate(right) if of.any()]
    return sum(shares) / max(1, len(shares))


def found_by(queries: Known, gallery: Known) -> tuple[float, float]:
    """Return rank 1 and mean average precision of a search by cosines.

    Args:
        queries: Vectors and people of the pictures that are searched by; each of these people is in
            the gallery.
        gallery: Those of the pictures that are searched.
    """
    (asked, who), (known, people) = queries, gallery
    close = F.normalize(asked.float(), dim=1) @ F.normalize(known.float(), dim=1).T
    order = close.argsort(dim=1, descending=True, stable=True)
    right = (people[order] == who[:, None]).double()
    places = torch.arange(1, right.shape[1] + 1, device=right.device)
    precision = right.cumsum(dim=1) / places
    average = (precision * right).sum(dim=1) / right.sum(dim=1)
    return right[:, 0].mean().item(), average.mean().item()


def mean_rank(rows: Embeddings, columns: Embeddings) -> float:
    """Return the mean rank, from 1, of column i among all columns for row i, by cosines.

    Columns that are equally close share the mean of their ranks.
    """
    close = F.normalize(rows.float(), dim=1) @ F.normalize(columns.float(), dim=1).T
    own = close.diagonal()[:, None]
    ranks = (close > own).sum(dim=1) + ((close == own).sum(dim=1) + 1) / 2
    return ranks.double().mean().item()
