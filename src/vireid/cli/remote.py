"""Commands on a gallery that a service holds: http://HOST:PORT/NAME in place of a folder."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vireid import console
from vireid.cli.options import A_GALLERY, A_GALLERY_TO_WRITE
from vireid.errors import VireidError

if TYPE_CHECKING:
    from rich.table import Table

    from vireid.client import Picture
    from vireid.records import ImageRecord


class _AnyGallery(click.ParamType[Any]):
    """The address of a gallery: a folder, on a server, or one that a service holds."""

    name = "path"

    def __init__(self, other: click.ParamType[Any]) -> None:
        """Take the type of addresses that are not of a service."""
        self._other = other

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        """Return a path or an address; that of a service as text."""
        from vireid.client import is_address

        return value if is_address(value) else self._other.convert(value, parameter, context)


GALLERY = _AnyGallery(A_GALLERY)
GALLERY_TO_WRITE = _AnyGallery(A_GALLERY_TO_WRITE)


def search(
    address: str, pictures: Sequence[Path], filters: Iterable[str], asked: dict[str, Any]
) -> tuple[dict[str, Any], list[str], "Table"]:
    """Search by a service; return the answer for programs, its caveats, and its table.

    Args:
        address: Address of the gallery.
        pictures: Files of one person.
        filters: Words such as `camera:gate`.
        asked: Options of `vireid search`.

    Raises:
        VireidError: An option is of no use there, or the service refuses.
    """
    from vireid.client import RemoteGallery

    for name in ("identity", "model", "trust_code"):
        if asked.get(name):
            option = f"--{name.replace('_', '-')}"
            raise VireidError(f"{option} is for galleries in folders; leave it out")
    folders = [path for path in pictures if path.is_dir()]
    if folders:
        raise VireidError(f"{folders[0]} is a folder; give pictures to a service one by one")
    words = [*filters, *([f"camera:{asked['camera']}"] if asked["camera"] else [])]
    with RemoteGallery.open(address) as gallery:
        answer = gallery.search(
            pictures,
            asked["top"],
            words,
            text=asked["text"],
            query_modality=asked["query_modality"],
            among=asked["modality"] or "other",
            combined=asked["combined"],
            by=asked["by"],
            min_similarity=asked["min_similarity"],
            centred=asked["centred"],
        )
    table = _table(answer.hits, [(str(h.rank), f"{h.similarity:.3f}") for h in answer.hits])
    if answer.nobody:
        table.caption = console.plain(answer.nobody)
    return answer.document, answer.caveats, table


def entries(address: str, filters: Iterable[str]) -> "list[Picture]":
    """Return the pictures of a gallery that filters let pass."""
    from vireid.client import RemoteGallery

    with RemoteGallery.open(address) as gallery:
        return list(gallery.entries(filters))


def table(pictures: "Sequence[Picture]") -> "Table":
    """Return a table of pictures."""
    return _table(pictures, [()] * len(pictures))


def _table(pictures: "Sequence[Picture]", before: Sequence[tuple[str, ...]]) -> "Table":
    from rich.table import Table

    made = Table()
    for heading in ("rank", "similarity")[: len(before[0]) if before else 0]:
        made.add_column(heading, justify="right")
    for heading in ("person", "camera", "spectrum", "time", "picture"):
        made.add_column(heading, overflow="fold")
    for first, picture in zip(before, pictures, strict=True):
        who = "" if picture.person is None else str(picture.person)
        time = (picture.time or "").replace("T", " ")[:19]
        about = (console.shortened(who), console.shortened(picture.camera or ""))
        cells = (*first, *about, picture.modality, time, picture.name)
        made.add_row(*map(console.plain, cells))
    return made


def index(
    source: Path, address: str, modality: str | None, camera: str | None
) -> tuple[list[str], list[str]]:
    """Send the pictures of a folder or list, with what is known of them, to a service.

    Returns:
        The ids of those that were added, and the reasons why others were not.

    Raises:
        VireidError: It shows boxes of frames, which cannot be sent, or the service refuses.
    """
    from vireid.client import RemoteGallery
    from vireid.datasets import folder
    from vireid.progress import counted
    from vireid.records import Modality

    found = folder.find(source, Modality(modality) if modality else None, camera)
    boxed = next((record for record in found.records if record.box), None)
    if boxed:
        raise VireidError(f"{boxed.path} has a box; cut the people out first: vireid cut")
    ids, skipped = list[str](), [f"{bad.where}: {bad.reason}" for bad in found.unusable]
    groups = [list(some) for _, some in groupby(sorted(found.records, key=_said), key=_said)]
    with RemoteGallery.open(address) as gallery:
        for some in counted(groups, "sending pictures", len(found.records), len):
            first = some[0]
            added, refused = gallery.add(
                [record.path for record in some],
                modality=first.modality.value,
                camera=first.camera,
                person=None if first.who is None else str(first.who),
                tags=sorted(first.tags),
            )
            ids += added
            skipped += refused
    return ids, skipped


def _said(record: "ImageRecord") -> tuple[str, ...]:
    """Return what is said of a picture, by which those of which the same is said are sent."""
    who = "" if record.who is None else str(record.who)
    return record.modality.value, record.camera or "", who, *sorted(record.tags)


def label(address: str, names: Sequence[str], person: str | None, tags: Sequence[str]) -> int:
    """Say who is on pictures, which are named as the service lists them; return their number.

    Raises:
        VireidError: There is no such picture, or the service refuses.
    """
    from vireid.client import RemoteGallery

    with RemoteGallery.open(address) as gallery:
        named = {picture.name: picture for picture in gallery.entries()}
        for name in names:
            if name not in named:
                raise VireidError(
                    f"{address} has no picture {name!r}; `vireid gallery list` shows their names"
                )
        for name in names:
            picture = named[name]
            all_tags = sorted({*picture.tags, *tags}) if tags else None
            gallery.label(picture, person, tags=all_tags)
    return len(names)


def remove(address: str, filters: Sequence[str], count: int) -> dict[str, Any]:
    """Remove the pictures that filters let pass, if they are as many; return what was done."""
    from vireid.client import RemoteGallery

    with RemoteGallery.open(address) as gallery:
        removal = gallery.remove(filters, expect=count)
        left = len(gallery)
    return {
        "removed": removal.removed,
        "left": left,
        "removal": removal.id,
        "undo_until": removal.undo_until,
    }


def backup(address: str, archive: Path) -> int:
    """Copy a gallery into an archive; return the number of its pictures."""
    from vireid.client import RemoteGallery

    with RemoteGallery.open(address) as gallery:
        return gallery.backup(archive)


def held(address: str) -> int:
    """Return the number of pictures that a gallery holds."""
    from vireid.client import RemoteGallery

    with RemoteGallery.open(address) as gallery:
        return len(gallery)


def restore(archive: Path, address: str) -> int:
    """Have a gallery become what an archive holds; return the number of its pictures."""
    from vireid.client import RemoteGallery

    with RemoteGallery.open(address) as gallery:
        return gallery.restore(archive)
