"""Answering: from pictures and what is asked to the document of the answer.

Searches by one picture that was sent are embedded together with others that wait; those that ask
alike read the gallery, and are written into the audit log, together.
"""

import secrets
import shlex
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from vireid.errors import VireidError
from vireid.gallery import Filters, Hit
from vireid.gallery.store import Entry
from vireid.records import Key, Modality, TextQuery
from vireid.search.answers import SCHEMA, Answer, filters_as_dict
from vireid.search.searcher import NoPictureError, Searcher
from vireid.service import messages
from vireid.service.audit import Asker, Audit, Line
from vireid.service.batching import Embedded
from vireid.service.galleries import Contents, Served
from vireid.service.uploads import Upload, kept_at
from vireid.types.arrays import Vector


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
    """Whether the spectrum was told by the colours."""
    entry: Entry | None = None
    """Picture of the gallery; None for one that was sent."""


@dataclass(frozen=True, eq=False)
class Search:
    """A question, and who asks."""

    served: Served
    question: Question
    uploads: Sequence[Upload]
    asker: Asker
    begin: float
    """When it began, as `time.perf_counter` tells."""
    queries: Sequence[Query] = ()
    """Its pictures, once they are embedded."""

    @property
    def is_plain(self) -> bool:
        """Whether it is by one picture that was sent, and may be answered together with others."""
        is_one = len(self.uploads) == 1 and not self.question.pictures
        return is_one and self.question.group == "none"

    @property
    def alike(self) -> Hashable:
        """What it has in common with searches by one picture that read the gallery together."""
        asked = self.question
        return id(self.served), asked.words, asked.among, asked.min_similarity, asked.centre

    @property
    def own(self) -> set[Key]:
        """Pictures that were searched with, which are no hits."""
        return {query.entry.record.key for query in self.queries if query.entry}

    @property
    def kept_at(self) -> Path | None:
        """Place of its first picture; one that was sent is kept there once a hit is judged."""
        if not self.queries:
            return None
        entry = self.queries[0].entry
        return entry.record.path if entry else kept_at(self.uploads[0], self.served)

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
    content: bytes
    queries: Sequence[Query]


def answer_each(audit: Audit, embedded: Sequence[Embedded[Search]]) -> list[Answered]:
    """Answer searches that are plain and alike."""
    searches = [replace(each.about, queries=(query_of(each),)) for each in embedded]
    first = searches[0]
    filters, searcher = first.filters, first.served.searcher
    answers: Sequence[Answer | None]
    try:
        answers = searcher.search_each(
            np.stack([each.vector for each in embedded]),
            max(search.question.top for search in searches),
            filters,
            modality=first.among(filters),
            query_modality=first.queries[0].modality,
            centred=first.question.centre,
        )
    except NoPictureError:
        answers = [None] * len(searches)
    return _told(audit, list(zip(searches, answers, strict=True)), searcher)


def answer(audit: Audit, search: Search) -> Answered:
    """Answer a search of any kind, whose pictures are embedded.

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
    (answered,) = _told(audit, [(search, found)], searcher)
    return answered


def query_of(found: Embedded[Any]) -> Query:
    """Return a picture that was sent and embedded."""
    return Query(found.vector, found.picture.modality, found.picture.guessed)


def _told(
    audit: Audit, answers: Sequence[tuple[Search, Answer | None]], searcher: Searcher
) -> list[Answered]:
    """Return answers to searches of one gallery as they are sent, once the audit log tells of them.

    Those of several searches have one and the same filters.
    """
    served = answers[0][0].served
    contents = served.contents
    shared = _shared(served, answers[0][1], searcher, contents)
    told, lines = list[Answered](), list[Line]()
    for search, found in answers:
        kept = found and _without_own(found, search)
        document = {**shared, **_document(search, kept, contents)}
        document["took_ms"] = round((time.perf_counter() - search.begin) * 1000, 2)
        told.append(Answered(document["search"], msgspec.json.encode(document), search.queries))
        lines.append(_line(search, document["search"], len(document["hits"])))
    audit.write(lines)
    return told


def _line(search: Search, id_: str, hits: int) -> Line:
    question = search.question
    return Line(
        "search",
        search.asker,
        {
            "gallery": search.served.name,
            "search": id_,
            "images": [upload.hash for upload in search.uploads],
            "pictures": question.pictures,
            "text": question.text,
            "filters": question.words,
            "hits": hits,
        },
    )


def _without_own(answer: Answer, search: Search) -> Answer:
    """Return an answer without the pictures that were searched with, and as long as asked for."""
    own, top = search.own, search.question.top
    if not own:
        return answer if len(answer.hits) <= top else replace(answer, hits=answer.hits[:top])
    kept = [hit for hit in answer.hits if hit.record.key not in own][:top]
    ranked = tuple(replace(hit, rank=rank) for rank, hit in enumerate(kept, 1))
    # A picture of the gallery is the best hit of itself, which says nothing about others.
    nobody = None if any(hit.record.key in own for hit in answer.hits) else answer.nobody
    return replace(answer, hits=ranked, nobody=nobody)


def _shared(
    served: Served, answer: Answer | None, searcher: Searcher, contents: Contents
) -> dict[str, Any]:
    """Return those members of documents that searches share which are answered together."""
    filters = answer.filters if answer else None
    roots, model = contents.roots, served.model(searcher)
    return {
        "schema_version": SCHEMA,
        "gallery": served.name,
        "modality": filters.modality.value if filters and filters.modality else None,
        "filters": served.shown_filters(filters_as_dict(filters), roots) if filters else {},
        "model": model.model_dump(),
        "caveats": [model.caveat] if model.caveat else [],
    }


def _document(search: Search, answer: Answer | None, contents: Contents) -> dict[str, Any]:
    """Return the members of the answer's document that are its own."""
    question = search.question
    asked = [
        {
            "modality": query.modality.value,
            "guessed": query.guessed,
            "picture": query.entry and search.served.id_of(query.entry.record),
            "text": None,
        }
        for query in search.queries
    ] or [{"modality": None, "guessed": False, "picture": None, "text": question.text}]
    hits = _hits(search, answer.hits, contents) if answer else []
    nothing = None if hits else _why_nothing(answer)
    document = {
        "search": secrets.token_urlsafe(12),
        "query": asked[0],
        "queries": asked,
        "several": question.several,
        "group": question.group,
        "centred": question.centre,
        "hits": hits,
        "nobody": {"reason": nothing} if nothing else None,
        "nobody_probability": answer and rounded(answer.nobody),
    }
    return {**document, "caveats": answer.caveats} if answer else document


def _hits(search: Search, hits: Sequence[Hit], contents: Contents) -> list[msgspec.Raw]:
    """Return the documents of hits, each as JSON."""
    asked_with = search.kept_at if contents.judged else None
    return [
        _joined(
            {
                "rank": hit.rank,
                "similarity": round(hit.similarity, 6),
                "probability": rounded(hit.probability),
                "same": contents.judged.get((asked_with, hit.record.key)) if asked_with else None,
            },
            search.served.members(hit.record, contents),
        )
        for hit in hits
    ]


def _joined(members: dict[str, Any], more: bytes) -> msgspec.Raw:
    """Return a document in JSON that has some members, and more that are in JSON already."""
    return msgspec.Raw(msgspec.json.encode(members)[:-1] + b"," + more)


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
