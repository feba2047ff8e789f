"""Routes of jobs: index a folder or an upload, and see how far it is."""

import os
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, File, Request, UploadFile
from fastapi.sse import EventSourceResponse, ServerSentEvent

from vireid.console import shortened
from vireid.files.atomic import write_whole
from vireid.gallery.addresses import absolute
from vireid.pictures import PictureError
from vireid.records import Modality
from vireid.service import messages
from vireid.service.access import caller_of, needs
from vireid.service.galleries import Served
from vireid.service.problems import Problem
from vireid.service.routes import problems
from vireid.service.routes.galleries import Id, Name
from vireid.service.service import folders_below, gallery_of, service_of
from vireid.service.settings import Settings
from vireid.service.uploads import Upload, decoded, received, suffix_of
from vireid.service.worker import Work

READ, WRITE = Depends(needs("read")), Depends(needs("write"))
router = APIRouter(prefix="/api/v1", tags=["jobs"])


@router.post(
    "/galleries/{gallery}/uploads",
    status_code=201,
    dependencies=[WRITE],
    responses=problems(404, 408, 413),
)
async def upload(
    request: Request,
    gallery: Name,
    images: Annotated[list[UploadFile], File(description="Pictures, one person each.")],
) -> messages.Uploaded:
    """Send pictures that a job then indexes."""
    service, served = service_of(request), gallery_of(request, gallery)
    uploads = await received(images, service.settings, caller_of(request).key)
    with service.door.entered():
        return await service.work(_kept, served, uploads)


def _kept(served: Served, uploads: list[Upload]) -> messages.Uploaded:
    id_ = f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(6)}"
    skipped, kept = list[messages.Refused](), 0
    for each in uploads:
        try:
            decoded(each, served.searcher.embedder)
        except PictureError as error:
            skipped.append(messages.Refused(where=each.where, reason=error.reason))
            continue
        suffix = suffix_of(each.content)
        write_whole(served.uploads / "sent" / id_ / f"{each.hash}{suffix}", each.content)
        kept += 1
    return messages.Uploaded(upload=id_, pictures=kept, skipped=skipped)


@router.post("/jobs", status_code=201, dependencies=[WRITE], responses=problems(404))
async def begin(request: Request, wanted: messages.JobRequest) -> messages.Job:
    """Begin a job. To index a folder of the service's machine takes a key of the scope admin."""
    service, caller = service_of(request), caller_of(request)
    served = gallery_of(request, wanted.gallery)
    if (wanted.source is None) == (wanted.upload is None):
        raise Problem(422, "say what to index: a source or an upload")
    if wanted.source is not None:
        if not caller.may("admin"):
            raise Problem(403, "to index a folder of this machine takes a key of the scope admin")
        source, allowed = _allowed(wanted.source, service.settings)
    else:
        source = _sent(served, wanted.upload or "")
        allowed = [source]
    modality = Modality(wanted.modality) if wanted.modality else None
    work = Work(
        absolute(served.path),
        str(source),
        [str(each.resolve()) for each in allowed],
        modality,
        wanted.camera or None,
    )
    job = await service.jobs.add(served.name, source.name, work, caller.name)
    await service.audited(
        request,
        "index",
        is_change=True,
        gallery=served.name,
        job=job.id,
        source=wanted.source,
        upload=wanted.upload,
    )
    return job


def _allowed(source: str, settings: Settings) -> tuple[Path, list[Path]]:
    """Return a folder or list that may be indexed, and the folders that may be.

    Raises:
        Problem: It may not, or is not there.
    """
    allowed = folders_below(settings.sources)
    refused = f"{shortened(source)!r} is not in a folder that may be indexed, see `sources`"
    if "\0" in source or not allowed:
        raise Problem(422, refused)
    first, *rest = Path(source).parts or ("",)
    by_name = [each for each in allowed if each.name == first]
    path = by_name[0].joinpath(*rest) if by_name else Path(source)
    path = Path(os.path.abspath(path))  # noqa: PTH100
    if not any(path.resolve().is_relative_to(each) for each in allowed):
        raise Problem(422, refused)
    if not path.exists():
        raise Problem(422, f"{shortened(source)!r} is not there")
    return path, allowed


def _sent(served: Served, upload: str) -> Path:
    """Return the folder of an upload.

    Raises:
        Problem: There is none of this id.
    """
    sent = served.uploads / "sent"
    found = {path.name: path for path in sent.iterdir()} if sent.is_dir() else {}
    if upload not in found:
        raise Problem(404, "there is no such upload")
    return found[upload]


@router.get("/jobs", dependencies=[READ], responses=problems())
async def jobs(request: Request) -> messages.Jobs:
    """List the latest jobs."""
    return messages.Jobs(jobs=service_of(request).jobs.all())


@router.get("/jobs/{id}", dependencies=[READ], responses=problems(404))
async def job(request: Request, id: Id) -> messages.Job:  # noqa: A002
    """Say how far a job is."""
    return service_of(request).jobs.get(id)


@router.delete("/jobs/{id}", dependencies=[WRITE], responses=problems(404, 409))
async def cancel(request: Request, id: Id) -> messages.Job:  # noqa: A002
    """Stop a job; what it has indexed stays."""
    service = service_of(request)
    stopped = await service.jobs.cancel(id)
    await service.audited(request, "cancel", is_change=True, gallery=stopped.gallery, job=id)
    return stopped


@router.get(
    "/jobs/{id}/events",
    dependencies=[READ, Depends(job)],
    response_class=EventSourceResponse,
    responses=problems(404),
)
async def events(request: Request, id: Id) -> AsyncIterator[ServerSentEvent]:  # noqa: A002
    """Tell how far a job is, at every change, until it has ended."""
    async for now in service_of(request).jobs.watch(id):
        yield ServerSentEvent(event="job", data=now)
