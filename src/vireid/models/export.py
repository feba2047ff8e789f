"""A trained method as ONNX files, which embed pictures on any machine and without torch.

model.json            card: method, settings, picture size, fingerprint, SHA-256 of the files
visible.onnx          pictures (uint8, n x height x width x 3) to embeddings (float32, n x d)
infrared.onnx         the same for the other spectrum
model.safetensors     the weights that embedding needs, as the method has them; the graphs name
                      places in it, and training can begin with it
weights.bin           weights of the graphs that are not in it; few methods have any
text.onnx, text.bin   numbers of words (int64, 1 x length) to the vector of a sentence (float32,
                      1 x d), if the method reads CLIP's words
tokenizer.json        sentences to numbers of words, for the library tokenizers
calibration.json      what its similarities are worth, if the run was calibrated
recipe.toml, ...      files of the run that tell how the model was learnt
"""

import copy
import dataclasses
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vireid import __version__
from vireid.backbones.clip_text import portable_tokenizer
from vireid.errors import VireidError
from vireid.files import documents, user_code
from vireid.files.atomic import check_is_new, new_folder, writing_to
from vireid.files.checksums import sha256_of
from vireid.method import FromText, Method, ReadsText, ReadsWords
from vireid.models import engines, onnx_graphs, runs, sentence_reader
from vireid.models.calibration import FILE as CALIBRATION
from vireid.models.card import CARD, Exported, ExportedText, caveat_of
from vireid.models.onnx_network import weights_among
from vireid.models.opening import ORIGINAL
from vireid.models.runs import Details
from vireid.models.sentence_reader import SentenceReader
from vireid.recipes.recipe import Recipe
from vireid.records import Modality
from vireid.types.tensors import images_of

KEPT_FROM_RUN = ("recipe.toml", "scores.json", "log.txt", "losses.jsonl", "measures.jsonl")
TOLERANCE = 1e-5
"""Largest difference allowed between a number of an embedding in torch and in ONNX Runtime."""
EXAMPLES = ("hat", "A man in a dark coat, with a backpack; he\u2019s carrying 2 bags.")
"""Sentences by which an exported reader is compared with the method."""


class ExportError(VireidError):
    """A model could not be exported."""


def export(
    run: Path,
    out: Path,
    *,
    trust_code: bool = False,
    caveat: str | None = None,
    licence: str | None = None,
) -> None:
    """Write what a run has learnt to a new folder, which appears whole or not at all.

    Args:
        run: A run folder.
        out: The folder to write.
        trust_code: Run the code of the run's method if that is not vireid's.
        caveat: What whoever reads the model's answers has to know; shown with each.
        licence: Licence of the weights, and where they come from.

    Raises:
        VireidError: The folder exists or has the name of a file, the run has not finished or needs
            code that is not trusted, or ONNX Runtime computes something else than torch.
    """
    if out.suffix == ".onnx":
        raise ExportError(
            f"{out} would be a folder: a model is two networks and their weights in one folder; "
            f"give --out {out.with_suffix('')}"
        )
    check_is_new(out, ExportError)
    method, recipe = runs.load_method(run, trust_code=trust_code)
    with writing_to(out), new_folder(out) as folder:
        for file in (*KEPT_FROM_RUN, *user_code.kept_files(run)):
            if (run / file).exists():
                shutil.copyfile(run / file, folder / file)
        details = runs.read_details(run)
        write_graphs(method, recipe.data.height, recipe.data.width, folder, details.learnt)
        text = None
        if isinstance(method, ReadsWords) and (not details.imported or details.imported.reads_text):
            caveat_of_text = _caveat_of_text(method, recipe, run, out.name)
            text = ExportedText(most_words=method.most_words, caveat=caveat_of_text)
            _write_text(method, text, folder)
        files = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
        exported = _described(method, recipe, details, out.name, files)
        said = dataclasses.replace(
            exported, caveat=caveat or exported.caveat, licence=licence, text=text
        )
        documents.write_json(folder / CARD, said)
        if (run / CALIBRATION).exists():  # not among the files of the card: it may be made anew
            shutil.copyfile(run / CALIBRATION, folder / CALIBRATION)


