"""Commands about scores: evaluate, compare."""

from pathlib import Path
from typing import Any

import click

from vireid import console
from vireid.cli.options import EXISTING, TO_WRITE, TRUST_CODE, examples
from vireid.scoring import METRICS

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
            console.show(tables.beside_controls(scores, beside))


@click.command(
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
    from vireid.scoring import results

    comparison = results.compare([each for source in sources for each in results.find(source)])
    if one_column:
        results.check_one_column(comparison)
    if sort:
        comparison = results.sort(comparison, sort)
    if as_json:
        console.answer(comparison.as_dict())
    else:
        console.show(comparison.table(metrics))
