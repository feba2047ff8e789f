"""Commands that search: index, search."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import click

from vireid import console
from vireid.cli import remote
from vireid.cli.bulk import GPUS, RAY, WORKERS, cluster_of
from vireid.cli.detector import CARD
from vireid.cli.options import (
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
from vireid.cli.remote import GALLERY
from vireid.errors import VireidError
from vireid.types.engine_options import BATCH, Engine

if TYPE_CHECKING:
    from rich.table import Table

    from vireid.gallery.store import Address
    from vireid.search.answers import Answer


@click.command(
    epilog=examples(
        "vireid index photos --out site.gallery --modality visible --camera gate",
        "vireid index people.csv --out site.gallery   columns: path,modality,camera,identity",
        "vireid index photos --out http://127.0.0.1:8750/site     send them to a service",
        "vireid index photos --out milvus://127.0.0.1:19530/site  into a gallery on a server",
        "vireid index visible/gate.mp4 --detector yolox_tiny --rate 10 --out site.gallery",
        "vireid index /shared/photos --out site.gallery --ray 10.0.0.5:6379    by a cluster",
    ),
)
@click.argument("source", type=EXISTING)
@click.option(
    "--out",
    "--gallery",
    "out",
    required=True,
    help="Gallery to create or to add to: a folder, milvus://HOST:PORT/NAME, or the address of one "
    "that a service holds.",
)
@click.option(
    "--model",
    help="Model to embed with: a run, an exported model, duo, stripes_learnt, small, or "
    "original:RUN, the CLIP that RUN began with.  [default: the gallery's; duo for a "
    "new one]",
)
@click.option(
    "--modality",
    type=click.Choice(["visible", "infrared", "auto"]),
    help="Spectrum of all pictures in SOURCE; with --detector, auto tells it by colours.",
)
@click.option("--camera", help="Camera of all pictures in SOURCE.")
@click.option(
    "--detector",
    help="SOURCE is a video or a folder of frames: cut people out first, found by this ONNX file "
    "or detector of `vireid detector list`.",
)
@CARD
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="With --detector: look at at most so many frames a second.",
)
@click.option("--start", help="With --detector: time of the first frame, 2026-11-24T18:30:00.")
@click.option(
    "--crops",
    type=TO_WRITE,
    help="With --detector: folder for crops.  [default: beside the gallery, as NAME.crops]",
)
@click.option(
    "--time-pattern",
    help="Times in the names of files, such as %Y%m%d_%H%M%S; remembered for SOURCE.  [default: "
    "what the list or the picture says]",
)
@click.option(
    "--keep",
    help="Age from which pictures are removed, now and by every later index: 30d, 12w, forever.",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Remove the pictures that are gone even if that is more than half of SOURCE.",
)
@click.option(
    "--engine",
    type=click.Choice(get_args(Engine)),
    help="What computes the model's networks.  [default: what its card or VIREID_ENGINE names]",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Of the model.  [default: one a core; with --ray one a worker]",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=BATCH,
    show_default=True,
    help="Pictures that go through the model together.",
)
@RAY
@WORKERS
@GPUS
@TRUST_CODE
@click.option("--strict", is_flag=True, help="Exit with an error if any picture was skipped.")
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def index(
    source: Path,
    out: str,
    model: str | None,
    modality: str | None,
    camera: str | None,
    time_pattern: str | None,
    keep: str | None,
    prune: bool,
    engine: Engine | None,
    threads: int | None,
    batch: int,
    ray: str | None,
    workers: int | None,
    gpus: float | None,
    trust_code: bool,
    strict: bool,
    as_json: bool,
    **cutting: Any,
) -> None:
    """Put pictures into a gallery, or keep it in step with them.

    What is new or has changed is added; what was renamed or moved keeps its place; what is gone is
    removed, unless more than half of SOURCE is gone, as when a drive is not mounted.

    SOURCE is a folder or a CSV file. Spectrum, camera and identity are taken from the names of
    folders (visible, infrared, cam1, 0012) or from columns; the options above all of these.

    With --detector, SOURCE is a video or frames: people are cut out as by `vireid cut`, which has
    more options, and indexed. The same command goes on where either was stopped.

    With --ray, workers on a cluster do the work, and the gallery becomes the same. Every node has
    to see SOURCE under the same path.
    """
    from vireid.client import is_address
    from vireid.datasets._times import TimePattern
    from vireid.models.engines import Running
    from vireid.records import Modality
    from vireid.search import folder_indexing

    if is_address(out):
        own = (model, engine, threads, time_pattern, keep, prune, ray, workers, gpus)
        if any(own) or any(cutting.values()):
            raise VireidError("the service has a model and times of its own; leave the options out")
        _send(source, out, modality, camera, strict=strict, as_json=as_json)
        return
    cluster = cluster_of(ray, workers, threads, gpus, engine)
    place = A_GALLERY_TO_WRITE.convert(out, None, None)
    if time_pattern is not None:
        TimePattern(time_pattern)  # what is wrong with it is told before a model is opened
    if cutting["detector"] is not None:
        spread = {"ray": ray, "workers": workers, "threads": threads}
        source = _cut_out(source, place, modality, camera, {**cutting, **spread})
        modality = camera = None  # the list of crops says them
    elif modality == "auto" or any(cutting.values()):
        raise click.UsageError("auto, --card, --rate, --start and --crops belong to --detector.")
    spectrum = Modality(modality) if modality else None
    report = folder_indexing.index(
        source,
        place,
        model,
        spectrum,
        camera,
        time_pattern=time_pattern,
        keep=... if keep is None else age_of(keep),
        prune=prune,
        running=Running(engine, threads, batch),
        trust_code=trust_code,
        cluster=cluster,
    )
    if as_json:
        console.answer(report.as_dict())
    else:
        console.say(*report.as_text().split("\n"))
    for doubt in report.doubts:
        console.remark(f"vireid: {doubt}", colour="yellow")
    if not any(report.pictures.values()):
        raise VireidError(f"no picture could be used, {out} is empty; mend them and do it again")
    if strict and report.skipped:
        raise VireidError(f"{len(report.skipped)} pictures were skipped; mend or remove them")


def _send(
    source: Path,
    address: str,
    modality: str | None,
    camera: str | None,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    ids, skipped = remote.index(source, address, modality, camera)
    if as_json:
        console.answer({"gallery": address, "added": len(ids), "skipped": skipped})
    else:
        console.remark(*(f"  skipped {why}" for why in skipped))
        console.say(f"{address}: {len(ids)} pictures added, {len(skipped)} skipped")
    if strict and skipped:
        raise VireidError(f"{len(skipped)} pictures were skipped; mend or remove them")


def _cut_out(
    source: Path, out: "Address", modality: str | None, camera: str | None, asked: dict[str, Any]
) -> Path:
    """Cut the people of a video out, and return their list."""
    from vireid.cli.cutting import cutter_of, time_of
    from vireid.video import cut_list, people, source_labels
    from vireid.video.frames import Sampling, open_sources

    if not asked["crops"] and not isinstance(out, Path):
        raise click.UsageError("The gallery is on a server; say by --crops where crops go.")
    crops = asked["crops"] or Path(str(out)).with_suffix(".crops")
    opened = open_sources(str(source), start=time_of(asked["start"]))
    names = source_labels.names_of(opened, cut_list.names_in(crops))
    spectrum = cast(source_labels.Spectrum | None, modality)
    sampling = Sampling(rate=asked["rate"])
    wishes = (
        people.Wishes(*source_labels.labels_of(each, spectrum, camera), sampling=sampling)
        for each in opened
    )
    with cutter_of(crops, asked, len(opened)) as cutter:
        for cut in cutter(list(map(people.Job, opened, wishes, names))):
            console.remark(
                f"{cut.source}: {cut.tracklets} people, {len(cut.rows)} crops in {crops}"
            )
    return crops / cut_list.LIST


@click.command(
    cls=OnGallery,
    epilog=examples(
        "vireid search site.gallery night.jpg --query-modality infrared --top 5",
        "vireid search site.gallery infrared/night.jpg camera:gate after:2026-11-24",
        "vireid search site.gallery infrared/a.jpg infrared/b.jpg --combine best --sheet hits.png",
        "vireid search site.gallery infrared/unknown --by person --sheet sheets   a folder",
        'vireid search site.gallery --text "a person with a backpack"    if its model reads text',
        "vireid search --gallery http://127.0.0.1:8750/site night.jpg --query-modality infrared",
    ),
)
@click.argument("gallery", type=GALLERY)
@click.argument("pictures", metavar="[PICTURE|FILTER]...", nargs=-1)
@click.option("--text", help="A sentence in English in place of PICTURE, if the model reads text.")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Answers.")
@click.option("--query-modality", type=MODALITIES, help="Spectrum of PICTURE.")
@click.option("--identity", type=int, help="Of the person, to mark right answers.")
@click.option(
    "--modality",
    type=click.Choice(["visible", "infrared", "both"]),
    help="Spectrum to search in.  [default: the one that PICTURE is not of; for --text both]",
)
@click.option("--camera", help="Only hits of this camera.")
@click.option(
    "--min-similarity",
    type=click.FloatRange(-1, 1),
    help="Only hits at least so similar; none may be left.",
)
@click.option(
    "--combine",
    "combined",
    type=click.Choice(["mean", "best"]),
    default="mean",
    show_default=True,
    help="What counts of several PICTURES: their mean, or the best similarity.",
)
@click.option(
    "--by",
    type=click.Choice(["person", "tracklet"]),
    help="Show only the best hit of each person; or answer with tracklets, frames inside.",
)
@click.option(
    "--frames",
    type=click.Choice(["mean", "quality", "best"]),
    default="mean",
    show_default=True,
    help="With --by tracklet: what counts of it: the mean of its frames, the same by score and "
    "sharpness as `vireid cut` lists them, or the best frame.",
)
@click.option(
    "--centre",
    "centred",
    is_flag=True,
    help="Subtract what all pictures of a camera share; needs 20 of PICTURE's spectrum in GALLERY.",
)
@click.option(
    "--expand",
    type=click.IntRange(0, 100),
    default=0,
    metavar="HITS",
    help="Search again for PICTURE together with its best HITS; such hits carry no chance.",
)
@click.option(
    "--re-rank",
    type=click.IntRange(0, 2000),
    default=0,
    metavar="HITS",
    help="Order the best HITS anew, by who is whose neighbour (k-reciprocal).",
)
@click.option("--model", help="Model to embed with.  [default: the gallery's]")
@TRUST_CODE
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
@click.option("--sheet", type=TO_WRITE, help="Contact sheet (PNG) to write; a folder for many.")
def search(
    gallery: "Address",
    pictures: tuple[str, ...],
    min_similarity: float | None,
    expand: int,
    re_rank: int,
    as_json: bool,
    sheet: Path | None,
    **asked: Any,
) -> None:
    """Find the person of PICTURES in GALLERY, or whoever a sentence describes.

    Several PICTURES are of one person and count together. Of a folder, each picture is a question
    of its own. The spectrum of PICTURE is taken from the names of folders it lies in, or from the
    option. GALLERY is a folder, on a server (milvus://HOST:PORT/NAME), or the address of one that a
    service holds: http://HOST:PORT/NAME.
    FILTERs are words such as camera:gate, after:2026-11-01, before:, on:, person:anna,
    tag:backpack, tracklet:, in:FOLDER, source:FOLDER.
    """
    from vireid.gallery import Filters
    from vireid.gallery.filters import is_filter

    words = [word for word in pictures if not Path(word).exists() and is_filter(word)]
    paths = [Path(word) for word in pictures if word not in words]
    if absent := [path for path in paths if not path.exists()]:
        raise click.UsageError(f"{absent[0]} is no file, and no filter such as camera:gate.")
    if bool(paths) == (asked["text"] is not None):
        raise click.UsageError("Give a PICTURE or a sentence (--text), one of them.")
    if isinstance(gallery, str):
        if sheet:
            raise VireidError("a sheet is for galleries in folders; leave --sheet out")
        told = remote.search(gallery, paths, words, {**asked, "min_similarity": min_similarity})
        _show(*told, as_json=as_json)
        return
    filters = Filters.from_words(words)
    if min_similarity is not None:
        filters = replace(filters, min_similarity=min_similarity)
    from vireid.search import answers, searcher
    from vireid.search.ranking import Ranking

    ranking = Ranking(expanded=expand, re_ranked=re_rank)
    found = searcher.search(gallery, paths, filters=filters, ranking=ranking, **asked)
    if sheet:
        _write_sheets(found, sheet, one=len(paths) != 1 or not paths[0].is_dir())
    whole = [answer.as_dict() for answer in found]
    one = len(paths) != 1 or not paths[0].is_dir()
    document = whole[0] if one else {"schema": answers.SCHEMA, "answers": whole}
    _show(document, found[0].caveats, *(answer.as_table() for answer in found), as_json=as_json)


def _show(document: dict[str, Any], caveats: list[str], *tables: "Table", as_json: bool) -> None:
    for caveat in caveats:
        console.remark(f"vireid: {caveat}", colour="yellow")
    if as_json:
        console.answer(document)
    else:
        console.show(*tables)


def _write_sheets(found: "list[Answer]", path: Path, *, one: bool) -> None:
    from vireid.records import ImageRecord
    from vireid.reports import contact_sheet

    for number, answer in enumerate(found, 1):
        note = f"similarities of model {answer.model.name}; a hit is no identification: look at it"
        note = "\n".join([note, *filter(None, [answer.nobody_in_words]), *answer.caveats])
        drawn = contact_sheet.compose(answer.query, answer.hits, answer.title, note)
        asked = answer.query
        name = asked.path.stem if isinstance(asked, ImageRecord) else "query"
        contact_sheet.save(drawn, path if one else path / f"{number:04}-{name}.png")


@click.command(
    epilog=examples(
        "vireid verify visible/day.jpg infrared/night.jpg",
        "vireid verify a.jpg b.jpg --modality visible --modality infrared --model runs/mun-1",
    ),
)
@click.argument("first", type=EXISTING_FILE)
@click.argument("second", type=EXISTING_FILE)
@click.option("--model", default="duo", show_default=True, help="Model to embed with.")
@click.option(
    "--modality",
    "modalities",
    type=MODALITIES,
    multiple=True,
    help="Spectrum of both, or given twice, of FIRST and of SECOND.  [default: as folders say]",
)
@TRUST_CODE
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def verify(
    first: Path,
    second: Path,
    model: str,
    modalities: tuple[str, ...],
    trust_code: bool,
    as_json: bool,
) -> None:
    """Say how likely two pictures show one person.

    The chance holds if that was as likely as not before, and for pictures like those that the model
    was calibrated on. Without a calibration (`vireid calibrate`) there is a similarity from -1 to 1
    only: compare it with those of the same model between the same two spectra.
    """
    from vireid.models.embedder import Embedder
    from vireid.records import ImageRecord
    from vireid.search.queries import understood
    from vireid.search.verification import verified

    if len(modalities) > 2:
        raise click.UsageError("Give --modality once or twice.")
    spectra = modalities * 2 if len(modalities) == 1 else modalities or (None, None)
    pairs = zip((first, second), spectra, strict=True)
    queries = [cast(ImageRecord, understood(*pair)) for pair in pairs]
    embedder = Embedder.open(model, trust_code=trust_code)
    found = verified(queries[0], queries[1], embedder)
    if as_json:
        console.answer(found.as_dict())
        return
    for caution in found.cautions:
        console.remark(f"vireid: {caution}", colour="yellow")
    console.say(found.in_words())
