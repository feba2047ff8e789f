"""Detectors: an ONNX file finds the people in a frame, visible or infrared alike.

What a file expects and answers is said by its card (`vireid.video.detector_cards`); how that
becomes boxes, by a decoder (`vireid.video.detector_outputs`). ONNX Runtime runs the file.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from vireid.files.untrusted import content_of, what_is_wrong
from vireid.records import Modality
from vireid.threads import processors
from vireid.types.arrays import Pixels
from vireid.video import detector_cards
from vireid.video.box_overlap import Boxes, areas, without_repeats
from vireid.video.boxes import Detection
from vireid.video.detector_cards import Card, DetectorError
from vireid.video.detector_outputs import Scores, decode

MOST_OF_A_DETECTOR = 2**31
"""Largest size in bytes of an ONNX file, which is ONNX's own."""
TILE_OVERLAP = 0.3
"""Share of a tile that its neighbour shows too: a person at its edge is whole in one of them."""
EDGE = 0.03
"""Share of a tile, from its inner edge, within which a box counts as cut by it."""
REPEATED = 0.5
"""Overlap from which boxes of two tiles are the same person."""


@dataclass(frozen=True)
class _Fitted:
    """A frame as the network takes it, and the way back."""

    pixels: np.ndarray
    scale: tuple[float, float]
    shift: tuple[float, float]

    def back(self, boxes: Boxes) -> Boxes:
        """Return boxes in pixels of the frame."""
        moved: Boxes = (boxes - np.array(self.shift * 2)) / np.array(self.scale * 2)
        return moved


class Detector:
    """Finds people in frames; open one with `Detector.open`."""

    def __init__(self, card: Card, session: Any, fingerprint: str) -> None:
        """Keep a session of ONNX Runtime that has been checked beside its card.

        Args:
            card: Card of the file.
            session: Session of ONNX Runtime.
            fingerprint: Hash of the file's content.
        """
        self.card, self.fingerprint = card, fingerprint
        self._session = session
        inputs = {each.name: each for each in session.get_inputs()}
        self._input = inputs[card.input.name or session.get_inputs()[0].name]
        self._size = inputs[card.input.size_name] if card.input.size_name else None

    @classmethod
    def open(
        cls, source: str | Path, card: str | None = None, threads: int | None = None
    ) -> "Detector":
        """Open an ONNX file with its card, and try both together.

        Args:
            source: ONNX file, or the name of a card whose file has been fetched.
            card: Name or path of the card; by default found beside the file, by its name or by its
                content.
            threads: Number of threads; by default one for each processor.

        Raises:
            DetectorError: The file is not there or no ONNX, or the card does not fit it.
        """
        file = Path(source)
        if str(source) in detector_cards.available():
            card, file = card or str(source), detector_cards.place_of(str(source))
            if not file.is_file():
                raise DetectorError(
                    f"the file of {source} is not there; fetch it with: vireid detector get "
                    f"{source}, or put it at {file}"
                )
        session = _session(file, threads or processors())
        found = detector_cards.card_of(file, card)
        with _fitting(file, card):
            _check_inputs(session, found)
            detector = cls(found, session, detector_cards.sha256_of(file))
            detector(np.full((48, 64, 3), 114, np.uint8), Modality.VISIBLE)
        return detector

    def __call__(
        self,
        frame: Pixels,
        modality: Modality,
        tiles: tuple[int, int] = (1, 1),
        least: float | None = None,
    ) -> list[Detection]:
        """Return the people in a frame, the surest first.

        Args:
            frame: The frame.
            modality: Its spectrum, which decides the least score.
            tiles: Columns and rows of tiles that the frame is looked at in as well, for people who
                are small in it; the work grows by as many.
            least: Least score of a person; by default the card's.

        Raises:
            DetectorError: ONNX Runtime cannot run the file.
        """
        rows, columns = frame.shape[:2]
        least = self.card.thresholds.least(modality) if least is None else least
        found = [self._people(frame, least)]
        if tiles != (1, 1):
            for left, top, right, bottom in _tiles(columns, rows, tiles):
                inside = self._people(frame[top:bottom, left:right], least)
                at = np.array([left, top, left, top], float)
                inner = np.array([left > 0, top > 0, right < columns, bottom < rows])
                found.append(_whole(inside, right - left, bottom - top, inner, at))
        boxes = np.concatenate([boxes for boxes, _ in found])
        scores = np.concatenate([scores for _, scores in found])
        return self._chosen(boxes, scores, columns, rows, is_tiled=tiles != (1, 1))

    def _people(self, frame: Pixels, least: float) -> tuple[Boxes, Scores]:
        fitted = _fitted(frame, self.card)
        boxes, scores = decode(self._run(fitted.pixels), self.card)
        sure = scores >= least
        return fitted.back(boxes[sure]), scores[sure]

    def _run(self, pixels: np.ndarray) -> Mapping[str, np.ndarray]:
        given = {self._input.name: pixels.astype(_dtype(self._input.type))}
        if self._size is not None:
            size = [[self.card.input.width, self.card.input.height]]
            given[self._size.name] = np.array(size, _dtype(self._size.type))
        names = [output.name for output in self._session.get_outputs()]
        try:
            return dict(zip(names, self._session.run(names, given), strict=True))
        except Exception as error:  # ONNX Runtime's errors have no common base
            reason = " ".join(str(error).split())[:300]
            raise DetectorError(f"ONNX Runtime cannot run it ({reason})") from error

    def _chosen(
        self, boxes: Boxes, scores: Scores, columns: int, rows: int, *, is_tiled: bool
    ) -> list[Detection]:
        """Return what has the shape of people, each once, cut at the frame's edges."""
        limits = self.card.thresholds
        boxes = np.clip(boxes, 0, np.array([columns, rows] * 2, float))
        widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
        likely = (np.minimum(widths, heights) >= 1) & (widths <= limits.widest * heights)
        likely &= areas(boxes) <= limits.largest * columns * rows
        boxes, scores = boxes[likely], scores[likely]
        most = min(limits.overlap, REPEATED) if is_tiled else limits.overlap
        people = list[Detection]()
        for place in without_repeats(boxes, scores, most):
            left, top, right, bottom = map(float, boxes[place])
            people.append(Detection((left, top, right, bottom), min(float(scores[place]), 1.0)))
        return people


