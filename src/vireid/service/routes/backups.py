"""Routes of backups: copy a gallery, and have it become what a copy holds."""

from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Request, UploadFile
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from vireid.service import messages, restoring
from vireid.service.access import needs
from vireid.service.routes import problems
from vireid.service.routes.galleries import Name
from vireid.service.service import folders_below, gallery_of, service_of

ZIP = "application/zip"
COUNT = "X-Pictures"
"""Header that tells the number of pictures in a backup."""
router = APIRouter(
    prefix="/api/v1/galleries", tags=["backups"], dependencies=[Depends(needs("admin"))]
)
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/{gallery}/backup", response_class=FileResponse, responses=problems(404) | _FILE)
async def backup(request: Request, gallery: Name) -> FileResponse:
    """Copy a gallery, as of one moment, into an archive; others may search and write meanwhile."""
    service, served = service_of(request), gallery_of(request, gallery)
    with ExitStack() as stack:
        folder = stack.enter_context(restoring.scratch(service.settings.folder))
        archive = folder / "backup.zip"
        pictures = await service.work(served.searcher.gallery.backup, archive)
        await service.audited(request, "backup", gallery=served.name, pictures=pictures)
        kept = stack.pop_all()
    name = f"{served.name}.zip"
    return FileResponse(
        archive,
        media_type=ZIP,
        filename=name,
        headers={COUNT: str(pictures)},
        background=BackgroundTask(kept.close),
    )


@router.post("/{gallery}/restore", responses=problems(404, 408, 413))
async def restore(
    request: Request,
    gallery: Name,
    archive: Annotated[UploadFile, File(description="What `backup` has given.")],
) -> messages.RestoredBackup:
    """Have a gallery become what a backup holds, whole or not at all; searches go on meanwhile.

    The backup has to be of the same model, and of pictures that lie in this gallery's sources or in
    `sources` of the settings. What the gallery holds now is gone afterwards.
    """
    service, served = service_of(request), gallery_of(request, gallery)

    def become() -> int:
        allowed = [*served.contents.roots, *folders_below(service.settings.sources)]
        with restoring.scratch(service.settings.folder) as folder:
            return restoring.restore(served, archive.file, folder, allowed)

    with service.door.entered():
        pictures = await service.work(become)
    service.thumbnails.forget()
    await service.audited(
        request, "restore", is_change=True, gallery=served.name, pictures=pictures
    )
    return messages.RestoredBackup(pictures=pictures)
