"""Commands about detectors: detector list, detector get, detector check."""

import time
from dataclasses import asdict
from pathlib import Path

import click

from vireid import console
from vireid.cli.options import EXISTING_FILE, MODALITIES, TO_WRITE, examples
from vireid.errors import VireidError

JSON = click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
CARD = click.option(
    "--card",
    help="Card of the file: a name of `vireid detector list`, or a TOML file.  [default: the one "
    "beside the file (x.toml for x.onnx), or the one of its name or content]",
)
TILES = click.option(
    "--tiles",
    default="1x1",
    show_default=True,
    metavar="CxR",
    help="Look at so many columns and rows of tiles as well, for people who are small; 2x2 takes "
    "five times as long.",
)


def tiles_of(text: str) -> tuple[int, int]:
    """Read what `--tiles` says.

    Raises:
        VireidError: It is nothing like 2x2.
    """
    columns, _, rows = text.lower().partition("x")
    if not (columns.isascii() and rows.isascii() and columns.isdigit() and rows.isdigit()):
        raise VireidError(f"--tiles {text!r} is nothing like 2x2: columns, x, rows")
    if not (1 <= int(columns) <= 8 and 1 <= int(rows) <= 8):
        raise VireidError(f"--tiles {text} has to be from 1x1 to 8x8")
    return int(columns), int(rows)


@click.group(
    epilog=examples(
        "vireid detector list                        what there are cards for",
        "vireid detector get yolox_tiny              fetch its file (20 MB)",
        "vireid detector check yolox_tiny --picture street.jpg --sheet boxes.png",
        "vireid detector check mine.onnx --card rf_detr_nano",
        "vireid cut gate.mp4 --detector yolox_tiny --out people",
    )
)
def detector() -> None:
    """Look after detectors, which find the people in frames and videos.

    A detector is an ONNX file with a card, a small TOML file that says what it expects and answers.
    vireid holds cards and no weights; you fetch or export the file.
    """


@detector.command(name="list")
@JSON
def list_(as_json: bool) -> None:
    """List the detectors that vireid has cards for, and which files are there."""
    from vireid.video import detector_cards

    found = {name: detector_cards.shipped(name) for name in detector_cards.available()}
    if as_json:
        console.answer(
            {
                name: {**asdict(card), "file": str(detector_cards.place_of(name))}
                for name, card in found.items()
            }
        )
        return
    from rich.table import Table

    table = Table("detector", "what it is", "licence", "file", box=None)
    for name, card in found.items():
        can_be_fetched = "vireid detector get" if card.origin.url else "to be made"
        there = "there" if detector_cards.place_of(name).is_file() else can_be_fetched
        table.add_row(*map(console.plain, (name, card.title, card.origin.licence, there)))
    console.show(table)
    console.say("", "How one is made: vireid detector get NAME says it.")


@detector.command()
@click.argument("name")
@click.option("--out", type=TO_WRITE, help="File to write.  [default: vireid's cache]")
def get(name: str, out: Path | None) -> None:
    """Fetch the file of the detector NAME from its authors, and compare its hash.

    Where there is no network, the error says which file to put where.
    """
    from vireid.video import detector_cards

    place = detector_cards.get(name, out)
    card = detector_cards.shipped(name)
    console.say(f"{place}: {card.title}; licence {card.origin.licence}, {card.origin.page}")


@detector.command()
@click.argument("source", metavar="FILE|NAME")
@CARD
@click.option("--picture", type=EXISTING_FILE, help="Frame to find people in.")
@click.option(
    "--modality", type=MODALITIES, default="visible", show_default=True, help="Its spectrum."
)
@TILES
@click.option("--sheet", type=TO_WRITE, help="Picture (PNG) to write, with the boxes drawn.")
@JSON
def check(
    source: str,
    card: str | None,
    picture: Path | None,
    modality: str,
    tiles: str,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Say whether a detector and its card fit, and find the people in a picture."""
    import numpy as np

    from vireid.pictures import read_picture
    from vireid.records import Modality
    from vireid.video import box_sheets as sheets
    from vireid.video.detector import Detector

    if sheet and not picture:
        raise click.UsageError("--sheet needs --picture, a frame to draw the boxes on.")
    opened = Detector.open(source, card)
    frame = np.asarray(read_picture(picture)) if picture else np.full((480, 640, 3), 114, np.uint8)
    began = time.perf_counter()
    people = opened(frame, Modality(modality), tiles_of(tiles))
    seconds = time.perf_counter() - began
    if sheet:
        sheets.save(sheets.drawn(frame, people), sheet)
    if as_json:
        found = [{"box": list(each.sides), "score": each.score} for each in people]
        console.answer({"title": opened.card.title, "seconds": seconds, "people": found})
        return
    size = f"{opened.card.input.width} x {opened.card.input.height}"
    console.say(f"{source} fits its card: {opened.card.title}; it looks at {size} pixels")
    console.say(
        f"{len(people)} people in {seconds:.2f} s" if picture else f"{seconds:.2f} s a frame"
    )
    for each in people:
        left, top, right, bottom = map(round, each.sides)
        told = f"box {left},{top},{right},{bottom}, {bottom - top} pixels high"
        console.say(f"  {told}, score {each.score:.2f}")
