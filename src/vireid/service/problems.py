"""Problems: errors as JSON that programs understand (RFC 9457, application/problem+json)."""

from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from vireid.console import printable
from vireid.errors import VireidError
from vireid.gallery import GalleryError
from vireid.pictures import PictureError

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818
    """An answer other than the one that was asked for.

    Args:
        status: Status of HTTP.
        detail: One sentence for people, with the way out.
        headers: Further headers, such as Retry-After.
        more: Further members of the document.
    """

    def __init__(
        self, status: int, detail: str, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, headers or {}, more


def not_found(what: str) -> Problem:
    """Return the problem of something that is not there."""
    return Problem(404, f"there is no {what}")


def explained(error: VireidError) -> Problem:
    """Return the problem that an error of vireid is to a client."""
    if isinstance(error, PictureError):
        return Problem(422, printable(f"{error.path}: {error.reason}; {error.way_out}"))
    busy = isinstance(error, GalleryError) and "another process is writing" in error.sentence
    if busy:
        return Problem(503, "the gallery is being written to; try again", {"Retry-After": "5"})
    return Problem(422, printable(error.sentence))


def answer(request: Request, problem: Problem) -> JSONResponse:
    """Return the document of a problem."""
    content = document_of(problem, request.url.path, request.scope.get("request_id"))
    return JSONResponse(content, problem.status, problem.headers, MEDIA_TYPE)


def document_of(problem: Problem, path: str, request: str | None) -> dict[str, Any]:
    """Return what is told of a problem.

    Args:
        problem: The problem.
        path: Path that was asked for.
        request: Id of the request.
    """
    return {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": path,
        "request_id": request,
        **problem.more,
    }


async def of_problem(request: Request, error: Exception) -> JSONResponse:
    """Answer a problem that was raised as such."""
    assert isinstance(error, Problem)
    return answer(request, error)


async def of_vireid(request: Request, error: Exception) -> JSONResponse:
    """Answer an error that a person can fix."""
    assert isinstance(error, VireidError)
    problem = explained(error)
    problem.detail = request.app.state.service.places().hidden(problem.detail)
    return answer(request, problem)


async def of_http(request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework has refused."""
    assert isinstance(error, HTTPException)
    detail = str(error.detail or HTTPStatus(error.status_code).phrase)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return answer(request, Problem(error.status_code, detail, headers))


def _methods(request: Request) -> set[str]:
    """Return the methods that the routes of an address have."""
    paths = request.app.openapi()["paths"].items()
    return {
        method.upper()
        for path, methods in paths
        for method in methods
        if compile_path(path)[0].match(request.url.path)
    }


async def of_fault(request: Request, _: Exception) -> JSONResponse:
    """Answer a fault of vireid's, whose trace goes into the log."""
    fault = "a fault of vireid's; its log tells more under this request's id"
    return answer(request, Problem(500, fault))


async def of_validation(request: Request, error: Exception) -> JSONResponse:
    """Answer a request whose parts are not as the document of the API says."""
    assert isinstance(error, RequestValidationError)
    wrong = [
        {"where": ".".join(map(str, each["loc"])), "what": str(each["msg"])}
        for each in error.errors()
    ]
    told = "; ".join(f"{each['where']}: {each['what']}" for each in wrong[:3])
    return answer(request, Problem(422, told or "the request is not valid", errors=wrong[:20]))
