"""Vectors of one spectrum in memory, for centred searches, which a server cannot do itself."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vireid.gallery.local.similarities import Rows
from vireid.gallery.milvus.rows import Row, entry_from
from vireid.types.arrays import Vectors


@dataclass(frozen=True)
class InMemory:
    """Vectors of one spectrum, by rising ids."""

    ids: Rows
    vectors: Vectors
    cameras: list[str | None]

    @classmethod
    def of(cls, rows: Iterable[Row], dim: int, address: object) -> "InMemory":
        """Keep rows that were read with their vectors."""
        ids: list[int] = []
        cameras: list[str | None] = []
        vectors = []
        for row in rows:
            ids.append(row["id"])
            cameras.append(entry_from(row, address).record.camera)
            vectors.append(np.array(row["vector"], np.float32))
        held = np.array(vectors, np.float32).reshape(len(ids), dim)
        return cls(np.array(ids, np.int64), held, cameras)

    def __len__(self) -> int:
        return len(self.vectors)

    def part(self, start: int, stop: int) -> Vectors:
        """Return consecutive rows."""
        return self.vectors[start:stop]

    def at(self, rows: Rows) -> Vectors:
        """Return some rows, given in rising order."""
        return np.asarray(self.vectors[rows])
