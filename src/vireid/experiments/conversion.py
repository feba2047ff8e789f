"""Conversion of a model to another precision or engine, compared with what it was made from.

The model in float32 and the converted one embed the same people: validation people, or a folder of
one's own, never test people. How far they are apart, and how each ranks them, stands in the card of
the converted model.
"""

import dataclasses
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from vireid import __version__
from vireid.files import documents
from vireid.files.atomic import check_is_new, new_folder, scratch_folder, writing_to
from vireid.files.checksums import sha256_of
from vireid.models import export, onnx_graphs, quantisation, sentence_reader
from vireid.models.card import CARD, Exported, ModelError, Parity, read_exported
from vireid.models.embedder import Embedder
from vireid.models.onnx_network import weights_among
from vireid.models.opening import folder_of
from vireid.pictures import pixels_of
from vireid.records import Modality, spread
from vireid.scoring import evaluation
from vireid.scoring.calibrating.pairs import Search
from vireid.scoring.calibrating.people import People, people_of
from vireid.scoring.metrics import score_ranking
from vireid.types.arrays import Pictures, Vectors
from vireid.types.engine_options import Engine, Precision

TAKEN = 128
"""Pictures of each spectrum by which ranges of 8 bits are found."""
ABOUT = ("recipe.toml", "log.txt")
"""Files that tell how a model was learnt, and stay true of it in any precision."""


def convert(
    model: str,
    out: Path,
    precision: Precision = "float32",
    engine: Engine = "auto",
    dataset: str | None = None,
    root: Path | None = None,
    *,
    trust_code: bool = False,
) -> Exported:
    """Write a model that is computed in another precision, or by another engine.

    Args:
        model: Name of a run, of an exported or of a shipped model, in float32.
        out: Folder to write, which appears whole or not at all.
        precision: `int8`, whose ranges are taken from validation pictures; `bfloat16`, which
            OpenVINO computes; or `float32`.
        engine: Engine that the new model is run by where no other is asked for.
        dataset: Data set with validation people, by default the one that the model has learnt on.
        root: Folder of the data set.
        trust_code: See `Embedder.open`.

    Returns:
        The card of the new model.

    Raises:
        VireidError: The model is in another precision already, there are no validation people, or
            the engine is not there or does not compute in this precision.
    """
    check_is_new(out, export.ExportError)
    engine = "openvino" if precision == "bfloat16" and engine == "auto" else engine
    found = evaluation.dataset_of(model, dataset, root, trust_code=trust_code)
    people = people_of(found, Embedder.open(model, trust_code=trust_code), model)
    with writing_to(out), scratch_folder(out) as scratch, new_folder(out) as folder:
        source = folder_of(model)
        if (source / "run.json").exists():
            source = scratch / out.name
            export.export(folder_of(model), source, trust_code=trust_code)
        card = read_exported(source)
        if card.precision != "float32":
            raise ModelError(f"{model} is in {card.precision} already; give the one in float32")
        for name in (*ABOUT, *sentence_reader.FILES):
            if (source / name).exists():
                shutil.copyfile(source / name, folder / name)
        new = _written(source, folder, card, precision, people)
        new = dataclasses.replace(new, name=out.name, engine=engine)
        documents.write_json(folder / CARD, new)
        both = Embedder.open(source, engine="cpu"), Embedder.open(folder)
        new = dataclasses.replace(new, parity=_compared(both, people))
        documents.write_json(folder / CARD, new)
    return new


def _written(
    source: Path, folder: Path, card: Exported, precision: Precision, people: People
) -> Exported:
    """Write the networks; return a card for them, without name and engine."""
    fingerprint = card.fingerprint
    if precision == "int8":
        size = card.height, card.width
        made = quantisation.quantised(source, {m: _pixels(people, m, *size) for m in Modality})
        content = [fingerprint.encode(), *(graph.SerializeToString() for graph in made.values())]
        fingerprint = hashlib.sha256(b"".join(content)).hexdigest()[: len(fingerprint)]
        told = {m: onnx_graphs.contract(m, *size, fingerprint, precision) for m in Modality}
        onnx_graphs.write(made, folder, told)
    else:
        for name in (*(f"{modality}.onnx" for modality in Modality), *weights_among(card.files)):
            shutil.copyfile(source / name, folder / name)
    return dataclasses.replace(
        card,
        vireid=__version__,
        precision=precision,
        fingerprint=fingerprint,
        files={path.name: sha256_of(path) for path in sorted(folder.iterdir())},
    )


def _pixels(people: People, modality: Modality, height: int, width: int) -> Pictures:
    own = [record for record in people.records if record.modality is modality]
    return np.stack([pixels_of(record, height, width) for record in spread(own, TAKEN)])


def _compared(both: Sequence[Embedder], people: People) -> Parity:
    """Compare a model in float32 with another precision or engine of it."""
    vectors = [embedder.embed_records(people.records) for embedder in both]
    (r1, new_r1), (mean_ap, new_mean_ap) = zip(*(_ranked(v, people) for v in vectors), strict=True)
    return Parity(
        people=people.in_words,
        largest_difference=float(np.abs(vectors[0] - vectors[1]).max()),
        r1=(r1, new_r1),
        mean_ap=(mean_ap, new_mean_ap),
    )


def _ranked(vectors: Vectors, people: People) -> tuple[float, float]:
    """Return rank 1 and mAP of searches in the other spectrum, the mean of both directions."""
    scores = []
    for modality in Modality:
        search = Search.among(vectors, people.records, modality, modality.other, people.rooms)
        about = search.query_people, search.gallery_people, search.hidden
        scores.append(score_ranking(search.similarity(), *about))
    return fmean(each.rank(1) for each in scores), fmean(each.mean_ap for each in scores)
