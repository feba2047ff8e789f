"""Files in deploy/ are well-formed, and type commands that vireid has."""

import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from vireid.cli.main import vireid

DEPLOY = Path(__file__).parent.parent / "deploy"
JOBS = sorted(DEPLOY.rglob("*.sbatch"))
MANIFESTS = sorted(DEPLOY.rglob("*.yaml"))


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(DEPLOY)) for path in paths]


def parsed(words: list[str]) -> dict[str, Any]:
    """The options and arguments that click reads in a command of vireid."""
    command = vireid.commands[words[0]]
    with command.make_context(words[0], list(words[1:]), resilient_parsing=True) as context:
        unknown = [word for word in words if word.startswith("--") and not known(command, word)]
        assert unknown == []
        return context.params


def known(command: click.Command, word: str) -> bool:
    return any(word.partition("=")[0] in parameter.opts for parameter in command.params)


def test_there_is_a_job_for_learning_and_one_for_indexing_on_slurm_and_on_kubernetes() -> None:
    assert [path.stem for path in JOBS] == ["index", "train"]
    assert [path.stem for path in MANIFESTS] == ["index", "train"]


@pytest.mark.parametrize("job", JOBS, ids=names(JOBS))
def test_a_job_for_slurm_is_a_script_with_settings_above_it(job: Path) -> None:
    checked = subprocess.run(["bash", "-n", job], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    head = re.split(r"(?:^#SBATCH.*\n)+", job.read_text(), flags=re.M)
    assert len(head) == 2, "sbatch reads settings up to the first command only"
    assert all(not line or line.startswith("#") for line in head[0].splitlines())
    settings = re.findall(r"^#SBATCH --([\w-]+)=\S+$", job.read_text(), flags=re.M)
    assert {"nodes", "ntasks-per-node", "cpus-per-task", "time"} <= set(settings)
    script = head[1].replace("\\\n", " ").replace('"', "").split()
    words = script[script.index("vireid") + 1 :]
    words = [word for word in words if not word.startswith("${")]
    assert parsed(words)["out"] is not None


def documents(path: Path) -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    return list(yaml.safe_load_all(path.read_text()))


def test_a_job_for_kubernetes_learns_on_as_many_pods_as_it_says() -> None:
    service, job = documents(DEPLOY / "kubernetes" / "train.yaml")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    arguments = container["args"]
    count = job["spec"]["completions"]
    assert job["spec"]["parallelism"] == count
    assert f"--nnodes={count}" in arguments
    assert service["metadata"]["name"] == job["spec"]["template"]["spec"]["subdomain"]
    first = f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert f"--master-addr={first}" in arguments
    gpus = container["resources"]["limits"]["nvidia.com/gpu"]
    assert f"--nproc-per-node={gpus}" in arguments
    assert parsed(arguments[arguments.index("vireid") + 1 :])["recipe"] is not None


def test_a_job_for_kuberay_indexes_on_workers_that_see_what_the_head_sees() -> None:
    (job,) = documents(DEPLOY / "kubernetes" / "index.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    assert pods[0]["volumes"] == pods[1]["volumes"]
    containers = [pod["containers"][0] for pod in pods]
    for what in ("image", "volumeMounts", "env"):
        assert containers[0][what] == containers[1][what]
    words = job["spec"]["entrypoint"].split()
    assert words[0] == "vireid"
    assert parsed(words[1:])["ray"] == "auto"
