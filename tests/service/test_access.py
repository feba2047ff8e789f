"""Keys, sessions, other sites and limits: every route, with every kind of key."""

import hmac
import re
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient
from tests.service.conftest import Serving, service_of

from vireid.errors import VireidError
from vireid.service import keys
from vireid.service.database import Database
from vireid.service.keys import Keys, Limits, Scope
from vireid.service.limits import Rates

OPEN = {("GET", "/health"), ("GET", "/ready"), ("GET", "/api/v1/session"), ("GET", "/")}
OPEN |= {("POST", "/api/v1/session"), ("DELETE", "/api/v1/session")}
"""Routes that nobody needs a key for; they tell nothing of any picture."""
WRITING = {"POST", "PATCH", "DELETE", "PUT"}
READING = ("/search", "/comparisons")
"""Ends of addresses that are posted to and change nothing."""
WHOLE = ("/backup", "/restore")
"""Ends of addresses of whole galleries, for the scope admin alone."""


@pytest.fixture
def guarded(serving: Serving) -> Iterator[TestClient]:
    with serving(keys="required") as client:
        yield client


def key(client: TestClient, scope: Scope, name: str | None = None) -> dict[str, str]:
    _, text = service_of(client).keys.add(name or scope, scope)
    return {"Authorization": f"Bearer {text}"}


def routes(client: TestClient) -> list[tuple[str, str]]:
    """Every method of every route, with an address that leads there."""
    found = []
    for path, methods in client.app.openapi()["paths"].items():  # type: ignore[attr-defined]
        filled = re.sub(r"\{\w+\}", "unknown", path.replace("{gallery}", "site"))
        found += [(method.upper(), filled) for method in methods]
    return found


def expired(client: TestClient) -> dict[str, str]:
    keys = service_of(client).keys
    _, text = keys.add("expired", "admin", timedelta(days=1))
    with service_of(client).database.changing() as db:
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        db.execute("UPDATE keys SET expires = ? WHERE name = 'expired'", (past,))
    return {"Authorization": f"Bearer {text}"}


def revoked(client: TestClient) -> dict[str, str]:
    headers = key(client, "admin", "revoked")
    service_of(client).keys.revoke("revoked")
    return headers


def test_every_route_needs_a_key_that_is_valid(guarded: TestClient) -> None:
    good = key(guarded, "admin")
    wrong = {"Authorization": f"{good['Authorization'][:-1]}?"}
    other = {"Authorization": f"Basic {good['Authorization'][7:]}"}
    bad: list[dict[str, str]] = [{}, wrong, other, expired(guarded), revoked(guarded)]
    bad += [
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x y"},
        {"Cookie": "vireid_session=x"},
    ]
    asked = [each for each in routes(guarded) if each not in OPEN]
    assert len(asked) > 20
    for method, path in asked:
        for headers in bad:
            answer = guarded.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path, headers)
            assert answer.headers["www-authenticate"].startswith("Bearer")
        assert guarded.request(method, path, headers=good).status_code not in (401, 403)


def test_the_methods_of_an_address_are_told(client: TestClient) -> None:
    wrong = client.put("/api/v1/galleries/site/pictures")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, POST")


def test_a_key_to_read_changes_nothing(guarded: TestClient) -> None:
    reader, writer = key(guarded, "read"), key(guarded, "write")
    changing = [
        (method, path)
        for method, path in routes(guarded)
        if method in WRITING and (method, path) not in OPEN and not path.endswith(READING + WHOLE)
    ]
    assert len(changing) == 9
    for method, path in changing:
        assert guarded.request(method, path, headers=reader).status_code == 403, path
        assert guarded.request(method, path, headers=writer).status_code != 403, path
    for method, path in routes(guarded):
        if path.endswith(WHOLE):
            assert guarded.request(method, path, headers=writer).status_code == 403, path
        elif (method, path) not in changing:
            assert guarded.request(method, path, headers=reader).status_code != 403, path
    asked = {"gallery": "site", "source": "photos"}
    assert guarded.post("/api/v1/jobs", json=asked, headers=writer).status_code == 403


