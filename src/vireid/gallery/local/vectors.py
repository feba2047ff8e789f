"""Vectors in files: appended to, never changed in place, and every block of rows has a checksum.

A checksum (CRC-32) covers the bytes of up to `BLOCK` rows, and goes on where rows are appended. It
is compared once in the life of a process, when a block is first read: damage is told and never
becomes an answer.
"""

import os
import re
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from vireid.gallery.local.similarities import Rows
from vireid.gallery.store import Storage
from vireid.threads import processors
from vireid.types.arrays import Vectors

FILE_NAME = re.compile(r"(?:visible|infrared)(?:\.\d+)?\.float(?:32|16)")
"""Pattern of the names of files of vectors; the number rises whenever one is compacted."""
BLOCK = 4096
"""Number of rows under one checksum."""
Sums = Mapping[int, int]
"""Checksums by the number of the block. Blocks without one are not checked."""
NO_SUMS: Sums = {}


class DamagedError(Exception):
    """A file does not hold the vectors that it should hold."""


class VectorFile:
    """A file of vectors; its owner knows how many of them are committed and which of them count."""

    def __init__(self, path: Path, dim: int, storage: Storage) -> None:
        self.path, self.dim = path, dim
        self.dtype = np.dtype(storage)

    def create(self) -> None:
        """Make the file, empty."""
        self.path.touch()

    def append(self, vectors: Vectors, after: int, sums: Sums) -> dict[int, int]:
        """Write vectors behind the first `after` rows and wait until the disk has them.

        What lies behind those rows was written by somebody who never got to commit it.

        Args:
            vectors: Vectors to write.
            after: Number of rows that are committed.
            sums: Checksum of the last block that holds committed rows, at least.

        Returns:
            The new checksums of the blocks that have changed.

        Raises:
            DamagedError: The file has fewer than `after` rows. It is as it was.
            OSError: The disk is full or broken. Nothing is left behind row `after`.
        """
        self.check_size(after)
        end = after * self._row_bytes
        rows = np.ascontiguousarray(vectors, self.dtype)
        with self.path.open("r+b") as file:
            file.truncate(end)
            file.seek(end)
            try:
                file.write(rows.data)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self.path, end)
                raise
        return sums_of(rows, after, sums)

    def check_size(self, count: int) -> None:
        """Compare the file's size with the number of its committed rows.

        Raises:
            DamagedError: The file is shorter, or not there.
        """
        try:
            held = self.path.stat().st_size // self._row_bytes
        except FileNotFoundError:
            raise DamagedError(f"{self.path.name} is missing") from None
        if held < count:
            raise DamagedError(f"{self.path.name} holds {held} of {count} vectors")

    def stored(self, count: int, sums: Sums, before: "StoredVectors | None") -> "StoredVectors":
        """Return the first rows, without reading them.

        Args:
            count: Number of rows that are committed.
            sums: Checksums of their blocks.
            before: Rows of an earlier moment; blocks found intact then are not checked again.

        Raises:
            DamagedError: The file has fewer rows.
        """
        self.check_size(count)
        rows = np.zeros((0, self.dim), self.dtype)
        if count:
            rows = np.asarray(np.memmap(self.path, self.dtype, "r", shape=(count, self.dim)))
        stored = StoredVectors(self.path, rows, sums)
        if before is not None and before.path == self.path:
            stored.trust(before)
        return stored

    def size_of(self, count: int) -> int:
        """Return the number of bytes of so many rows."""
        return count * self._row_bytes

    @property
    def _row_bytes(self) -> int:
        return self.dim * self.dtype.itemsize


class StoredVectors:
    """The committed rows of a file, mapped into memory; blocks are checked when first read."""

    def __init__(self, path: Path, rows: Vectors, sums: Sums) -> None:
        self.path = path
        self._rows, self._sums = rows, sums
        self._unchecked = set(sums)

    def __len__(self) -> int:
        return len(self._rows)

    def trust(self, earlier: "StoredVectors") -> None:
        """Take over which blocks were found intact, where they have not changed since."""
        self._unchecked -= {
            block
            for block, crc in self._sums.items()
            if earlier._sums.get(block) == crc and block not in earlier._unchecked
        }

    def part(self, start: int, stop: int) -> Vectors:
        """Return consecutive rows.

        Raises:
            DamagedError: They are not what was written.
        """
        self._check(self._unchecked.intersection(range(start // BLOCK, -(-stop // BLOCK))))
        return self._rows[start:stop]

    def at(self, rows: Rows) -> Vectors:
        """Return some rows, given in rising order.

        Raises:
            DamagedError: They are not what was written.
        """
        if self._unchecked:
            self._check(self._unchecked.intersection(np.unique(rows // BLOCK).tolist()))
        return np.asarray(self._rows[rows])

    def damaged(self) -> list[int]:
        """Return the numbers of the blocks that are not what was written; reads everything."""
        blocks = sorted(self._sums)
        with ThreadPoolExecutor(processors()) as pool:
            found = list(pool.map(self._sum, blocks))
        return [b for b, sum_ in zip(blocks, found, strict=True) if sum_ != self._sums[b]]

    def _check(self, blocks: set[int]) -> None:
        if not blocks:
            return
        with ThreadPoolExecutor(processors()) as pool:
            for block, found in zip(blocks, pool.map(self._sum, blocks), strict=True):
                if found != self._sums[block]:
                    raise DamagedError(f"{self.path.name}: {changed(block, len(self))}")
        self._unchecked -= blocks

    def _sum(self, block: int) -> int:
        return _sum(self._rows[block * BLOCK : (block + 1) * BLOCK])


def changed(block: int, count: int) -> str:
    """Return what to say of a block that is not what was written, among so many vectors."""
    return f"vectors {block * BLOCK} to {min((block + 1) * BLOCK, count) - 1} have changed"


def sums_of(rows: Vectors, first: int = 0, before: Sums = NO_SUMS) -> dict[int, int]:
    """Return the checksums of the blocks that some consecutive rows lie in.

    Args:
        rows: Rows as they are stored.
        first: Number of the first of them.
        before: Checksums of the rows before that, of which the first may share a block.
    """
    sums, stop = {}, first + len(rows)
    for block in range(first // BLOCK, -(-stop // BLOCK)):
        start, end = max(block * BLOCK, first), min((block + 1) * BLOCK, stop)
        sums[block] = _sum(rows[start - first : end - first], before.get(block, 0))
    return sums


def _sum(rows: Vectors, before: int = 0) -> int:
    return zlib.crc32(np.ascontiguousarray(rows).data, before)