def _described(
    method: Method, recipe: Recipe, details: Details, name: str, files: Mapping[str, str]
) -> Exported:
    return Exported(
        vireid=__version__,
        method=user_code.shown(recipe.method),
        settings=dataclasses.asdict(recipe.settings),
        height=recipe.data.height,
        width=recipe.data.width,
        embedding_dim=method.embedding_dim,
        grid=method.grid,
        reads_text=isinstance(method, ReadsText),
        precision="float32",
        fingerprint=details.learnt,
        dataset=details.dataset,
        num_identities=details.num_identities,
        learnt_in=details.learnt_in,
        imported=details.imported,
        caveat=caveat_of(details.imported),
        name=name,
        files=files,
    )


def write_graphs(
    method: Method, height: int, width: int, folder: Path, fingerprint: str = "unknown"
) -> None:
    """Write `visible.onnx`, `infrared.onnx` and their weights, and compare them with torch.

    Raises:
        ExportError: ONNX Runtime computes something else than torch.
    """
    method = copy.deepcopy(method).cpu()
    (folder / runs.WEIGHTS).write_bytes(save(_needed_to_embed(method, height, width)))
    shape = (height, width, 3)
    made = {modality: _graph(_EmbedPictures(method, modality), shape) for modality in Modality}
    told = {m: onnx_graphs.contract(m, height, width, fingerprint, "float32") for m in Modality}
    onnx_graphs.write(made, folder, told, stored=runs.WEIGHTS)
    for modality in Modality:
        _check(_EmbedPictures(method, modality), shape, folder / f"{modality}.onnx")


def _caveat_of_text(method: ReadsWords, recipe: Recipe, run: Path, name: str) -> str | None:
    if not isinstance(method, FromText):
        return None
    return method.text_caveat(recipe.settings, name, f"{ORIGINAL}{run.absolute().name}")


def _write_text(method: ReadsWords, told: ExportedText, folder: Path) -> None:
    """Write the reader of sentences, and compare it with the method.

    Raises:
        ExportError: ONNX Runtime computes something else than torch.
    """
    network = copy.deepcopy(_EmbedWords(method)).cpu()
    (folder / sentence_reader.TOKENIZER).write_text(portable_tokenizer(), encoding="utf-8")
    # One sentence, because those of a batch would have to be of one length.
    words = torch.zeros(1, 5, dtype=torch.int64)
    length = torch.export.Dim("length", min=2, max=method.most_words)
    graph = _onnx_of(network, words, "words", {1: length})
    onnx_graphs.write_sharing({sentence_reader.GRAPH: graph}, folder, sentence_reader.WEIGHTS)
    read = SentenceReader(told, lambda name: (folder / name).read_bytes(), None)
    for sentence in EXAMPLES:
        with torch.no_grad():
            expected = network.method.embed_text([sentence]).numpy()
        _compare(sentence_reader.GRAPH, read([sentence]), expected)


def _needed_to_embed(method: Method, height: int, width: int) -> dict[str, Tensor]:
    """Return the weights that embeddings depend on, so without classifiers and unused layers."""
    # A weight that an embedding depends on gets a gradient; the others get none.
    images = torch.rand(2, 3, height, width)
    method = copy.deepcopy(method).cpu().eval().requires_grad_(True)
    for modality in Modality:
        method.embed(images, modality).sum().backward()  # type: ignore[no-untyped-call]
    unneeded = {name for name, weight in method.named_parameters() if weight.grad is None}
    for name, layer in method.named_modules():
        if isinstance(layer, _BatchNorm) and f"{name}.weight" in unneeded:
            unneeded |= {f"{name}.{statistic}" for statistic, _ in layer.named_buffers()}
    state = method.state_dict()
    return {name: v.contiguous() for name, v in state.items() if name not in unneeded}


