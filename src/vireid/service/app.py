"""The application: routes, errors and the guard around them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from vireid import __version__
from vireid.errors import VireidError
from vireid.service import problems
from vireid.service.guard import Guard
from vireid.service.messages import ProblemDocument
from vireid.service.routes import (
    backups,
    changes,
    forms,
    galleries,
    jobs,
    operations,
    page,
    searches,
    sessions,
)
from vireid.service.service import Service, hosts_of

TEXT = """Search for a person among the pictures of visible and infrared cameras.

A hit is the most similar picture, not an identification. Errors are problem details (RFC 9457)."""


def create(service: Service) -> FastAPI:
    """Make the application of a service."""
    settings = service.settings

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="vireid",
        version=__version__,
        description=TEXT,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        form_limits=forms.limits(settings),
        telemetry={"tracing": False},
    )
    app.state.service = service
    # Routes are looked at in this order; searches are asked for most.
    for module in (searches, galleries, operations, sessions, changes, backups, jobs, page):
        app.include_router(module.router)
    app.mount("/page", page.files)
    app.add_exception_handler(problems.Problem, problems.of_problem)
    app.add_exception_handler(VireidError, problems.of_vireid)
    app.add_exception_handler(HTTPException, problems.of_http)
    app.add_exception_handler(RequestValidationError, problems.of_validation)
    app.add_exception_handler(Exception, problems.of_fault)
    app.add_middleware(
        Guard,
        metrics=service.metrics,
        hosts=hosts_of(settings),
        seconds=settings.request_seconds,
        most_bytes=settings.most_bytes * settings.most_pictures + 2**20,
    )
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """Return the document of the API, with keys and problems as they are."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=TEXT, routes=app.routes
        )
        parts = document["components"]
        parts["schemas"]["Problem"] = ProblemDocument.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            parts["schemas"].pop(name, None)
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}, {}]
        app.openapi_schema = document
    return app.openapi_schema
