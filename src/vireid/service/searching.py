"""Searching: from what a request asks to the document of its answer."""

import asyncio
import secrets
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from vireid.errors import VireidError
from vireid.gallery.store import Entry
from vireid.records import Modality, TextQuery
from vireid.search.answers import SCHEMA, Answer, NoPictureError, filters_as_dict
from vireid.service import messages, picture_ids
from vireid.service.galleries import Served
from vireid.service.problems import Problem
from vireid.service.service import Service
from vireid.service.uploads import Upload, decoded
from vireid.types.arrays import Vector

Among = Literal["other", "both", "visible", "infrared"]
MOST_TOP = 1_000


@dataclass(frozen=True)
class Question:
    """What is asked, but for the pictures that are sent with it."""

    pictures: tuple[str, ...] = ()
    text: str | None = None
    modality: Literal["auto", "visible", "infrared"] = "auto"
    among: Among = "other"
    words: tuple[str, ...] = ()
    top: int = 20
    group: Literal["none", "person", "tracklet"] = "none"
    several: Literal["mean", "best"] = "mean"
    min_similarity: float | None = None
    centre: bool = False


@dataclass(frozen=True)
class _Query:
    """One of the pictures that were searched with."""

    vector: Vector
    modality: Modality
    guessed: bool
    entry: Entry | None = None


async def answered(
    service: Service, served: Served, question: Question, uploads: Sequence[Upload]
) -> messages.SearchAnswer:
    """Search.

    Raises:
        Problem: The question does not say who is looked for, or a picture is not here.
        VireidError: A picture cannot be used, or a filter names what is not there.
    """
    begin = time.perf_counter()
    if (question.text is None) == (not uploads and not question.pictures):
        raise Problem(422, "say who is looked for: by pictures or by a sentence, not by both")
    if question.text is not None:
        queries = list[_Query]()
    else:
        queries = await _by_upload(service, served, question, uploads)
        if question.pictures:
            queries += await service.work(_by_picture, served, question)
    return await service.work(_answer, served, question, queries, begin)


def _answer(
    served: Served, question: Question, queries: Sequence[_Query], begin: float
) -> messages.SearchAnswer:
    document = _document(served, question, queries, *_found(served, question, queries))
    document.took_ms = round((time.perf_counter() - begin) * 1000, 2)
    return document


async def _by_upload(
    service: Service, served: Served, question: Question, uploads: Sequence[Upload]
) -> list[_Query]:
    batcher = served.batcher
    said = None if question.modality == "auto" else Modality(question.modality)
    pictures = [await service.work(decoded, each, batcher.embedder, said) for each in uploads]
    futures = [batcher.embed(picture.pixels, picture.modality) for picture in pictures]
    vectors = await asyncio.gather(*map(asyncio.wrap_future, futures))
    return [
        _Query(vector, picture.modality, picture.guessed)
        for vector, picture in zip(vectors, pictures, strict=True)
    ]


def _by_picture(served: Served, question: Question) -> list[_Query]:
    entries = served.entries(question.pictures)
    vectors = served.searcher.gallery.vectors_of([entry.record for entry in entries])
    pairs = zip(vectors, entries, strict=True)
    return [_Query(vector, entry.record.modality, False, entry) for vector, entry in pairs]


def _found(
    served: Served, question: Question, queries: Sequence[_Query]
) -> tuple[Answer | None, str | None]:
    """Return the answer, or the reason why there is no picture to search."""
    filters = served.filters(words_of(question.words))
    if question.min_similarity is not None:
        filters = replace(filters, min_similarity=question.min_similarity)
    own = {query.entry.record.key for query in queries if query.entry}
    asked: Any = TextQuery(question.text or "")
    modality: str | None = {"other": None}.get(question.among, question.among)
    if queries:
        asked = [query.vector for query in queries]
        if modality is None and filters.modality is None:
            modality = queries[0].modality.other
    try:
        answer = served.searcher.search(
            asked,
            question.top + len(own),
            filters,
            modality=modality,
            query_modality=queries[0].modality if queries else None,
            combined=question.several,
            by=None if question.group == "none" else question.group,
            centred=question.centre,
        )
    except NoPictureError:
        return None, "there is no picture here that the filters let pass"
    kept = [hit for hit in answer.hits if hit.record.key not in own][: question.top]
    ranked = tuple(replace(hit, rank=rank) for rank, hit in enumerate(kept, 1))
    # A picture of the gallery is the best hit of itself, which says nothing about others.
    nobody = None if any(hit.record.key in own for hit in answer.hits) else answer.nobody
    return replace(answer, hits=ranked, nobody=nobody), None


def _document(
    served: Served,
    question: Question,
    queries: Sequence[_Query],
    answer: Answer | None,
    nothing: str | None,
) -> messages.SearchAnswer:
    roots = served.contents.roots
    asked = [
        messages.QueryDocument(
            modality=query.modality.value,
            guessed=query.guessed,
            picture=picture_ids.id_of(query.entry.record, roots) if query.entry else None,
        )
        for query in queries
    ] or [messages.QueryDocument(modality=None, guessed=False, picture=None, text=question.text)]
    hits = [
        messages.HitDocument(
            rank=hit.rank,
            similarity=round(hit.similarity, 6),
            probability=rounded(hit.probability),
            **served.about(hit.record, roots),
        )
        for hit in (answer.hits if answer else ())
    ]
    filters = answer.filters if answer else None
    if answer and not hits and filters and filters.min_similarity is not None:
        nothing = f"nobody is {filters.min_similarity:g} similar or more"
    elif not hits and nothing is None:
        nothing = "there is no other picture here"
    model = served.model()
    caveats = answer.caveats if answer else [model.caveat] if model.caveat else []
    return messages.SearchAnswer(
        schema_version=SCHEMA,
        search=secrets.token_urlsafe(12),
        gallery=served.name,
        query=asked[0],
        queries=asked,
        several=question.several,
        modality=filters.modality.value if filters and filters.modality else None,
        filters=served.shown_filters(filters_as_dict(filters)) if filters else {},
        group=question.group,
        centred=question.centre,
        hits=hits,
        nobody=messages.Nobody(reason=nothing) if nothing else None,
        nobody_probability=None if answer is None else rounded(answer.nobody),
        model=model,
        caveats=caveats,
        took_ms=0.0,
    )


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
