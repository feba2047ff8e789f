"""Imported models beside released networks: vectors of the same pictures, from the same weights.

    python benchmarks/import_parity.py MMN LLCM deep-person-reid fast-reid --write

These are clones of github.com/ZYK100/MMN, ZYK100/LLCM (DEEN), KaiyangZhou/deep-person-reid
(torchreid), JDAI-CV/fast-reid, mangye16/Cross-Modal-Re-ID-baseline (AGW) and nengdong96/CSDN; none
comes with vireid, each may be left out. Their own definitions make networks with random weights,
which are saved as their scripts save them, imported, and asked for the same pictures. Nothing of a
clone is changed, and their training is not needed.

Exit status 1: a vector differs by more than 1e-5, or something could not be imported.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from parity.repositories import CHECKPOINTS, Clone, CloneError, recognised

if TYPE_CHECKING:
    from torch import Tensor, nn

FOUND = Path(__file__).parent / "results" / "import_parity.json"
TOLERANCE = 1e-5
PEOPLE = 7
HEIGHT, WIDTH = 128, 64
Theirs = Callable[["Tensor", int], "Tensor"]
"""Returns their vectors of normalised pictures; 1 is visible, 2 infrared, as in their code."""
Case = tuple[str, str, "nn.Module", str, Theirs]
"""What is compared, vireid's format, their network, where its weights lie in the file, vectors."""


def cases_of(clone: Clone) -> Iterator[Case]:
    """Make the networks of a clone, by its own definitions."""
    makers = {
        "AGW": _agw,
        "MMN": _mmn,
        "LLCM": _llcm,
        "torchreid": _torchreid,
        "fast-reid": _fast_reid,
    }
    make = makers.get(clone.repository.name)
    if make is None:
        print(f"{clone.repository.name}: see step_parity.py, which compares its features")
        return
    yield from make(clone)


def _without_imagenet(resnet: ModuleType) -> None:
    """Let a released resnet.py begin with random weights, where it asks for a download."""
    made = resnet.resnet50
    vars(resnet)["resnet50"] = lambda **asked: made(**{**asked, "pretrained": False})


def _two_streams(folder: Path, *given: Any) -> Any:
    from parity.released import importing, on_the_processor

    with on_the_processor(), importing(folder) as load:
        _without_imagenet(load("resnet"))
        return load("model").embed_net(PEOPLE, *given)


def _second(net: Any) -> Theirs:
    """Return their vectors behind the neck, which come second."""

    def vectors(images: "Tensor", modality: int) -> "Tensor":
        found: Tensor = net(images, images, modality)[1]
        return found

    return vectors


def _agw(clone: Clone) -> Iterator[Case]:
    for non_local, pool in (("on", "on"), ("off", "off")):
        net = _two_streams(clone.folder, non_local, pool)
        yield f"AGW, non-local {non_local}", "agw", net, "net", _second(net)


def _mmn(clone: Clone) -> Iterator[Case]:
    net = _two_streams(clone.folder)
    embed = _second(net)
    yield "MMN", "mmn", net, "net", lambda images, m: embed(images, m)[: len(images)]


def _llcm(clone: Clone) -> Iterator[Case]:
    import torch

    for dataset in ("llcm", "regdb"):
        net = _two_streams(clone.folder / "DEEN", dataset)

        def embed(images: "Tensor", modality: int, net: Any = net) -> "Tensor":
            # Their three views lie behind one another, each of length one.
            views = net(images, images, modality)[1].chunk(3)
            return torch.cat(views, dim=1) / 3**0.5

        yield f"DEEN, {dataset}", "deen", net, "net", embed


def _torchreid(clone: Clone) -> Iterator[Case]:
    from torch.nn import functional

    from parity.released import importing

    for file, names in (
        ("osnet", ("osnet_x1_0", "osnet_x0_75", "osnet_x0_5", "osnet_x0_25", "osnet_ibn_x1_0")),
        ("osnet_ain", ("osnet_ain_x1_0", "osnet_ain_x0_5", "osnet_ain_x0_25")),
    ):
        # The package itself asks for much that its networks do without.
        with importing(clone.folder / "torchreid" / "models") as load:
            module = load(file)
        for name in names:
            net = getattr(module, name)(num_classes=PEOPLE, pretrained=False)

            def embed(images: "Tensor", _: int, net: Any = net) -> "Tensor":
                found: Tensor = functional.normalize(net(images), dim=1)
                return found

            yield name, "osnet", net, "state_dict", embed


