"""A gallery becomes what a backup holds, whole or not at all."""

import io
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.service.conftest import Live, Serving, service_of

from vireid.client import RemoteGallery
from vireid.gallery import Gallery
from vireid.records import ImageRecord, Modality

SITE = "/api/v1/galleries/site"
Run = Callable[..., tuple[int, str, str]]


def listed(client: TestClient) -> list[dict[str, object]]:
    found: list[dict[str, object]] = client.get(f"{SITE}/pictures").json()["pictures"]
    return found


def restored(client: TestClient, archive: bytes) -> tuple[int, dict[str, object]]:
    answer = client.post(f"{SITE}/restore", files={"archive": archive})
    return answer.status_code, answer.json()


def test_a_gallery_becomes_what_it_was(client: TestClient) -> None:
    first, second, *_ = (str(picture["id"]) for picture in listed(client))
    told = {"query": first, "picture": second, "same": True}
    client.patch(f"{SITE}/pictures/{first}", json={"person": "anna", "tags": ["hat"]})
    client.post(f"{SITE}/judgements", json=told)
    before = listed(client)
    answer = client.get(f"{SITE}/backup")
    assert answer.headers["content-type"] == "application/zip"
    assert 'filename="site.zip"' in answer.headers["content-disposition"]
    searched = client.post(f"{SITE}/search", data={"pictures": first}).json()["hits"]
    client.patch(f"{SITE}/pictures/{first}", json={"person": "eve"})
    client.delete(f"{SITE}/pictures/{second}")
    assert restored(client, answer.content) == (200, {"pictures": len(before)})
    assert listed(client) == before
    assert client.post(f"{SITE}/search", data={"pictures": first}).json()["hits"] == searched
    service = service_of(client)
    assert len(service.galleries["site"].searcher.gallery.judgements()) == 1
    actions = [json.loads(line)["action"] for line in service.audit.path.read_text().splitlines()]
    assert actions[-2:] == ["restore", "search"]
    assert "backup" in actions
    assert not list((service.settings.folder / "restoring").iterdir())


def test_other_processes_see_it_too_and_damage_is_not_made(
    client: TestClient, gallery: Path
) -> None:
    archive = client.get(f"{SITE}/backup").content
    client.delete(f"{SITE}/pictures/{listed(client)[0]['id']}")
    with Gallery.open(gallery) as other:
        count = len(other)
        restored(client, archive)
        assert len(other) == count + 1
        assert other.damage() == []


def test_it_takes_the_scope_admin(serving: Serving) -> None:
    with serving(keys="required") as client:
        _, text = service_of(client).keys.add("desk", "write")
        headers = {"Authorization": f"Bearer {text}"}
        asked = (
            client.get(f"{SITE}/backup", headers=headers),
            client.post(f"{SITE}/restore", headers=headers, files={"archive": b"PK"}),
        )
        assert [answer.status_code for answer in asked] == [403, 403]


def changed(archive: bytes, change: Callable[[dict[str, bytes]], None], how: int = 0) -> bytes:
    """An archive with other members."""
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    change(members)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return file.getvalue()


def flipped(members: dict[str, bytes]) -> None:
    name = next(name for name in members if name.startswith("visible"))
    members[name] = bytes([members[name][0] ^ 1]) + members[name][1:]


def climbing(members: dict[str, bytes]) -> None:
    content = json.loads(members["gallery.json"])
    content["sizes"]["../evil"] = 1
    members["gallery.json"] = json.dumps(content).encode()
    members["../evil"] = b"x"


@pytest.mark.parametrize(
    ("forge", "why"),
    [
        (lambda whole: b"", "is damaged"),
        (lambda whole: b"no archive", "is damaged"),
        (lambda whole: whole[:-30], "is damaged"),
        (lambda whole: changed(whole, flipped), "is damaged"),
        (lambda whole: changed(whole, climbing), "is no backup of a gallery"),
        (lambda whole: changed(whole, lambda members: members.clear()), "is no backup"),
        (lambda whole: changed(whole, lambda _: None, zipfile.ZIP_DEFLATED), "is damaged"),
    ],
    ids=["empty", "other", "cut", "flipped", "climbing", "without", "compressed"],
)
def test_what_is_no_backup_changes_nothing(
    client: TestClient, tmp_path: Path, forge: Callable[[bytes], bytes], why: str
) -> None:
    whole, before = client.get(f"{SITE}/backup").content, listed(client)
    status, problem = restored(client, forge(whole))
    assert (status, why in str(problem["detail"])) == (422, True), problem
    assert str(tmp_path) not in str(problem)
    assert listed(client) == before
    assert not list((tmp_path / "data" / "restoring").iterdir())
    assert not list(tmp_path.rglob("evil"))


def test_a_backup_of_another_model_is_refused(client: TestClient, tmp_path: Path) -> None:
    model = service_of(client).galleries["site"].searcher.gallery.model
    with Gallery.create(tmp_path / "other", replace(model, fingerprint="0" * 16)) as other:
        other.backup(tmp_path / "other.zip")
    status, problem = restored(client, (tmp_path / "other.zip").read_bytes())
    assert (status, "make another gallery of it" in str(problem["detail"])) == (422, True), problem
    assert listed(client)


def test_a_backup_shows_no_files_that_nobody_has_indexed(
    client: TestClient, gallery: Path, site: Path, tmp_path: Path
) -> None:
    secret = shutil.copy(next(site.rglob("*.jpg")), tmp_path / "secret.jpg")
    link = service_of(client).galleries["site"].uploads / "link.jpg"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(secret)
    before = listed(client)
    for path in (Path(secret), link):
        forged = tmp_path / f"forged-{path.stem}"
        shutil.copytree(gallery, forged)
        with Gallery.open(forged) as opened:
            record = next(opened.entries()).record
            opened.add(opened.vectors_of([record]), [ImageRecord(path, Modality.VISIBLE)])
            opened.backup(tmp_path / "forged.zip")
        status, problem = restored(client, (tmp_path / "forged.zip").read_bytes())
        assert (status, "restore it on the service's machine" in str(problem)) == (422, True)
    assert listed(client) == before


def test_the_client_copies_and_restores(live: Live, tmp_path: Path) -> None:
    with live() as address, RemoteGallery.open(f"{address}/site") as gallery:
        count = len(gallery)
        gallery.backup(tmp_path / "site.zip")
        gallery.remove(["camera:cam1"])
        assert len(gallery) < count
        assert gallery.restore(tmp_path / "site.zip") == len(gallery) == count


def test_commands_back_up_and_restore_over_http(
    live: Live, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "site.zip"
    with live() as address:
        site = f"{address}/site"
        status, output, errors = run("gallery", "backup", "--gallery", site, archive, "--json")
        assert (status, json.loads(output)["pictures"]) == (0, 24), errors
        with Gallery.restore(archive, tmp_path / "copy.gallery") as copy:
            assert len(copy) == 24
        assert run("gallery", "remove", site, "camera:cam1", "--yes")[0] == 0
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        status, _, errors = run("gallery", "restore", archive, site)
        assert (status, "say --yes" in errors) == (1, True)
        words = ("gallery", "restore", archive, "--gallery", site, "--yes")
        assert "24 pictures restored" in run(*words)[1]
        with RemoteGallery.open(site) as gallery:
            assert len(gallery) == 24
        archive.write_bytes(b"no archive")
        assert run(*words)[0] == 1
