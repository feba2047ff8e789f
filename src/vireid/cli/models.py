"""Commands about what was learnt: export, import, join, adapt, show-auxiliary, show-measures."""

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from vireid import console
from vireid.cli.options import (
    EXISTING,
    EXISTING_FILE,
    ROOT,
    TO_WRITE,
    TRUST_CODE,
    VALIDATION_DATA,
    examples,
)
from vireid.errors import VireidError
from vireid.types.engine_options import Engine, Precision, StoredWeights

if TYPE_CHECKING:
    from vireid.models.card import Exported


def _shares(
    _context: click.Context, _parameter: click.Parameter, told: str | None
) -> tuple[float, ...] | None:
    """Read numbers that stand between commas."""
    try:
        return None if told is None else tuple(map(float, told.split(",")))
    except ValueError:
        raise click.BadParameter(f"{told} are no numbers such as 0.75,0.25") from None


@click.command(
    epilog=examples(
        "vireid export runs/agw_nightwalk_mini-1 --out my_model",
        "vireid export my_model --precision int8 --out my_model_int8",
        "vireid export stripes --engine openvino --precision bfloat16 --out stripes_bf16",
    )
)
@click.argument("model")
@click.option("--out", type=TO_WRITE, required=True, help="Folder to write the model to.")
@click.option("--caveat", help="What whoever reads its answers has to know; shown with each.")
@click.option("--licence", help="Licence of the weights, and where they come from.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "int8"]),
    default="float32",
    show_default=True,
    help="Number format to compute in: int8 by any engine, bfloat16 by openvino.",
)
@click.option(
    "--engine",
    type=click.Choice(get_args(Engine)),
    default="auto",
    show_default=True,
    help="What runs the new model where nothing else is asked for.",
)
@VALIDATION_DATA
@ROOT
@TRUST_CODE
def export(
    model: str,
    out: Path,
    caveat: str | None,
    licence: str | None,
    precision: Precision,
    engine: Engine,
    data: str | None,
    root: Path | None,
    trust_code: bool,
) -> None:
    """Make a model that runs without torch.

    The ONNX files of MODEL, a run, embed pictures on any machine, faster.

    For another precision or engine MODEL may also be exported or shipped. The new model is
    compared with MODEL on validation people: how far embeddings are apart, rank 1 and mAP of both.
    """
    if precision != "float32" or engine != "auto":
        if caveat or licence:
            raise click.UsageError("--caveat and --licence stay what they are in MODEL.")
        from vireid.experiments import conversion

        wanted = precision, engine, data, root
        made = conversion.convert(model, out, *wanted, trust_code=trust_code)
        console.say(*_told(made, model, out))
        return
    if data or root:
        raise click.UsageError("--data and --root belong to --precision and --engine.")
    from vireid.models import export
    from vireid.models.opening import is_shipped

    if is_shipped(model):
        raise VireidError(
            f"{model} comes with vireid, exported already; --precision or --engine make another "
            "model of it"
        )
    export.export(Path(model), out, trust_code=trust_code, caveat=caveat, licence=licence)
    written = sorted(path.name for path in out.iterdir())
    graphs = (name for name in written if name.endswith(".onnx"))
    networks = [*graphs, *(name for name in written if name.endswith((".bin", ".safetensors")))]
    size = sum((out / name).stat().st_size for name in networks) / 1e6
    console.say(
        f"{out}: {', '.join(networks)}, {size:.1f} MB together",
        f"use it with: vireid index FOLDER --out site.gallery --model {out}",
        f'in Python:   vireid.Embedder.open("{out}")',
    )


def _told(made: "Exported", model: str, out: Path) -> list[str]:
    """Return what is said of a converted model."""
    lines = [f"{out}: {model} in {made.precision}, run by {made.engine}"]
    if (parity := made.parity) is not None:
        (r1, new_r1), (mean_ap, new_mean_ap) = parity.r1, parity.mean_ap
        lines += [
            f"compared with float32 on {parity.people}:",
            f"  largest difference of a number of an embedding {parity.largest_difference:.1e}",
            f"  rank 1 {100 * r1:.1f} -> {100 * new_r1:.1f} %, "
            f"mAP {100 * mean_ap:.1f} -> {100 * new_mean_ap:.1f} %",
        ]
    return lines


@click.command(
    name="import",
    epilog=examples(
        "vireid import agw sysu_agw_best.t --out agw_sysu data.dataset=sysu_mm01",
        "vireid import agw regdb_3.t --out agw_3 data.dataset=regdb data.trial=3",
    ),
)
@click.argument("format_", metavar="FORMAT")
@click.argument("checkpoint", type=EXISTING_FILE)
@click.argument("overrides", nargs=-1, metavar="[key=value]...")
@click.option("--out", type=TO_WRITE, required=True, help="Folder to write the model to.")
@click.option(
    "--without",
    multiple=True,
    metavar="NAME",
    help="Leave out weights whose names begin so; they must take no part in embedding.",
)
def import_(
    format_: str,
    checkpoint: Path,
    overrides: tuple[str, ...],
    out: Path,
    without: tuple[str, ...],
) -> None:
    """Make a model of a checkpoint that released code has written.

    FORMAT says by whose code; `vireid list formats` has them all. Nothing in the file is run. What
    the checkpoint has learnt on is told by data.dataset (and data.trial), the size of its pictures
    by data.height and data.width.
    """
    from vireid.models.importing import import_checkpoint

    made = import_checkpoint(format_, checkpoint, out, overrides, without=without)
    click.echo("\n".join([f"{out}: {made.taken} weights", *made.lines()]))
    click.echo(f"use it with: vireid evaluate {out} --root FOLDER")


