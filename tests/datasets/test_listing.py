"""Every picture below a folder is listed once, and all else is told."""

import contextlib
import os
from pathlib import Path

import pytest
from PIL import Image
from tests.permissions import closed

from vireid.datasets._listing import Listing, pictures_below
from vireid.errors import VireidError

needs_links = pytest.mark.skipif(os.name == "nt", reason="needs links")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names(listing: Listing, root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in listing.pictures]


def test_pictures_are_found_at_any_depth_in_the_order_of_names(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.JPG", "b/10.png", "a/c/1.tiff", "a/z.jpg", "a/b/2.jpg")
    expected = ["a/z.jpg", "a/b/2.jpg", "a/c/1.tiff", "b/10.png", "b/2.JPG"]
    assert names(pictures_below(tmp_path), tmp_path) == expected


def test_every_file_is_listed_or_told(tmp_path: Path) -> None:
    pictures = ["a.jpg", "b.JFIF", "c.jpe", "d.tga", "e.j2k", "f.dib", "g.pbm", "h.mpo", "i.avif"]
    touch(tmp_path, *pictures, "phone.heic", "raw.dng", "notes.txt", "Thumbs.db")
    Image.new("RGB", (8, 8)).save(tmp_path / "camera", "JPEG")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg.old", "PNG")
    listing = pictures_below(tmp_path)
    assert names(listing, tmp_path) == pictures
    told = {Path(bad.where).name: bad.reason for bad in listing.unusable}
    assert sorted(told) == ["a.jpg.old", "camera", "phone.heic", "raw.dng"]
    assert "begins as a picture does" in told["camera"]
    assert told["phone.heic"] == ".heic is not read; save it as JPEG or PNG"
    (note,) = listing.notes
    assert note.startswith("2 files are no pictures and passed over: ")
    assert "notes.txt" in note
    assert "Thumbs.db" in note


def test_folders_of_file_servers_and_hidden_ones_are_passed_over_and_told_once(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "cam1/a.jpg", "cam1/@eaDir/a.jpg/THUMB.jpg", "cam2/@eaDir/b.jpg")
    touch(tmp_path, "#recycle/c.jpg", "$RECYCLE.BIN/d.jpg", "lost+found/e.jpg", ".Trash-1000/f.jpg")
    touch(tmp_path, "__MACOSX/._a.jpg", "System Volume Information/g.jpg", "cam1/._a.jpg")
    listing = pictures_below(tmp_path)
    assert names(listing, tmp_path) == ["cam1/a.jpg"]
    (note,) = listing.notes
    assert "2 named @eaDir" in note
    assert "1 named System Volume Information" in note
    assert "2 hidden" in note
    assert listing.unusable == ()


def test_a_folder_that_is_asked_for_is_searched_whatever_it_is_called(tmp_path: Path) -> None:
    touch(tmp_path, ".Trash-1000/a.jpg")
    assert len(pictures_below(tmp_path / ".Trash-1000").pictures) == 1


@needs_links
@pytest.mark.parametrize("link", ["albums/suspect", "zz/suspect", "cam1/0000", "cam9/0039"])
def test_a_linked_folder_is_listed_under_its_real_name_whatever_the_link_is_called(
    tmp_path: Path, link: str
) -> None:
    touch(tmp_path, "cam4/0039/a.jpg", "cam4/0040/b.jpg")
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "cam4/0039")
    listing = pictures_below(tmp_path)
    assert names(listing, tmp_path) == ["cam4/0039/a.jpg", "cam4/0040/b.jpg"]
    (note,) = listing.notes
    assert f"{tmp_path / link}, which is {tmp_path / 'cam4/0039'}" in note


