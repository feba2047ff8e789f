"""Scores beside the published evaluations: AGW, LLCM (DEEN), MPANet, and SYSU-MM01's in Octave.

    python benchmarks/metric_parity.py --agw Cross-Modal-Re-ID-baseline --llcm LLCM \
        --mpanet MPANet --sysu SYSU-MM01 --write

The four are clones of github.com/mangye16/Cross-Modal-Re-ID-baseline, ZYK100/LLCM,
DoubtedSteam/MPANet and wuancong/SYSU-MM01; none comes with vireid, each may be left out. The last
needs `octave-cli` too. Nothing of them is changed but for what today's libraries lack:

* MPANet's evaluation asks for `np.in1d`, which is `np.isin` now, and imports sklearn without using
  it; both are given to it
* SYSU-MM01's is given a distance for `model.test_fun`, as it asks to be, because `pdist2` is not
  part of Octave, and a `save` that keeps what Octave can write

All score the same random unit features in SYSU-MM01's true structure: 3,803 queries and the ten
official galleries, indoor and all, single- and multi-shot; each takes the peers minutes. LLCM's and
RegDB's rules are scored on random pictures of 40 people under 9 cameras. AGW, LLCM and vireid
are given similarities as ranks, the others work them out of features by themselves, in double
precision as ours are.
"""

import argparse
import contextlib
import importlib
import importlib.util
import io
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat, savemat

from vireid.datasets import Dataset
from vireid.datasets._sysu_layout import MODALITIES
from vireid.records import ImageRecord
from vireid.scoring import METRICS, named_protocols, sysu_permutations
from vireid.scoring.metrics import CmcVariant, score_ranking
from vireid.scoring.protocols import Protocol, Trial

RESULTS = Path(__file__).parent / "results" / "metric_parity.md"
DIM = 64
VARIANTS = ("all single", "indoor single", "indoor multi", "all multi")
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Ranking:
    """What every evaluation is given."""

    similarity: np.ndarray
    """As ranks, so that single precision orders them as double precision does."""
    query_people: np.ndarray
    query_cameras: np.ndarray
    gallery_people: np.ndarray
    gallery_cameras: np.ndarray


def sysu(root: Path) -> Dataset:
    """SYSU-MM01's test people with as many pictures as its permutations have; no files."""
    data = root / "evaluation" / "data_split"
    people = loadmat(data / "test_id.mat")["id"].ravel().tolist()
    cells = loadmat(data / "rand_perm_cam.mat")["rand_perm_cam"].ravel()
    records = [
        ImageRecord(root / camera / f"{person:04d}" / f"{frame:04d}.jpg", modality, person, camera)
        for (camera, modality), cell in zip(MODALITIES.items(), cells, strict=True)
        for person in people
        for frame in range(1, cell.ravel()[person - 1].shape[1] + 1)
    ]
    return Dataset("sysu_mm01", root, (), (), tuple(records), facts={})


def features_of(records: Sequence[ImageRecord]) -> dict[ImageRecord, np.ndarray]:
    """Identity, camera and noise; of length one, in double precision."""
    rng = np.random.default_rng(0)
    people = {r.identity: rng.standard_normal(DIM) for r in records}
    cameras = {r.camera: rng.standard_normal(DIM) for r in records}
    rows = [people[r.identity] + cameras[r.camera] + 3 * rng.standard_normal(DIM) for r in records]
    return {r: row / np.linalg.norm(row) for r, row in zip(records, rows, strict=True)}


def ranking(trial: Trial, features: Mapping[ImageRecord, np.ndarray]) -> Ranking:
    queries, gallery = (
        np.stack([features[r] for r in part]) for part in (trial.queries, trial.gallery)
    )
    parts = [
        np.array([value(r) for r in part])
        for part in (trial.queries, trial.gallery)
        for value in (lambda r: r.identity, lambda r: int(r.camera[3:]))
    ]
    return Ranking(as_ranks(queries @ gallery.T), *parts)


def as_ranks(similarity: np.ndarray) -> np.ndarray:
    order = np.argsort(similarity, axis=1, kind="stable")
    return np.argsort(order, axis=1, kind="stable").astype(np.float32)


def ours(r: Ranking, hidden: np.ndarray | None, cmc: CmcVariant = "identity") -> Scores:
    found = score_ranking(r.similarity, r.query_people, r.gallery_people, hidden, cmc)
    return named([*(found.rank(k) for k in (1, 5, 10, 20)), found.mean_ap, found.mean_inp])


def named(values: Sequence[float]) -> Scores:
    return dict(zip(METRICS, map(float, values), strict=False))


