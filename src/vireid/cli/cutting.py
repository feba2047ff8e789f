"""The command that cuts people out of frames and videos: cut."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vireid import console
from vireid.cli.bulk import RAY, WORKERS, cluster_of
from vireid.cli.detector import CARD, TILES, tiles_of
from vireid.cli.options import EXISTING, EXISTING_FILE, MIN_HEIGHT, TO_WRITE, examples
from vireid.errors import VireidError

if TYPE_CHECKING:
    from vireid.video.boxes import BoxList
    from vireid.video.frames import Source
    from vireid.video.pairs import Paired
    from vireid.video.people import Cut, Cutter, Job, Wishes


@click.command(
    epilog=examples(
        "vireid detector get yolox_tiny                        once: fetch a detector",
        "vireid cut gate.mp4 --detector yolox_tiny --modality visible --out people",
        "vireid cut visible/cam1 infrared/cam2 --detector mine.onnx --rate 5 --out people",
        "vireid cut gate.mp4 --boxes gt.txt --modality visible --out people   boxes of others",
        "vireid cut day.mp4 night.mp4 --pair --detector yolox_tiny --out site   a data set",
        "vireid cut /shared/day/*.mp4 --detector yolox_tiny --out /shared/people --ray auto",
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
@MIN_HEIGHT
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
@RAY
@WORKERS
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Of each detector.  [default: one a core; with --ray one a worker]",
)
@click.option("--strict", is_flag=True, help="Exit with an error if anything was skipped.")
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def cut(sources: tuple[str, ...], out: Path, strict: bool, as_json: bool, **asked: Any) -> None:
    """Cut the people out of videos, streams and folders of frames.

    People are found, followed from frame to frame, and cut out: up to eight good crops of each,
    spread in time, are one tracklet. OUT/people.csv lists them for `vireid index`.

    SOURCE is a video, a folder of frames, or an address (rtsp://…). Run the same command again
    after an interruption: no frame is looked at twice.

    With --ray, each SOURCE is cut by a worker on a cluster. Every node has to see SOURCE and OUT
    under the same paths.
    """
    from vireid.video import cut_list, people, source_labels

    _check(asked)
    opened = _opened(sources, asked)
    names = source_labels.names_of(opened, cut_list.names_in(out))
    jobs = list(map(people.Job, opened, _wishes(opened, asked), names))
    with cutter_of(out, asked, len(opened)) as cutter:
        if asked["pair"]:
            found, told, answer = _cut_pair((jobs[0], jobs[1]), cutter, out, asked)
        else:
            found = cutter(jobs)
            told, answer = [f"next: vireid index {out / 'people.csv'} --out site.gallery"], {}
    if as_json:
        about = {"out": str(out), "sources": [each.as_dict() for each in found]}
        console.answer({**about, **answer})
    else:
        _say(found)
        console.say(*told)
    if not any(each.rows for each in found):
        raise VireidError(
            "nobody was found; look at what the detector sees with `vireid detector check`, or "
            f"allow smaller people (--min-height {asked['min_height'] // 2})"
        )
    if strict and any(each.unusable for each in found):
        raise VireidError("something was skipped; mend it or leave it out")


def _check(asked: dict[str, Any]) -> None:
    """Refuse options that contradict one another."""
    if (asked["detector"] is None) == (asked["boxes"] is None):
        raise click.UsageError("Give a --detector, or --boxes that others have found.")
    if asked["every"] is not None and asked["rate"] is not None:
        raise click.UsageError("Give --every or --rate, one of them.")
    if asked["pair"] and asked["modality"]:
        raise click.UsageError("--pair takes two SOURCEs, visible and infrared, and no --modality.")
    if asked["pair"] and asked["spectra"]:
        raise click.UsageError("--pair says the spectra of its two SOURCEs; leave out --spectra.")
    of_pairs = (asked["group"], asked["homography"], asked["shift"])
    if not asked["pair"] and any(each is not None for each in of_pairs):
        raise click.UsageError("--group, --homography and --shift belong to --pair.")


@contextmanager
def cutter_of(out: Path, asked: dict[str, Any], count: int) -> "Iterator[Cutter]":
    """Return what cuts sources into a folder: this process, or the workers of a cluster.

    Args:
        out: The folder.
        asked: Options: `detector` and `card`, or `boxes`; `ray` and `workers`, or neither.
        count: Number of sources.
    """
    from vireid.video import boxes, bulk_cutting, people
    from vireid.video.detector import Detector

    cluster = cluster_of(asked["ray"], asked["workers"], asked.get("threads"))
    if asked.get("boxes") is not None:
        if cluster:
            raise click.UsageError("--ray belongs to --detector: boxes leave little to be done.")
        listed = boxes.read(asked["boxes"])
        _check_boxes(listed, count, asked)
        yield people.cut_here(listed, out)
    elif cluster is None:
        yield people.cut_here(
            Detector.open(asked["detector"], asked["card"], asked["threads"]), out
        )
    else:
        with bulk_cutting.on_cluster(cluster, asked["detector"], asked["card"], out) as cutter:
            yield cutter


def _check_boxes(listed: "BoxList", count: int, asked: dict[str, Any]) -> None:
    """Refuse boxes of numbered frames for several sources, each of which has such numbers."""
    if count > 1 and any(isinstance(name, int) for name in listed.by_frame):
        raise click.UsageError(
            f"{asked['boxes']} has boxes of frames by their numbers, and {count} SOURCEs "
            "have frames of these numbers; cut one SOURCE at a time, or name frames by pictures."
        )


def _opened(places: tuple[str, ...], asked: dict[str, Any]) -> "list[Source]":
    from vireid.datasets._times import TimePattern
    from vireid.video.frames import open_sources

    pattern = TimePattern(asked["time_pattern"]) if asked["time_pattern"] else None
    about = (asked["fps"], time_of(asked["start"]), pattern)
    opened = [source for place in places for source in open_sources(place, *about)]
    if asked["pair"] and len(opened) != 2:
        raise click.UsageError("--pair takes two SOURCEs, visible and infrared, and no --modality.")
    return opened


def _wishes(opened: "list[Source]", asked: dict[str, Any]) -> "list[Wishes]":
    """Return how people are cut out of each source."""
    from vireid.video import source_labels
    from vireid.video.frames import Sampling
    from vireid.video.people import Wishes

    known = source_labels.read_spectra(asked["spectra"]) if asked["spectra"] else {}
    spectra: list[source_labels.Spectrum | None] = [asked["modality"]] * len(opened)
    if asked["pair"]:
        spectra = ["visible", "infrared"]
    wishes = list[Wishes]()
    for source, spectrum in zip(opened, spectra, strict=True):
        modality, camera = source_labels.labels_of(source, spectrum, asked["camera"], known)
        wishes.append(
            Wishes(
                modality=modality,
                camera=camera,
                sampling=Sampling(asked["every"] or 1, asked["rate"]),
                tiles=tiles_of(asked["tiles"]),
                crops=asked["crops"],
                least_height=asked["min_height"],
                seconds=asked["seconds"],
                group=asked["group"],
            )
        )
    return wishes


def _cut_pair(
    jobs: "tuple[Job, Job]", cutter: "Cutter", out: Path, asked: dict[str, Any]
) -> "tuple[list[Cut], list[str], dict[str, Any]]":
    """Cut two videos of one scene; return what was cut, what to say, and what to answer."""
    from vireid.video import pair_cutting, pairs

    matrix = pairs.read_homography(asked["homography"]) if asked["homography"] else None
    visible, infrared, who = pair_cutting.cut_pair(jobs, cutter, out, matrix, asked["shift"])
    sheet = out / "pairs.png"
    pair_cutting.write_pairs(who, out, sheet)
    answer = {"pairs": pair_cutting.pairs_as_dict(who)}
    return [visible, infrared], _pairs_told(who, out, sheet), answer


def time_of(text: str | None) -> datetime | None:
    """Return the time that somebody gives as that of the first frame."""
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise VireidError(f"--start {text!r} is no time such as 2026-11-24T18:30:00") from None


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


def _pairs_told(who: "Paired", out: Path, sheet: Path) -> list[str]:
    clock = (
        f"the infrared clock is {who.shift:+.2f} s ahead"
        if who.is_told_by_motion
        else "nothing moves enough to tell a shift of the clocks; 0 s is taken (--shift)"
    )
    alone = f"{len(who.visible_alone)} visible and {len(who.infrared_alone)} infrared tracklets"
    return [
        f"{len(who.people)} people are in both spectra; {alone} have no partner; {clock}",
        f"look at {sheet}: each person has a visible and an infrared row",
        f"next: vireid data check folder {out / 'people.csv'}",
    ]
