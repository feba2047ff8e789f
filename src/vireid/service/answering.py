"""Answering: from vectors and what is asked to the document of the answer.

Searches by one picture that wait together and ask alike read the gallery together.
"""

import secrets
import shlex
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vireid.errors import VireidError
from vireid.gallery import Filters
from vireid.gallery.store import Entry
from vireid.records import Key, Modality, TextQuery
from vireid.search.answers import SCHEMA, Answer, NoPictureError, Searcher, filters_as_dict
from vireid.service import messages, picture_ids
from vireid.service.batching import Together
from vireid.service.galleries import Contents, Served
from vireid.types.arrays import Vector

TOGETHER = 64
"""Largest number of searches that read a gallery together."""


@dataclass(frozen=True)
class Question:
    """What is asked, but for the pictures that are sent with it."""

    pictures: tuple[str, ...] = ()
    text: str | None = None
    modality: Literal["auto", "visible", "infrared"] = "auto"
    among: messages.Among = "other"
    words: tuple[str, ...] = ()
    top: int = 20
    group: Literal["none", "person", "tracklet"] = "none"
    several: Literal["mean", "best"] = "mean"
    min_similarity: float | None = None
    centre: bool = False


@dataclass(frozen=True, eq=False)
class Query:
    """One of the pictures that were searched with."""

    vector: Vector
    modality: Modality
    guessed: bool
    path: Path
    """Place of its file; of one that was sent, where it is kept once a hit is judged."""
    entry: Entry | None = None


@dataclass(frozen=True, eq=False)
class Search:
    """A question with the vectors of its pictures."""

    served: Served
    question: Question
    queries: Sequence[Query]
    begin: float
    """When it began, as `time.perf_counter` tells."""

    @property
    def is_plain(self) -> bool:
        """Whether it may read the gallery together with others."""
        return len(self.queries) == 1 and self.question.group == "none"

    @property
    def own(self) -> set[Key]:
        """Pictures that were searched with, which are no hits."""
        return {query.entry.record.key for query in self.queries if query.entry}

    @property
    def filters(self) -> Filters:
        """Conditions on the pictures to search.

        Raises:
            Problem: A folder is not one of the gallery's.
            VireidError: A word is no filter.
        """
        question = self.question
        filters = self.served.filters(words_of(question.words))
        if question.min_similarity is not None:
            filters = replace(filters, min_similarity=question.min_similarity)
        return filters

    def among(self, filters: Filters) -> str | None:
        """Return the spectrum to search in; None for that of the filters, or both."""
        if self.question.among != "other":
            return self.question.among
        known = filters.modality or not self.queries
        return None if known else self.queries[0].modality.other


@dataclass(frozen=True)
class Answered:
    """The answer to a search, as it is sent."""

    id: str
    hits: int
    content: bytes
    queries: Sequence[Query]


class Answers(Together[Search, Answered]):
    """Answers plain searches."""

    def __init__(self) -> None:
        """Start the thread."""
        super().__init__(_together, _alike, TOGETHER, "vireid-answers")


def _alike(search: Search) -> Hashable:
    """Return what searches have in common that read the gallery together."""
    question = search.question
    how = (question.words, question.among, question.min_similarity, question.centre)
    return id(search.served), search.queries[0].modality, how


def _together(searches: list[Search]) -> list[Answered]:
    first = searches[0]
    filters, searcher = first.filters, first.served.searcher
    try:
        answers: Sequence[Answer | None] = searcher.search_each(
            np.stack([search.queries[0].vector for search in searches]),
            max(search.question.top + len(search.own) for search in searches),
            filters,
            modality=first.among(filters),
            query_modality=first.queries[0].modality,
            centred=first.question.centre,
        )
    except NoPictureError:
        answers = [None] * len(searches)
    contents = first.served.contents
    pairs = zip(searches, answers, strict=True)
    return [_told(search, answer, searcher, contents) for search, answer in pairs]


