"""Commands about galleries: info, list, remove, label, check, compact, backup and so on."""

from collections import Counter
from dataclasses import asdict
from datetime import timedelta
from inspect import cleandoc
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vireid import console
from vireid.cli import remote
from vireid.cli.options import (
    A_GALLERY,
    A_GALLERY_TO_WRITE,
    EXISTING,
    EXISTING_FILE,
    MODALITIES,
    TO_WRITE,
    TRUST_CODE,
    OnGallery,
    age_of,
    examples,
)
from vireid.errors import VireidError

if TYPE_CHECKING:
    from rich.table import Table

    from vireid.gallery.store import Address, Entry, IndexKind, Storage

GALLERY = click.argument("gallery", type=A_GALLERY)
ANY_GALLERY = click.argument("gallery", type=remote.GALLERY)
FILTERS = click.argument("filters", nargs=-1, metavar="[FILTER]...")
JSON = click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
ABOUT_FILTERS = """
\b
FILTERs are words such as
  camera:gate  person:anna  modality:visible  tag:backpack  tracklet:t7
  after:2026-11-01  before:2026-12-01  on:2026-11-24
  in:FOLDER  source:FOLDER
"""


class _OfGallery(click.Group):
    command_class = OnGallery


@click.group(
    cls=_OfGallery,
    epilog=examples(
        "vireid gallery info site.gallery",
        "vireid gallery list site.gallery camera:gate after:2026-11-01",
        "vireid gallery remove site.gallery person:anna",
        "vireid gallery label site.gallery gate/1.jpg --person anna",
        "vireid gallery backup site.gallery site.zip",
        "vireid gallery move site.gallery milvus://127.0.0.1:19530/site",
        "vireid gallery list --gallery http://127.0.0.1:8750/site person:anna",
        "vireid gallery restore site.zip --gallery http://127.0.0.1:8750/site",
    ),
)
def gallery() -> None:
    """Look after a gallery: see what it holds, remove, label, check, back up, move."""


@gallery.command()
@GALLERY
@JSON
def info(gallery: "Address", as_json: bool) -> None:
    """Say what GALLERY holds: pictures, sources, cameras, people, days."""
    from vireid.gallery import Gallery
    from vireid.gallery.summary import Summary

    with Gallery.open(gallery) as opened:
        summary = Summary.of(opened)
    if as_json:
        console.answer(summary.as_dict())
    else:
        console.say(*summary.lines())


@gallery.command("list")
@ANY_GALLERY
@FILTERS
@click.option("--top", type=click.IntRange(min=1), default=50, show_default=True, help="Pictures.")
@JSON
def list_(gallery: "Address", filters: tuple[str, ...], top: int, as_json: bool) -> None:
    """List the pictures of GALLERY."""
    from vireid.gallery import Filters, Gallery

    if isinstance(gallery, str):
        pictures = remote.entries(gallery, filters)
        if as_json:
            console.answer([asdict(picture) for picture in pictures])
            return
        console.show(remote.table(pictures[:top]))
        if pictures[top:]:
            console.say(f"and {len(pictures) - top:,} more; ask for them with --top")
        return
    with Gallery.open(gallery) as opened:
        entries = opened.entries(Filters.from_words(filters))
        shown = list(entries) if as_json else list(islice(entries, top))
        more = 0 if as_json else sum(1 for _ in entries)
    if as_json:
        console.answer([entry.record.as_dict() for entry in shown])
        return
    console.show(_table(shown))
    if more:
        console.say(f"and {more:,} more; ask for them with --top")


def _table(entries: "list[Entry]") -> "Table":
    from rich.table import Table

    table = Table()
    for heading in ("person", "camera", "spectrum", "time", "picture"):
        table.add_column(heading)
    for entry in entries:
        record = entry.record
        time = f"{record.time:%Y-%m-%d %H:%M:%S}" if record.time else ""
        who = console.shortened("" if record.who is None else str(record.who))
        cells = (
            who,
            console.shortened(record.camera or ""),
            record.modality.value,
            time,
            record.shown(),
        )
        table.add_row(*map(console.plain, cells))
    return table


