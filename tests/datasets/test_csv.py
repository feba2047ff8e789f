"""Lists of pictures are read whichever program has written them, or the culprit is named."""

import os
import unicodedata
from pathlib import Path

import pytest

from vireid.datasets._csv import Beside, Row, Table, read_table, whole_number
from vireid.datasets._files import Unusable
from vireid.datasets.folder import find
from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality

VISIBLE, INFRARED = Modality
COLUMNS = ("path", "modality", "identity")


def table_of(path: Path, content: bytes | str) -> Table:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path, COLUMNS)


def cells(table: Table) -> list[dict[str, str]]:
    assert all(isinstance(row, Row) for row in table.rows), table.rows
    return [dict(row.cells) for row in table.rows if isinstance(row, Row)]


LIST = "path,modality,identity\ngrün/a.jpg,visible,37\n"


@pytest.mark.parametrize(
    "content",
    [
        LIST.encode(),
        LIST.encode("utf-8-sig"),
        LIST.encode("utf-16"),
        LIST.encode("utf-16-le"),
        LIST.replace(",", "\t").encode("utf-16"),
        LIST.encode("utf-32"),
        LIST.encode("cp1252"),
        LIST.replace(",", ";").encode("cp1252"),
        LIST.replace(",", "\t").encode(),
        LIST.replace(",", "|").encode(),
        LIST.replace(",", ", ").encode(),
        LIST.replace("\n", "\r\n").encode(),
        LIST.replace("\n", "\r").encode(),
        LIST.replace("\n", "\n\n").encode(),
        ("\n\n" + LIST + ",,\n , ,\n").encode(),
        ("sep=;\n" + LIST.replace(",", ";")).encode(),
        LIST.replace("path,modality", "Path, MODALITY ").encode(),
        LIST.replace("grün/a.jpg", '"grün/a.jpg"').encode(),
        LIST.replace("\n", ",\n").encode(),
        ("," + LIST.replace("\n", "\n0,", 1)).encode(),
    ],
)
def test_a_list_says_the_same_however_it_is_written(tmp_path: Path, content: bytes) -> None:
    table = table_of(tmp_path / "people.csv", content)
    row = {"path": "grün/a.jpg", "modality": "visible", "identity": "37"}
    assert [{k: v for k, v in each.items() if k in COLUMNS} for each in cells(table)] == [row]


def test_an_encoding_that_was_assumed_is_told(tmp_path: Path) -> None:
    (note,) = table_of(tmp_path / "people.csv", LIST.encode("cp1252")).notes
    assert note.endswith("people.csv is not in UTF-8; it was read as Windows-1252")
    assert table_of(tmp_path / "people.csv", LIST.encode("utf-16")).notes == ()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", r"has no column 'path'; its first line should read path,modality"),
        (b"file,modality\na.jpg,visible\n", "has no column 'path'"),
        (b"path,modalty\na.jpg,visible\n", "column 'modalty'; did you mean 'modality'"),
        (b"path;modalty\na.jpg;visible\n", "column 'modalty'; did you mean 'modality'"),
        (b"path,identity,Identity\na.jpg,1,2\n", "has the column 'identity' twice; take one"),
        (b"path,modality\ngr\x81n.jpg,visible\n", "not a text in UTF-8, UTF-16 or Windows-1252"),
    ],
)
def test_a_file_that_is_no_such_list_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(VireidError, match=why):
        table_of(tmp_path / "people.csv", content)


