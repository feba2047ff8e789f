"""The command that follows a camera: watch."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vireid import console
from vireid.cli.detector import CARD, TILES, tiles_of
from vireid.cli.options import (
    A_GALLERY_TO_WRITE,
    MIN_HEIGHT,
    TO_WRITE,
    TRUST_CODE,
    age_of,
    examples,
)
from vireid.errors import Interrupted, VireidError

if TYPE_CHECKING:
    from vireid.gallery.store import Address
    from vireid.search.watching import Watch
    from vireid.video.detector import Detector
    from vireid.video.people import Wishes


@click.command(
    epilog=examples(
        "vireid watch rtsp://gate/stream --modality auto --detector yolox_tiny \\",
        "    --gallery site.gallery --out crops --camera gate --rate 5 --keep 30d",
        "vireid watch incoming/visible --gallery site.gallery    cut-outs that arrive in a folder",
    )
)
@click.argument("source")
@click.option(
    "--gallery", type=A_GALLERY_TO_WRITE, required=True, help="Gallery to create or to add to."
)
@click.option("--out", type=TO_WRITE, help="Folder for crops; needed with --detector.")
@click.option("--detector", help="What finds people: an ONNX file, or a detector's name.")
@CARD
@click.option(
    "--modality",
    type=click.Choice(["visible", "infrared", "auto"]),
    help="Spectrum of SOURCE; auto tells it by colours.  [default: as its folders say]",
)
@click.option("--camera", help="Name of the camera.  [default: as folders say, or SOURCE's]")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Frames a second that people are looked for in.",
)
@TILES
@MIN_HEIGHT
@click.option("--model", help="Model to embed with.  [default: the gallery's; duo for a new one]")
@click.option("--keep", help="Age from which pictures and crops are removed: 30d, 12w, forever.")
@click.option("--seconds", type=click.FloatRange(0), help="End after so many seconds.")
@TRUST_CODE
def watch(source: str, gallery: "Address", **asked: Any) -> None:
    """Put the people before a camera into a gallery as they come, until Ctrl-C.

    SOURCE is an address (rtsp://…) or a folder in which pictures arrive. With --detector they are
    frames, and people are cut out of them; without it they are cut-outs. A stream that is lost is
    opened again. Run one process a camera; several may fill one gallery.
    """
    from vireid.video.frames import STREAM

    if asked["detector"] and not asked["out"]:
        raise click.UsageError("--detector needs --out, a folder for the crops.")
    if not STREAM.match(source) and not Path(source).exists():
        raise VireidError(f"{source} is not there; give an address or a folder")
    started = _started(source, gallery, asked)
    try:
        if Path(source).is_dir():
            started.folder(Path(source))
        else:
            started.stream(source)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; {_told(started)}; the same command goes on") from None
    finally:
        started.gallery.close()
    console.say(_told(started))


def _started(source: str, gallery: "Address", asked: dict[str, Any]) -> "Watch":
    from vireid.search import opening
    from vireid.search.watching import Watch
    from vireid.video.detector import Detector

    detector = Detector.open(asked["detector"], asked["card"]) if asked["detector"] else None
    camera, wishes = _wishes(source, asked, detector)
    embedder, opened = opening.open_or_create(gallery, asked["model"], asked["trust_code"])
    if asked["keep"] is not None:
        opened.keep = age_of(asked["keep"])
    return Watch(
        embedder,
        opened,
        asked["out"] or Path(),
        camera,
        wishes,
        detector,
        lambda line: console.say(f"{datetime.now():%H:%M:%S} {line}"),
        asked["seconds"],
    )


def _wishes(
    source: str, asked: dict[str, Any], detector: "Detector | None"
) -> "tuple[str, Wishes]":
    """Return the name of the camera, and how people are cut out."""
    from vireid.records import Modality
    from vireid.video import source_labels
    from vireid.video.frames import Folder, Sampling, Video
    from vireid.video.people import Wishes

    place = Path(source)
    opened = Folder(place, ()) if place.is_dir() else Video(source)
    modality, camera = None, asked["camera"]
    if detector is not None:
        modality, camera = source_labels.labels_of(opened, asked["modality"], camera)
    elif asked["modality"] == "auto":
        raise click.UsageError("--modality auto needs a --detector; folders say what cut-outs are.")
    elif asked["modality"]:
        modality = Modality(asked["modality"])
    if detector is not None:  # cut-outs may be of several cameras, as their folders say
        camera = camera or opened.name
    wishes = Wishes(
        modality,
        camera,
        Sampling(rate=asked["rate"]),
        tiles_of(asked["tiles"]),
        least_height=asked["min_height"],
    )
    return camera or opened.name, wishes


def _told(started: "Watch") -> str:
    counts = {name.replace("_", " "): n for name, n in asdict(started.counts).items() if n}
    return ", ".join(f"{name}: {n}" for name, n in counts.items()) or "nothing came"
