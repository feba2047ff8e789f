"""Routes that change galleries: add, label, remove and undo, judge."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile

from vireid.gallery.store import Entry
from vireid.records import Modality
from vireid.service import adding, labelling, messages
from vireid.service.access import caller_of, needs
from vireid.service.answering import words_of
from vireid.service.problems import Problem
from vireid.service.routes import problems
from vireid.service.routes.galleries import Id, Name
from vireid.service.service import gallery_of, service_of
from vireid.service.uploads import received

router = APIRouter(
    prefix="/api/v1/galleries", tags=["changes"], dependencies=[Depends(needs("write"))]
)


@router.post("/{gallery}/pictures", status_code=201, responses=problems(404, 408, 413))
async def add(
    request: Request,
    gallery: Name,
    images: Annotated[list[UploadFile], File(description="Pictures, one person each.")],
    modality: Annotated[
        Literal["auto", "visible", "infrared"],
        Form(description="Spectrum of all; `auto` guesses by their colours."),
    ] = "auto",
    camera: Annotated[str | None, Form(max_length=200)] = None,
    time: Annotated[
        datetime | None, Form(description="When they were taken; else what they say (EXIF).")
    ] = None,
    person: Annotated[str | None, Form(max_length=200, description="Name or number.")] = None,
    tags: Annotated[list[str], Form(max_length=50)] = [],  # noqa: B006
) -> messages.Added:
    """Add pictures; the service keeps their files."""
    service, served = service_of(request), gallery_of(request, gallery)
    spectrum = None if modality == "auto" else Modality(modality)
    said = adding.Said(spectrum, camera or None, time, person, frozenset(filter(None, tags)))
    uploads = await received(images, service.settings, caller_of(request).key)
    with service.door.entered():
        done = await adding.added(service, served, said, uploads)
    await service.audited(
        request,
        "add",
        is_change=True,
        gallery=served.name,
        pictures=done.ids,
        person=person,
        camera=camera,
    )
    return done


@router.patch("/{gallery}/pictures/{id}", responses=problems(404))
async def label(
    request: Request,
    gallery: Name,
    id: Id,  # noqa: A002
    labels: messages.Labels,
) -> messages.Picture:
    """Say who is on a picture, which camera took it, and its tags."""
    service, served = service_of(request), gallery_of(request, gallery)
    picture = await service.work(labelling.labelled, served, id, labels)
    said = labels.model_dump(exclude_none=True)
    await service.audited(
        request, "label", is_change=True, gallery=served.name, pictures=[id], said=said
    )
    return picture


@router.delete("/{gallery}/pictures/{id}", responses=problems(404))
async def remove_one(
    request: Request,
    gallery: Name,
    id: Id,  # noqa: A002
) -> messages.Removal:
    """Remove a picture; it can come back for some minutes."""
    return await _removed(request, gallery, messages.RemovalRequest(ids=[id]))


@router.post("/{gallery}/removals", status_code=201, responses=problems(404, 409))
async def remove(
    request: Request, gallery: Name, wanted: messages.RemovalRequest
) -> messages.Removal:
    """Remove pictures; they can come back for some minutes.

    With `expect` nothing is removed if it would be another number of pictures.
    """
    return await _removed(request, gallery, wanted)


async def _removed(
    request: Request, gallery: str, wanted: messages.RemovalRequest
) -> messages.Removal:
    service, served = service_of(request), gallery_of(request, gallery)
    if bool(wanted.ids) == bool(wanted.filter):
        raise Problem(422, "say which pictures: by ids or by filters")

    def going() -> list[Entry]:
        if wanted.ids:
            return served.entries(list(dict.fromkeys(wanted.ids)))
        filters = served.filters(words_of(wanted.filter))
        return list(served.searcher.gallery.entries(filters))

    entries = await service.work(going)
    if wanted.expect not in (None, len(entries)):
        raise Problem(
            409, f"it would be {len(entries)} pictures, not {wanted.expect}", pictures=len(entries)
        )
    removal = await service.work(service.removals.remove, served, entries)
    service.thumbnails.forget()
    await service.audited(
        request,
        "remove",
        is_change=True,
        gallery=served.name,
        removal=removal.id,
        pictures=wanted.ids,
        filters=wanted.filter,
        removed=removal.removed,
    )
    return removal


@router.delete("/{gallery}/removals/{removal}", responses=problems(404, 410))
async def undo(request: Request, gallery: Name, removal: Id) -> messages.Restored:
    """Bring removed pictures back."""
    service, served = service_of(request), gallery_of(request, gallery)
    count = await service.work(service.removals.undo, served, removal)
    await service.audited(
        request, "undo", is_change=True, gallery=served.name, removal=removal, restored=count
    )
    return messages.Restored(restored=count)


@router.post("/{gallery}/judgements", status_code=201, responses=problems(404))
async def judge(
    request: Request, gallery: Name, judgement: messages.JudgementRequest
) -> messages.Judged:
    """Say whether a hit shows the person searched for; `vireid gallery export` writes it out."""
    service, served = service_of(request), gallery_of(request, gallery)
    who = caller_of(request).name
    count = await service.work(labelling.judged, service, served, judgement, who)
    await service.audited(
        request, "judge", is_change=True, gallery=served.name, **judgement.model_dump()
    )
    return messages.Judged(judgements=count)