def module_of(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("peer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_matrix(function: Callable[..., Any], r: Ranking, *, cameras: bool = True) -> Scores:
    """AGW's and LLCM's functions take distances, identities and cameras."""
    known = (r.query_cameras, r.gallery_cameras) if cameras else ()
    with contextlib.redirect_stdout(io.StringIO()):
        cmc, mean_ap, mean_inp = function(-r.similarity, r.query_people, r.gallery_people, *known)
    return named([*(cmc[k - 1] for k in (1, 5, 10, 20)), mean_ap, mean_inp])


def random_ranking() -> Ranking:
    """Both modalities under the same cameras, as in LLCM."""
    rng = np.random.default_rng(1)
    people, cameras = (rng.integers(0, n, 1200) for n in (40, 9))
    centres = rng.standard_normal((40, DIM))[people] + rng.standard_normal((9, DIM))[cameras]
    features = centres + 3 * rng.standard_normal((1200, DIM))
    similarity = as_ranks(features[:800] @ features[800:].T)
    return Ranking(similarity, people[:800], cameras[:800], people[800:], cameras[800:])


# ------------------------------------------------------------------ MPANet, from features


@contextlib.contextmanager
def mpanet(root: Path) -> Iterator[Any]:
    """Its module `utils.eval_sysu`."""
    sklearn = types.ModuleType("sklearn.preprocessing")
    sklearn.normalize = None  # type: ignore[attr-defined]
    np.in1d = np.isin  # type: ignore[attr-defined]  # noqa: NPY201  for MPANet
    stubs = {"sklearn": types.ModuleType("sklearn"), "sklearn.preprocessing": sklearn}
    package = types.ModuleType("utils")
    package.__path__ = [str(root / "utils")]
    sys.modules |= {**stubs, "utils": package}
    try:
        yield importlib.import_module("utils.eval_sysu")
    finally:
        for name in [*stubs, "utils", "utils.eval_sysu", "utils.rerank"]:
            sys.modules.pop(name, None)


def by_mpanet(
    module: Any, dataset: Dataset, features: Mapping[ImageRecord, np.ndarray], mode: str, shot: str
) -> Scores:
    """Means over its ten trials; it draws the galleries by itself."""
    import torch

    parts = [
        [r for r in dataset.test if (r.camera in ("cam3", "cam6")) is queries]
        for queries in (True, False)
    ]
    arguments: list[Any] = []
    for part in parts:
        arguments.append(torch.from_numpy(np.stack([features[r] for r in part])))
        arguments.append(np.array([r.identity for r in part]))
        arguments.append(np.array([int((r.camera or "")[3:]) for r in part]))
    paths = np.array([str(r.path) for r in parts[1]])
    cells = loadmat(sysu_permutations.permutations_path(dataset.root))["rand_perm_cam"]
    mean_ap, *ranks = module.eval_sysu(
        *arguments, paths, cells, mode, 1 if shot == "single" else 10
    )
    return named([value / 100 for value in (*ranks, mean_ap)])


# ------------------------------------------------------------------ SYSU-MM01, in Octave

DRIVER = """
addpath('{folder}'); addpath('{code}');
warning('off', 'all');
model.test_fun = @inner_product; model.name = 'inner_product'; model.para = [];
content = load('{code}/data_split/test_id.mat'); data_split.test_id = content.id;
content = load('{code}/data_split/rand_perm_cam.mat');
data_split.rand_perm_cam = content.rand_perm_cam;
info.name = 'feat'; info.dir = '{folder}';
setting.mode = '{mode}_search'; setting.number_shot = {pictures};
p = evaluation_SYSU_MM01(info, data_split, model, setting, '{folder}');
builtin('save', '-v6', '{folder}/answer.mat', 'p');
"""
DISTANCE = """
function dist = inner_product(gallery, probe, para)
  dist = -probe * gallery';
end
"""
NO_SAVE = """
function save(varargin)
end
"""


def by_octave(
    root: Path, dataset: Dataset, features: Mapping[ImageRecord, np.ndarray], mode: str, shot: str
) -> Scores:
    """The official evaluation; it draws the galleries by itself."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_features(folder, dataset, features)
        (folder / "inner_product.m").write_text(DISTANCE)
        (folder / "save.m").write_text(NO_SAVE)
        driver = DRIVER.format(
            folder=folder,
            code=(root / "evaluation").absolute(),
            mode=mode,
            pictures=1 if shot == "single" else 10,
        )
        (folder / "drive.m").write_text(driver)
        command = ["octave-cli", "--quiet", "--no-init-file", str(folder / "drive.m")]
        subprocess.run(command, check=True, capture_output=True)
        answer = loadmat(folder / "answer.mat")["p"][0, 0]
    cmc = answer["cmc_mean"].ravel()
    return named([*(cmc[k - 1] for k in (1, 5, 10, 20)), answer["map_mean"].item()])


def write_features(
    folder: Path, dataset: Dataset, features: Mapping[ImageRecord, np.ndarray]
) -> None:
    """`feature{identity}(i, :)` for every camera."""
    people = max(record.identity or 0 for record in dataset.test)
    for camera in MODALITIES:
        cells = np.empty((people, 1), object)
        for person in range(people):
            cells[person, 0] = np.zeros((0, DIM))
        rows: dict[int, list[np.ndarray]] = {}
        for record in dataset.test:
            if record.camera == camera:
                rows.setdefault(record.identity or 0, []).append(features[record])
        for person, vectors in rows.items():
            cells[person - 1, 0] = np.stack(vectors)
        savemat(folder / f"feat_{camera}.mat", {"feature": cells})


# ------------------------------------------------------------------ all of them


def mean(scores: Sequence[Scores]) -> Scores:
    return {name: float(np.mean([each[name] for each in scores])) for name in scores[0]}


def our_means(
    protocol: Protocol, dataset: Dataset, features: Mapping[ImageRecord, np.ndarray]
) -> tuple[Scores, list[Ranking]]:
    trials = protocol.trials(dataset)
    rankings = [ranking(trial, features) for trial in trials]
    scored = [ours(r, protocol.hidden(t)) for r, t in zip(rankings, trials, strict=True)]
    return mean(scored), rankings


def compare_sysu(asked: argparse.Namespace) -> Iterator[tuple[str, str, Scores, Scores]]:
    """What is scored, by whom, ours, theirs."""
    dataset = sysu(asked.sysu)
    features = features_of(dataset.test)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "exp").mkdir()
        source = asked.sysu / "evaluation" / "data_split" / "rand_perm_cam.mat"
        (root / "exp" / "rand_perm_cam.mat").write_bytes(source.read_bytes())
        dataset = replace(dataset, root=root)
        for mode, shot in map(str.split, asked.variant or VARIANTS):
            protocol = named_protocols.find("sysu/official", mode, shot)
            what = f"SYSU-MM01 {mode} {shot}, ten trials"
            mine, rankings = our_means(protocol, dataset, features)
            if asked.agw:
                agw = module_of(asked.agw / "eval_metrics.py").eval_sysu
                some = rankings[: asked.trials] if shot == "multi" else rankings
                hidden = [(r.query_cameras == 3)[:, None] & (r.gallery_cameras == 2) for r in some]
                few = mean([ours(r, h) for r, h in zip(some, hidden, strict=True)])
                of_few = (
                    what if len(some) == 10 else f"SYSU-MM01 {mode} {shot}, trials: {len(some)}"
                )
                yield of_few, "AGW", few, mean([by_matrix(agw, r) for r in some])
            if asked.mpanet:
                with mpanet(asked.mpanet) as module:
                    yield what, "MPANet", mine, by_mpanet(module, dataset, features, mode, shot)
            if asked.octave:
                yield what, "official", mine, by_octave(asked.sysu, dataset, features, mode, shot)


def compare_others(asked: argparse.Namespace) -> Iterator[tuple[str, str, Scores, Scores]]:
    """The rules of LLCM and RegDB."""
    r = random_ranking()
    if asked.llcm:
        hidden = (r.query_people[:, None] == r.gallery_people) & (
            r.query_cameras[:, None] == r.gallery_cameras
        )
        llcm = module_of(asked.llcm / "DEEN" / "eval_metrics.py")
        yield "LLCM's rule", "LLCM (DEEN)", ours(r, hidden), by_matrix(llcm.eval_llcm, r)
        plain = by_matrix(llcm.eval_regdb, r, cameras=False)
        yield "RegDB's rule", "LLCM (DEEN)", ours(r, None, "plain"), plain
    if asked.agw:
        agw = module_of(asked.agw / "eval_metrics.py")
        plain = by_matrix(agw.eval_regdb, r, cameras=False)
        yield "RegDB's rule", "AGW", ours(r, None, "plain"), plain


def report(asked: argparse.Namespace) -> str:
    versions = {name: head(getattr(asked, name)) for name in ("agw", "llcm", "mpanet", "sysu")}
    lines = [
        "# Scores beside the published evaluations",
        "",
        "Random features in SYSU-MM01's true structure; see `benchmarks/metric_parity.py`. "
        + "; ".join(f"{name} at {commit}" for name, commit in versions.items() if commit)
        + f"; NumPy {np.__version__}"
        + (f"; {octave_version()}" if asked.octave else "")
        + ".",
        "",
        "Scores in percent, ours; then the largest difference of any, as a fraction of 1.",
        "",
        f"| scored | beside | {' | '.join(METRICS)} | largest difference |",
        f"|---|---|{'---|' * (len(METRICS) + 1)}",
    ]
    for what, by, mine, other in chain(compare_others(asked), compare_sysu(asked)):
        shown = [f"{100 * mine[name]:.2f}" if name in other else "not there" for name in METRICS]
        difference = max(abs(mine[name] - value) for name, value in other.items())
        lines.append(f"| {what} | {by} | {' | '.join(shown)} | {difference:.0e} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def head(clone: Path | None) -> str:
    if clone is None:
        return ""
    command = ["git", "-C", str(clone), "rev-parse", "--short=7", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True)
    return answer.stdout.strip() or "an unknown commit"


def octave_version() -> str:
    answer = subprocess.run(["octave-cli", "--version"], capture_output=True, text=True)
    return answer.stdout.splitlines()[0].replace(", version", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sysu", type=Path, required=True, help="clone of wuancong/SYSU-MM01")
    for name in ("agw", "llcm", "mpanet"):
        parser.add_argument(f"--{name}", type=Path, help="clone")
    parser.add_argument("--octave", action="store_true", help="run SYSU-MM01's own evaluation")
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="only these")
    parser.add_argument("--trials", type=int, default=2, help="of AGW's code, if multi-shot")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    asked = parser.parse_args()
    text = report(asked)
    if asked.write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
