"""Commands about data sets: render, data check, data pack, data show, data cut."""

import sys
from pathlib import Path
from typing import Any

import click

from vireid import console
from vireid.cli.options import EXISTING, MIN_HEIGHT, TO_WRITE, examples
from vireid.errors import Interrupted, VireidError


@click.command(
    epilog=examples(
        "vireid render --out nightwalk_mini                       the set that vireid ships, again",
        "vireid render --size standard --out nightwalk            as many people as in SYSU-MM01",
        "vireid render --out nightwalk_mine --people 1000 --seed 7",
        "vireid render --out flat --hold background --hold light  how much rests on them?",
    ),
)
@click.option("--out", type=TO_WRITE, required=True, help="Folder to write the data set to.")
@click.option(
    "--size",
    type=click.Choice(["mini", "standard"]),
    default="mini",
    show_default=True,
    help="What the options below default to; standard has SYSU-MM01's people and pictures.",
)
@click.option(
    "--layout",
    type=click.Choice(["sysu", "regdb", "llcm"]),
    default="sysu",
    show_default=True,
    help="Whose cameras, folders and lists: regdb has visible and thermal pairs, llcm low light.",
)
@click.option("--people", "train_people", type=int, help="To learn from.  [mini: 80]")
@click.option("--validation-people", type=int, help="To choose settings on.  [mini: 20]")
@click.option("--test-people", type=int, help="To score on.  [mini: 50]")
@click.option("--visible-frames", type=int, help="Per camera, to learn from.  [mini: 2]")
@click.option("--infrared-frames", type=int, help="Per camera, likewise.  [mini: 4]")
@click.option("--test-visible-frames", type=int, help="Per camera, to score on.  [mini: 4]")
@click.option("--test-infrared-frames", type=int, help="Per camera, likewise.  [mini: 4]")
@click.option("--height", type=int, help="Rows of a picture.  [mini: 192, standard: 288]")
@click.option("--width", type=int, help="Columns of a picture.  [mini: 96, standard: 144]")
@click.option("--hold", multiple=True, help="What is to be the same in all pictures.")
@click.option("--masks/--no-masks", default=None, help="Masks of parts.  [standard: yes]")
@click.option("--seed", type=int, help="Same seed, same people.  [mini: 0, standard: 1]")
@click.option("--processes", type=click.IntRange(min=1), help="[default: one a core]")
def render(out: Path, size: str, layout: str, processes: int | None, **asked: Any) -> None:
    """Render NightWalk, a data set.

    Walking people, seen by visible and infrared cameras, with all that is known about every
    picture. Give the same command again to go on with a rendering that was broken off.
    """
    from vireid.render import nightwalk, plans

    plan = plans.choose(size, layout, **asked)
    rendered = nightwalk.render(out, plan, processes)
    total = nightwalk.pictures_in(plan)
    console.remark(f"{total} pictures of {plan.people} people")
    try:
        for _ in rendered:  # a person has been rendered
            pass
    except KeyboardInterrupt:
        raise Interrupted(f"{out} is not finished; the same command goes on") from None
    console.say(f"{out}: {total} pictures; train with data.root={out}")


@click.group(
    epilog=examples(
        "vireid data check sysu_mm01 /data/SYSU-MM01       is it whole, and the published one?",
        "vireid data pack sysu_mm01 /data/SYSU-MM01        decode it once, before training",
        "vireid data show nightwalk --out people.png       people by cameras",
        "vireid data cut kaist /data/KAIST --out kaist_people      people out of frames",
    ),
)
def data() -> None:
    """Check a data set, pack its pictures, look at it; make one of frames with boxes."""


DATASET = click.argument("dataset")
ROOT = click.argument("root", type=EXISTING, required=False)
TRIAL = click.option("--trial", type=int, help="Which of several published splits.  [default: 1]")


@data.command(
    epilog=examples(
        "vireid data check sysu_mm01 /data/SYSU-MM01 --full",
        "vireid data check regdb /data/RegDB --json",
    ),
)
@DATASET
@ROOT
@click.option("--full", is_flag=True, help="Decode every picture, not only its header.")
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def check(dataset: str, root: Path | None, full: bool, as_json: bool) -> None:
    """Say whether a copy of DATASET is whole, and as published.

    Folders, lists, counts of people and pictures, files that cannot be read, the same picture in
    two places. Exit status 1 if scores on it would not be comparable.
    """
    from vireid.scoring import data_check

    found = data_check.check(dataset, root, full=full)
    if as_json:
        console.answer(found.as_dict())
    else:
        console.show(*found.in_words())
    sys.exit(0 if found.sound else 1)


