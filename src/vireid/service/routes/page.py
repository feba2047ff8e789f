"""Routes of the page: its files, as they lie in `vireid.service.page`."""

import mimetypes
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from vireid.service.problems import not_found

PAGE = Path(__file__).parents[1] / "page"
router = APIRouter(include_in_schema=False)
files = GZipMiddleware(StaticFiles(directory=PAGE))
for kind, suffix in (
    ("text/javascript", ".js"),
    ("image/svg+xml", ".svg"),
    ("font/woff2", ".woff2"),
):
    mimetypes.add_type(kind, suffix)  # machines have their own tables


@router.get("/")
async def page() -> FileResponse:
    """Give the page."""
    index = PAGE / "index.html"
    if not index.is_file():
        raise not_found("page in this installation; the API is at /api/v1")
    return FileResponse(index, headers={"Cache-Control": "no-cache"})
