"""A gallery does what a dictionary does, whatever is done to it in whatever order."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.gallery.test_gallery import DIM, TOY

from vireid.gallery import Gallery
from vireid.gallery.store import Entry, Storage
from vireid.records import Box, ImageRecord, Key, Modality

PATHS = st.sampled_from([Path(f"/site/{name}.jpg") for name in "abcdefgh"])
BOXES = st.sampled_from([None, Box(0, 0, 8, 9)])
RECORDS = st.builds(
    ImageRecord,
    path=PATHS,
    modality=st.sampled_from(Modality),
    identity=st.one_of(st.none(), st.integers(0, 3)),
    camera=st.sampled_from([None, "gate", "hall"]),
    box=BOXES,
    tags=st.frozensets(st.sampled_from(["hat", "coat"])),
    person=st.sampled_from([None, "Anna", "Eve"]),
)


class AgainstADictionary(RuleBasedStateMachine):
    """Every rule is done to a gallery and to a dictionary of entries and vectors by key."""

    @initialize(storage=st.sampled_from(["float32", "float16"]))
    def begin(self, storage: Storage) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="gallery-"))
        self.copies, self.vectors = 0, 0
        self.gallery = Gallery.create(self.root / "0", TOY, storage)
        self.expected: dict[Key, tuple[Entry, np.ndarray]] = {}

    def vector(self) -> np.ndarray:
        """A vector that no other picture has."""
        self.vectors += 1
        vector = np.random.default_rng(self.vectors).standard_normal(DIM).astype(np.float32)
        return np.asarray(vector / np.linalg.norm(vector))

    @rule(records=st.lists(RECORDS, max_size=5, unique_by=lambda record: record.key))
    def add(self, records: list[ImageRecord]) -> None:
        vectors = [self.vector() for _ in records]
        entries = [Entry(record, content=f"{i:032x}") for i, record in enumerate(records)]
        stacked = np.stack(vectors) if vectors else np.zeros((0, DIM), np.float32)
        self.gallery.put(stacked, entries)
        for entry, vector in zip(entries, vectors, strict=True):
            self.expected[entry.record.key] = (entry, vector)

    @rule(paths=st.sets(PATHS, max_size=4), box=BOXES)
    def remove(self, paths: set[Path], box: Box | None) -> None:
        records = [ImageRecord(path, Modality.VISIBLE, box=box) for path in paths]
        gone = [record.key for record in records if record.key in self.expected]
        assert self.gallery.remove(records) == len(gone)
        for key in gone:
            del self.expected[key]

    @rule(changes=st.dictionaries(PATHS, RECORDS, max_size=3))
    def change(self, changes: dict[Path, ImageRecord]) -> None:
        """Pictures get other labels and other paths, also those of one another."""
        keys: list[Key] = [(path, None) for path in changes if (path, None) in self.expected]
        new: dict[Key, Entry] = {}
        for key in keys:
            modality = self.expected[key][0].record.modality
            record = replace(changes[key[0]], modality=modality)
            if record.key not in {entry.record.key for entry in new.values()}:
                new[key] = Entry(record, by_hand=True)
        self.gallery.change(new)
        moved = {key: self.expected.pop(key)[1] for key in new}
        for key, entry in new.items():
            self.expected[entry.record.key] = (entry, moved[key])

    @rule()
    def compact(self) -> None:
        self.gallery.compact()

    @rule()
    def open_again(self) -> None:
        path = self.gallery.path
        self.gallery.close()
        self.gallery = Gallery.open(path)

    @rule()
    def lose_power(self) -> None:
        """What is on the disk now is all there is."""
        self.copies += 1
        copy = self.root / str(self.copies)
        shutil.copytree(self.gallery.path, copy)
        self.gallery.close()
        self.gallery = Gallery.open(copy)

    @rule()
    def back_up_and_restore(self) -> None:
        self.copies += 1
        copy = self.root / str(self.copies)
        assert self.gallery.backup(self.root / "b.zip") == len(self.expected)
        self.gallery.close()
        self.gallery = Gallery.restore(self.root / "b.zip", copy)

    @invariant()
    def everything_is_there(self) -> None:
        found = {entry.record.key: entry for entry in self.gallery.entries()}
        assert found == {key: entry for key, (entry, _) in self.expected.items()}
        assert len(self.gallery) == len(found)

    @invariant()
    def every_vector_finds_its_picture(self) -> None:
        if not self.expected:
            return
        queries = np.stack([vector for _, vector in self.expected.values()])
        for hits, key in zip(self.gallery.search(queries, 20), self.expected, strict=True):
            assert hits[0].record.key == key
            assert abs(hits[0].similarity - 1) < 2e-3
            assert len(hits) == len(self.expected)
        assert self.gallery.damage() == []

    def teardown(self) -> None:
        if hasattr(self, "gallery"):
            self.gallery.close()
            shutil.rmtree(self.root)


TestAgainstADictionary: Any = AgainstADictionary.TestCase
TestAgainstADictionary.settings = settings(
    max_examples=10,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
