"""Addresses of galleries, and access to servers; without a server."""

import re
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from tests.gallery.test_store_contract import TOY, entries, unit

from vireid.errors import VireidError
from vireid.gallery import Filters, Gallery, GalleryError
from vireid.gallery.addresses import absolute, parsed
from vireid.gallery.milvus.access import Access
from vireid.gallery.milvus.address import MilvusAddress
from vireid.gallery.milvus.id_ranges import ids_in, joined, outside, ranges_of, size_of
from vireid.gallery.milvus.rows import condition_of, entry_from, is_sound, picture_row
from vireid.gallery.milvus.state import State
from vireid.service.settings import Settings, name_of


def test_one_rule_decides_what_an_address_means(monkeypatch: pytest.MonkeyPatch) -> None:
    place = MilvusAddress("10.0.0.5", 19530, "site_1")
    assert parsed("milvus://10.0.0.5/site_1") == parsed("MILVUS://10.0.0.5:19530/site_1/") == place
    assert parsed(place) == place
    assert str(parsed("milvus://[::1]:7/a")) == "milvus://[::1]:7/a"
    assert parsed("site.gallery") == Path("site.gallery") == parsed(Path("site.gallery"))
    assert absolute("milvus://h/a") == "milvus://h:19530/a"
    assert absolute("a.gallery") == str(Path("a.gallery").absolute())


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("milvus://h", "has no name; take up to 64 letters"),
        ("milvus://h/a__b", "'a__b' is no name of a gallery on Milvus"),
        ("milvus://h/1a", "is no name of a gallery"),
        ("milvus://h/a-b", "is no name of a gallery"),
        ("milvus://h/" + "a" * 65, "is no name of a gallery"),
        ("milvus:///site", "names no Milvus server; write milvus://HOST:PORT/NAME"),
        ("milvus://h:x/site", "has no such port"),
        ("milvus://h:70000/site", "has no such port"),
        ("milvus://h/site?x=1", "names no Milvus server"),
        ("s3://bucket/site", "there are no galleries at s3://; give a folder, or milvus://"),
    ],
)
def test_what_is_no_address_is_told_with_the_way_out(address: str, told: str) -> None:
    with pytest.raises(VireidError, match=re.escape(told)):
        parsed(address)


@pytest.mark.parametrize("user", ["root:secret@", "secret@", ":secret@"])
def test_passwords_in_addresses_are_refused_and_not_repeated(user: str) -> None:
    with pytest.raises(VireidError, match="leave it out and set VIREID_MILVUS_USER") as refused:
        parsed(f"milvus://{user}h/site")
    assert "secret" not in str(refused.value)


def test_access_comes_from_a_file_and_above_it_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('user = "anna"\npassword = "secret"\ntls = true\n')
    found = Access.read({"VIREID_MILVUS_FILE": str(tmp_path / "m.toml"), "VIREID_MILVUS_TLS": "0"})
    assert (found.user, found.password, found.secure) == ("anna", "secret", False)
    assert "secret" not in repr(found)
    assert Access.read({}) == Access()
    assert Access.read({"VIREID_MILVUS_CA": str(tmp_path / "m.toml")}).secure


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"USER": "anna"}, "give VIREID_MILVUS_USER and VIREID_MILVUS_PASSWORD, both or neither"),
        ({"TLS": "perhaps"}, "VIREID_MILVUS_TLS is 'perhaps'; write 1 or 0"),
        ({"CA": "/nowhere.pem"}, "names /nowhere.pem, which is no file"),
        ({"KEY": "/etc/hostname"}, "a client's certificate needs"),
        ({"FILE": "/nowhere.toml"}, "/nowhere.toml"),
    ],
)
def test_access_that_cannot_be_is_told(said: dict[str, str], told: str) -> None:
    with pytest.raises(VireidError, match=re.escape(told)):
        Access.read({f"VIREID_MILVUS_{name}": value for name, value in said.items()})


