"""The Embedder: a trained method with its picture size and fingerprint; pictures in, vectors out.

There are three kinds of models: those that are shipped (`small`, `stripes`), a folder written by
`vireid export` (no torch; see `models.engines`) and a run folder (torch). All give the same vectors
for the same pictures, up to rounding. Runs of methods that read text also embed sentences.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from vireid.errors import VireidError
from vireid.models import trusted
from vireid.models.calibration import Calibration
from vireid.models.card import ModelCard, ModelError, Training
from vireid.models.engines import AS_USUAL, Running
from vireid.models.network import Network, Text
from vireid.models.opening import open_model
from vireid.pictures import Picture, PictureError, in_memory, pixels_of, read_resized, resize
from vireid.progress import counted
from vireid.records import ImageRecord, Modality
from vireid.threads import processors
from vireid.types.arrays import Pictures, Pixels, Vectors
from vireid.types.engine_options import Engine

T = TypeVar("T")


@dataclass(frozen=True)
class Embedded:
    """Records with their embeddings, and the errors of those that could not be read."""

    embeddings: Vectors
    records: tuple[ImageRecord, ...]
    """Records in the order of the embeddings' rows."""
    skipped: tuple[PictureError, ...]

    @property
    def read(self) -> int:
        """Number of records that were read."""
        return len(self.records) + len(self.skipped)


