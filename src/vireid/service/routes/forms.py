"""Forms of the routes that are asked most: described by one model, and checked in one go.

FastAPI looks at every field of a form by itself, which takes longer than all else that it does.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar, get_origin

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from vireid.service.settings import Settings

T = TypeVar("T", bound=BaseModel)
MEDIA_TYPE = "multipart/form-data"
MOST_FIELDS = 300
FIELD = 65_536
"""Largest size in bytes of a part of a form that is no file."""


def limits(settings: Settings) -> Any:
    """Return how much a form may hold, by the names that Starlette and FastAPI have for it."""
    return {
        "max_files": settings.most_pictures,
        "max_fields": MOST_FIELDS,
        "max_part_size": FIELD,
    }


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Return what a route says of its form, for the document of the API."""
    return {"requestBody": {"content": {MEDIA_TYPE: {"schema": model.model_json_schema()}}}}


@asynccontextmanager
async def form_of(request: Request, model: type[T], settings: Settings) -> AsyncIterator[T]:
    """Read a form; its files are closed afterwards.

    A field that is sent several times counts as sent last, but for lists; an empty one is as one
    that was not sent.

    Raises:
        RequestValidationError: It is not as the model says.
        HTTPException: It cannot be read.
    """
    async with request.form(**limits(settings)) as form:
        told: dict[str, Any] = {}
        for name, value in form.multi_items():
            known = model.model_fields.get(name)
            if known and get_origin(known.annotation) is list:
                told.setdefault(name, []).append(value)
            elif value != "":
                told[name] = value
        try:
            yield model.model_validate(told)
        except ValidationError as error:
            wrong = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
            raise RequestValidationError(wrong) from error
