"""Routes: addresses of the API, connected with the modules that do the work."""

from typing import Any

WHY = {
    400: "The request cannot be read.",
    401: "No key, or one that is not valid.",
    403: "The key has not this scope, or a page of another site asks.",
    404: "There is no such thing.",
    405: "There is no such method here.",
    408: "The request came too slowly.",
    409: "It is no longer, or not yet, as it would have to be.",
    410: "It is gone.",
    413: "It is too large.",
    421: "The service is not known by this name.",
    422: "Something does not fit; `detail` says what.",
    429: "Too many requests.",
    503: "Too much is in work, or the service stops.",
}
ALWAYS = (400, 401, 403, 405, 421, 422, 429, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems that a route answers with, for the document of the API."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": WHY[status], "content": content}
        for status in sorted({*ALWAYS, *statuses})
    }
