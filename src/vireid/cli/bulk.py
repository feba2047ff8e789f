"""Options of bulk work, which several commands share."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vireid.bulk.cluster import Cluster

RAY = click.option(
    "--ray",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Spread the work by Ray: over the cluster at HOST:PORT, over the one that this machine is "
    "part of (auto), or with no ADDRESS over this machine's processors. Write it behind SOURCE.",
)
WORKERS = click.option(
    "--workers",
    type=click.IntRange(1),
    help="With --ray: number of workers.  [default: as many as there is room for]",
)
GPUS = click.option(
    "--gpus",
    type=click.FloatRange(0, min_open=True),
    help="With --ray: GPUs of each worker; two share one of 0.5.  [default: 1 with the engines "
    "cuda and tensorrt]",
)


def cluster_of(
    address: str | None,
    workers: int | None,
    threads: int | None = None,
    gpus: float | None = None,
    engine: str | None = None,
) -> "Cluster | None":
    """Return the cluster that was asked for.

    Args:
        address: What was said by `--ray`.
        workers: What was said by `--workers`.
        threads: Threads of the model, where they were asked for.
        gpus: What was said by `--gpus`.
        engine: Engine of the model.
    """
    if address is None:
        if workers is not None or gpus is not None:
            raise click.UsageError("--workers and --gpus belong to --ray.")
        return None
    from vireid.bulk.cluster import Cluster

    on_gpu = engine in ("cuda", "tensorrt")
    return Cluster(address, workers, threads or 1, float(on_gpu) if gpus is None else gpus)