def answer(search: Search) -> Answered:
    """Answer a search of any kind.

    Raises:
        Problem: A folder in its filters is not one of the gallery's.
        VireidError: What is asked does not fit; the message says what to do.
    """
    question, queries, filters = search.question, search.queries, search.filters
    asked: Any = [query.vector for query in queries] or TextQuery(question.text or "")
    searcher = search.served.searcher
    found: Answer | None
    try:
        found = searcher.search(
            asked,
            question.top + len(search.own),
            filters,
            modality=search.among(filters),
            query_modality=queries[0].modality if queries else None,
            combined=question.several,
            by=None if question.group == "none" else question.group,
            centred=question.centre,
        )
    except NoPictureError:
        found = None
    return _told(search, found, searcher, search.served.contents)


def _told(
    search: Search, answer: Answer | None, searcher: Searcher, contents: Contents
) -> Answered:
    document = _document(search, answer and _without_own(answer, search), searcher, contents)
    document["took_ms"] = round((time.perf_counter() - search.begin) * 1000, 2)
    checked = messages.SearchAnswer.model_validate(document)
    content = checked.model_dump_json().encode()
    return Answered(checked.search, len(checked.hits), content, search.queries)


def _without_own(answer: Answer, search: Search) -> Answer:
    """Return an answer without the pictures that were searched with, and as long as asked for."""
    own, top = search.own, search.question.top
    if not own:
        return replace(answer, hits=answer.hits[:top])
    kept = [hit for hit in answer.hits if hit.record.key not in own][:top]
    ranked = tuple(replace(hit, rank=rank) for rank, hit in enumerate(kept, 1))
    # A picture of the gallery is the best hit of itself, which says nothing about others.
    nobody = None if any(hit.record.key in own for hit in answer.hits) else answer.nobody
    return replace(answer, hits=ranked, nobody=nobody)


def _document(
    search: Search, answer: Answer | None, searcher: Searcher, contents: Contents
) -> dict[str, Any]:
    """Return the members of the answer's document."""
    served, question, roots = search.served, search.question, contents.roots
    asked = [
        {
            "modality": query.modality.value,
            "guessed": query.guessed,
            "picture": picture_ids.id_of(query.entry.record, roots) if query.entry else None,
        }
        for query in search.queries
    ] or [{"modality": None, "guessed": False, "picture": None, "text": question.text}]
    asked_with = search.queries[0].path if search.queries else None
    hits = [
        {
            "rank": hit.rank,
            "similarity": round(hit.similarity, 6),
            "probability": rounded(hit.probability),
            "same": contents.judged.get((asked_with, hit.record.key)) if asked_with else None,
            **served.about(hit.record, contents),
        }
        for hit in (answer.hits if answer else ())
    ]
    filters = answer.filters if answer else None
    model = served.model(searcher)
    nothing = None if hits else _why_nothing(answer)
    return {
        "schema_version": SCHEMA,
        "search": secrets.token_urlsafe(12),
        "gallery": served.name,
        "query": asked[0],
        "queries": asked,
        "several": question.several,
        "modality": filters.modality.value if filters and filters.modality else None,
        "filters": served.shown_filters(filters_as_dict(filters), roots) if filters else {},
        "group": question.group,
        "centred": question.centre,
        "hits": hits,
        "nobody": {"reason": nothing} if nothing else None,
        "nobody_probability": None if answer is None else rounded(answer.nobody),
        "model": model,
        "caveats": answer.caveats if answer else [model.caveat] if model.caveat else [],
    }


def _why_nothing(answer: Answer | None) -> str:
    if answer is None:
        return "there is no picture here that the filters let pass"
    if answer.filters.min_similarity is not None:
        return f"nobody is {answer.filters.min_similarity:g} similar or more"
    return "there is no other picture here"


def rounded(number: float | None) -> float | None:
    """Return a number with as many digits as are told."""
    return None if number is None else round(number, 6)


def words_of(told: Sequence[str]) -> list[str]:
    """Return the words of filters, as a shell would split them.

    Raises:
        VireidError: A quotation mark is left open.
    """
    try:
        return [word for each in told for word in shlex.split(each)]
    except ValueError:
        raise VireidError('a quotation mark is not closed; write camera:"north gate"') from None
