"""Searching: from what a request asks to its answer."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from vireid.pictures import is_soon_decoded
from vireid.records import Modality
from vireid.service.answering import Answered, Query, Question, Search, answer, query_of
from vireid.service.audit import Asker, Audit
from vireid.service.batching import Decoded, Task
from vireid.service.galleries import Served
from vireid.service.problems import Problem
from vireid.service.service import Service
from vireid.service.uploads import Upload, decoded


async def answered(
    service: Service, served: Served, question: Question, uploads: Sequence[Upload], asker: Asker
) -> Answered:
    """Search, and write into the audit log who did.

    Raises:
        Problem: The question does not say who is looked for, or a picture is not here.
        VireidError: A picture cannot be used, or a filter names what is not there.
    """
    begin = time.perf_counter()
    if (question.text is None) == (not uploads and not question.pictures):
        raise Problem(422, "say who is looked for: by pictures or by a sentence, not by both")
    search = Search(served, question, uploads, asker, begin)
    if search.is_plain:
        read = await _read(service, search, uploads[0])
        task = Task(read, service.answer_each, search, search.alike)
        return await served.batcher.done(task)
    sent = await asyncio.gather(*(_sent(service, search, upload) for upload in uploads))
    return await service.work(_answered, service.audit, search, sent)


async def _sent(service: Service, search: Search, upload: Upload) -> Query:
    """Return a picture that was sent, embedded."""
    read = await _read(service, search, upload)
    return query_of(await search.served.batcher.embedded(read))


async def _read(service: Service, search: Search, upload: Upload) -> Callable[[], Decoded]:
    """Return what decodes a picture: soon, or else it is decoded now, in another thread."""
    said = search.question.modality
    spectrum = None if said == "auto" else Modality(said)
    read = partial(decoded, upload, search.served.batcher.embedder, spectrum)
    if is_soon_decoded(upload.content):
        return read
    picture = await service.work(read)
    return lambda: picture


def _answered(audit: Audit, search: Search, sent: Sequence[Query]) -> Answered:
    found = _by_picture(search.served, search.question) if search.question.pictures else []
    return answer(audit, replace(search, queries=(*sent, *found)))


def _by_picture(served: Served, question: Question) -> list[Query]:
    entries = served.entries(question.pictures)
    vectors = served.searcher.gallery.vectors_of([entry.record for entry in entries])
    pairs = zip(vectors, entries, strict=True)
    return [
        Query(vector, entry.record.modality, guessed=False, entry=entry) for vector, entry in pairs
    ]