@data.command(
    epilog=examples(
        "vireid data pack sysu_mm01 /data/SYSU-MM01 --height 256 --width 128",
        "vireid data pack regdb /data/RegDB --out /fast/packs",
    ),
)
@DATASET
@ROOT
@click.option("--out", type=TO_WRITE, help="Folder for the packs.  [default: in the cache folder]")
@click.option("--height", default=288, show_default=True, help="Rows of a picture.")
@click.option("--width", default=144, show_default=True, help="Columns.")
@TRIAL
@click.option("--skip-unreadable", is_flag=True, help="Leave out pictures that cannot be read.")
def pack(dataset: str, root: Path | None, trial: int | None, out: Path | None, **how: Any) -> None:
    """Decode and resize the pictures of DATASET once.

    One file for every group of people; training on pictures of this size finds them by itself.
    Pictures that have changed are noticed, and packed again.
    """
    from vireid import datasets
    from vireid.training_data import packs

    data = datasets.read(dataset, root, trial)
    lines = []
    for group, records in data.groups.items():
        if records:
            packed = packs.pack_group(data, group, out, **how)
            left_out = f", {len(packed.unreadable)} left out" if packed.unreadable else ""
            lines.append(f"{group}: {len(packed)} pictures packed{left_out}")
    console.say(*lines)


@data.command(
    epilog=examples(
        "vireid data show nightwalk --out people.png --people 12",
        "vireid data show llcm /data/LLCM --out some.png --group test --identities 3,7",
    ),
)
@DATASET
@ROOT
@click.option("--out", type=TO_WRITE, required=True, help="Contact sheet (PNG) to write.")
@click.option("--people", type=click.IntRange(min=1), default=8, show_default=True, help="Rows.")
@click.option("--identities", help="Who, e.g. 3,7 or 1-9.  [default: people spread over all]")
@click.option(
    "--group",
    type=click.Choice(["train", "validation", "test"]),
    default="train",
    show_default=True,
    help="Group of people.",
)
@TRIAL
def show(
    dataset: str,
    root: Path | None,
    out: Path,
    people: int,
    identities: str | None,
    group: str,
    trial: int | None,
) -> None:
    """Show people of DATASET by cameras."""
    from vireid import datasets
    from vireid.recipes import recipe as recipes
    from vireid.reports import contact_sheet

    who = None if identities is None else recipes.numbers(identities)
    data = datasets.read(dataset, root, trial)
    sheet = contact_sheet.compose_group(data, group, people, who)
    contact_sheet.save(sheet, out)
    console.say(f"{out}: people of {data.label}, {group}; {sheet.width} x {sheet.height} pixels")


@data.command(
    epilog=examples(
        "vireid data cut llvip /data/LLVIP --out llvip_people",
        "vireid data cut boxes mine --out people      visible/, infrared/ and boxes.csv of yours",
        "vireid list sets llvip                       what may be done with it, how to get it",
        "vireid evaluate stripes --dataset folder --root kaist_people/people.csv \\",
        "    --protocol folder/tracks --centre camera",
    ),
)
@click.argument("name", metavar="SET")
@click.argument("root", type=EXISTING)
@click.option("--out", type=TO_WRITE, required=True, help="Folder for the crops and people.csv.")
@click.option(
    "--crops",
    type=click.IntRange(1, 100_000),
    default=8,
    show_default=True,
    help="Largest number of instants at which a person is cut out.",
)
@MIN_HEIGHT
@click.option(
    "--any-registration",
    is_flag=True,
    help="Take scenes too whose two spectra do not seem to show the same at the same pixels.",
)
@click.option("--strict", is_flag=True, help="Exit with an error if anything was skipped.")
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def cut(
    name: str,
    root: Path,
    out: Path,
    crops: int,
    min_height: int,
    any_registration: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Cut the people out of SET, frames in two spectra with boxes, as a data set.

    SET is llvip, kaist, mot_pair (VT-MOT, LasHeR), mid3k, or boxes for frames of your own; ROOT is
    where it lies. OUT/people.csv is read by `--dataset folder --root OUT/people.csv`. The same
    command again goes on where it was stopped.
    """
    from vireid.video import set_cutting, sets

    wish = set_cutting.Wish(crops, min_height, any_registration)
    done = set_cutting.cut_set(name, root, out, wish)
    if as_json:
        console.answer(done.as_dict())
    else:
        console.say(*done.lines())
        facts = sets.facts(name)
        console.say(
            f"{facts['title']}: {facts['licence']}. {facts['terms']}",
            f"next: vireid data check folder {out / 'people.csv'}",
        )
    if strict and done.unusable:
        raise VireidError(f"{len(done.unusable)} things were skipped; mend or remove them")