@gallery.command()
@ANY_GALLERY
@FILTERS
@click.option("--all", "everything", is_flag=True, help="Remove every picture.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--not-for-good",
    is_flag=True,
    help="Let `vireid index` add them again.  [default: they stay out]",
)
@JSON
def remove(
    gallery: "Address",
    filters: tuple[str, ...],
    everything: bool,
    yes: bool,
    not_for_good: bool,
    as_json: bool,
) -> None:
    """Remove pictures, and every trace of them, from GALLERY.

    Afterwards no vector, path or label of them is left in the gallery. Only the hash of each file
    is remembered, so that `vireid index` does not add it again. The files themselves stay.
    """
    from vireid.gallery import Filters, Gallery

    asked = Filters.from_words(filters)
    if not asked and not everything:
        raise VireidError("say what to remove by filters, such as camera:gate; or --all of it")
    if isinstance(gallery, str):
        _remove_remote(gallery, filters, yes=yes, as_json=as_json)
        return
    with Gallery.open(gallery) as opened:
        records = [entry.record for entry in opened.entries(asked)]
        if records and not yes:
            cameras = Counter(record.camera or "no camera" for record in records)
            of = ", ".join(
                f"{count} of {console.shortened(name)}" for name, count in cameras.most_common(5)
            )
            what = f"all {len(records)}" if len(records) == len(opened) else str(len(records))
            for record in records[:5]:
                console.remark(f"  {record.shown()}")
            _confirm(f"Remove {what} pictures of {gallery} ({of})?")
        removed = opened.remove(records, for_good=not not_for_good)
        try:
            opened.compact()
        except VireidError as error:
            what = f"{removed} pictures are removed, but their traces are still in the files"
            raise VireidError(f"{what}: {error}") from error
        left = len(opened)
    if as_json:
        console.answer({"removed": removed, "left": left})
    else:
        console.say(f"{removed} pictures removed, {left} are left")


def _remove_remote(address: str, filters: tuple[str, ...], *, yes: bool, as_json: bool) -> None:
    if not filters:
        raise VireidError("say what to remove by filters, such as camera:gate")
    pictures = remote.entries(address, filters)
    if pictures and not yes:
        for picture in pictures[:5]:
            console.remark(f"  {picture.name}")
        _confirm(f"Remove {len(pictures)} pictures of {address}?")
    done = remote.remove(address, filters, len(pictures))
    if as_json:
        console.answer(done)
    else:
        until = f"; can be undone until {done['undo_until']}" if done["undo_until"] else ""
        console.say(f"{done['removed']} pictures removed, {done['left']} are left{until}")


def _confirm(question: str, otherwise: str = "nothing was removed") -> None:
    try:
        sure = click.confirm(console.printable(question), err=True)
    except click.Abort as aborted:
        if isinstance(aborted.__context__, KeyboardInterrupt):
            raise
        raise VireidError(f"{otherwise}; say --yes where nobody can be asked") from None
    if not sure:
        raise VireidError(otherwise)


@gallery.command()
@GALLERY
@JSON
def readmit(gallery: "Address", as_json: bool) -> None:
    """Let what was removed from GALLERY in again."""
    from vireid.gallery import Gallery

    with Gallery.open(gallery) as opened:
        count = len(opened.removed())
        opened.readmit()
    if as_json:
        console.answer({"readmitted": count})
    else:
        console.say(f"{count} pictures are let in again; run `vireid index` to add them")


