"""The route of searches, which is asked most."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from vireid.service import messages
from vireid.service.access import allowed
from vireid.service.answering import Question
from vireid.service.latest_searches import Latest
from vireid.service.routes import problems
from vireid.service.routes.forms import described, form_of
from vireid.service.routes.galleries import Name
from vireid.service.searching import answered
from vireid.service.service import asker_of, gallery_of, service_of
from vireid.service.uploads import received


class Direct(APIRoute):
    """A route whose function gets the request and the names in its address as they are.

    It checks by itself who asks and what; FastAPI would take as long for that as a model for a
    quarter of a picture.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""

        async def handle(request: Request) -> Response:
            response: Response = await self.endpoint(request, **request.path_params)
            return response

        return handle


router = APIRouter(prefix="/api/v1/galleries", tags=["galleries"], route_class=Direct)


@router.post(
    "/{gallery}/search",
    response_model=messages.SearchAnswer,
    responses=problems(404, 408, 413),
    openapi_extra=described(messages.SearchRequest),
)
async def search(request: Request, gallery: Name) -> Response:
    """Find a person by pictures, by pictures of the gallery, or by a sentence."""
    caller = allowed(request, "read")
    service, served = service_of(request), gallery_of(request, gallery)
    async with form_of(request, messages.SearchRequest, service.settings) as form:
        uploads = await received(form.images, service.settings, caller.key)
    question = Question(
        pictures=tuple(form.pictures),
        text=form.text,
        modality=form.modality,
        among=form.among,
        words=tuple(form.filter),
        top=form.top,
        group=form.group,
        several=form.several,
        min_similarity=form.min_similarity,
        centre=form.centre,
    )
    with service.door.entered():
        answer = await answered(service, served, question, uploads, asker_of(request))
    sent, named = next(iter(uploads), None), next(iter(form.pictures), None)
    how = (answer.queries, form.several, form.centre)
    service.searches.keep(answer.id, Latest(served.name, caller.name, sent, named, *how))
    return Response(answer.content, media_type="application/json")