def _fast_reid(clone: Clone) -> Iterator[Case]:
    from torch.nn import functional

    from parity.released import importing

    with importing(clone.folder) as load:
        config = load("fastreid.config")
        build = load("fastreid.modeling.meta_arch.build")
        load("fastreid.modeling")
        for base in ("bagtricks", "AGW", "SBS"):
            for ibn in (False, True):
                asked = config.get_cfg()
                asked.merge_from_file(str(clone.folder / "configs" / f"Base-{base}.yml"))
                asked.MODEL.DEVICE = "cpu"
                asked.MODEL.BACKBONE.PRETRAIN = False
                asked.MODEL.BACKBONE.WITH_IBN = ibn
                asked.MODEL.HEADS.NUM_CLASSES = PEOPLE
                net = build.build_model(asked)

                def embed(images: "Tensor", _: int, net: Any = net) -> "Tensor":
                    found: Tensor = functional.normalize(net.heads(net.backbone(images)), dim=1)
                    return found

                yield f"fast-reid, {base}{', IBN' * ibn}", "fastreid", net, "model", embed


def difference(case: Case, folder: Path) -> tuple[float, float]:
    """Return the largest difference between a number of theirs and vireid's, and their spread.

    The spread is the smallest of the largest differences between two pictures' vectors of theirs:
    where it is small, equal vectors would tell little.
    """
    import torch

    from parity.inputs import fill, normal
    from vireid.models import runs
    from vireid.models.importing import import_checkpoint
    from vireid.records import Modality

    name, form, net, place, theirs = case
    # Attention without a softmax is a product of four maps, which grows without bound.
    fill(net, {"(bn3|W.1).weight": 0.3, "NL.*(theta|phi|g).*weight": 0.1})
    for parameter, value in net.named_parameters():
        if parameter == "heads.pool_layer.p":
            value.data.fill_(2.6)
        if parameter.startswith(("bottleneck", "heads.bottleneck")) and parameter.endswith("bias"):
            value.data.zero_()
    file = folder / f"{name.replace(' ', '_')}.pth"
    torch.save({place: net.state_dict(), "epoch": 3}, file)
    size = (f"data.height={HEIGHT}", f"data.width={WIDTH}")
    import_checkpoint(form, file, folder / name, size)
    method, _ = runs.load_method(folder / name)
    images = torch.rand(6, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    net.eval()
    found, spread = 0.0, float("inf")
    with torch.inference_mode():
        for number, modality in enumerate(Modality, start=1):
            ours = method.eval().embed(images, modality)
            given = theirs(normal(images), number)
            assert given.isfinite().all(), f"{name} with these weights gives no numbers"
            found = max(found, float((ours - given).abs().max()))
            spread = min(spread, float((given[1:] - given[:-1]).abs().amax(dim=1).min()))
    return found, spread


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clones", type=Path, nargs="+", metavar="CLONE")
    parser.add_argument(
        "--any-commit", action="store_true", help="compare with other commits and changed files"
    )
    parser.add_argument("--write", action="store_true", help=f"write {FOUND.name}")
    asked = parser.parse_args()
    try:
        clones = [
            recognised(folder, any_commit=asked.any_commit, known=CHECKPOINTS)
            for folder in asked.clones
        ]
    except CloneError as error:
        sys.exit(f"import_parity.py: {error}")
    results: dict[str, Any] = json.loads(FOUND.read_text()) if FOUND.is_file() else {}
    unequal = []
    for clone in clones:
        print(f"{clone.repository.name}, {clone.repository.address} at {clone.commit[:7]}")
        rows = {}
        for case in cases_of(clone):
            with tempfile.TemporaryDirectory() as folder:
                found, spread = difference(case, Path(folder))
            rows[case[0]] = {"difference": found, "between pictures": spread}
            equal = found <= TOLERANCE < spread / 10
            verdict = "equal" if equal else f"NOT EQUAL up to {TOLERANCE:.0e}"
            print(
                f"  {case[0]:<28} {found:.1e}, between pictures {spread:.1e}: {verdict}",
                flush=True,
            )
            unequal += [] if equal else [case[0]]
        results[clone.repository.name] = {"commit": clone.commit, "differences": rows}
    if asked.write:
        FOUND.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if unequal:
        sys.exit(f"import_parity.py: not equal: {', '.join(unequal)}")


if __name__ == "__main__":
    main()
