"""How much of a similarity the projection of stripes should decide.

    python benchmarks/projection_share.py rendered RUN --write      on the run's validation people
    python benchmarks/projection_share.py real RUN SITE/people.csv ... --write
    python benchmarks/projection_share.py real RUN --photographs FOLDER --write

RUN is a run, or an exported model, of stripes with a projection. Its embeddings are taken apart and
joined again in other shares. The share is chosen by `rendered`, on people who are neither learnt
from nor scored on; `real` is a check of tracks (`scripts/real_tracklets.py`) or of registered pairs
(`scripts/real_photographs.py`) and chooses nothing.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scripts import real_photographs, real_tracklets

from vireid import datasets
from vireid.files.atomic import write_whole
from vireid.models.centring import Means
from vireid.models.embedder import Embedder
from vireid.models.opening import folder_of
from vireid.recipes import recipe as recipes
from vireid.records import ImageRecord
from vireid.scoring import baselines, evaluation, named_protocols
from vireid.types.arrays import Vectors

RESULTS = Path(__file__).parent / "results" / "projection_share"
SHARES = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0)


class Shared:
    """A model whose projection decides another share of its similarities."""

    def __init__(self, vectors: dict[ImageRecord, np.ndarray], embedder: Embedder, share: float):
        self.vectors, self.share = vectors, share
        self.name = f"share {share:g}"
        self.fingerprint = f"{embedder.fingerprint} {share:g}"
        # That the validation people were left out is checked once, by `rendered`.
        self.learnt_on, self.checkpoint = "other people", embedder.checkpoint
        self.embedder = embedder
        self.numbers = embedder.embedding_dim - _projection(embedder)
        if not self.numbers:
            raise SystemExit(
                f"{embedder.name} has its projection alone (settings.projection_share)"
            )

    def embed_records(self, records: Sequence[ImageRecord]) -> Vectors:
        """Return embeddings joined in this share; each picture is embedded once for all shares."""
        new = [record for record in records if record not in self.vectors]
        self.vectors.update(zip(new, self.embedder.embed_records(new), strict=True))
        whole = np.stack([self.vectors[record] for record in records])
        parts = whole[:, : self.numbers], whole[:, self.numbers :]
        weights = (1 - self.share) ** 0.5, self.share**0.5
        joined = [
            weight * part / np.linalg.norm(part, axis=1, keepdims=True).clip(min=1e-9)
            for weight, part in zip(weights, parts, strict=True)
        ]
        return np.concatenate(joined, axis=1).astype(np.float32)


def main() -> None:
    """Print a table, and write it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ground", choices=("rendered", "real"))
    parser.add_argument("run", type=Path)
    parser.add_argument("lists", type=Path, nargs="*")
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    embedder = Embedder.open(asked.run)
    vectors = dict[ImageRecord, np.ndarray]()
    models = [Shared(vectors, embedder, share) for share in SHARES]
    name = asked.ground
    if asked.ground == "rendered":
        lines = rendered(asked.run, models)
    elif asked.photographs:
        name, lines = "registered", registered(asked.photographs, models)
    else:
        name, lines = "tracks", tracks(asked.lists, models)
    table = f"# {_TITLES[name]}\n\n" + "\n".join(lines) + "\n"
    print(table)
    if asked.write:
        RESULTS.mkdir(exist_ok=True)
        write_whole(RESULTS / f"{name}.md", table.encode(), "make room")


_TITLES = {
    "rendered": "Validation people of the run, rendered; sysu/official, all-search, single-shot",
    "tracks": "Tracks of real people, infrared to visible, 2 s apart; checked, not chosen by",
    "registered": "Registered street pictures of real people; checked, not chosen by",
}


def rendered(run: Path, models: Sequence[Shared]) -> list[str]:
    """Return the rows of a table of validation people."""
    recipe = recipes.outline_of(folder_of(run) / "recipe.toml")
    assert recipe.data is not None
    assert recipe.data.learn_from == "train", "the run has learnt from its validation people"
    dataset = datasets.read(str(recipe.data.dataset), recipe.data.root)
    protocol = named_protocols.choose(dataset)[0]
    lines = ["| share | R1 | mAP |", "|---|---|---|"]
    for model in models:
        mean = evaluation.score(model, dataset, protocol, "validation").mean
        lines.append(f"| {model.share:g} | {100 * mean['R1']:.1f} | {100 * mean['mAP']:.1f} |")
    return lines


def tracks(lists: Sequence[Path], models: Sequence[Shared]) -> list[str]:
    """Return the rows of a table of tracks, beside what learns nothing."""
    people = real_tracklets.read(lists)
    lines = ["| | R1 | 95 % | centred | 95 % |", "|---|---|---|---|---|"]
    rows: list[evaluation.EmbedsRecords] = [*baselines.controls(), *models]
    for model in rows:
        vectors = model.embed_records(people.records)
        centred = Means.of(vectors, people.records).less(vectors, people.records)
        cells = [model.name]
        for each in (vectors, centred):
            found = real_tracklets.found(people, each, 2.0)
            mean, low, high = real_tracklets.interval([float(np.mean(of)) for of in found.values()])
            cells += [f"{100 * mean:.1f}", f"{100 * low:.0f} to {100 * high:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", f"{len(found)} people, {sum(map(len, found.values()))} crops."]


def registered(folder: Path, models: Sequence[Shared]) -> list[str]:
    """Return the rows of a table of registered pairs, beside what learns nothing."""
    lines = ["| | R1 | mAP |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as place:
        people = real_photographs.cut(folder, Path(place))
        rows: list[evaluation.EmbedsRecords] = [*baselines.controls(), *models]
        for model in rows:
            rank, precision = real_photographs.scored(model, people)
            lines.append(f"| {model.name} | {100 * rank:.1f} | {100 * precision:.1f} |")
    return [*lines, "", f"{len(people.queries)} people."]


def _projection(embedder: Embedder) -> int:
    stated = recipes.outline_of(folder_of(embedder.card.source) / "recipe.toml").settings
    return int(stated["projection"])


if __name__ == "__main__":
    main()
