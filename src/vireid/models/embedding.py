"""The Embedder: a trained method with its picture size and fingerprint; pictures to vectors.

A model is opened from three places: the one that is shipped (`small`), a folder written by
`vireid export` (ONNX Runtime, no torch) or a run folder (torch). All give the same vectors for the
same pictures, up to rounding. Runs of methods that read text also embed sentences.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from rich.console import Console
from rich.progress import track

from vireid.errors import VireidError
from vireid.pictures import PictureError, Pixels, read_resized, resize
from vireid.recipe import data_of, table_of
from vireid.records import ImageRecord, Modality
from vireid.threads import processors

Pictures = UInt8[np.ndarray, "n h w 3"]
Vectors = Float[np.ndarray, "n d"]
"""Embeddings as float32, each of length one; a dot product of two is their similarity."""
Network = Callable[[Pictures, Modality], Vectors]
Picture = Image.Image | Path | str
Reader = Callable[[Sequence[str]], Float[np.ndarray, "n d"]]
T = TypeVar("T")

FORMAT = 1
"""Of `model.json`."""
SHIPPED = Path(__file__).parent / "shipped"
ORIGINAL = "original:"
"""Before a run folder: the CLIP that the run began with."""
NARROWED = (
    "what {name} makes of sentences was narrowed when it learnt to tell people apart: words that "
    "it did not need for that may mean little to it. CLIP as it was before is asked in a gallery "
    "that was indexed by --model {original}"
)
MEANINGLESS = "{name} began with random weights, so words mean nothing to it"
BATCH = 32
"""Pictures that go through the network together."""


class ModelError(VireidError):
    """A model that cannot be opened, or not used for this."""


@dataclass(frozen=True)
class ModelFacts:
    """What a gallery remembers of the model that filled it."""

    name: str
    source: str
    """What `Embedder.open` was given: `small` or an absolute path."""
    fingerprint: str
    """Of weights, settings and picture size: equal where vectors can be compared."""
    precision: str
    """In which the network computes, e.g. `float32`."""
    height: int
    width: int
    embedding_dim: int


@dataclass(frozen=True)
class Text:
    """How a model compares sentences with pictures, if it does."""

    embed: Reader | None = None
    refusal: str = (
        "{name} reads no text; search by sentences in a gallery that was indexed by a run of "
        "clip4vi_reid or language_image"
    )
    """Why not."""
    caveat: str | None = None
    """What whoever searches by it has to know."""


@dataclass(frozen=True)
class Training:
    """What a model has learnt from, as its recipe tells it."""

    learnt_from: str
    """Groups of people: `train and validation`, or `train` where the others were left out."""
    people: int | None
    """How many of them; None where nothing says it."""
    seed: int

    def __str__(self) -> str:
        counted = "" if self.people is None else f"{self.people} "
        return f"the {counted}people of {self.learnt_from}"


@dataclass(frozen=True)
class Embedded:
    """Some records with their embeddings, and those that could not be read."""

    embeddings: Vectors
    records: tuple[ImageRecord, ...]
    """Row i of the embeddings is record i's."""
    skipped: tuple[PictureError, ...]