@gallery.command()
@ANY_GALLERY
@click.argument("pictures", type=click.Path(path_type=Path), nargs=-1)
@click.option("--person", help="Name or number of the person on them; '' for nobody known.")
@click.option("--tag", "tags", multiple=True, help="Tag to add; may be given several times.")
@click.option("--query", type=EXISTING_FILE, help="Picture whose hits PICTURES are.")
@click.option("--same/--different", "same", default=None, help="Whether QUERY shows this person.")
@click.option(
    "--from",
    "list_",
    type=EXISTING_FILE,
    metavar="CSV",
    help="List of pictures instead, with columns path, identity, tags.",
)
@JSON
def label(
    gallery: "Address",
    pictures: tuple[Path, ...],
    person: str | None,
    tags: tuple[str, ...],
    query: Path | None,
    same: bool | None,
    list_: Path | None,
    as_json: bool,
) -> None:
    """Say who is on PICTURES of GALLERY, or judge hits.

    With --query, PICTURES are hits of that picture, which are confirmed or rejected.
    What you say here stays when folders are indexed again. `vireid gallery export GALLERY hits.csv
    --judgements` writes what was confirmed and rejected, to learn from.

    With --from, a list says it of many: export one, correct it, and give it back.
    """
    from vireid.gallery import Gallery
    from vireid.gallery.labelling import judge, name, name_by_list

    if bool(pictures) == (list_ is not None):
        raise click.UsageError("Give PICTURES, or a list of them: --from CSV.")
    if list_ and (person is not None or tags or query):
        raise click.UsageError("The list says it all; leave the other options out.")
    if (query is None) != (same is None):
        raise click.UsageError("Give --query PICTURE with --same or --different.")
    if not list_ and query is None and person is None and not tags:
        raise click.UsageError("Say something: --person NAME, --tag TAG, or --query and --same.")
    skipped: list[str] = []
    if isinstance(gallery, str):
        if list_ or query:
            raise VireidError("lists and judgements are for galleries in folders; open that")
        names = [str(picture) for picture in pictures]
        count = remote.label(gallery, names, person, tags)
        if as_json:
            console.answer({"labelled": count})
        else:
            console.say(f"{count} pictures labelled")
        return
    with Gallery.open(gallery) as opened:
        if list_:
            labelled = name_by_list(opened, list_)
            count, skipped = (
                labelled.pictures,
                [f"{line.where}: {line.reason}" for line in labelled.unusable],
            )
        else:
            if query is not None and same is not None:
                judge(opened, query, pictures, same=same)
            count = name(opened, pictures, person, tags)
    if as_json:
        console.answer({"labelled": count, "skipped": skipped})
    else:
        console.remark(*skipped)
        left_out = f", {len(skipped)} lines of the list are left out" if skipped else ""
        console.say(f"{count} pictures labelled{left_out}")


@gallery.command()
@GALLERY
@click.option("--files/--no-files", default=True, help="Look at the files of the pictures too.")
@JSON
def check(gallery: "Address", files: bool, as_json: bool) -> None:
    """Look for damage in GALLERY, and for lost pictures.

    Everything is compared with its checksum, and the file of every picture is looked at.
    The exit status is 1 if anything is damaged, missing or has changed.
    """
    from vireid.gallery import Gallery
    from vireid.gallery.summary import Health

    with Gallery.open(gallery) as opened:
        health = Health.of(opened, files=files)
        count = len(opened)
    if as_json:
        console.answer(health.as_dict())
    else:
        sound = f"{gallery}: all {count} pictures are sound"
        console.say(*(health.lines() if not health.is_sound else [sound]))
    if health.damage:
        raise VireidError(f"{gallery} is damaged; restore a backup or index into another gallery")
    if not health.is_sound:
        raise VireidError(f"{gallery} is out of step with its files; run `vireid index` again")


@gallery.command()
@GALLERY
@JSON
def compact(gallery: "Address", as_json: bool) -> None:
    """Take what was removed or replaced out of all files."""
    from vireid.gallery import Gallery

    with Gallery.open(gallery) as opened:
        before = opened.size().bytes
        opened.compact()
        after = opened.size().bytes
    if as_json:
        console.answer({"bytes_before": before, "bytes": after})
    elif before is None or after is None:
        console.say(f"{gallery}: the server was asked to; it does not say how many bytes it takes")
    else:
        console.say(f"{gallery}: {before / 1e6:,.1f} MB before, {after / 1e6:,.1f} MB now")


