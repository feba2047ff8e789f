"""Searching: from what a request asks to its answer."""

import asyncio
import time
from collections.abc import Sequence

from vireid.records import Modality
from vireid.service.answering import Answered, Query, Question, Search, answer
from vireid.service.galleries import Served
from vireid.service.problems import Problem
from vireid.service.service import Service
from vireid.service.uploads import Upload, decoded, kept_at


async def answered(
    service: Service, served: Served, question: Question, uploads: Sequence[Upload]
) -> Answered:
    """Search.

    Raises:
        Problem: The question does not say who is looked for, or a picture is not here.
        VireidError: A picture cannot be used, or a filter names what is not there.
    """
    begin = time.perf_counter()
    if (question.text is None) == (not uploads and not question.pictures):
        raise Problem(422, "say who is looked for: by pictures or by a sentence, not by both")
    queries = list[Query]()
    if question.text is None:
        queries = await _by_upload(service, served, question, uploads)
        if question.pictures:
            queries += await service.work(_by_picture, served, question)
    search = Search(served, question, queries, begin)
    if search.is_plain:
        return await service.answers.put(search)
    return await service.work(answer, search)


async def _by_upload(
    service: Service, served: Served, question: Question, uploads: Sequence[Upload]
) -> list[Query]:
    batcher = served.batcher
    said = None if question.modality == "auto" else Modality(question.modality)
    reading = (service.work(decoded, each, batcher.embedder, said) for each in uploads)
    pictures = await asyncio.gather(*reading)
    vectors = await asyncio.gather(*(batcher.put((p.pixels, p.modality)) for p in pictures))
    return [
        Query(vector, picture.modality, picture.guessed, kept_at(upload, served))
        for vector, picture, upload in zip(vectors, pictures, uploads, strict=True)
    ]


def _by_picture(served: Served, question: Question) -> list[Query]:
    entries = served.entries(question.pictures)
    vectors = served.searcher.gallery.vectors_of([entry.record for entry in entries])
    pairs = zip(vectors, entries, strict=True)
    return [
        Query(vector, entry.record.modality, False, entry.record.path, entry)
        for vector, entry in pairs
    ]