@click.command(
    name="show-auxiliary",
    epilog=examples("vireid show-auxiliary runs/mun_nightwalk_mini-1 --out auxiliary.png"),
)
@click.argument("run", type=EXISTING)
@click.option("--out", type=TO_WRITE, required=True, help="Picture (PNG) to write.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another one, other people.")
@TRUST_CODE
def show_auxiliary(run: Path, out: Path, seed: int, trust_code: bool) -> None:
    """Show the auxiliary modality of RUN.

    Visible, infrared and generated pictures of test people side by side; and where the three
    modalities lie in the space of embeddings, before and after learning.
    """
    from vireid.reports import auxiliary_view

    auxiliary_view.write(run, out, seed, trust_code=trust_code)


@click.command(
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

    measures_view.write(run, out)


@click.command(
    epilog=examples(
        "vireid join stripes_learnt small --shares 0.75,0.25 --out my_model",
        "vireid join my_site stripes_learnt --out both",
    ),
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL MODEL...")
@click.option("--out", type=TO_WRITE, required=True, help="Folder to write the model to.")
@click.option(
    "--shares",
    callback=_shares,
    help="Share of a similarity that each MODEL decides, together 1.  [default: all alike]",
)
@click.option(
    "--weights",
    type=click.Choice(get_args(StoredWeights)),
    default="float32",
    show_default=True,
    help="Number format of weights; float16 halves the folder. It computes in float32.",
)
@click.option(
    "--caveat", help="What whoever reads its answers has to know.  [default: the models']"
)
def join(
    models: tuple[str, ...],
    out: Path,
    shares: tuple[float, ...] | None,
    weights: StoredWeights,
    caveat: str | None,
) -> None:
    """Make one model of several, whose similarity is the weighted mean of theirs.

    MODELs are exported or shipped, in float32. Models that know different things find more people
    together than each alone; choose the shares on validation people. It takes their times together,
    but for what they compute alike.
    """
    from vireid.models import joining

    even = (1 / len(models),) * len(models)
    made = joining.join(models, shares or even, out, caveat=caveat, weights=weights)
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    console.say(
        f"{out}: {made.embedding_dim} numbers a picture of {made.height} x {made.width}, "
        f"{size:.1f} MB",
        f"score it with: vireid evaluate {out}",
        f"use it with:   vireid index FOLDER --out site.gallery --model {out}",
    )


@click.command(
    epilog=examples(
        "vireid cut day.mp4 night.mp4 --pair --detector yolox_tiny --start 2026-11-24T18:30:00 \\",
        "    --out site                                       people whom nobody has to name",
        "vireid adapt stripes site/people.csv --out my_site",
        "vireid adapt stripes a/people.csv --held-out b/people.csv --out my_site",
        "vireid adapt stripes_learnt site/people.csv --beside nightwalk:rendered --out my_site",
        "                                    rendered by `vireid render --out rendered --masks`",
    ),
)
@click.argument("model")
@click.argument("people", type=EXISTING)
@click.argument("overrides", nargs=-1, metavar="[key=value]...")
@click.option("--out", type=TO_WRITE, required=True, help="Folder to write the model to.")
@click.option(
    "--held-out",
    type=EXISTING,
    help="Other people of these cameras, to say what was gained.  [default: a third of PEOPLE]",
)
@click.option(
    "--beside",
    multiple=True,
    metavar="NAME:FOLDER",
    help="Let MODEL go on learning from PEOPLE beside those of this data set.",
)
@TRUST_CODE
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def adapt(
    model: str,
    people: Path,
    overrides: tuple[str, ...],
    out: Path,
    held_out: Path | None,
    beside: tuple[str, ...],
    trust_code: bool,
    as_json: bool,
) -> None:
    """Adapt MODEL to your own cameras, from PEOPLE whom `vireid cut --pair` has found.

    MODEL is an exported or a shipped model. It stays as it is but for what its numbers
    count. With --beside it also goes on learning as it has learnt, three times in all, with
    some of PEOPLE in each batch; key=value changes settings of its recipe for that, such as
    data.own_people=4 or settings.epochs=8. What of it is good is chosen by cross-validation
    over people. If nothing is clearly better than MODEL, nothing is written.

    Learning can be broken off: the same command goes on.
    """
    if overrides and not beside:
        raise click.UsageError(
            f"{overrides[0]} is for a model that goes on learning; give --beside."
        )
    from dataclasses import asdict

    from vireid.experiments import adaptation

    found = adaptation.adapt(
        model,
        people,
        out,
        held_out,
        beside=beside,
        overrides=overrides,
        trust_code=trust_code,
    )
    if as_json:
        console.answer({"out": str(out), **asdict(found)})
        return
    console.say(
        f"{out}: {model}, adapted to {found.learnt_from} people",
        f"chosen on people left out in turn: {found.way}; {found.chosen_by}",
        *(f"  {way}: {gain.spread}" for way, gain in found.tried.items()),
    )
    if found.held_out:
        console.say(f"held out: {found.held_out}")
        if found.held_out.difference <= 0:
            console.say("on the people held out it has gained nothing; keep the model as it was")
    console.say(f"use it with: vireid index FOLDER --out site.gallery --model {out}")