class _EmbedPictures(nn.Module):
    """Embeds pictures given as uint8, n x height x width x 3."""

    def __init__(self, method: Method, modality: Modality) -> None:
        super().__init__()
        self.method = method
        self.modality = modality
        self.eval()

    def forward(self, pictures: Tensor) -> Tensor:
        return self.method.embed(images_of(pictures), self.modality)


class _EmbedWords(nn.Module):
    """Embeds sentences given as the numbers of their words."""

    def __init__(self, method: ReadsWords) -> None:
        super().__init__()
        self.method = method
        self.eval()

    def forward(self, words: Tensor) -> Tensor:
        return self.method.embed_words(words)


def _graph(network: nn.Module, shape: tuple[int, int, int]) -> onnx.ModelProto:
    # Two pictures, because the exporter takes an axis of length one for constant.
    example = torch.zeros(2, *shape, dtype=torch.uint8)
    return _onnx_of(network, example, "pictures", {0: torch.export.Dim("n")})


def _onnx_of(
    network: nn.Module, example: Tensor, name: str, free: Mapping[int, Any]
) -> onnx.ModelProto:
    """Return a network as a graph from an array of a name to `embeddings`.

    Args:
        network: Takes a tensor like the example.
        example: Axes of length one are taken for constant.
        name: Name of the graph's input.
        free: Axes of the input whose lengths are free.
    """
    with warnings.catch_warnings():
        # All of them come from within torch.onnx, about its own code.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            # Its optimiser takes small additions for nothing: GeM's x + 1e-12 becomes x. ONNX
            # Runtime fuses by itself, and more carefully.
            optimize=False,
            verbose=False,
            input_names=[name],
            output_names=["embeddings"],
            dynamic_shapes=(dict(free),),
        )
    assert program is not None
    return without_zero_biases(_without_remarks(program.model_proto))


def without_zero_biases(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the zeros that the exporter adds where a convolution has no bias.

    It makes them with several nodes, and ONNX Runtime then does not join the convolution with the
    normalisation behind it, which takes up to twice as long. `_check` compares all with torch.
    """
    nodes = model.graph.node
    made_by = {output: node.op_type for node in nodes for output in node.output}
    for node in nodes:
        has_bias = node.op_type == "Conv" and len(node.input) > 2
        if has_bias and made_by.get(node.input[2]) in ("Expand", "ConstantOfShape"):
            del node.input[2]
    wanted = {output.name for output in model.graph.output}
    kept = list[onnx.NodeProto]()
    for node in reversed(nodes):  # each stands behind what it needs
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    del nodes[:]
    nodes.extend(reversed(kept))
    return model


def _without_remarks(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove stack traces, which name the exporting machine and are most of the file."""
    graph = model.graph
    values = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
    functions = [part for function in model.functions for part in (function, *function.node)]
    for part in [model, graph, *graph.node, *values, *functions]:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


def _check(network: nn.Module, shape: tuple[int, int, int], graph: Path) -> None:
    """Compare the graph with torch on noise, in a batch of another size than the exporter saw."""
    pictures = np.random.default_rng(0).integers(0, 256, (3, *shape), dtype=np.uint8)
    with torch.no_grad():
        expected = network(torch.from_numpy(pictures)).numpy()
    names = weights_among(path.name for path in graph.parent.iterdir())
    weights = {name: (graph.parent / name).read_bytes() for name in names}
    found = engines.start(graph.read_bytes(), weights, "cpu", "float32")(pictures)
    _compare(graph.name, found, expected)


def _compare(graph: str, found: np.ndarray, expected: np.ndarray) -> None:
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise ExportError(
            f"{graph} computes something else than torch (numbers differ by up to "
            f"{difference:.1e}); please report this with your versions of torch and onnxruntime"
        )
