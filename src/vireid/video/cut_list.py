"""The list of what was cut out: a line a crop, which `vireid index` reads."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from vireid.datasets._files import MOST_OF_A_LIST
from vireid.errors import VireidError
from vireid.files.atomic import write_whole
from vireid.files.locks import locked
from vireid.files.untrusted import content_of, is_file
from vireid.records import Modality

LIST, LOCK = "people.csv", ".lock"
COLUMNS = (
    *("path", "modality", "identity", "camera", "tracklet", "time"),
    *("source", "frame", "seconds", "box", "height", "score", "sharpness", "scene", "moment"),
)


@dataclass(frozen=True)
class CutOut:
    """A line of the list: one crop, and where it was."""

    path: str
    """Path below the folder, with slashes."""
    modality: Modality
    identity: int | None
    camera: str
    tracklet: str
    time: datetime | None
    source: str
    frame: int
    seconds: float
    box: str
    height: int
    score: float
    sharpness: float
    scene: str | None = None
    """Name of the place, where several sources show one."""
    moment: int | None = None
    """Number of the instant: pictures of one camera that share it were taken at once."""


def read_rows(out: Path) -> list[dict[str, str]]:
    """Return the lines of the list in a folder, as they stand there.

    Raises:
        VireidError: It is another list, or damaged.
    """
    path = out / LIST
    if not is_file(path):
        return []
    way_out = "move it away, or choose another folder (--out)"
    try:
        text = content_of(path, MOST_OF_A_LIST).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise VireidError(f"{path} cannot be read ({error}); {way_out}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows = list(reader)
    if tuple(reader.fieldnames or ()) != COLUMNS or any(None in row.values() for row in rows):
        raise VireidError(f"{path} is no list that `vireid cut` has written; {way_out}")
    return rows


def names_in(out: Path) -> dict[str, str]:
    """Return the name that each source of a list has there, by its address."""
    return {row["source"]: row["tracklet"].rpartition("-")[0] for row in read_rows(out)}


def replace_rows(out: Path, source: str, rows: Sequence[CutOut]) -> None:
    """Put the crops of a source into the list, in place of those it had, whose files go."""
    with locked(out / LOCK):
        before = read_rows(out)
        others = [row for row in before if row["source"] != source]
        kept = {row.path for row in rows} | {row["path"] for row in others}
        write_rows(out, [*others, *map(as_cells, rows)])
    for row in before:
        if row["path"] not in kept and _is_a_crop(row["path"]):
            (out / row["path"]).unlink(missing_ok=True)


def _is_a_crop(path: str) -> bool:
    """Whether a path in a list, which somebody may have edited, can be one that we have written."""
    parts = PurePosixPath(path).parts
    return path.endswith(".jpg") and ".." not in parts and not path.startswith("/")


def write_rows(out: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write the list of a folder, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(out / LIST, text.getvalue().encode())


def as_cells(row: CutOut) -> dict[str, str]:
    """Return a line as it stands in the list."""
    cells = {name: "" if value is None else str(value) for name, value in asdict(row).items()}
    return {**cells, "time": row.time.isoformat() if row.time else ""}
