"""The command that cuts people out of frames and videos: cut."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vireid import console
from vireid.cli.detector import CARD, TILES, tiles_of
from vireid.cli.options import EXISTING, EXISTING_FILE, TO_WRITE, examples
from vireid.errors import VireidError

if TYPE_CHECKING:
    from vireid.video.boxes import BoxList
    from vireid.video.detector import Detector
    from vireid.video.pairs import Paired
    from vireid.video.people import Cut, Spectrum


@click.command(
    epilog=examples(
        "vireid detector get yolox_tiny                        once: fetch a detector",
        "vireid cut gate.mp4 --detector yolox_tiny --modality visible --out people",
        "vireid cut visible/cam1 infrared/cam2 --detector mine.onnx --rate 5 --out people",
        "vireid cut gate.mp4 --boxes gt.txt --modality visible --out people   boxes of others",
        "vireid cut day.mp4 night.mp4 --pair --detector yolox_tiny --out site   a data set",
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
    "--modality",
    type=click.Choice(["visible", "infrared", "auto"]),
    help="Spectrum of SOURCE; auto tells it by colours, as cameras switch at night.  [default: as "
    "its folders say]",
)
@click.option(
    "--spectra",
    type=EXISTING_FILE,
    help='TOML file of cameras whose spectrum is known: gate = "infrared".',
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
@click.option(
    "--pair",
    is_flag=True,
    help="SOURCEs are two videos of one scene, visible and infrared: people in both get one "
    "identity, and pairs.png shows them.",
)
@click.option(
    "--group",
    type=click.Choice(["train", "validation", "test"]),
    help="With --pair: group of these people in the data set.  [default: test]",
)
@click.option(
    "--homography",
    type=EXISTING_FILE,
    help="With --pair: nine numbers that lead from visible to infrared pixels.",
)
@click.option(
    "--shift",
    type=float,
    help="With --pair: seconds that the infrared clock is ahead.  [default: estimated]",
)
@click.option("--strict", is_flag=True, help="Exit with an error if anything was skipped.")
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def cut(
    sources: tuple[str, ...],
    out: Path,
    detector: str | None,
    card: str | None,
    boxes: Path | None,
    modality: "Spectrum | None",
    spectra: Path | None,
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
    pair: bool,
    group: str | None,
    homography: Path | None,
    shift: float | None,
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
    from vireid.video import pairs, people
    from vireid.video.frames import Sampling, open_sources

    if (detector is None) == (boxes is None):
        raise click.UsageError("Give a --detector, or --boxes that others have found.")
    if every is not None and rate is not None:
        raise click.UsageError("Give --every or --rate, one of them.")
    pattern = TimePattern(time_pattern) if time_pattern else None
    opened = [each for place in sources for each in open_sources(place, fps, _time(start), pattern)]
    if pair and (len(opened) != 2 or modality):
        raise click.UsageError("--pair takes two SOURCEs, visible and infrared, and no --modality.")
    if not pair and (group or homography or shift is not None):
        raise click.UsageError("--group, --homography and --shift belong to --pair.")
    names = people.names_of_sources(opened)
    known = people.read_spectra(spectra) if spectra else {}
    said: list[Spectrum | None] = ["visible", "infrared"] if pair else [modality] * len(opened)
    labels = [
        people.labels_of(source, spectrum, camera, known)
        for source, spectrum in zip(opened, said, strict=True)
    ]
    finder = _finder(detector, card, boxes)
    wishes = [
        people.Wishes(
            modality=of,
            camera=at,
            sampling=Sampling(every or 1, rate),
            tiles=tiles_of(tiles),
            crops=crops,
            least_height=min_height,
            seconds=seconds,
            group=group,
        )
        for of, at in labels
    ]
    answer: dict[str, Any] = {"out": str(out)}
    if pair:
        matrix = pairs.read_homography(homography) if homography else None
        one, other, who = people.cut_pair(
            (opened[0], opened[1]),
            (finder, finder),
            out,
            (wishes[0], wishes[1]),
            (names[0], names[1]),
            matrix,
            shift,
        )
        found, told = [one, other], _pairs_told(who, out)
        answer["pairs"] = people.pairs_as_dict(who)
    else:
        works = zip(opened, wishes, names, strict=True)
        found, told = [people.cut(s, finder, out, w, name) for s, w, name in works], []
    if as_json:
        console.answer({**answer, "sources": [each.as_dict() for each in found]})
    else:
        _say(found)
        console.say(*told, _next(out, is_pair=pair))
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


def _say(found: "list[Cut]") -> None:
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
        if each.empty:
            console.say(f"  {each.empty} frames show nobody")
        for note in each.notes:
            console.say(f"  {note}")
        for skipped in each.unusable[:20]:
            console.say(f"  skipped {skipped.where}: {skipped.reason}")
        if len(each.unusable) > 20:
            console.say(f"  skipped {len(each.unusable) - 20} more")


def _pairs_told(who: "Paired", out: Path) -> list[str]:
    """Write the sheet of pairs, and say what is on it."""
    from vireid.video import people

    sheet = out / "pairs.png"
    people.write_pairs(who, out, sheet)
    clock = (
        f"the infrared clock is {who.shift:+.2f} s ahead"
        if who.is_told_by_motion
        else "nothing moves enough to tell a shift of the clocks; 0 s is taken (--shift)"
    )
    alone = f"{len(who.visible_alone)} visible and {len(who.infrared_alone)} infrared tracklets"
    return [
        f"{len(who.people)} people are in both spectra; {alone} have no partner; {clock}",
        f"look at {sheet}: each person has a visible and an infrared row",
    ]


def _next(out: Path, *, is_pair: bool) -> str:
    listed = out / "people.csv"
    if is_pair:
        return f"next: vireid data check folder {listed}"
    return f"next: vireid index {listed} --out site.gallery"
