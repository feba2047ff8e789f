"""The command line: reads what was asked and hands it on, nothing more.

A command imports what it needs when it runs, so that `vireid --help` answers at once.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from vireid import __version__
from vireid.errors import VireidError, explain_missing_module

EXISTING = click.Path(exists=True, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
TO_WRITE = click.Path(path_type=Path)
METRICS = ["R1", "R5", "R10", "R20", "mAP", "mINP"]
MODALITIES = click.Choice(["visible", "infrared"])


def examples(*lines: str) -> str:
    r"""The end of a command's help; `\b` keeps click from rewrapping the lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "vireid train recipes/agw_nightwalk_mini.toml   learn; leaves a run folder behind",
        "vireid evaluate runs/agw_nightwalk_mini-1      score it on people it has not seen",
        "vireid index photos --out site.gallery         remember the people in a folder",
        "vireid search site.gallery infrared/night.jpg  who is that?",
    ),
)
@click.version_option(__version__, prog_name="vireid", message="%(prog)s %(version)s")
def vireid() -> None:
    """Find a person across visible and infrared cameras: learn it, score it, search with it."""


@vireid.command(
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
    click.echo(f"{total} pictures of {plan.people} people", err=True)
    try:
        with progress_bar("rendering", total) as advance:
            for pictures in rendered:
                advance(pictures)
    except KeyboardInterrupt:
        click.secho(
            f"vireid: {out} is not finished; the same command goes on", fg="yellow", err=True
        )
        sys.exit(130)
    click.echo(f"{out}: {total} pictures; train with data.root={out}")


@vireid.command(
    epilog=examples(
        "vireid train recipes/agw_nightwalk_mini.toml",
        "vireid train recipes/agw_sysu.toml data.root=/data/SYSU-MM01 settings.epochs=40",
        "vireid train recipes/agw_nightwalk_mini.toml --resume",
        "vireid train recipes/agw_regdb.toml data.root=/data/RegDB --trials 1-10",
        "vireid train recipes/agw_sysu.toml settings.width=0.5 --validate    to choose a setting",
        "vireid train recipes/clip4vi_reid_sysu.toml --weights RN50.pt",
        "torchrun --nproc_per_node 4 -m vireid train recipes/agw_sysu.toml",
    ),
)
@click.argument("recipe", type=EXISTING_FILE)
@click.argument("overrides", nargs=-1, metavar="[key=value]...")
@click.option(
    "--out", type=TO_WRITE, help="Run folder.  [default: runs/RECIPE-NUMBER, resumed: the last]"
)
@click.option("--resume", is_flag=True, help="Go on with a run that was broken off.")
@click.option(
    "--trials", help="A run for each of these splits of the data set, e.g. 1-10 of RegDB."
)
@click.option(
    "--validate",
    is_flag=True,
    help="Leave out the validation people, to choose settings on: evaluate with --validate.",
)
@click.option(
    "--weights",
    type=EXISTING_FILE,
    help="CLIP's, in a file: settings.weights, and settings.pretrained=true.",
)
def train(
    recipe: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: bool,
    trials: str | None,
    validate: bool,
    weights: Path | None,
) -> None:
    """Learn what RECIPE says.

    Any setting of the recipe can be given anew as key=value. Ctrl-C saves; --resume goes on.
    """
    from vireid import recipe as recipes
    from vireid.learning.learn import folder_for, learn, learn_trials
    from vireid.learning.stop_requests import Interrupted

    left_out = ("data.learn_from=train",) if validate else ()
    begin = {"weights": str(weights), "pretrained": True} if weights else {}
    wanted = recipes.read(recipe, (*overrides, *left_out), {"settings": begin})
    splits = recipes.numbers(trials) if trials else None
    folder = out or folder_for(recipe.stem, resume=resume)
    try:
        if splits:
            learn_trials(wanted, folder, splits, resume=resume)
        else:
            learn(wanted, folder, resume=resume)
    except Interrupted as stopped:
        click.secho(f"vireid: {stopped}", fg="yellow", err=True)
        sys.exit(130)


@vireid.command(
    epilog=examples(
        "vireid sweep recipes/mun_ablation.toml",
        "vireid sweep recipes/mun_ablation.toml settings.epochs=2 --out quick",
        "vireid sweep recipes/mun_ablation.toml --validate    to choose among the rows",
    ),
)
@click.argument("sweep", type=EXISTING_FILE)
@click.argument("overrides", nargs=-1, metavar="[key=value]...")
@click.option("--out", type=TO_WRITE, help="Folder of all runs.  [default: runs/SWEEP]")
@click.option("--validate", is_flag=True, help="Score on validation people, not learnt from.")
def sweep(sweep: Path, overrides: tuple[str, ...], out: Path | None, validate: bool) -> None:
    """Learn and score the rows of SWEEP, each with all its seeds.

    Writes table.md, table.json and plot.png. After Ctrl-C the same command goes on.
    """
    import rich

    from vireid import sweep as sweeps
    from vireid.learning.stop_requests import Interrupted

    wanted = sweeps.read(sweep)
    folder = out or Path("runs") / wanted.name
    try:
        rows = sweeps.run(wanted, folder, overrides, validate=validate)
    except Interrupted as stopped:
        click.secho(f"vireid: {stopped}; the same sweep goes on", fg="yellow", err=True)
        sys.exit(130)
    rich.print(sweeps.table(rows))


@vireid.command(
    epilog=examples(
        "vireid evaluate runs/agw_nightwalk_mini-1",
        "vireid evaluate runs/agw_sysu --protocol sysu/official --mode indoor --shot multi",
        "vireid evaluate runs/agw_regdb-1                      its ten trials as one result",
        "vireid evaluate runs/agw_llcm-1 --protocol llcm/full-gallery --removal none",
        "vireid evaluate small --dataset folder --root photos",
    ),
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--dataset", help="Data set to score on.  [default: the one of the run]")
@click.option("--root", type=EXISTING, help="Where that data set lies.")
@click.option("--protocol", help="How to score.  [default: the usual one of the data set]")
@click.option("--mode", default="both", show_default=True, help="all or indoor cameras, or both.")
@click.option("--shot", default="both", show_default=True, help="single or multi, or both.")
@click.option(
    "--direction",
    default="both",
    show_default=True,
    help="visible-to-infrared, infrared-to-visible, or both.",
)
@click.option("--removal", help="What is hidden from a query: same-id-and-camera, or none.")
@click.option("--frames", type=int, help="How many of a tracklet are embedded.  [default: all]")
@click.option(
    "--flip",
    type=click.Choice(["none", "mean", "sum", "concatenation"]),
    default="none",
    show_default=True,
    help="Beside plain scores: how to join embeddings of pictures and of their mirror images.",
)
@click.option(
    "--re-rank",
    type=click.Choice(["none", "k-reciprocal"]),
    default="none",
    show_default=True,
    help="Beside plain scores: re-rank, for which all queries are used at once.",
)
@click.option("--validate", is_flag=True, help="Score on the validation people.")
@click.option(
    "--out", type=TO_WRITE, help="Results to write, beside what is there.  [default: scores.json]"
)
def evaluate(
    models: tuple[str, ...],
    dataset: str | None,
    root: Path | None,
    flip: str,
    re_rank: str,
    validate: bool,
    out: Path | None,
    **asked: Any,
) -> None:
    """Score MODEL on people it has not seen.

    MODEL is a run folder, an exported model or `small`; or the models of the splits of a data set,
    one by one or as the folder that `train --trials` has left, which make one result.
    """
    import rich

    from vireid.scoring import evaluation, protocols, results

    folder = Path(models[0]) if len(models) == 1 and Path(models[0]).is_dir() else None
    out = out or (folder / "scores.json" if folder else None)
    if out and out.exists():
        results.read(out)  # what it cannot be put beside is refused before the work
    name = asked.pop("protocol")
    scores = evaluation.score_models(
        models,
        dataset,
        root,
        choose=lambda data: protocols.beside_plain(
            protocols.choose(data, name, **asked), flip, re_rank
        ),
        progress=True,
        people="validation" if validate else "test",
    )
    rich.print(*evaluation.tables(scores))
    if out:
        results.keep([each.as_dict() for each in scores], out)


@vireid.command(
    epilog=examples(
        "vireid compare runs/agw_sysu-1 runs/mun_sysu-1",
        "vireid compare runs/*/scores.json --sort mAP",
        'vireid compare a.json b.json --metric mINP --sort "B mINP"',
        "vireid compare a.json b.json --one-column       refuse what does not compare",
    ),
)
@click.argument("sources", nargs=-1, required=True, metavar="RESULTS...")
@click.option(
    "--metric", "metrics", multiple=True, type=click.Choice(METRICS), help="To show.  [all, or two]"
)
@click.option("--sort", help="Best model first, by a metric of the first column, or of another.")
@click.option("--one-column", is_flag=True, help="Refuse different protocols, data or pictures.")
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def compare(
    sources: tuple[str, ...],
    metrics: tuple[str, ...],
    sort: str | None,
    one_column: bool,
    as_json: bool,
) -> None:
    """Put results into one table.

    RESULTS are files that `vireid evaluate` has written, runs or exported models that hold one, or
    `small`. What was scored otherwise, or on other pictures, stands in another column.
    """
    import rich

    from vireid.scoring import results

    comparison = results.compare([each for source in sources for each in results.find(source)])
    if one_column:
        results.check_one_column(comparison)
    if sort:
        comparison = results.sort(comparison, sort)
    if as_json:
        click.echo(json.dumps(comparison.as_dict(), indent=2))
    else:
        rich.print(comparison.table(metrics))


@vireid.command(
    name="show-auxiliary",
    epilog=examples("vireid show-auxiliary runs/mun_nightwalk_mini-1 --out auxiliary.png"),
)
@click.argument("run", type=EXISTING)
@click.option("--out", type=TO_WRITE, required=True, help="Picture (PNG) to write.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another one, other people.")
def show_auxiliary(run: Path, out: Path, seed: int) -> None:
    """Draw the auxiliary modality of RUN.

    Visible, infrared and generated pictures of test people side by side; and where the three
    modalities lie in the space of embeddings, before and after learning.
    """
    from vireid.reports import auxiliary_view

    auxiliary_view.draw(run, out, seed)


@vireid.command(
    name="show-measures",
    epilog=examples("vireid show-measures runs/clip4vi_reid_nightwalk_mini-1 --out bridge.png"),
)
@click.argument("run", type=EXISTING)
@click.option("--out", type=TO_WRITE, required=True, help="Picture (PNG) to write.")
def show_measures(run: Path, out: Path) -> None:
    """Plot what the stages of RUN have measured.

    For clip4vi_reid: how often pictures of either spectrum and texts find each other.
    """
    from vireid.reports import measures_view

    measures_view.draw(run, out)


@vireid.command(epilog=examples("vireid export runs/agw_nightwalk_mini-1 --out my_model"))
@click.argument("run", type=EXISTING)
@click.option("--out", type=TO_WRITE, required=True, help="Folder to write the model to.")
def export(run: Path, out: Path) -> None:
    """Make a model that runs without torch.

    The ONNX files of RUN embed pictures on any machine, faster.
    """
    from vireid.models import export

    export.export(run, out)


@vireid.command(
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
@click.option("--strict", is_flag=True, help="Exit with an error if any picture was skipped.")
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def index(
    source: Path,
    out: Path,
    model: str | None,
    modality: str | None,
    camera: str | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Put pictures into a gallery.

    SOURCE is a folder or a CSV file. Spectrum, camera and identity are taken from the names of
    folders (visible, infrared, cam1, 0012) or from columns; the options above all of these.
    """
    from vireid.records import Modality
    from vireid.search import answers

    spectrum = Modality(modality) if modality else None
    report = answers.index(source, out, model, spectrum, camera, progress=True)
    click.echo(json.dumps(report.as_dict(), indent=2) if as_json else report.as_text())
    if not any(report.pictures.values()):
        raise VireidError(f"no picture could be used, {out} is empty; mend them and do it again")
    if strict and report.skipped:
        raise VireidError(f"{len(report.skipped)} pictures were skipped; mend or remove them")


@vireid.command(
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
        click.secho(f"vireid: {answer.caveat}", fg="yellow", err=True)
    if sheet:
        drawn = contact_sheet.draw(answer.query, answer.hits, answer.title)
        contact_sheet.save(drawn, sheet)
    if as_json:
        click.echo(json.dumps(answer.as_dict(), indent=2))
    else:
        answer.show()


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """On standard error: how many of how many, and how long it will still take."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


@vireid.group(
    epilog=examples(
        "vireid data check sysu_mm01 /data/SYSU-MM01       is it whole, and the published one?",
        "vireid data pack sysu_mm01 /data/SYSU-MM01        decode it once, before training",
        "vireid data show nightwalk --out people.png       people by cameras",
    ),
)
def data() -> None:
    """Check a data set, pack its pictures, look at it."""


DATASET = click.argument("dataset")
ROOT = click.argument("root", type=EXISTING, required=False)


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
        click.echo(json.dumps(found.as_dict(), indent=2))
    else:
        found.show()
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
@click.option("--trial", type=int, help="Which split, where there are several.  [default: 1]")
@click.option("--skip-unreadable", is_flag=True, help="Leave out pictures that cannot be read.")
def pack(dataset: str, root: Path | None, trial: int | None, out: Path | None, **how: Any) -> None:
    """Decode and resize the pictures of DATASET once.

    One file for every group of people; training on pictures of this size finds them by itself.
    Pictures that have changed are noticed, and packed again.
    """
    from vireid import datasets
    from vireid.training_data import packs

    data = datasets.read(dataset, root, trial)
    for group, records in data.splits.items():
        if records:
            packed = packs.pack_group(data, group, out, **how)
            left_out = f", {len(packed.unreadable)} left out" if packed.unreadable else ""
            click.echo(f"{group}: {len(packed)} pictures packed{left_out}")


@data.command(
    epilog=examples(
        "vireid data show nightwalk --out people.png --people 12",
        "vireid data show llcm /data/LLCM --out some.png --split test --identities 3,7",
    ),
)
@DATASET
@ROOT
@click.option("--out", type=TO_WRITE, required=True, help="Contact sheet (PNG) to write.")
@click.option("--people", type=click.IntRange(min=1), default=8, show_default=True, help="Rows.")
@click.option("--identities", help="Who, e.g. 3,7 or 1-9.  [default: people spread over all]")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="train",
    show_default=True,
    help="Of whom.",
)
@click.option("--trial", type=int, help="Which split, where there are several.  [default: 1]")
def show(
    dataset: str,
    root: Path | None,
    out: Path,
    people: int,
    identities: str | None,
    split: str,
    trial: int | None,
) -> None:
    """Draw people of DATASET by cameras."""
    from vireid import datasets
    from vireid import recipe as recipes
    from vireid.reports import contact_sheet

    who = recipes.numbers(identities) if identities else None
    data = datasets.read(dataset, root, trial)
    sheet = contact_sheet.draw_group(data, split, people, who)
    contact_sheet.save(sheet, out)
    click.echo(f"{out}: people of {data.label}, {split}; {sheet.width} x {sheet.height} pixels")


def main() -> None:
    """Run the command line; what a person can put right is shown as one line."""
    try:
        vireid(prog_name="vireid")
    except VireidError as error:
        stop(str(error))
    except ModuleNotFoundError as error:
        explained = explain_missing_module(error)
        if explained is None:
            raise
        stop(str(explained))
    except OSError as error:
        stop(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def stop(why: str) -> None:
    """End with one line on standard error and exit status 1."""
    click.secho(f"vireid: {why}", fg="red", err=True)
    sys.exit(1)
