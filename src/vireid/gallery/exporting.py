"""Tables of a gallery's pictures for other programs: CSV, Parquet and NumPy."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vireid.errors import VireidError
from vireid.files.atomic import whole_file, writing_to
from vireid.gallery.filters import Filters
from vireid.gallery.gallery import Gallery
from vireid.gallery.judgements import Judgement
from vireid.gallery.store import Entry, Page
from vireid.progress import counted

BOX = ("left", "top", "right", "bottom")
COLUMNS = ("path", "modality", "identity", "camera", "time", "tracklet", "tags", *BOX)
"""Columns of a table, by which `vireid index` reads it again."""


def export(
    gallery: Gallery, path: Path, filters: Filters | None = None, *, vectors: bool = True
) -> int:
    """Write what is known of pictures, and their vectors, into a table.

    Args:
        gallery: Gallery to read.
        path: File to write. Its suffix says what: `.csv`, `.parquet` or `.npz`. A CSV file of a
            gallery can be indexed again.
        filters: Conditions on the pictures; by default all.
        vectors: Whether to write the vectors too: as a column `vector` of numbers separated by
            spaces (CSV), a column of lists (Parquet), or an array `vectors` (NumPy).

    Returns:
        The number of pictures.

    Raises:
        VireidError: The suffix is another one, pyarrow is missing, or the file cannot be written.
    """
    if path.suffix.lower() not in WRITERS:
        known = ", ".join(WRITERS)
        raise VireidError(f"{path}: the suffix says what to write; end the name in {known}")
    count = 0

    def pages() -> Iterator[Page]:
        nonlocal count
        for page in counted(gallery.pages(filters), "exporting", len(gallery), _length):
            count += len(page.entries)
            yield page

    with writing_to(path), whole_file(path) as file:
        WRITERS[path.suffix.lower()](file, pages(), vectors)
    return count


def export_judgements(judgements: list[Judgement], path: Path) -> int:
    """Write what was said of hits as a CSV file with the columns query, hit, box, same and time.

    Returns:
        The number of judgements.

    Raises:
        VireidError: The file cannot be written.
    """
    with writing_to(path), whole_file(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        table = csv.writer(text)
        table.writerow(("query", "hit", "box", "same", "time"))
        for said in judgements:
            hit, box = said.hit
            table.writerow((said.query, hit, box or "", int(said.same), said.time.isoformat()))
        text.flush()
        text.detach()
    return len(judgements)


def _length(page: Page) -> int:
    return len(page.entries)


def _row(entry: Entry) -> dict[str, Any]:
    record = entry.record
    corners = record.box.corners if record.box else (None,) * len(BOX)
    said = {
        "path": str(record.path),
        "modality": record.modality.value,
        "identity": record.who if record.who is None else str(record.who),
        "camera": record.camera,
        "time": record.time.isoformat() if record.time else None,
        "tracklet": record.tracklet,
        "tags": ";".join(sorted(record.tags)) or None,
    }
    return said | dict(zip(BOX, corners, strict=True))


def _write_csv(file: BinaryIO, pages: Iterator[Page], vectors: bool) -> None:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    table = csv.DictWriter(text, (*COLUMNS, *(["vector"] if vectors else [])))
    table.writeheader()
    for page in pages:
        rows: list[dict[str, Any]] = [_row(entry) for entry in page.entries]
        if vectors:
            for row, vector in zip(rows, page.read_vectors(), strict=True):
                row["vector"] = " ".join(f"{number:.9g}" for number in vector)
        table.writerows(rows)
    text.flush()
    text.detach()


def _write_parquet(file: BinaryIO, pages: Iterator[Page], vectors: bool) -> None:
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow import parquet

    types = {name: pyarrow.int32() if name in BOX else pyarrow.string() for name in COLUMNS}
    fields = list(types.items())
    if vectors:
        fields.append(("vector", pyarrow.list_(pyarrow.float32())))
    schema = pyarrow.schema(fields)
    with parquet.ParquetWriter(file, schema) as table:
        for page in pages:
            columns = _columns(page)
            if vectors:
                columns["vector"] = list(page.read_vectors())
            table.write_table(pyarrow.table(columns, schema))


def _write_numpy(file: BinaryIO, pages: Iterator[Page], vectors: bool) -> None:
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    rows = []
    for page in pages:
        for name, values in _columns(page).items():
            columns[name] += ["" if value is None else value for value in values]
        if vectors:
            rows.append(page.read_vectors())
    boxes = np.array([[n if n != "" else -1 for n in columns[side]] for side in BOX], np.int32).T
    arrays: dict[str, Any] = {
        name: np.array(columns[name], np.str_) for name in COLUMNS if name not in BOX
    }
    arrays["box"] = boxes.reshape(-1, len(BOX))
    if rows:
        arrays["vectors"] = np.concatenate(rows)
    np.savez(file, **arrays)


def _columns(page: Page) -> dict[str, list[Any]]:
    rows = [_row(entry) for entry in page.entries]
    return {name: [row[name] for row in rows] for name in COLUMNS}


WRITERS: Mapping[str, Callable[[BinaryIO, Iterator[Page], bool], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".npz": _write_numpy,
}
"""Writers of tables by the suffix of the file."""