def _session(file: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        content = content_of(file, MOST_OF_A_DETECTOR)
    except OSError as error:
        way_out = "give the ONNX file of a detector; `vireid detector list` names some"
        raise DetectorError(f"{file} {what_is_wrong(file, error)}; {way_out}") from error
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base
        reason = " ".join(str(error).split())[:300]
        raise DetectorError(
            f"{file} is not an ONNX file that ONNX Runtime can run ({reason}); export it again"
        ) from error


@contextmanager
def _fitting(file: Path, card: str | None) -> Iterator[None]:
    """Say of an error that the card does not fit the file."""
    try:
        yield
    except DetectorError as error:
        by = f" {card!r}" if card else ""
        raise DetectorError(
            f"the card{by} does not fit {file}: {error}; give its own card by --card"
        ) from error


def _check_inputs(session: Any, card: Card) -> None:
    inputs = {each.name: each for each in session.get_inputs()}
    for name in (card.input.name, card.input.size_name):
        if name is not None and name not in inputs:
            raise DetectorError(f"there is no input {name!r}, but {', '.join(map(repr, inputs))}")
    wanted = 1 + (card.input.size_name is not None)
    if len(inputs) != wanted:
        raise DetectorError(f"it has {len(inputs)} inputs, the card names {wanted}")
    taken = inputs[card.input.name or session.get_inputs()[0].name]
    _dtype(taken.type)
    size = [card.input.height, card.input.width]
    shape = [1, 3, *size] if card.input.layout == "nchw" else [1, *size, 3]
    fits = (
        isinstance(there, str | None) or there in (-1, asked)
        for there, asked in zip(taken.shape, shape, strict=False)
    )
    if len(taken.shape) != 4 or not all(fits):
        raise DetectorError(f"its input has the shape {taken.shape}, the card says {shape}")


TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


def _dtype(name: str) -> type[np.generic]:
    if name not in TYPES:
        raise DetectorError(f"an input takes {name}, which no picture is")
    return TYPES[name]


def _fitted(frame: Pixels, card: Card) -> _Fitted:
    """Bring a frame to the size, the order of colours and the range that the network expects."""
    asked, (rows, columns) = card.input, frame.shape[:2]
    across, down = asked.width / columns, asked.height / rows
    if asked.fit != "stretched":
        across = down = min(across, down)
    width, height = max(1, round(columns * across)), max(1, round(rows * down))
    resized = Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(resized, np.float32)[..., :: 1 if asked.colours == "rgb" else -1]
    left = (asked.width - width) // 2 if asked.fit == "centre" else 0
    top = (asked.height - height) // 2 if asked.fit == "centre" else 0
    whole = np.empty((asked.height, asked.width, 3), np.float32)
    whole[:] = asked.mean if asked.padding is None else asked.padding
    whole[top : top + height, left : left + width] = pixels
    whole -= np.array(asked.mean, np.float32)
    whole /= np.array(asked.deviation, np.float32)
    planes = whole.transpose(2, 0, 1) if asked.layout == "nchw" else whole
    scale = (width / columns, height / rows)
    return _Fitted(np.ascontiguousarray(planes)[None], scale, (float(left), float(top)))


def _tiles(columns: int, rows: int, tiles: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield left, top, right and bottom of tiles that overlap their neighbours."""
    across, down = (
        _spans(length, count) for length, count in zip((columns, rows), tiles, strict=True)
    )
    for (top, bottom), (left, right) in product(down, across):
        yield left, top, right, bottom


def _spans(length: int, count: int) -> list[tuple[int, int]]:
    """Return begin and end of parts of a length, each of which overlaps the next.

    >>> _spans(100, 2)
    [(0, 59), (41, 100)]
    """
    size = round(length / (count - (count - 1) * TILE_OVERLAP))
    starts = np.linspace(0, length - size, count).round().astype(int)
    return [(int(start), int(start) + size) for start in starts]


def _whole(
    found: tuple[Boxes, Scores],
    columns: int,
    rows: int,
    is_inner: np.ndarray,
    at: Float[np.ndarray, " 4"],
) -> tuple[Float[np.ndarray, "k 4"], Float[np.ndarray, " k"]]:
    """Return the people in a tile whom its inner edges do not cut, in pixels of the frame."""
    boxes, scores = found
    size = np.array([columns, rows], float)
    gaps = np.hstack([boxes[:, :2], size - boxes[:, 2:]]) / np.tile(size, 2)
    whole = ~((gaps < EDGE) & is_inner).any(axis=1)
    return boxes[whole] + at, scores[whole]
