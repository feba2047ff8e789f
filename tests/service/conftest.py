"""A service of a little gallery, in this process."""

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.onnx_model import write_model, write_site
from tests.waiting import wait_for

from vireid.search import folder_indexing
from vireid.service import server
from vireid.service.app import create
from vireid.service.service import Service
from vireid.service.settings import Settings

Serving = Callable[..., AbstractContextManager[TestClient]]
Live = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="package", autouse=True)
def own_cache_of_the_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of these tests alone: which models are known is nobody else's matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIREID_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, pictures (24 of six people by two cameras), and their gallery."""
    folder = tmp_path_factory.mktemp("service")
    model, site = write_model(folder / "toy"), write_site(folder / "site")
    folder_indexing.index(site, folder / "site.gallery", str(model))
    return folder


@pytest.fixture
def site(made: Path) -> Path:
    return made / "site"


@pytest.fixture
def gallery(made: Path, tmp_path: Path) -> Path:
    """A copy of the gallery, to change."""
    return Path(shutil.copytree(made / "site.gallery", tmp_path / "site.gallery"))


@pytest.fixture
def serving(gallery: Path, tmp_path: Path) -> Serving:
    """Serves the gallery in this process; takes settings, and gives a client at this machine."""

    @contextmanager
    def started(**settings: Any) -> Iterator[TestClient]:
        told = {"galleries": {"site": str(gallery)}, "data": str(tmp_path / "data")}
        service = Service(Settings.read(None, {}, **(told | settings)))
        with TestClient(
            create(service), base_url="http://localhost", client=("127.0.0.1", 50_000)
        ) as client:
            yield client

    return started


@pytest.fixture
def client(serving: Serving) -> Iterator[TestClient]:
    with serving() as client:
        yield client


def service_of(client: TestClient) -> Service:
    service = client.app.state.service  # type: ignore[attr-defined]
    assert isinstance(service, Service)
    return service


@pytest.fixture
def live(gallery: Path, tmp_path: Path) -> Live:
    """Serves the gallery at a port of this machine; takes settings, and gives the address."""

    @contextmanager
    def started(**settings: Any) -> Iterator[str]:
        told = {"galleries": {"site": str(gallery)}, "data": str(tmp_path / "data"), "port": 0}
        service = Service(Settings.read(None, {}, **(told | settings)))
        serving = server.of(service)
        thread = threading.Thread(target=asyncio.run, args=(serving.serve(),))
        thread.start()
        try:
            wait_for(lambda: serving.started)
            host, port = serving.servers[0].sockets[0].getsockname()[:2]
            yield f"http://{host}:{port}"
        finally:
            serving.should_exit = True
            thread.join()

    return started
