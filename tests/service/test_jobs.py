"""Jobs: index a folder or an upload, with progress, over restarts."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.onnx_model import person, write_site
from tests.service.conftest import Serving, service_of

JOBS = "/api/v1/jobs"


def ended(client: TestClient, id_: str) -> dict[str, Any]:
    """What is told of a job after its end, for which one waits by its events.

    Asking again and again would run into the limit of the rate.
    """
    client.get(f"{JOBS}/{id_}/events")
    told = client.get(f"{JOBS}/{id_}").json()
    assert isinstance(told, dict)
    return told


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_site(tmp_path / "photos", people=3, cameras=("cam5",))


def test_a_folder_is_indexed_and_progress_is_told(
    serving: Serving, photos: Path, tmp_path: Path
) -> None:
    with serving(sources=[str(tmp_path / "photos")]) as client:
        job = client.post(JOBS, json={"gallery": "site", "source": "photos/cam5"}).json()
        events = client.get(f"{JOBS}/{job['id']}/events").text
        told = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: ")]
        assert [each["state"] for each in told][-1] == "done"
        assert any(each["progress"] for each in told)
        assert told[-1]["result"]["added"] == 6
        assert str(tmp_path) not in events
        assert client.get("/api/v1/galleries/site").json()["pictures"] == 30
        assert client.get(f"{JOBS}/nothing/events").status_code == 404
        cancel = client.delete(f"{JOBS}/{job['id']}")
        assert (cancel.status_code, client.get(JOBS).json()["jobs"][0]["id"]) == (409, job["id"])


def test_an_upload_is_indexed(client: TestClient) -> None:
    files = []
    for i in range(3):
        file = io.BytesIO()
        person(60 + i).save(file, "PNG")
        files.append(("images", ("a.png", file.getvalue())))
    sent = client.post(
        "/api/v1/galleries/site/uploads", files=[*files, ("images", ("b", b"none"))]
    ).json()
    assert (sent["pictures"], sent["skipped"][0]["where"]) == (3, "images[3]")
    asked = {"gallery": "site", "upload": sent["upload"], "modality": "visible", "camera": "door"}
    done = ended(client, client.post(JOBS, json=asked).json()["id"])
    assert (done["state"], done["result"]["added"]) == ("done", 3)
    assert client.get("/api/v1/galleries/site").json()["cameras"]["door"] == 3


@pytest.mark.parametrize(
    "source", ["/etc", "photos/../other", "../photos", "other", "", "photos/cam9", "a\0b"]
)
def test_only_folders_of_the_settings_are_indexed(
    serving: Serving, photos: Path, tmp_path: Path, source: str
) -> None:
    shutil.copytree(photos, tmp_path / "other")
    (photos / "out").symlink_to(tmp_path / "other")
    with serving(sources=[str(photos)]) as client:
        for each in (source, "photos/out"):
            answer = client.post(JOBS, json={"gallery": "site", "source": each})
            assert answer.status_code == 422, answer.text
        assert client.get(JOBS).json() == {"jobs": []}


def test_a_picture_that_is_a_link_out_of_the_folders_is_refused(
    serving: Serving, photos: Path, tmp_path: Path
) -> None:
    person(70).save(tmp_path / "secret.jpg")
    (photos / "cam5" / "0001" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    asked = {"gallery": "site", "source": "photos", "modality": "visible"}
    with serving(sources=[str(photos)]) as client:
        job = client.post(JOBS, json=asked).json()
        done = ended(client, job["id"])
        assert done["state"] == "failed"
        assert done["error"].startswith("link.jpg leads out of the folders")
        assert client.get("/api/v1/galleries/site").json()["pictures"] == 24


def test_a_job_that_waits_is_cancelled_and_one_that_was_cut_off_goes_on(
    serving: Serving, photos: Path
) -> None:
    with serving(sources=[str(photos)]) as client:
        first, second = (
            client.post(JOBS, json={"gallery": "site", "source": "photos"}).json() for _ in range(2)
        )
        client.delete(f"{JOBS}/{second['id']}")
        done = ended(client, second["id"])
        assert done["state"] in ("cancelled", "done")
        # As it is left by a service that is killed while it runs:
        ended(client, first["id"])
        with service_of(client).database.changing() as db:
            db.execute(
                "UPDATE jobs SET state = 'running', ended = NULL WHERE id = ?", (first["id"],)
            )
    with serving(sources=[str(photos)]) as client:
        done = ended(client, first["id"])
        assert (done["state"], done["result"]["unchanged"]) == ("done", 6)


def test_a_service_that_stops_leaves_its_job_for_the_next(serving: Serving, photos: Path) -> None:
    with serving(sources=[str(photos)]) as client:
        job = client.post(JOBS, json={"gallery": "site", "source": "photos"}).json()
    with serving(sources=[str(photos)]) as client:
        assert ended(client, job["id"])["state"] == "done"
        assert client.get("/api/v1/galleries/site").json()["pictures"] == 30
