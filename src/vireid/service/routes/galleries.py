"""Routes of galleries: what they hold, and their pictures."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from vireid.gallery.store import Place
from vireid.records import Modality
from vireid.service import messages
from vireid.service.access import Caller, caller_of, needs
from vireid.service.answering import words_of
from vireid.service.comparing import compared
from vireid.service.galleries import Served
from vireid.service.problems import Problem, not_found
from vireid.service.routes import problems
from vireid.service.service import Service, gallery_of, service_of
from vireid.service.thumbnails import Look
from vireid.service.timeline import timeline_of

Name = Annotated[str, Path(max_length=64)]
Id = Annotated[str, Path(max_length=8192)]
Words = Annotated[
    list[Annotated[str, Query(max_length=1000)]],
    Query(description="Words as the command line takes them: `camera:gate after:2026-11-24`."),
]
router = APIRouter(
    prefix="/api/v1/galleries", tags=["galleries"], dependencies=[Depends(needs("read"))]
)


@router.get("", responses=problems())
async def galleries(request: Request) -> messages.Galleries:
    """List all galleries."""
    service = service_of(request)
    found = [
        await service.work(document, service, each, caller_of(request))
        for each in service.galleries
    ]
    return messages.Galleries(galleries=found)


@router.get("/{gallery}", responses=problems(404))
async def one(request: Request, gallery: Name) -> messages.GalleryDocument:
    """Say what a gallery holds."""
    service = service_of(request)
    return await service.work(document, service, gallery_of(request, gallery), caller_of(request))


@router.post("/{gallery}/comparisons", responses=problems(404))
async def compare(
    request: Request, gallery: Name, wanted: messages.ComparisonRequest
) -> messages.Comparison:
    """Say where a hit and the first picture that was searched with are alike."""
    service, served = service_of(request), gallery_of(request, gallery)
    search = service.searches.get(wanted.search, served.name, caller_of(request).name)
    if search is None:
        raise not_found("such search any more; search again")
    with service.door.entered():
        return await service.work(compared, served, search, wanted.picture)


@router.get("/{gallery}/pictures", responses=problems(404))
async def pictures(
    request: Request,
    gallery: Name,
    filter: Words = [],  # noqa: A002, B006
    after: Annotated[
        str | None, Query(max_length=32, description="`next` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> messages.Pictures:
    """List the pictures of a gallery, some at a time."""
    served = gallery_of(request, gallery)
    return await service_of(request).work(_listed, served, filter, after, limit)


@router.get("/{gallery}/timeline", responses=problems(404))
async def timeline(
    request: Request,
    gallery: Name,
    filter: Words = [],  # noqa: A002, B006
) -> messages.Timeline:
    """Count pictures by camera and hour."""
    served = gallery_of(request, gallery)
    return await service_of(request).work(timeline_of, served, words_of(filter))


@router.get("/{gallery}/pictures/{id}", responses=problems(404))
async def picture(request: Request, gallery: Name, id: Id) -> messages.Picture:  # noqa: A002
    """Say what is known of a picture."""
    served = gallery_of(request, gallery)

    def found() -> messages.Picture:
        return served.picture(served.entry(id).record)

    return await service_of(request).work(found)


def shows(look: Look) -> dict[str, object]:
    """Return what a route that answers with a picture says of itself."""
    schema = {"type": "string", "format": "binary"}
    answer = {200: {"content": {"image/jpeg": {"schema": schema}}, "description": "A picture."}}
    not_changed = {304: {"description": "It is as it was (If-None-Match)."}}
    return {
        "path": f"/{{gallery}}/pictures/{{id}}/{look}",
        "response_class": Response,
        "responses": problems(404, 410) | answer | not_changed,
    }


@router.get(**shows("thumbnail"))  # type: ignore[arg-type]
async def thumbnail(
    request: Request,
    gallery: Name,
    id: Id,  # noqa: A002
    height: Annotated[int, Query(ge=1, le=4096)] = 192,
) -> Response:
    """Show a picture, small."""
    return await _shown(request, gallery, id, "thumbnail", height)


@router.get(**shows("image"))  # type: ignore[arg-type]
async def image(request: Request, gallery: Name, id: Id) -> Response:  # noqa: A002
    """Show a picture; of a frame, the part that shows the person."""
    return await _shown(request, gallery, id, "image")


@router.get(**shows("frame"))  # type: ignore[arg-type]
async def frame(request: Request, gallery: Name, id: Id) -> Response:  # noqa: A002
    """Show the whole frame of a picture."""
    return await _shown(request, gallery, id, "frame")


async def _shown(
    request: Request, gallery: str, id_: str, look: Look, height: int = 192
) -> Response:
    service, served = service_of(request), gallery_of(request, gallery)
    made = await service.work(lambda: service.thumbnails.of(served.entry(id_), look, height))
    headers = {"ETag": made.tag, "Cache-Control": "private, max-age=600"}
    if made.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(made.content, headers=headers, media_type=made.media_type)


def document(service: Service, served: Served, caller: Caller) -> messages.GalleryDocument:
    """Return the document of a gallery."""
    held = served.contents
    return messages.GalleryDocument(
        name=served.name,
        pictures=held.pictures,
        modalities=held.modalities,
        cameras=held.cameras,
        people=held.people,
        identities=held.identities,
        days=held.days,
        tags=list(held.tags),
        sources=sorted(root.name for root in held.roots if root != served.uploads),
        model=served.model(served.searcher),
        keep_days=held.keep_days,
        can_write=caller.may("write"),
        probability=served.has_probabilities,
        undo_minutes=service.settings.undo_minutes,
    )


def _listed(served: Served, words: list[str], after: str | None, limit: int) -> messages.Pictures:
    place = None if after is None else _place(after)
    entries, following = served.page(served.filters(words_of(words)), place, limit)
    return messages.Pictures(
        pictures=[served.picture(entry.record) for entry in entries],
        next=following and f"{following[0].value[0]}{following[1]}",
    )


def _place(after: str) -> Place:
    spectra = {modality.value[0]: modality for modality in Modality}
    if after[:1] in spectra and after[1:].isascii() and after[1:].isdigit() and len(after) < 16:
        return spectra[after[0]], int(after[1:])
    raise Problem(422, "after: take `next` of the page before")
