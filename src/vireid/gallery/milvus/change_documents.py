"""Documents of changes: what is said of a whole gallery on Milvus, as of one change."""

import msgspec
import numpy as np

from vireid.gallery.milvus import collections
from vireid.gallery.milvus.id_ranges import Range, joined, outside
from vireid.gallery.milvus.rows import MOST_ROWS, Row, first_id, number_of, packed, unpacked
from vireid.gallery.milvus.server import Server
from vireid.gallery.milvus.state import State
from vireid.models.card import ModelCard

HEAD = number_of("kind", "head")
"""Kind of the rows that hold documents, among facts."""
PIECE = 60_000
"""Letters of one row of a document."""


class Document(msgspec.Struct):
    """What is said of the whole gallery, as of one change."""

    model: ModelCard
    changed: str
    """Time of the change, ISO 8601."""
    gone: dict[str, list[Range]] = msgspec.field(
        default_factory=lambda: {"pictures": [], "facts": []}
    )
    """Ids of rows that no longer count and are still there, by collection."""
    lost: list[Range] = msgspec.field(default_factory=list)
    """Ids of changes that came to nothing; rows of theirs may turn up late."""
    index: str = "FLAT"
    """Kind of index that the vectors have."""
    search: dict[str, int] = msgspec.field(default_factory=dict)
    """Numbers by which that index is searched."""


class View(msgspec.Struct, frozen=True):
    """What counts as of one change."""

    state: State
    document: Document
    pictures: str
    """Name of the collection."""
    facts: str

    def conditions(self, which: str) -> list[str]:
        """Return the conditions that a row counts, of `pictures` or `facts`."""
        hidden = joined(self.document.gone[which], self.document.lost)
        return [f"id < {first_id(self.state.version + 1)}", *outside(hidden)]


def read_document(server: Server, facts: str, state: State) -> Document | None:
    """Return the document of a change; None once it was deleted after a later one."""
    first = first_id(state.version) + MOST_ROWS
    condition = f"id >= {first} and id < {first_id(state.version + 1)}"
    partitions = (collections.DEFAULT,)
    found = list(server.rows(facts, partitions, condition, ("value",), state.timestamp))
    if not found:
        return None
    text = "".join(row["value"] for row in reversed(found))
    return msgspec.json.decode(unpacked(text), type=Document)


def write_document(server: Server, facts: str, number: int, document: Document) -> int:
    """Write what a change says; return the timestamp at which all of it is written."""
    rows = document_rows(number, document)
    return server.write(facts, collections.DEFAULT, rows, PIECE)


def document_rows(number: int, document: Document) -> list[Row]:
    """Return the rows that hold the document of a change, the first piece in the last id."""
    text = packed(msgspec.json.encode(document))
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    last = first_id(number + 1) - 1
    return [
        {"id": last - n, "vector": np.zeros(2, np.float32), "kind": HEAD, "key": 0, "value": piece}
        for n, piece in enumerate(pieces)
    ]
