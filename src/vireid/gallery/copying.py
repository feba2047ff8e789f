"""Copies of galleries, from one kind of store to another."""

from typing import Any

from vireid.gallery.store import NOTE_KINDS, SETTING, Page, Store
from vireid.progress import counted

MARK = (SETTING, "moving")
"""Note of a gallery that another one is being moved to; it is nobody's else."""


def copy_all(source: Store, target: Store, doing: str) -> int:
    """Copy pictures and notes that the target has not yet; return how many pictures it copied.

    Args:
        source: Gallery that is read.
        target: Gallery of the same model.
        doing: What the progress is called.
    """
    copied = 0
    for page in counted(source.pages(), doing, source.count(), length_of):
        here = target.entries_of([entry.record.key for entry in page.entries])
        missing = [n for n, e in enumerate(page.entries) if here.get(e.record.key) != e]
        if missing:
            vectors = page.read_vectors()[missing]
            target.add(vectors, [page.entries[n] for n in missing])
        copied += len(missing)
    target.note(missing_notes(source, target))
    return copied


def missing_notes(source: Store, target: Store) -> dict[tuple[str, str], Any]:
    """Return the changes that give a gallery the notes of another one."""
    changes: dict[tuple[str, str], Any] = {}
    for kind in NOTE_KINDS:
        theirs, mine = dict(source.notes(kind)), dict(target.notes(kind))
        if kind == MARK[0]:
            for notes in (theirs, mine):
                notes.pop(MARK[1], None)
        changes |= {(kind, key): None for key in mine.keys() - theirs.keys()}
        changes |= {(kind, key): v for key, v in theirs.items() if mine.get(key) != v}
    return changes


def length_of(page: Page) -> int:
    """Return how many pictures a page has."""
    return len(page.entries)
