"""Commands about scores: evaluate, compare, report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vireid import console
from vireid.cli.options import ROOT, TO_WRITE, TRUST_CODE, examples
from vireid.scoring import METRICS

if TYPE_CHECKING:
    from vireid.datasets import Dataset
    from vireid.scoring.scores import Group

FEW_PICTURES = 5_000
"""Number of pictures up to which controls are scored unasked; it takes a minute."""


@click.command(
    epilog=examples(
        "vireid evaluate runs/agw_nightwalk_mini-1",
        "vireid evaluate runs/agw_sysu --protocol sysu/official --mode indoor --shot multi",
        "vireid evaluate runs/agw_regdb-1                      its ten trials as one result",
        "vireid evaluate runs/agw_llcm-1 --protocol llcm/full-gallery --removal none",
        "vireid evaluate small --dataset folder --root photos",
        "vireid evaluate small --dataset folder --root site --protocol folder/tracks",
    ),
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--dataset", help="Data set to score on.  [default: the one of the run]")
@ROOT
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
@click.option("--gap", type=float, help="Seconds that make another instant.  [folder/tracks: 2]")
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
@click.option(
    "--centre",
    type=click.Choice(["none", "camera"]),
    default="none",
    show_default=True,
    help="Beside plain scores: subtract the mean embedding of each camera, over its pictures.",
)
@click.option("--validate", is_flag=True, help="Score on the validation people.")
@click.option(
    "--controls/--no-controls",
    default=None,
    help="Show what learns nothing beside it: chance, colours, edges, the background.  "
    "[default: where there are at most 5,000 pictures]",
)
@click.option(
    "--how-sure",
    type=TO_WRITE,
    metavar="FOLDER",
    help="Show whether chances come true and who is told to be nobody; write plot and numbers.",
)
@click.option(
    "--out", type=TO_WRITE, help="Results to write, beside what is there.  [default: scores.json]"
)
@TRUST_CODE
def evaluate(
    models: tuple[str, ...],
    dataset: str | None,
    root: Path | None,
    flip: str,
    re_rank: str,
    centre: str,
    validate: bool,
    controls: bool | None,
    how_sure: Path | None,
    out: Path | None,
    trust_code: bool,
    **asked: Any,
) -> None:
    """Score MODEL on people it has not seen.

    MODEL is a run folder, an exported model or `small`; or the models of the splits of a data set,
    one by one or as the folder that `train --trials` has left, which make one result.
    """
    from vireid.scoring import evaluation, named_protocols, results, tables

    out = out or evaluation.scores_file(models)
    if out:
        results.kept_in(out)  # what it cannot be put beside is refused before the work
    name = asked.pop("protocol")
    how: Any = {
        "choose": lambda data: named_protocols.beside_plain(
            named_protocols.choose(data, name, **asked), flip, re_rank, centre
        ),
        "group": "validation" if validate else "test",
        "trust_code": trust_code,
    }
    data = evaluation.data_of(models, dataset, root, trust_code=trust_code)
    scores = evaluation.score_models(models, **how, data=data)
    if out:  # before they are shown: standard output may be closed
        results.keep(scores, out)
    console.show(*tables.tables(scores))
    if controls is not False:
        most = None if controls else FEW_PICTURES
        beside = evaluation.score_controls(models, data, **how, most=most)
        if beside:
            if out:
                results.keep(beside, out.with_name(results.CONTROLS))
            console.show(tables.beside_controls(scores, beside))
    if how_sure:
        for model in evaluation.models_of(models):
            found = evaluation.dataset_of(model, dataset, root, trust_code=trust_code)
            _show_how_sure(model, found, how["group"], how_sure, trust_code=trust_code)


def _show_how_sure(
    model: str, data: "Dataset", group: "Group", folder: Path, *, trust_code: bool
) -> None:
    from vireid.files import documents
    from vireid.files.atomic import write_whole
    from vireid.models.embedder import Embedder
    from vireid.reports import reliability_view
    from vireid.scoring import reliability

    found, remark = reliability.measure(Embedder.open(model, trust_code=trust_code), data, group)
    name = Path(model).absolute().name
    documents.write_json(folder / f"{name}.json", [each.as_dict() for each in found])
    write_whole(folder / f"{name}.png", reliability_view.plot(found))
    console.show(reliability.table(found, remark))
    console.say(f"plots are in {folder}")


@click.command(
    epilog=examples(
        "vireid compare runs/agw_sysu-1 runs/mun_sysu-1",
        "vireid compare runs/*/scores.json --sort mAP",
        'vireid compare a.json b.json --metric mINP --sort "B mINP"',
        "vireid compare runs/agw-* runs/mun-*            seeds of one recipe are one row",
        "vireid compare a.json b.json --one-column       refuse what does not compare",
        "vireid compare runs/* --protocol 'all single' --latex > table.tex",
    ),
)
@click.argument("sources", nargs=-1, required=True, metavar="RESULTS...")
@click.option(
    "--metric", "metrics", multiple=True, type=click.Choice(METRICS), help="To show.  [all, or two]"
)
@click.option("--sort", help="Best model first, by a metric of the first column, or of another.")
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    metavar="TEXT",
    help="Only results whose title holds TEXT, such as 'sysu/official all'.",
)
@click.option("--controls", is_flag=True, help="Rows for what learns nothing, where it was scored.")
@click.option("--one-column", is_flag=True, help="Refuse different protocols, data or pictures.")
@click.option("--markdown", "form", flag_value="markdown", help="Tables in Markdown.")
@click.option("--latex", "form", flag_value="latex", help="Tables in LaTeX (booktabs).")
@click.option("--csv", "form", flag_value="csv", help="The scores as comma-separated values.")
@click.option("--json", "form", flag_value="json", help="Answer for programs.")
def compare(
    sources: tuple[str, ...],
    metrics: tuple[str, ...],
    sort: str | None,
    protocols: tuple[str, ...],
    controls: bool,
    one_column: bool,
    form: str | None,
) -> None:
    """Put results into one table, and say which differences are more than chance.

    RESULTS are files that `vireid evaluate` has written, runs or exported models that hold one, or
    `small`. What was scored otherwise, or on other pictures, stands in another column. Runs of one
    recipe with several seeds are one row. Each pair of rows is compared query by query: an interval
    over people, and a permutation test over queries, corrected for the number of pairs.
    """
    from vireid.scoring import comparison as settling
    from vireid.scoring import results
    from vireid.scoring import table_formats as formats

    found, missing = results.found_in(sources)
    if controls:
        found += results.controls_of(sources)
    comparison = results.compare(results.of_protocols(found, protocols) if found else [])
    if one_column:
        results.check_one_column(comparison)
    if sort:
        comparison = results.sort(comparison, sort)
    settled = settling.settle(comparison, missing)
    if form == "json":
        console.answer(settled.as_dict())
        return
    if form == "csv":
        console.say(*formats.as_csv(settled.grid(metrics)).split("\n"))
    elif form:
        write = formats.latex if form == "latex" else formats.markdown
        shown = [settled.grid(metrics), settled.grid_of_differences()]
        told = "\n\n".join(write(grid) for grid in shown if len(grid) > 1)
        console.say(*told.split("\n"))
    else:
        console.show(*settled.tables(metrics))
    for note in settled.notes:
        console.remark(f"vireid: {note}", colour="yellow")


@click.command(
    epilog=examples(
        "vireid report runs/agw_nightwalk_mini-1",
        "vireid report runs/agw_sysu-1 runs/mun_sysu-1 --out both.html      side by side",
    ),
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--out", type=TO_WRITE, default=Path("report.html"), show_default=True, help="File to write."
)
@click.option("--dataset", help="Data set to look at.  [default: the one of the run]")
@ROOT
@TRUST_CODE
def report(
    models: tuple[str, ...], out: Path, dataset: str | None, root: Path | None, trust_code: bool
) -> None:
    """Write one HTML file about MODELs, to be looked at in a browser.

    How they learnt, scores, CMC, similarities of one and of two people, a map of embeddings, the
    best, usual and worst queries, and whether chances come true. It holds pictures of test people.
    """
    from vireid.reports import run_report

    size = run_report.write(models, out, dataset, root, trust_code=trust_code)
    console.say(f"{out}: {size / 1e6:.1f} MB, one file; it asks nothing of any server")