@gallery.command()
@ANY_GALLERY
@click.argument("archive", type=TO_WRITE)
@JSON
def backup(gallery: "Address", archive: Path, as_json: bool) -> None:
    """Copy GALLERY, even while in use, into ARCHIVE (ZIP)."""
    if isinstance(gallery, str):
        count = remote.backup(gallery, archive)
    else:
        from vireid.gallery import Gallery

        with Gallery.open(gallery) as opened:
            count = opened.backup(archive)
    if as_json:
        console.answer({"archive": str(archive), "pictures": count})
    else:
        console.say(f"{archive}: {count} pictures; `vireid gallery restore` makes a gallery of it")


@gallery.command()
@click.argument("archive", type=EXISTING_FILE)
@click.argument("gallery", type=remote.GALLERY_TO_WRITE)
@click.option("--yes", is_flag=True, help="Do not ask, where a gallery of a service is replaced.")
@JSON
def restore(archive: Path, gallery: "Address", yes: bool, as_json: bool) -> None:
    """Make GALLERY, which must not exist yet, of ARCHIVE.

    A gallery that a service holds has to be there, and becomes what ARCHIVE holds.
    """
    if isinstance(gallery, str):
        if not yes:
            _confirm(f"Replace {remote.held(gallery)} pictures of {gallery}?", "nothing was done")
        count = remote.restore(archive, gallery)
    else:
        from vireid.gallery import Gallery

        with Gallery.restore(archive, gallery) as opened:
            count = len(opened)
    if as_json:
        console.answer({"gallery": str(gallery), "pictures": count})
    else:
        console.say(f"{gallery}: {count} pictures restored")


@gallery.command()
@GALLERY
@click.option(
    "--kind",
    type=click.Choice(["flat", "hnsw", "ivf"]),
    required=True,
    help="flat: exact. hnsw: a graph. ivf: cells.",
)
@click.option(
    "--queries",
    type=EXISTING,
    required=True,
    help="Folder of pictures such as GALLERY is searched with, by which it is measured.",
)
@click.option(
    "--effort",
    type=click.IntRange(1, 32_768),
    default=128,
    show_default=True,
    help="Candidates (hnsw) or cells (ivf) that a search looks at.",
)
@click.option(
    "--least",
    type=click.FloatRange(0, 1),
    default=0.95,
    show_default=True,
    help="Share of the ten best hits that has to be found; else the index stays exact.",
)
@click.option("--query-modality", type=MODALITIES, help="Spectrum of the queries.")
@JSON
def index(
    gallery: "Address",
    kind: "IndexKind",
    queries: Path,
    effort: int,
    least: float,
    query_modality: str | None,
    as_json: bool,
) -> None:
    """Choose how GALLERY on a server is searched, and measure what that misses.

    Search is exact unless you choose otherwise here. An approximate index is kept only if it finds
    enough of what exact search finds for your queries. Nobody can search while it is built.
    """
    from vireid.records import Modality
    from vireid.search.approximate import choose_index

    spectrum = Modality(query_modality) if query_modality else None
    chosen = choose_index(
        gallery, kind, queries, effort=effort, least=least, query_modality=spectrum
    )
    if as_json:
        console.answer(asdict(chosen))
    else:
        console.say(f"{gallery}: {chosen.in_words()}")
    if not chosen.kept:
        raise VireidError(
            f"{gallery} stays exact, as {kind} found {chosen.recall[10]:.1%} of the ten best hits; "
            "give more --effort, or less as --least"
        )


@gallery.command()
@GALLERY
@click.argument("target", type=A_GALLERY_TO_WRITE)
@click.option("--keep", is_flag=True, help="Leave GALLERY where it is, too.")
@click.option(
    "--storage",
    type=click.Choice(["float32", "float16"]),
    help="Number format of the vectors in TARGET.  [default: as in GALLERY; float32 on a server]",
)
@JSON
def move(
    gallery: "Address", target: "Address", keep: bool, storage: "Storage | None", as_json: bool
) -> None:
    """Move GALLERY to TARGET: into a folder, or to a server.

    Pictures, labels, notes, model and vectors are read back and compared; only then GALLERY goes.
    An interrupted command goes on where it stopped. A server is written milvus://HOST:PORT/NAME.
    """
    from vireid.gallery.moving import move as moved

    done = moved(gallery, target, keep=keep, storage=storage)
    if as_json:
        console.answer(asdict(done))
    else:
        left = "stays" if keep else "is gone"
        console.say(
            f"{target}: {done.pictures:,} pictures, all equal to those of {gallery}, which {left} "
            f"(vectors {done.vectors})"
        )


