"""Commands that search: index, search."""

from pathlib import Path
from typing import Any

import click

from vireid import console
from vireid.cli.options import EXISTING, EXISTING_FILE, MODALITIES, TO_WRITE, TRUST_CODE, examples
from vireid.errors import VireidError


@click.command(
    epilog=examples(
        "vireid index photos --out site.gallery --modality visible --camera gate",
        "vireid index people.csv --out site.gallery   columns: path,modality,camera,identity",
    ),
)
@click.argument("source", type=EXISTING)
@click.option("--out", type=TO_WRITE, required=True, help="Gallery to create or to add to.")
@click.option(
    "--model",
    help="Model to embed with: a run, an exported model, small, or original:RUN, the CLIP that RUN "
    "began with.  [default: the gallery's; small for a new one]",
)
@click.option("--modality", type=MODALITIES, help="Spectrum of all pictures in SOURCE.")
@click.option("--camera", help="Camera of all pictures in SOURCE.")
@click.option(
    "--prune",
    is_flag=True,
    help="Remove the pictures that are gone even if that is more than half of SOURCE.",
)
@TRUST_CODE
@click.option("--strict", is_flag=True, help="Exit with an error if any picture was skipped.")
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def index(
    source: Path,
    out: Path,
    model: str | None,
    modality: str | None,
    camera: str | None,
    prune: bool,
    trust_code: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Put pictures into a gallery, or keep it in step with them.

    What is new or has changed is added; what was renamed or moved keeps its place; what is gone is
    removed, unless more than half of SOURCE is gone, as when a drive is not mounted.

    SOURCE is a folder or a CSV file. Spectrum, camera and identity are taken from the names of
    folders (visible, infrared, cam1, 0012) or from columns; the options above all of these.
    """
    from vireid.records import Modality
    from vireid.search import answers

    spectrum = Modality(modality) if modality else None
    report = answers.index(source, out, model, spectrum, camera, prune=prune, trust_code=trust_code)
    if as_json:
        console.answer(report.as_dict())
    else:
        console.say(*report.as_text().split("\n"))
    if not any(report.pictures.values()):
        raise VireidError(f"no picture could be used, {out} is empty; mend them and do it again")
    if strict and report.skipped:
        raise VireidError(f"{len(report.skipped)} pictures were skipped; mend or remove them")


@click.command(
    epilog=examples(
        "vireid search site.gallery night.jpg --query-modality infrared --top 5",
        "vireid search site.gallery infrared/night.jpg --sheet hits.png",
        "vireid search site.gallery visible/day.jpg --modality both --camera gate --json",
        'vireid search site.gallery --text "a person with a backpack"    if its model reads text',
    ),
)
@click.argument("gallery", type=EXISTING)
@click.argument("picture", type=EXISTING_FILE, required=False)
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
@click.option("--model", help="Model to embed with.  [default: the gallery's]")
@TRUST_CODE
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
@click.option("--sheet", type=TO_WRITE, help="Contact sheet (PNG) to write.")
def search(
    gallery: Path, picture: Path | None, as_json: bool, sheet: Path | None, **asked: Any
) -> None:
    """Find the person of PICTURE in GALLERY, or whoever a sentence describes.

    The spectrum of PICTURE is taken from the names of folders it lies in, or from the option.
    """
    if (picture is None) == (asked["text"] is None):
        raise click.UsageError("Give a PICTURE or a sentence (--text), one of them.")
    from vireid.reports import contact_sheet
    from vireid.search import answers

    answer = answers.search(gallery, picture, **asked)
    if answer.caveat:
        console.remark(f"vireid: {answer.caveat}", colour="yellow")
    if sheet:
        composed = contact_sheet.compose(answer.query, answer.hits, answer.title)
        contact_sheet.save(composed, sheet)
    if as_json:
        console.answer(answer.as_dict())
    else:
        console.show(answer.as_table())
