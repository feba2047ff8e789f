"""Routes of operations: is it up, is it ready, how is it doing."""

from fastapi import APIRouter, Depends, Request, Response

from vireid import __version__
from vireid.service.access import needs
from vireid.service.messages import Health, Ready
from vireid.service.metrics import MEDIA_TYPE
from vireid.service.routes import problems
from vireid.service.service import service_of

router = APIRouter(tags=["operations"])


@router.get("/health", responses=problems())
async def health() -> Health:
    """Say that the process answers."""
    return Health(version=__version__)


@router.get("/ready", responses=problems() | {503: {"model": Ready, "description": "Not yet."}})
async def ready(request: Request, response: Response) -> Ready:
    """Say whether galleries and models are open."""
    service = service_of(request)
    response.status_code = 200 if service.state == "ready" else 503
    return Ready(status=service.state, galleries=len(service.galleries))


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[Depends(needs("read"))],
    responses=problems() | {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Give all metrics in Prometheus' format."""
    service = service_of(request)
    await service.work(service.count_pictures)
    return Response(service.metrics.as_text(), media_type=MEDIA_TYPE)