class Embedder:
    """Turns pictures into vectors."""

    def __init__(
        self,
        card: ModelCard,
        network: Network,
        learnt_on: str = "unknown",
        training: Training | None = None,
        text: Text | None = None,
        checkpoint: str = "last epoch",
        calibration: Calibration | None = None,
        grid: tuple[int, int] | None = None,
        batch: int = AS_USUAL.batch,
    ) -> None:
        self.card = card
        self.learnt_on = learnt_on
        """Name of the data set, with the number of its split where there are several."""
        self.training = training
        self.checkpoint = checkpoint
        """How the weights were chosen: runs and exported models hold those of the last epoch."""
        self.calibration = calibration
        """What its similarities are worth; None where nobody has found out."""
        self.grid = grid
        """Rows and columns of parts of the picture, if number i of an embedding stands for part i
        modulo rows x columns; None where no number stands for a part."""
        self.batch = batch
        """Number of pictures that go through the network together."""
        self._network = network
        self._text = text or Text()
        self.reads_text = self._text.embed is not None
        """Whether it embeds sentences."""
        self.text_caveat = self._text.caveat
        """What a person who searches by a sentence has to know."""
        self.name = card.name
        self.fingerprint = card.fingerprint
        self.height, self.width = card.height, card.width
        self.embedding_dim = card.embedding_dim

    def __repr__(self) -> str:
        return f"Embedder({self.card})"

    @classmethod
    def open(
        cls,
        model: str | Path = "small",
        threads: int | None = None,
        *,
        engine: Engine | None = None,
        batch: int = AS_USUAL.batch,
        trust_code: bool = False,
    ) -> "Embedder":
        """Open a model.

        Args:
            model: Name of a shipped model, a folder written by `vireid export`, or a run; or
                `original:` and a run of clip4vi_reid, for the CLIP that it began with.
            threads: Number of threads of the network; by default one for each processor.
            engine: What computes the network: `cpu`, `cuda`, `tensorrt`, `coreml` or `openvino`;
                by default what the model's card, or else the variable `VIREID_ENGINE`, names.
            batch: Number of pictures that go through the network together.
            trust_code: Run the code of a run's method if that is not vireid's. Say so only of runs
                whose code you have read, or whose author you trust.

        Raises:
            ModelError: There is no such model, it is damaged, or of another version's format.
            VireidError: It needs code that is not vireid's, and `trust_code` is not given; or the
                engine is not there.
        """
        opened = open_model(model, Running(engine, threads, batch), trust_code=trust_code)
        trusted.remember(opened.card.source)
        return cls(
            opened.card,
            opened.network,
            opened.learnt_on,
            opened.training,
            opened.text,
            opened.checkpoint,
            opened.calibration,
            opened.grid,
            batch,
        )

    def check(self, modalities: Iterable[Modality] = tuple(Modality)) -> None:
        """Embed noise, so that a model which opens but cannot embed is found before it is needed.

        Args:
            modalities: Spectra of the pictures that it will be asked to embed.

        Raises:
            ModelError: It cannot.
        """
        noise = np.random.default_rng(0).integers(0, 256, (1, self.height, self.width, 3), np.uint8)
        for modality in modalities:
            self._through(noise, modality)

    def embed(
        self, pictures: Sequence[Picture] | Pictures, modality: Modality | str, *, bgr: bool = False
    ) -> Vectors:
        """Embed pictures of one spectrum, however they are given.

        Args:
            pictures: Pictures of any sizes, see `pictures.Picture`; or one array of them.
            modality: Modality of all of them; `visible` or `infrared`.
            bgr: Channels of arrays are blue, green, red, as OpenCV has them.

        Returns:
            Row i is the unit vector of picture i.

        Raises:
            PictureError: The first picture that cannot be used.
            VireidError: There is no such modality.
        """
        spectrum = _spectrum(modality)
        if isinstance(pictures, str):
            raise TypeError("embed takes a list of pictures; put the one into a list")
        batches = (
            self._through(np.stack([_sound(pixels) for _, pixels in batch]), spectrum)
            for batch in self._read_ahead(pictures, partial(self._pixels, bgr=bgr))
        )
        return self._joined(list(batches))

    def embed_pixels(self, pictures: Pictures, modality: Modality) -> Vectors:
        """Embed pictures of this model's size, as `pictures.resize` gives them.

        Returns:
            Row i is the unit vector of picture i.

        Raises:
            ModelError: The model cannot embed them.
        """
        return self._through(pictures, modality)

    def embed_text(self, sentences: Sequence[str]) -> Vectors:
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
        if not sentences:
            return self._joined([])
        return self._checked(self._text.embed(sentences), len(sentences))

    def embed_records(self, records: Sequence[ImageRecord], *, mirrored: bool = False) -> Vectors:
        """Embed the pictures of records, whatever their spectra.

        Args:
            records: Records in any order.
            mirrored: Embed the mirror images, left for right.

        Returns:
            Row i is the unit vector of record i.

        Raises:
            PictureError: The first picture that cannot be used; see `in_batches` to skip it.
        """
        embeddings = []
        doing = "embedding mirror images" if mirrored else "embedding pictures"
        batches = self.in_batches(records, mirrored=mirrored)
        for batch in counted(batches, doing, len(records), lambda batch: batch.read):
            if batch.skipped:
                raise batch.skipped[0]
            embeddings.append(batch.embeddings)
        return self._joined(embeddings)

    def in_batches(
        self, records: Iterable[ImageRecord], *, mirrored: bool = False
    ) -> Iterator[Embedded]:
        """Embed the pictures of records a few at a time, leaving out those that cannot be read."""
        for batch in self._read_ahead(records, self._pixels_of):
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
                embeddings[rows] = self._through(seen, modality)
        return embeddings

    def _joined(self, batches: list[Float[np.ndarray, "_ d"]]) -> Vectors:
        return np.concatenate([np.zeros((0, self.embedding_dim), np.float32), *batches])

    def _through(self, pictures: Pictures, modality: Modality) -> Vectors:
        return self._checked(self._network(pictures, modality), len(pictures))

    def _checked(self, embeddings: np.ndarray, count: int) -> Vectors:
        """Refuse all but a vector of finite numbers for everything that was embedded."""
        wrong = "numbers that are not finite"
        if embeddings.shape != (count, self.embedding_dim) or embeddings.dtype != np.float32:
            wrong = f"{embeddings.dtype} of shape {embeddings.shape}"
        elif np.isfinite(embeddings).all():
            return embeddings
        raise ModelError(
            f"model {self.name} ({self.card.source}) gives broken vectors, {wrong}; export it "
            "again, or train it anew"
        )

    def _read_ahead(
        self, items: Iterable[T], read: Callable[[T], Pixels]
    ) -> Iterator[list[tuple[T, Pixels | PictureError]]]:
        """Yield batches of pictures, decoded in threads while the network works on earlier ones."""
        remaining = iter(items)
        ahead: deque[list[tuple[T, Future[Pixels | PictureError]]]] = deque()
        pool = ThreadPoolExecutor(processors(), "vireid-decode")
        try:
            while True:
                while len(ahead) < 3 and (batch := list(islice(remaining, self.batch))):
                    ahead.append([(i, pool.submit(_read, read, i)) for i in batch])
                if not ahead:
                    return
                yield [(item, future.result()) for item, future in ahead.popleft()]
        finally:
            pool.shutdown(cancel_futures=True)

    def _pixels(self, picture: Picture, *, bgr: bool) -> Pixels:
        if isinstance(picture, Path | str):
            return read_resized(picture, self.height, self.width)
        return resize(
            in_memory(picture, (self.height, self.width), bgr=bgr), self.height, self.width
        )

    def _pixels_of(self, record: ImageRecord) -> Pixels:
        return pixels_of(record, self.height, self.width)


def _read(read: Callable[[T], Pixels], item: T) -> Pixels | PictureError:
    try:
        return read(item)
    except PictureError as error:
        return error


def _spectrum(modality: Modality | str) -> Modality:
    try:
        return Modality(modality)
    except ValueError:
        known = " or ".join(Modality)
        raise VireidError(f"there is no modality {modality!r}; give {known}") from None


def _sound(pixels: Pixels | PictureError) -> Pixels:
    if isinstance(pixels, PictureError):
        raise pixels
    return pixels