class Embedder:
    """Turns pictures into vectors."""

    checkpoint = "last epoch"
    """How the weights were chosen: runs and exported models hold those of the last epoch."""

    def __init__(
        self,
        facts: ModelFacts,
        network: Network,
        learnt_on: str = "unknown",
        training: Training | None = None,
        text: Text | None = None,
    ) -> None:
        self.facts = facts
        self.learnt_on = learnt_on
        """The data set, with the number of the split where there are several."""
        self.training = training
        self._network = network
        self._text = text or Text()
        self.text_caveat = self._text.caveat
        """What whoever searches by a sentence has to know."""
        self.name = facts.name
        self.fingerprint = facts.fingerprint
        self.height, self.width = facts.height, facts.width
        self.embedding_dim = facts.embedding_dim

    def __repr__(self) -> str:
        return f"Embedder({self.facts})"

    @classmethod
    def open(cls, model: str | Path = "small", threads: int | None = None) -> "Embedder":
        """Open a model.

        Args:
            model: The name of a shipped model, a folder written by `vireid export`, or a run; or
                `original:` and a run of clip4vi_reid, for the CLIP that it began with.
            threads: How many the network may use; all processors by default.

        Raises:
            ModelError: There is no such model, it is damaged, or of another version's format.
        """
        if str(model).startswith(ORIGINAL):
            return cls._open_original(Path(str(model).removeprefix(ORIGINAL)))
        shipped = SHIPPED / str(model)
        folder = shipped if (shipped / "model.json").exists() else Path(model)
        source = str(model) if folder is shipped else str(folder.absolute())
        if (folder / "model.json").exists():
            facts, network, text = _open_exported(folder, source, threads or processors())
            training = _training(folder, "model.json")
            return cls(facts, network, _learnt_on(folder), training, text)
        if (folder / "run.json").exists():
            facts, network, text = _open_run(folder, source)
            return cls(facts, network, _learnt_on(folder), _training(folder, "run.json"), text)
        there = [path.parent.name for path in SHIPPED.glob("*/model.json")]
        raise ModelError(
            f"there is no model {str(model)!r}; give a run folder, a folder written by "
            f"`vireid export`, or a shipped model: {', '.join(there) or 'none is installed'}"
        )

    @classmethod
    def _open_original(cls, run: Path) -> "Embedder":
        from vireid import runs

        model, recipe = runs.load_original(run)
        height, width = recipe.data.height, recipe.data.width
        facts = ModelFacts(
            name=f"original of {run.absolute().name}",
            source=f"{ORIGINAL}{run.absolute()}",
            fingerprint=runs.fingerprint("original", {}, height, width, model.state_dict()),
            precision="float32",
            height=height,
            width=width,
            embedding_dim=model.embedding_dim,
        )
        network, read = _in_torch(model)
        return cls(facts, network, "nothing", text=Text(read))

    def embed(self, pictures: Sequence[Picture], modality: Modality) -> Vectors:
        """Embed pictures of one spectrum, given as files or as PIL images.

        Returns:
            Row i is the unit vector of picture i.

        Raises:
            PictureError: The first picture that cannot be used.
        """
        if isinstance(pictures, str):
            raise TypeError("embed takes a list of pictures; put the one into a list")
        batches = (
            self._network(np.stack([_sound(pixels) for _, pixels in batch]), modality)
            for batch in self._read_ahead(pictures, lambda picture: picture)
        )
        return self._joined(list(batches))

    def embed_text(self, sentences: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Embed sentences in English, to search for them among pictures.

        Returns:
            Row i is sentence i's vector, whose dot product with the embedding of a picture is the
            cosine of the two in the space of texts. Its length need not be one.

        Raises:
            ModelError: The model reads no text.
            VireidError: A sentence is empty or too long.
        """
        if isinstance(sentences, str):
            raise TypeError("embed_text takes a list of sentences; put the one into a list")
        if self._text.embed is None:
            raise ModelError(f"model {self._text.refusal.format(name=self.name)}")
        empty = np.zeros((0, self.embedding_dim), np.float32)
        return self._checked(self._text.embed(sentences) if sentences else empty)

    def embed_records(
        self, records: Sequence[ImageRecord], progress: bool = False, *, mirrored: bool = False
    ) -> Vectors:
        """Embed the pictures of records, whatever their spectra.

        Args:
            records: In any order.
            progress: Show a progress bar, if standard error is a terminal.
            mirrored: Embed the mirror images, left for right.

        Returns:
            Row i is the unit vector of record i.

        Raises:
            PictureError: The first picture that cannot be used; see `in_batches` to skip it.
        """
        embeddings = []
        console = Console(stderr=True)
        shown = track(
            self.in_batches(records, mirrored=mirrored),
            "embedding mirror images" if mirrored else "embedding pictures",
            -(-len(records) // BATCH),
            console=console,
            transient=True,
            disable=not (progress and console.is_terminal),
        )
        for batch in shown:
            if batch.skipped:
                raise batch.skipped[0]
            embeddings.append(batch.embeddings)
        return self._joined(embeddings)

    def in_batches(
        self, records: Iterable[ImageRecord], *, mirrored: bool = False
    ) -> Iterator[Embedded]:
        """Embed the pictures of records a few at a time, leaving out those that are bad."""
        for batch in self._read_ahead(records, lambda record: record.path):
            sound = [(r, pixels) for r, pixels in batch if not isinstance(pixels, PictureError)]
            bad = [pixels for _, pixels in batch if isinstance(pixels, PictureError)]
            kept = tuple(record for record, _ in sound)
            yield Embedded(self._embed_mixed(sound, mirrored), kept, tuple(bad))

    def _embed_mixed(self, read: list[tuple[ImageRecord, Pixels]], mirrored: bool) -> Vectors:
        embeddings = np.zeros((len(read), self.embedding_dim), np.float32)
        for modality in Modality:
            rows = [i for i, (record, _) in enumerate(read) if record.modality is modality]
            if rows:
                pictures = np.stack([read[i][1] for i in rows])
                seen = np.ascontiguousarray(pictures[:, :, ::-1]) if mirrored else pictures
                embeddings[rows] = self._network(seen, modality)
        return self._checked(embeddings)

    def _joined(self, batches: list[Float[np.ndarray, "_ d"]]) -> Vectors:
        empty = np.zeros((0, self.embedding_dim), np.float32)
        return self._checked(np.concatenate([empty, *batches]))

    def _checked(self, embeddings: Vectors) -> Vectors:
        if embeddings.shape[1] != self.embedding_dim or not np.isfinite(embeddings).all():
            raise ModelError(f"model {self.name} gives broken vectors; export or train it anew")
        return embeddings

    def _read_ahead(
        self, items: Iterable[T], picture_of: Callable[[T], Picture]
    ) -> Iterator[list[tuple[T, Pixels | PictureError]]]:
        """Batches of pictures, decoded by threads while the network is busy with those before."""
        remaining = iter(items)
        ahead: deque[list[tuple[T, Future[Pixels | PictureError]]]] = deque()
        pool = ThreadPoolExecutor(processors(), "vireid-decode")
        try:
            while True:
                while len(ahead) < 3 and (batch := list(islice(remaining, BATCH))):
                    ahead.append([(i, pool.submit(self._read, picture_of(i))) for i in batch])
                if not ahead:
                    return
                yield [(item, future.result()) for item, future in ahead.popleft()]
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, picture: Picture) -> Pixels | PictureError:
        try:
            if isinstance(picture, Image.Image):
                return resize(picture, self.height, self.width)
            return read_resized(picture, self.height, self.width)
        except PictureError as error:
            return error


def _sound(pixels: Pixels | PictureError) -> Pixels:
    if isinstance(pixels, PictureError):
        raise pixels
    return pixels


def _learnt_on(folder: Path) -> str:
    """As `Dataset.label` says it."""
    data = data_of(folder / "recipe.toml")
    name, trial = data.get("dataset", "unknown"), data.get("trial")
    return name if trial is None else f"{name} trial {trial}"


def _training(folder: Path, facts: str) -> Training | None:
    recipe = table_of(folder / "recipe.toml")
    if "data" not in recipe:
        return None
    people = json.loads((folder / facts).read_text(encoding="utf-8")).get("num_identities")
    groups = recipe["data"].get("learn_from", "train and validation")
    return Training(groups, people, recipe.get("seed", 0))


def _open_exported(folder: Path, source: str, threads: int) -> tuple[ModelFacts, Network, Text]:
    """Check an exported model against its `model.json` and make it ready for ONNX Runtime."""
    described = _described(folder)
    graphs = [f"{modality}.onnx" for modality in Modality]
    for file in [*graphs, "weights.bin"]:
        _check_file(folder / file, described["files"].get(file))
    facts = ModelFacts(
        name=described["name"],
        source=source,
        fingerprint=described["fingerprint"],
        precision=described["precision"],
        height=described["height"],
        width=described["width"],
        embedding_dim=described["embedding_dim"],
    )
    return facts, _OnnxNetwork(folder, threads), EXPORTED if described.get("reads_text") else Text()


EXPORTED = Text(
    refusal="{name} was exported, and an export holds nothing that reads text; say by --model "
    "which run it was exported from"
)


def _described(folder: Path) -> dict[str, Any]:
    path = folder / "model.json"
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        found = described["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged ({error}); export the model again") from error
    if found != FORMAT:
        way_out = "export the model again with this version, or use the version that wrote it"
        raise ModelError(f"{path} has format {found}, this vireid reads {FORMAT}; {way_out}")
    return dict(described)


def _check_file(path: Path, expected: str | None) -> None:
    if expected is None:
        raise ModelError(f"{path.parent / 'model.json'} does not list {path.name}; export it again")
    if not path.exists():
        raise ModelError(f"{path} is missing; copy the whole folder, or export the model again")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ModelError(f"{path} is not the file that was exported; copy or export it again")


class _OnnxNetwork:
    """One ONNX Runtime session for each spectrum, started when it is first needed."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder, self._threads = folder, threads
        self._sessions: dict[Modality, Any] = {}

    def __call__(self, pictures: Pictures, modality: Modality) -> Vectors:
        if modality not in self._sessions:
            self._sessions[modality] = self._start(self._folder / f"{modality}.onnx")
        (embeddings,) = self._sessions[modality].run(["embeddings"], {"pictures": pictures})
        return np.asarray(embeddings)

    def _start(self, graph: Path) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _open_run(folder: Path, source: str) -> tuple[ModelFacts, Network, Text]:
    """The weights of a run, on the fastest device there is."""
    from vireid import runs

    method, recipe = runs.load_method(folder)
    facts = ModelFacts(
        name=folder.absolute().name,
        source=source,
        fingerprint=runs.read_facts(folder)["fingerprint"],
        precision="float32",
        height=recipe.data.height,
        width=recipe.data.width,
        embedding_dim=method.embedding_dim,
    )
    network, read = _in_torch(method)
    return facts, network, _text_of(method, recipe, read, facts)


def _text_of(method: Any, recipe: Any, read: Reader | None, facts: ModelFacts) -> Text:
    if read is None:
        return Text()
    if not hasattr(method, "original"):
        return Text(read)
    caveat = NARROWED if recipe.settings.pretrained else MEANINGLESS
    original = f"{ORIGINAL}{facts.source}"
    return Text(read, caveat=caveat.format(name=facts.name, original=original))


def _in_torch(model: Any) -> tuple[Network, Reader | None]:
    """What embeds pictures, and what embeds sentences if anything does."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device).eval()

    def embed(pictures: Pictures, modality: Modality) -> Vectors:
        images = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float().div(255)
        with torch.inference_mode():
            return np.asarray(model.embed(images, modality).cpu().numpy())

    def read(sentences: Sequence[str]) -> Float[np.ndarray, "n d"]:
        with torch.inference_mode():
            return np.asarray(model.embed_text(sentences).cpu().numpy())

    return embed, read if hasattr(model, "embed_text") else None
