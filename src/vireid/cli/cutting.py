"""The command that cuts people out of frames and videos: cut."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vireid import console
from vireid.cli.detector import CARD, TILES, tiles_of
from vireid.cli.options import EXISTING, MODALITIES, TO_WRITE, examples
from vireid.errors import VireidError

if TYPE_CHECKING:
    from vireid.video.boxes import BoxList
    from vireid.video.detector import Detector
    from vireid.video.people import Cut


@click.command(
    epilog=examples(
        "vireid detector get yolox_tiny                        once: fetch a detector",
        "vireid cut gate.mp4 --detector yolox_tiny --modality visible --out people",
        "vireid cut visible/cam1 infrared/cam2 --detector mine.onnx --rate 5 --out people",
        "vireid cut gate.mp4 --boxes gt.txt --modality visible --out people   boxes of others",
        "vireid index people/people.csv --out site.gallery     then: index, search",
    )
)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--out", type=TO_WRITE, required=True, help="Folder for the crops and people.csv.")
@click.option(
    "--detector",
    help="What finds people: an ONNX file, or a name of `vireid detector list`.",
)
@CARD
@click.option(
    "--boxes",
    type=EXISTING,
    help="Boxes in place of a detector: CSV, COCO, MOT, YOLO, VOC, or events of Frigate.",
)
@click.option(
    "--modality", type=MODALITIES, help="Spectrum of SOURCE.  [default: as its folders say]"
)
@click.option("--camera", help="Camera of SOURCE.  [default: as its folders say, or its name]")
@click.option("--every", type=click.IntRange(min=1), help="Take every so manyth frame.")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help="Take at most so many frames a second."
)
@click.option(
    "--fps",
    type=click.FloatRange(0, min_open=True),
    help="Frames a second that SOURCE has.  [default: as its frames say]",
)
@click.option("--start", help="Time of the first frame, such as 2026-11-24T18:30:00.")
@click.option("--time-pattern", help="Times in the names of files, such as %Y%m%d_%H%M%S.")
@click.option("--seconds", type=click.FloatRange(0), help="Leave SOURCE after so many seconds.")
@TILES
@click.option(
    "--crops",
    type=click.IntRange(1, 1000),
    default=8,
    show_default=True,
    help="Largest number of crops of a tracklet.",
)
@click.option(
    "--min-height",
    type=click.IntRange(8),
    default=48,
    show_default=True,
    help="Leave out people who are fewer pixels high.",
)
@click.option("--strict", is_flag=True, help="Exit with an error if anything was skipped.")
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def cut(
    sources: tuple[str, ...],
    out: Path,
    detector: str | None,
    card: str | None,
    boxes: Path | None,
    modality: str | None,
    camera: str | None,
    every: int | None,
    rate: float | None,
    fps: float | None,
    start: str | None,
    time_pattern: str | None,
    seconds: float | None,
    tiles: str,
    crops: int,
    min_height: int,
    strict: bool,
    as_json: bool,
) -> None:
    """Cut the people out of videos, streams and folders of frames.

    People are found, followed from frame to frame, and cut out: up to eight good crops of each,
    spread in time, are one tracklet. OUT/people.csv lists them for `vireid index`.

    SOURCE is a video, a folder of frames, or an address (rtsp://…). Run the same command again
    after an interruption: no frame is looked at twice.
    """
    from vireid.datasets._times import TimePattern
    from vireid.records import Modality
    from vireid.video import people
    from vireid.video.frames import Sampling, open_sources

    if (detector is None) == (boxes is None):
        raise click.UsageError("Give a --detector, or --boxes that others have found.")
    if every is not None and rate is not None:
        raise click.UsageError("Give --every or --rate, one of them.")
    pattern = TimePattern(time_pattern) if time_pattern else None
    opened = [each for place in sources for each in open_sources(place, fps, _time(start), pattern)]
    spectrum = Modality(modality) if modality else None
    labels = [people.labels_of(each, spectrum, camera) for each in opened]
    finder = _finder(detector, card, boxes)
    found = list["Cut"]()
    for source, name, (of, at) in zip(opened, people.names_of_sources(opened), labels, strict=True):
        wishes = people.Wishes(
            modality=of,
            camera=at,
            sampling=Sampling(every or 1, rate),
            tiles=tiles_of(tiles),
            crops=crops,
            least_height=min_height,
            seconds=seconds,
        )
        found.append(people.cut(source, finder, out, wishes, name))
    if as_json:
        console.answer({"out": str(out), "sources": [each.as_dict() for each in found]})
    else:
        _say(found, out)
    if not any(each.rows for each in found):
        raise VireidError(
            f"nobody was found; look at what the detector sees with `vireid detector check`, or "
            f"allow smaller people (--min-height {min_height // 2})"
        )
    if strict and any(each.unusable for each in found):
        raise VireidError("something was skipped; mend it or leave it out")


def _time(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise VireidError(f"--start {text!r} is no time such as 2026-11-24T18:30:00") from None


def _finder(detector: str | None, card: str | None, boxes: Path | None) -> "Detector | BoxList":
    from vireid.video import boxes as lists
    from vireid.video.detector import Detector

    if boxes is not None:
        return lists.read(boxes)
    assert detector is not None
    return Detector.open(detector, card)


def _say(found: "list[Cut]", out: Path) -> None:
    """Print what was cut, and what was not."""
    for each in found:
        speed = f"{each.seconds / each.took:.1f} times real time" if each.took else ""
        console.say(
            f"{each.source}: {each.tracklets} people, {len(each.rows)} crops from {each.frames} "
            f"frames ({each.seconds:.0f} s of video in {each.took:.0f} s, {speed})"
        )
        if each.again:
            console.say(f"  {each.again} frames had been looked at before")
        if each.small:
            console.say(f"  {each.small} boxes were left out: too few pixels high (--min-height)")
        for note in each.notes:
            console.say(f"  {note}")
        for skipped in each.unusable[:20]:
            console.say(f"  skipped {skipped.where}: {skipped.reason}")
        if len(each.unusable) > 20:
            console.say(f"  skipped {len(each.unusable) - 20} more")
    console.say(f"next: vireid index {out / 'people.csv'} --out site.gallery")
