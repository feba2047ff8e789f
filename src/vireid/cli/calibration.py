"""The command calibrate."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vireid import console
from vireid.cli.options import (
    A_GALLERY,
    ROOT,
    TO_WRITE,
    TRUST_CODE,
    VALIDATION_DATA,
    examples,
)
from vireid.errors import VireidError

if TYPE_CHECKING:
    from vireid.gallery.store import Address


@click.command(
    epilog=examples(
        "vireid calibrate runs/agw_sysu-1                      on its validation people",
        "vireid calibrate stripes --data folder --root people --gallery site.gallery",
        "vireid calibrate --judgements site.gallery            on its confirmed and rejected hits",
    ),
)
@click.argument("model", required=False)
@VALIDATION_DATA
@ROOT
@click.option("--gallery", type=A_GALLERY, help="Keep it in this gallery, not beside MODEL.")
@click.option(
    "--judgements",
    type=A_GALLERY,
    metavar="GALLERY",
    help="Learn from the confirmed and rejected hits of GALLERY, and keep it there.",
)
@click.option("--out", type=TO_WRITE, help="File.  [default: calibration.json beside MODEL]")
@TRUST_CODE
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def calibrate(
    model: str | None,
    data: str | None,
    root: Path | None,
    gallery: "Address | None",
    judgements: "Address | None",
    out: Path | None,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Find out what similarities of MODEL are worth: the chance of the same person.

    It is learnt on people whom MODEL has not learnt from and is not scored on: the validation
    people of a data set, or a folder of your own. Then `vireid search` and `vireid verify` give
    chances, and searches say how likely nobody in the gallery is the person.
    """
    import msgspec

    from vireid.models import calibration
    from vireid.models.opening import calibration_file
    from vireid.scoring.calibrating.learning import calibrate_model
    from vireid.scoring.calibrating.table import table
    from vireid.search import gallery_calibration

    if (model is None) == (judgements is None):
        raise click.UsageError("Give a MODEL, or a gallery with judged hits: --judgements GALLERY.")
    if judgements is not None:
        if data or root or out or gallery:
            raise click.UsageError("--judgements says it all; leave the other options out.")
        place = str(judgements)
        found = gallery_calibration.learn_from_judgements(judgements, trust_code=trust_code)
    else:
        place = str(gallery or out or calibration_file(str(model)))
        found = calibrate_model(str(model), data, root, trust_code=trust_code)
        if gallery:
            gallery_calibration.keep(gallery, found)
        else:
            calibration.write(Path(place), found)
    if not found.directions:
        raise VireidError(f"{place} knows no direction")
    if as_json:
        console.answer(msgspec.to_builtins(found))
    else:
        console.show(table(found))
        console.say(f"kept in {place}")