@needs_links
def test_a_folder_elsewhere_that_is_linked_twice_is_listed_once(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.jpg", "elsewhere/inner/b.jpg")
    for site, links in {"s": ("1", "2", "0"), "t": ("2", "1", "9")}.items():
        (tmp_path / site).mkdir()
        for link, target in zip(links, ("", "", "inner"), strict=True):
            (tmp_path / site / link).symlink_to(tmp_path / "elsewhere" / target)
        listing = pictures_below(tmp_path / site)
        assert names(listing, tmp_path / site) == ["1/a.jpg", "1/inner/b.jpg"]
        assert listing.notes[0].startswith("2 links are passed over: ")


@needs_links
def test_circles_of_links_add_nothing(tmp_path: Path) -> None:
    touch(tmp_path, "site/a.jpg", "site/b/c.jpg", "stranger.jpg", "elsewhere/d.jpg")
    for link, target in {
        "site/again": "site",
        "site/b/up": "site",
        "site/out": ".",
        "site/way": "elsewhere",
        "elsewhere/back": "site",
    }.items():
        (tmp_path / link).symlink_to(tmp_path / target)
    (tmp_path / "site/loop.jpg").symlink_to(tmp_path / "site/loop.jpg")
    found = names(pictures_below(tmp_path / "site"), tmp_path / "site")
    assert found == ["a.jpg", "loop.jpg", "b/c.jpg", "way/d.jpg"]


@needs_links
def test_linked_files_are_listed_once(tmp_path: Path) -> None:
    touch(tmp_path, "site/z/a.jpg", "elsewhere/b.jpg")
    (tmp_path / "site/0.jpg").symlink_to("z/a.jpg")
    (tmp_path / "site/1.jpg").symlink_to(tmp_path / "elsewhere/b.jpg")
    (tmp_path / "site/2.jpg").symlink_to(tmp_path / "elsewhere/b.jpg")
    (tmp_path / "site/3.jpg").symlink_to(tmp_path / "nothing.jpg")
    listing = pictures_below(tmp_path / "site")
    assert names(listing, tmp_path / "site") == ["1.jpg", "3.jpg", "z/a.jpg"]
    (note,) = listing.notes
    assert note.startswith("2 links are passed over: ")
    assert f"2.jpg, which is {tmp_path / 'site/1.jpg'}" in note


@needs_links
@pytest.mark.skipif(not os.path.ismount("/proc"), reason="there is no /proc")
def test_what_the_system_makes_up_is_no_folder_of_pictures(tmp_path: Path) -> None:
    with pytest.raises(VireidError, match="/proc/self/fd holds what the system tells of itself"):
        pictures_below(Path("/proc/self/fd"))
    touch(tmp_path, "a.jpg")
    touch(tmp_path, "elsewhere/b.jpg")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "process").symlink_to("/proc/self")
    with contextlib.chdir(tmp_path / "elsewhere"):  # where links in /proc/self lead
        listing = pictures_below(tmp_path / "source")
    assert (listing.pictures, listing.unusable) == ((), ())
    assert "passed over: 1 named process" in listing.notes[0]


def test_pipes_and_devices_are_told_and_not_listed(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    listing = pictures_below(tmp_path)
    assert names(listing, tmp_path) == ["a.jpg"]
    reasons = {"it is a pipe or a device, no file; leave it out"}
    assert {bad.reason for bad in listing.unusable} == reasons
    assert len(listing.unusable) == 2


@pytest.mark.parametrize("place", ["gr\xfcn.jpg", "gr\xfcn/a.jpg"])
def test_a_name_that_is_not_unicode_is_told(tmp_path: Path, place: str) -> None:
    touch(tmp_path, "a.jpg")
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + place.encode("latin-1")))
    path.parent.mkdir(exist_ok=True)
    path.touch()
    listing = pictures_below(tmp_path)
    assert names(listing, tmp_path) == ["a.jpg"]
    (bad,) = listing.unusable
    assert "not valid Unicode; rename" in bad.reason
    assert bad.where == str(path)


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "visible/a.jpg", "secret/visible/b.jpg")
    with closed(tmp_path / "secret"):
        listing = pictures_below(tmp_path)
    assert len(listing.pictures) == 1
    (bad,) = listing.unusable
    assert bad.where == str(tmp_path / "secret")
    assert "cannot be read (Permission denied)" in bad.reason


def test_paths_begin_as_the_folder_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "b/a.jpg")
    monkeypatch.chdir(tmp_path)
    expected = {Path(): Path("b/a.jpg"), Path("b"): Path("b/a.jpg"), tmp_path: tmp_path / "b/a.jpg"}
    for asked, found in expected.items():
        assert pictures_below(asked).pictures == (found,)
