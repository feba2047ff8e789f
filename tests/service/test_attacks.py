"""What strangers may send: bombs, wrong types, too many parts, paths, addresses, scripts."""

import io
import json
import socket
import struct
import threading
import zlib
from pathlib import Path

import httpx2
import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.onnx_model import person
from tests.service.conftest import Live, Serving
from tests.waiting import wait_for

from vireid.service import server
from vireid.service.messages import ProblemDocument

BASE = "/api/v1/galleries/site"
SCRIPT = "<script>alert(1)</script>"


def picture(**options: object) -> bytes:
    file = io.BytesIO()
    person(80).save(file, "JPEG", **options)
    return file.getvalue()


def png_bomb(columns: int, rows: int) -> bytes:
    """A PNG of few bytes that says it has so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        sum_ = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", sum_)

    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 2**20, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (png_bomb(50_000, 50_000), "too large"),
        (b"", "it is empty"),
        (b"GIF89a" + b"\xff" * 100, "not a picture of a kind that is read"),
        (b"%PDF-1.7 " + b"x" * 100, "not a picture of a kind that is read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture of a kind that is read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture of a kind that is read"),
        (b"http://127.0.0.1/secret.jpg", "not a picture of a kind that is read"),
        (picture()[:200], "cannot be decoded"),
        (picture() + b"\xff\xda" * 200, "scans"),
    ],
)
def test_what_is_no_sound_picture_is_refused(client: TestClient, content: bytes, why: str) -> None:
    answer = client.post(f"{BASE}/search", files=[("images", ("../../x.jpg", content))])
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("images[0]: ")
    assert why in answer.json()["detail"]
    added = client.post(f"{BASE}/pictures", files=[("images", ("x.jpg", content))])
    assert (added.status_code, added.json()["ids"]) == (201, [])


def test_addresses_in_place_of_pictures_are_never_fetched(client: TestClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/x.jpg"
        for data in ({"images": address}, {"pictures": address}, {"url": address}):
            assert client.post(f"{BASE}/search", data=data).status_code in (404, 422)
        file = [("images", (address, address.encode(), "image/jpeg"))]
        assert client.post(f"{BASE}/search", files=file).status_code == 422
        asked = {"gallery": "site", "source": address}
        assert client.post("/api/v1/jobs", json=asked).status_code == 422
        with pytest.raises(TimeoutError):
            listening.accept()


def test_too_much_is_refused(serving: Serving) -> None:
    with serving(most_bytes=20_000, most_pictures=3) as client:
        large = [("images", ("x", b"\xff" * 30_000))]
        assert client.post(f"{BASE}/search", files=large).status_code == 413
        many = [("images", ("x", picture()))] * 4
        assert client.post(f"{BASE}/search", files=many).status_code in (400, 413)
        parts = [("images", (str(i), b"x")) for i in range(10_000)]
        assert client.post(f"{BASE}/search", files=parts).status_code in (400, 413)
        fields = {"filter": ["camera:cam1"] * 10_000}
        assert client.post(f"{BASE}/search", data=fields).status_code in (400, 413)
        long = {"text": "x" * 100_000}
        assert client.post(f"{BASE}/search", data=long).status_code in (400, 422)
        flood = client.post(f"{BASE}/search", content=b"x" * 2**21, headers={"Content-Type": "x"})
        assert flood.status_code == 413
        assert client.get("/health").status_code == 200


@pytest.mark.parametrize(
    "id_",
    [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "L2V0Yy9wYXNzd2QA",
        "ADAvZXRjL3Bhc3N3ZAA",
        "AC9ldGMvcGFzc3dkAA",
        "AAAA",
        "x" * 9_000,
        "%00",
        "%ff%fe",
    ],
)
def test_ids_lead_nowhere_but_into_the_gallery(client: TestClient, id_: str) -> None:
    for look in ("", "/thumbnail", "/image", "/frame"):
        answer = client.get(f"{BASE}/pictures/{id_}{look}")
        assert answer.status_code in (404, 422), answer.text
        assert "passwd" not in answer.text.replace(f"{answer.request.url.path}", "")


@pytest.mark.parametrize(
    "path",
    [
        "/page/../settings.py",
        "/page/%2e%2e/settings.py",
        "/page/..%2fsettings.py",
        "/page//etc/passwd",
    ],
)
def test_the_page_gives_its_own_files_alone(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_picture_that_became_a_link_is_not_shown(client: TestClient, tmp_path: Path) -> None:
    (id_,) = client.post(f"{BASE}/pictures", files=[("images", ("x", picture()))]).json()["ids"]
    (file,) = (tmp_path / "data" / "galleries").rglob("*.jpg")
    person(81).save(tmp_path / "secret.jpg")
    for target in (tmp_path / "secret.jpg", Path("/etc/passwd"), tmp_path / "nothing"):
        file.unlink()
        file.symlink_to(target)
        for look in ("thumbnail", "image", "frame"):
            answer = client.get(f"{BASE}/pictures/{id_}/{look}", params={"height": 64})
            assert answer.status_code == 410, target


def test_scripts_in_names_tags_and_exif_stay_text(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x010E] = SCRIPT  # ImageDescription
    polyglot = picture(exif=exif, comment=SCRIPT.encode()) + SCRIPT.encode()
    said = {"person": SCRIPT, "camera": f"{SCRIPT}\r\nX-Evil: 1", "tags": [SCRIPT]}
    told = client.post(f"{BASE}/pictures", files=[("images", (SCRIPT, polyglot))], data=said)
    (id_,) = told.json()["ids"]
    one = client.get(f"{BASE}/pictures/{id_}")
    assert one.headers["content-type"] == "application/json"
    assert one.json()["person"] == SCRIPT
    for look in ("thumbnail", "image", "frame"):
        shown = client.get(f"{BASE}/pictures/{id_}/{look}")
        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
        assert b"script" not in shown.content
    for answer in (told, one, shown, client.get("/nothing"), client.get("/")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "x-evil" not in answer.headers


def test_headers_are_not_put_in_by_requests(client: TestClient) -> None:
    for id_ in ("a\r\nX-Evil: 1", "<script>", "x" * 100, "short"):
        given = client.get("/health", headers={"X-Request-ID": id_.replace("\r\n", " ")})
        assert given.headers["x-request-id"] != id_
    asked = client.get("/health", headers={"X-Request-ID": "from-my-proxy-1"})
    assert asked.headers["x-request-id"] == "from-my-proxy-1"
    wrong = client.get("/api/v1/galleries/x%0d%0aX-Evil:%201")
    assert (wrong.status_code, "x-evil" in wrong.headers) == (404, False)
    json.loads(wrong.content)


def test_slow_clients_are_given_up(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.3)
    with live(request_seconds=0.3) as address:
        host, port = address.removeprefix("http://").split(":")
        silent, slow, body = (socket.create_connection((host, int(port))) for _ in range(3))
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        body.sendall(
            b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
        )
        for each in (silent, slow):
            each.settimeout(60)
            assert each.recv(100) == b""
        body.settimeout(60)
        assert body.recv(4096).startswith(b"HTTP/1.1 408")
        for each in (silent, slow, body):
            each.close()


def test_what_is_no_request_is_told_as_a_problem(live: Live) -> None:
    with live() as address:
        host, port = address.removeprefix("http://").split(":")
        for sent in (b"hello\r\n\r\n", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n"):
            with socket.create_connection((host, int(port))) as sending:
                sending.settimeout(60)
                sending.sendall(sent)
                with sending.makefile("rb") as answer:
                    head, _, body = answer.read().partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400")
            assert b"application/problem+json" in head
            assert ProblemDocument.model_validate_json(body).status == 400


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: ",
        b"GET /",
        b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\n{\r\n0\r\nX-A: ",
    ],
    ids=["header", "address", "trailer"],
)
def test_heads_without_end_are_cut_off(live: Live, begin: bytes) -> None:
    with live() as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as sending:
            sending.settimeout(60)
            sending.sendall(begin)
            with pytest.raises(ConnectionError):
                sending.sendall(b"a" * 2**26)
        assert httpx2.get(f"{address}/health").status_code == 200


def test_a_flood_is_told_to_come_again_and_health_answers(serving: Serving) -> None:
    with serving(most_waiting=1) as client:
        inside, go_on = threading.Event(), threading.Event()
        service = client.app.state.service  # type: ignore[attr-defined]
        batcher = service.galleries["site"].batcher
        embed = batcher.embedder.embed_pixels

        def held(*given: object) -> object:
            inside.set()
            go_on.wait()
            return embed(*given)

        batcher.embedder.embed_pixels = held
        statuses: list[int] = []

        def ask() -> None:
            file = [("images", ("x", picture()))]
            statuses.append(client.post(f"{BASE}/search", files=file).status_code)

        first = threading.Thread(target=ask)
        first.start()
        wait_for(inside.is_set)
        ask()
        assert client.get("/health").status_code == 200
        go_on.set()
        first.join()
        assert statuses == [503, 200]