def test_unknown_settings_of_access_are_told(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('pasword = "x"\n')
    with pytest.raises(VireidError, match="no setting pasword; did you mean 'password'"):
        Access.read({"VIREID_MILVUS_FILE": str(tmp_path / "m.toml")})


@given(some.sets(some.integers(0, 60)), some.sets(some.integers(0, 60)))
def test_ranges_hold_exactly_what_was_put_in(one: set[int], other: set[int]) -> None:
    both = joined(ranges_of(one), ranges_of(other))
    assert list(ids_in(both)) == sorted(one | other)
    assert size_of(both) == len(one | other)
    conditions = [c.replace("not in", "not  in") for c in outside(both)]
    passing = [id_ for id_ in range(61) if all(eval(c, {"id": id_}) for c in conditions)]
    assert passing == [id_ for id_ in range(61) if id_ not in one | other]


def test_state_is_read_from_the_name_that_it_gives() -> None:
    state = State("0a1b2c", 7, 9, 3, 470809876031602866, "free", 12)
    assert State.from_name(state.name("vireid_site_1"), "vireid_site_1") == state
    assert len(state.name("vireid_" + "a" * 64)) < 255
    for name in ("vireid_site_1", "other", "vireid_site_1__state__a_b_c_d_e_f_g"):
        assert State.from_name(name, "vireid_site_1") is None


def test_rows_of_pictures_come_back_and_tell_damage() -> None:
    for entry, vector in zip(entries(30), unit(30), strict=True):
        row = picture_row(entry, vector)
        assert entry_from(row, "here") == entry
        assert is_sound(row)
        assert not is_sound({**row, "entry": row["entry"].replace("site", "side")})
        assert not is_sound({**row, "vector": np.roll(vector, 1)})
    with pytest.raises(GalleryError, match="here is damaged"):
        entry_from({**row, "entry": "{"}, "here")


def test_names_in_filters_never_reach_a_server_as_text() -> None:
    hostile = '" or id > 0 or camera == "'
    words = condition_of(
        Filters(
            cameras=[hostile, "gate"],
            tags=[hostile],
            person=hostile,
            tracklet=hostile,
            identity=3,
            since=datetime(2026, 1, 1),
            until=datetime(2027, 1, 1),
            source=Path(hostile),
            below=Path("/a") / hostile,
        )
    )
    assert len(words) == 9
    for word in words:
        assert re.fullmatch(
            r"[a-z_]+(\(words, \[[-\d, ]+\]\)| (in \[[-\d, ]+\]|[<>=]+ -?\d+))", word
        )


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    for name in ("store", "server", "state", "collections", "documents"):
        monkeypatch.delitem(sys.modules, f"vireid.gallery.milvus.{name}", raising=False)
    with pytest.raises(VireidError, match=re.escape("pip install 'vireid[milvus]'")):
        Gallery.open("milvus://127.0.0.1:9/site")


def test_folder_is_always_searched_exactly(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "a.gallery", TOY) as gallery:
        gallery.set_index("flat")
        with pytest.raises(GalleryError, match="always searched exactly; move it to a Milvus"):
            gallery.set_index("hnsw")


def test_service_names_galleries_on_servers_by_their_names() -> None:
    assert name_of(parsed("milvus://h:7/north_gate")) == "north_gate"
    settings = Settings().with_galleries([parsed("milvus://h:7/a"), Path("/data/b.gallery")])
    assert settings.galleries == {"a": "milvus://h:7/a", "b": "/data/b.gallery"}


def test_gallery_is_deleted_and_what_others_put_beside_it_stays(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with Gallery.create(tmp_path / name, TOY) as gallery:
            gallery.put(unit(4), entries(4))
            (tmp_path / "b" / "notes.txt").touch() if name == "b" else None
            gallery.delete()
    assert [path.name for path in tmp_path.rglob("*")] == ["b", "notes.txt"]


def test_folder_moves_into_another_with_its_storage_changed(tmp_path: Path) -> None:
    from vireid.gallery.moving import move

    with Gallery.create(tmp_path / "a", TOY) as gallery:
        gallery.put(unit(40), entries(40))
        gallery._store.note({("source", "/site"): {}})
    with pytest.raises(GalleryError, match="is where it is already"):
        move(tmp_path / "a", str(tmp_path / "a"))
    with Gallery.create(tmp_path / "c", TOY) as other:
        other.put(unit(1), entries(1))
    with pytest.raises(GalleryError, match="is there already"):
        move(tmp_path / "a", tmp_path / "c")
    Gallery.create(tmp_path / "b", TOY, "float16").close()
    done = move(tmp_path / "a", tmp_path / "b", storage="float16")
    assert (done.pictures, (tmp_path / "a").exists()) == (40, False)
    with Gallery.open(tmp_path / "b") as gallery:
        assert (gallery.storage, len(gallery), gallery.damage()) == ("float16", 40, [])
        assert dict(gallery._store.notes("setting")) == {}
        assert dict(gallery._store.notes("source")) == {"/site": {}}
