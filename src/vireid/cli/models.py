"""Commands about what was learnt: export, show-auxiliary, show-measures."""

from pathlib import Path

import click

from vireid import console
from vireid.cli.options import EXISTING, TO_WRITE, TRUST_CODE, examples


@click.command(epilog=examples("vireid export runs/agw_nightwalk_mini-1 --out my_model"))
@click.argument("run", type=EXISTING)
@click.option("--out", type=TO_WRITE, required=True, help="Folder to write the model to.")
@TRUST_CODE
def export(run: Path, out: Path, trust_code: bool) -> None:
    """Make a model that runs without torch.

    The ONNX files of RUN embed pictures on any machine, faster.
    """
    from vireid.models import export

    export.export(run, out, trust_code=trust_code)
    networks = ("visible.onnx", "infrared.onnx", "weights.bin")
    size = sum((out / name).stat().st_size for name in networks) / 1e6
    console.say(
        f"{out}: {', '.join(networks)}, {size:.1f} MB together",
        f"use it with: vireid index FOLDER --out site.gallery --model {out}",
        f'in Python:   vireid.Embedder.open("{out}")',
    )


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