@gallery.command()
@GALLERY
@click.argument("table", type=TO_WRITE)
@FILTERS
@click.option("--vectors/--no-vectors", default=None, help="[default: not in CSV files]")
@click.option("--judgements", is_flag=True, help="Write what was said of hits instead (CSV).")
@JSON
def export(
    gallery: "Address",
    table: Path,
    filters: tuple[str, ...],
    vectors: bool | None,
    judgements: bool,
    as_json: bool,
) -> None:
    """Write records and vectors to TABLE: .csv, .parquet, .npz.

    `vireid index` reads the CSV file again.
    """
    from vireid.gallery import Filters, Gallery
    from vireid.gallery import exporting as tables

    with_vectors = table.suffix.lower() != ".csv" if vectors is None else vectors
    with Gallery.open(gallery) as opened:
        if judgements:
            count = tables.export_judgements(opened.judgements(), table)
        else:
            asked = Filters.from_words(filters)
            count = tables.export(opened, table, asked, vectors=with_vectors)
    if as_json:
        console.answer({"table": str(table), "rows": count})
    else:
        console.say(f"{table}: {count} rows")


@gallery.command()
@GALLERY
@click.option("--model", required=True, help="Model to embed with.")
@click.option("--prune", is_flag=True, help="Remove pictures that can no longer be read.")
@TRUST_CODE
@JSON
def reindex(gallery: "Address", model: str, prune: bool, trust_code: bool, as_json: bool) -> None:
    """Embed all pictures of GALLERY by another model.

    Until all are embedded it answers by its old model, then by the new one. An interrupted command
    goes on where it stopped.
    """
    from vireid.gallery import Gallery
    from vireid.models.embedder import Embedder
    from vireid.search import reindexing

    with Gallery.open(gallery) as opened:
        embedder = Embedder.open(model, trust_code=trust_code)
        done = reindexing.reindex(opened, embedder, prune=prune)
    if as_json:
        removed = [{"where": str(bad.path), "reason": bad.reason} for bad in done.removed]
        console.answer({"embedded": done.embedded, "removed": removed})
    else:
        console.say(f"{gallery}: {done.embedded} pictures embedded by model {embedder.card.name}")


@gallery.command()
@GALLERY
@JSON
def migrate(gallery: "Address", as_json: bool) -> None:
    """Bring a GALLERY of an earlier version up to date."""
    from vireid.gallery import Gallery

    with Gallery.open(gallery) as opened:
        opened.migrate()
        count = len(opened)
    if as_json:
        console.answer({"pictures": count})
    else:
        console.say(f"{gallery}: {count} pictures are in today's format")


@gallery.command()
@GALLERY
@click.argument("age", required=False)
@JSON
def keep(gallery: "Address", age: str | None, as_json: bool) -> None:
    """Keep pictures for AGE: 30d, 12w or forever.

    `vireid index` removes older ones, and adds none that is older. A picture's time counts, or else
    the last change of its file. Without AGE, say how long pictures are kept.
    """
    from vireid.gallery import Gallery

    with Gallery.open(gallery) as opened:
        if age is not None:
            opened.keep = age_of(age)
        kept = opened.keep
    if as_json:
        console.answer({"keep_days": kept and kept / timedelta(days=1)})
    else:
        console.say(f"{gallery} keeps pictures {f'{kept.days} days' if kept else 'for ever'}")


for command in (list_, remove, export):
    command.help = f"{cleandoc(command.help or '')}\n{ABOUT_FILTERS}"