def test_a_line_that_cannot_be_split_is_told_with_its_number_and_the_rest_kept(
    tmp_path: Path,
) -> None:
    lines = [
        "path,modality",
        "a.jpg,visible",
        '"b"c.jpg,visible',
        "d.jpg," + 200_000 * "x",
        "e.jpg",
    ]
    lines += ["f.jpg,visible,1,2", '"g.jpg,visible', "h.jpg"]
    rows = table_of(tmp_path / "people.csv", "\n".join(lines)).rows
    kept = [row.cells["path"] for row in rows if isinstance(row, Row)]
    assert kept == ["a.jpg", "e.jpg"]
    told = [row.where.rpartition(" ")[2] for row in rows if isinstance(row, Unusable)]
    assert told == ["3", "4", "6", "7"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("37", 37),
        ("0037", 37),
        ("37.0", 37),
        ("37,0", 37),
        ("+37", 37),
        ("3.7e1", 37),
        ("-1", -1),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("9" * 5000, None),
        ("1e999999999", None),
        ("37.5", None),
        ("3_7", None),
        ("Bob", None),
        ("inf", None),
        ("nan", None),
    ],
)
def test_a_cell_is_a_whole_number_as_programs_write_it(text: str, number: int | None) -> None:
    assert whole_number(text) == number


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize(
    "cell",
    [
        "base/visible/süd/a.jpg",
        "base\\visible\\süd\\a.jpg",
        ".\\base\\visible\\süd\\a.jpg",
        '"base/visible/süd/a.jpg"',
        "'base\\visible\\süd\\a.jpg'",
        "Base/Visible/Süd/A.JPG",
        unicodedata.normalize("NFD", "base/visible/süd/a.jpg"),
        unicodedata.normalize("NFD", "BASE\\visible\\süd\\a.jpg"),
    ],
)
def test_a_file_is_found_however_a_list_spells_it(tmp_path: Path, cell: str) -> None:
    touch(tmp_path, "base/visible/süd/a.jpg")
    found = Beside(tmp_path / "people.csv").find(cell)
    assert found is not None
    assert found.is_file()
    assert found == tmp_path / "base/visible/süd/a.jpg"


@pytest.mark.skipif(os.name == "nt", reason="these names are another system's")
def test_a_name_counts_as_it_is_before_it_counts_otherwise(tmp_path: Path) -> None:
    touch(tmp_path, "a\\b.jpg", "a/b.jpg", "'c.jpg'", "c.jpg", "D.jpg", "d.jpg")
    beside = Beside(tmp_path / "people.csv")
    for name in ("a\\b.jpg", "'c.jpg'", "D.jpg", "d.jpg"):
        assert beside.find(name) == tmp_path / name


@pytest.mark.skipif(os.name == "nt", reason="needs a system without drives")
def test_bad_cells_are_told_and_the_rest_kept(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    lines = [
        "path,modality,identity,camera",
        "C:\\photos\\a.jpg,visible,1,",
        "a\0.jpg,visible,1,",
        f"{'x' * 5000}.jpg,visible,1,",
        f"a.jpg,visible,{'9' * 5000},",
        "b.jpg,visible,99999999999999999999,",
        "c.jpg,visible,nan,None",
        "d.jpg,rgb,37.0,gate",
    ]
    (tmp_path / "people.csv").write_text("\n".join(lines))
    found = find(tmp_path / "people.csv")
    there = [record for record in found.records if len(record.path.name) < 1000]
    assert there == [
        ImageRecord(tmp_path / "c.jpg", VISIBLE),
        ImageRecord(tmp_path / "d.jpg", VISIBLE, 37, "gate"),
    ]
    told = {bad.where.rpartition(" ")[2]: bad.reason for bad in found.unusable}
    assert sorted(told) == ["2", "3", "5", "6"]
    assert "is a path of a Windows computer; write the path as it is here" in told["2"]
    assert "NUL" in told["3"]
    assert "is not an integer of at most 9223372036854775807" in told["5"]
    assert len(told["5"]) < 200


def test_a_blank_or_unknown_identity_is_not_the_folders_only_where_the_column_says_so(
    tmp_path: Path,
) -> None:
    paths = [f"visible/cam1/0012/{name}.jpg" for name in "ab"]
    touch(tmp_path, *paths)
    (tmp_path / "people.csv").write_text(f"path,identity\n{paths[0]},\n{paths[1]},-1\n")
    assert [record.identity for record in find(tmp_path / "people.csv").records] == [12, None]


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_a_picture_that_is_listed_under_two_names_is_one(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.jpg")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "b.jpg").symlink_to("real/a.jpg")
    (tmp_path / "people.csv").write_text(
        "path,modality\nreal/a.jpg,visible\nfolder/a.jpg,visible\nb.jpg,visible\n"
    )
    found = find(tmp_path / "people.csv")
    assert [record.path for record in found.records] == [tmp_path / "real/a.jpg"]
    assert [bad.reason for bad in found.unusable] == ["the same picture as in line 2"] * 2