def test_a_key_is_kept_as_a_hash_and_revoked_at_once(guarded: TestClient, serving: Serving) -> None:
    headers = key(guarded, "read", "desk")
    text = headers["Authorization"][7:]
    assert guarded.get("/api/v1/galleries", headers=headers).status_code == 200
    folder = service_of(guarded).settings.folder
    secret = text.rpartition("_")[2] if text.count("_") == 2 else text.split("_", 2)[2]
    for path in folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()
    assert (folder / "service.sqlite").stat().st_mode & 0o077 == 0
    service_of(guarded).keys.revoke("desk")
    assert guarded.get("/api/v1/galleries", headers=headers).status_code == 401


def test_a_wrong_key_takes_as_much_work_as_a_right_one(
    guarded: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is looked up and compared in constant time, also where there is none of its id."""
    checked, right = service_of(guarded).keys, key(guarded, "read")["Authorization"][7:]
    near, far = right[:-1] + ("A" if right[-1] != "A" else "B"), f"vireid_{'0' * 12}_{right[-43:]}"
    work: list[object] = []

    def compared(one: str, other: str) -> bool:
        work.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    def looked_up(query: str, *values: object) -> list[sqlite3.Row]:
        work.append(query)
        return rows(query, *values)

    rows = checked._database.rows
    monkeypatch.setattr(checked._database, "rows", looked_up)
    monkeypatch.setattr(keys, "hmac", SimpleNamespace(compare_digest=compared))
    done = []
    for text in (right, near, far, "no key"):
        assert (checked.check(text) is None) == (text != right)
        done.append(list(work))
        work.clear()
    assert done == [["SELECT * FROM keys WHERE id = ?", (64, 64)]] * 4


def test_the_page_signs_in_and_out(guarded: TestClient) -> None:
    assert guarded.get("/api/v1/session").json() == {
        "authenticated": False,
        "name": None,
        "scopes": [],
        "key_required": True,
    }
    text = key(guarded, "write", "desk")["Authorization"][7:]
    assert guarded.post("/api/v1/session", json={"key": text + "x"}).status_code == 401
    signed = guarded.post("/api/v1/session", json={"key": text})
    cookie = signed.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert guarded.get("/api/v1/session").json()["name"] == "desk"
    assert guarded.get("/api/v1/galleries").status_code == 200
    service_of(guarded).keys.revoke("desk")
    assert guarded.get("/api/v1/galleries").status_code == 401
    assert guarded.delete("/api/v1/session").status_code == 204


def test_other_sites_change_nothing_with_the_cookie(guarded: TestClient) -> None:
    text = key(guarded, "write")["Authorization"][7:]
    guarded.post("/api/v1/session", json={"key": text})
    removals, wanted = "/api/v1/galleries/site/removals", {"filter": ["camera:cam1"], "expect": 0}
    bare = guarded.post(removals, json=wanted)
    assert (bare.status_code, "X-Vireid" in bare.json()["detail"]) == (403, True)
    own = {"X-Vireid": "page"}
    assert guarded.post(removals, json=wanted, headers=own).status_code == 409
    for foreign in (
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        assert guarded.post(removals, json=wanted, headers=own | foreign).status_code == 403
    same = own | {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert guarded.post(removals, json=wanted, headers=same).status_code == 409


def test_other_sites_change_nothing_where_nobody_needs_a_key(client: TestClient) -> None:
    """A page in a browser at this machine could ask for what its user may."""
    path, foreign = "/api/v1/galleries/site/removals", {"Origin": "http://elsewhere.example"}
    wanted = {"filter": ["camera:cam1"], "expect": 0}
    assert client.post(path, json=wanted, headers=foreign).status_code == 403
    assert client.post(path, json=wanted).status_code == 409


def test_a_name_of_another_site_is_refused(client: TestClient) -> None:
    """It may lead here all the same (DNS rebinding)."""
    for host in ("elsewhere.example", "elsewhere.example:8750", "", "127.0.0.1.elsewhere.example"):
        answer = client.get("/api/v1/galleries", headers={"Host": host})
        assert answer.status_code == 421, host
    for host in ("localhost:8750", "127.0.0.1", "[::1]:8750", "LOCALHOST"):
        assert client.get("/api/v1/galleries", headers={"Host": host}).status_code == 200


def test_what_came_through_a_proxy_needs_keys(client: TestClient) -> None:
    answer = client.get("/api/v1/galleries", headers={"X-Forwarded-For": "192.0.2.1"})
    assert (answer.status_code, "proxy" in answer.json()["detail"]) == (403, True)


def test_a_key_is_wanted_where_others_reach_the_service(serving: Serving) -> None:
    with serving(host="0.0.0.0") as client:
        assert client.get("/api/v1/galleries").status_code == 401
        assert client.get("/health").status_code == 200
        for path in ("/api/v1/openapi.json", "/"):
            assert client.get(path).status_code in (200, 404)


def test_who_asks_too_often_waits(serving: Serving) -> None:
    with serving(requests_per_minute=6, keys="required") as client:
        one, other = key(client, "read", "one"), key(client, "read", "other")
        assert client.get("/api/v1/galleries", headers=one).status_code == 200
        late = client.get("/api/v1/galleries", headers=one)
        assert (late.status_code, late.headers["retry-after"]) == (429, "10")
        assert client.get("/api/v1/galleries", headers=other).status_code == 200
        tries = [client.get("/api/v1/galleries").status_code for _ in range(3)]
        assert tries[1:] == [429, 429]
        assert client.get("/health").status_code == 200


def test_a_key_has_limits_of_its_own(serving: Serving, site: Path) -> None:
    content = next(site.rglob("*.jpg")).read_bytes()
    assert len(content) > 1024
    with serving(keys="required", requests_per_minute=6) as client:
        keys = service_of(client).keys
        _, fast = keys.add("fast", "read", limits=Limits.from_words("2/second", None))
        _, small = keys.add("small", "write", limits=Limits.from_words("600/minute", "1KiB"))
        asked = [
            client.get("/api/v1/galleries", headers={"Authorization": f"Bearer {fast}"})
            for _ in range(21)
        ]
        assert {each.status_code for each in asked[:20]} == {200}
        assert (asked[20].status_code, asked[20].headers["retry-after"]) == (429, "1")
        for path in ("search", "pictures", "uploads"):
            sent = client.post(
                f"/api/v1/galleries/site/{path}",
                files={"images": content},
                headers={"Authorization": f"Bearer {small}"},
            )
            assert sent.status_code == 413, path
            assert "0.00102 MB" in sent.json()["detail"]


@pytest.mark.parametrize("rate", ["0/minute", "60", "60/week", "-1/minute", "x/minute", "1e3/hour"])
def test_what_is_no_rate_is_refused(rate: str) -> None:
    with pytest.raises(VireidError, match="no rate; write"):
        Limits.from_words(rate, None)


@pytest.mark.parametrize("size", ["5", "MB", "0MB", "1kB", "9GB", "600MiB", "5mb", "1.5MB"])
def test_what_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(VireidError, match="no size of a picture; write"):
        Limits.from_words(None, size)


def test_keys_of_the_first_format_have_no_limits_of_their_own(tmp_path: Path) -> None:
    database = Database(tmp_path)
    made, text = Keys(database).add("old", "read")
    with database.changing() as db:
        for column in ("per_minute", "most_bytes"):
            db.execute(f"ALTER TABLE keys DROP COLUMN {column}")
        db.execute("PRAGMA user_version = 1")
    database.close()
    database = Database(tmp_path)
    assert Keys(database).check(text) == made
    database.close()


def test_a_rate_is_kept_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    rates = Rates(per_minute=60)
    assert [rates.take("a") for _ in range(10)] == [0.0] * 10
    assert rates.take("a") == pytest.approx(1.0)
    assert rates.take("b") == 0.0
    now = 1.0
    assert (rates.take("a"), rates.take("a") > 0) == (0.0, True)
