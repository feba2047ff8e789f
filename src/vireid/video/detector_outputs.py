"""Decoders of what a detector puts out: from its tensors to boxes and scores of people.

Each takes the network's outputs for one picture, by name, and returns boxes in pixels of its input,
and scores from 0 to 1. A shape or a value that the card does not fit is an error.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from vireid.video.box_overlap import Boxes
from vireid.video.detector_cards import Card, DetectorError

Scores = Float[np.ndarray, " n"]
Outputs = Mapping[str, np.ndarray]
FAR = 80.0
"""Largest exponent of a box's size; a larger one would be infinite."""


def decode(outputs: Outputs, card: Card) -> tuple[Boxes, Scores]:
    """Return boxes of people, in pixels of the network's input, and their scores.

    Raises:
        DetectorError: The outputs are not what the card says.
    """
    boxes, scores = DECODERS[card.output.decoder](outputs, card)
    sound = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    if np.any(scores[sound] < -1e-3) or np.any(scores[sound] > 1 + 1e-3):
        raise DetectorError(
            f"scores range from {scores[sound].min():.3g} to {scores[sound].max():.3g}, not from 0 "
            f"to 1, so the decoder {card.output.decoder!r} is the wrong one"
        )
    return boxes[sound].astype(np.float64), scores[sound].astype(np.float64)


def _nanodet(outputs: Outputs, card: Card) -> tuple[Boxes, Scores]:
    """Distances to a cell's four sides, each as a distribution over bins.

    Source: Lyu, NanoDet (github.com/RangiLyu/nanodet); Li et al., Generalized Focal Loss, 2020,
    equation 5: the distance is the expectation of the softmax over bins, times the stride.
    """
    output = card.output
    classes = _joined(outputs, output.scores)
    scores = _person(classes, card)
    centres, strides = _cells(card, len(scores))
    bins = _joined(outputs, output.boxes) if output.boxes else classes[:, output.classes :]
    if bins.shape[1] % 4 or bins.shape[1] < 8 or len(bins) != len(scores):
        raise DetectorError(f"boxes have the shape {bins.shape}, not cells times 4 x bins")
    bins = bins.reshape(len(bins), 4, -1)
    powers = np.exp(bins - bins.max(axis=2, keepdims=True))
    expected = (powers * np.arange(bins.shape[2])).sum(axis=2) / powers.sum(axis=2)
    distances = expected * strides[:, None]
    return np.hstack([centres - distances[:, :2], centres + distances[:, 2:]]), scores


def _yolox(outputs: Outputs, card: Card) -> tuple[Boxes, Scores]:
    """Centre, size, score of a thing and of each class, for each cell.

    Source: Ge et al., YOLOX, 2021, section 2.1: centre = (answer + cell) x stride, size =
    exp(answer) x stride, score = thing x class.
    """
    answer = _joined(outputs, card.output.scores)
    if answer.shape[1] < 6:
        raise DetectorError(f"an answer has {answer.shape[1]} columns, too few for YOLOX")
    cells, strides = _cells(card, len(answer))
    centres = (answer[:, :2] * strides[:, None]) + cells
    sizes = np.exp(np.minimum(answer[:, 2:4], FAR)) * strides[:, None]
    scores = answer[:, 4] * _person(answer[:, 5:], card)
    return np.hstack([centres - sizes / 2, centres + sizes / 2]), scores


def _ssd(outputs: Outputs, card: Card) -> tuple[Boxes, Scores]:
    """Finished lists of boxes, scores and classes, as SSD and exports with a final step give."""
    output = card.output
    boxes = _joined(outputs, output.boxes)
    scores, labels = (np.ravel(_output(outputs, n)) for n in (output.scores[0], output.labels))
    if boxes.shape[1] != 4 or not len(boxes) == len(scores) == len(labels):
        raise DetectorError(
            f"boxes have the shape {boxes.shape}, beside {len(scores)} scores and {len(labels)} "
            "labels"
        )
    if output.corners == "yxyx":
        boxes = boxes[:, [1, 0, 3, 2]]
    if output.unit == "shares":
        boxes = boxes * _size(card)
    chosen = np.rint(labels) == output.person
    return boxes[chosen], scores[chosen]


def _detr(outputs: Outputs, card: Card) -> tuple[Boxes, Scores]:
    """Centre and size as shares of the input, and a logit for each class.

    Source: Zhu et al., Deformable DETR, 2021, whose sigmoid over classes RT-DETR, RF-DETR and
    D-FINE keep.
    """
    boxes = _joined(outputs, card.output.boxes)
    logits = _person(_joined(outputs, card.output.scores), card)
    if boxes.shape[1] != 4 or len(boxes) != len(logits):
        raise DetectorError(f"boxes have the shape {boxes.shape}, beside {len(logits)} scores")
    scores = 1 / (1 + np.exp(-np.clip(logits, -FAR, FAR)))
    centres, sizes = boxes[:, :2], boxes[:, 2:]
    return np.hstack([centres - sizes / 2, centres + sizes / 2]) * _size(card), scores


Decoder = Callable[[Outputs, Card], tuple[Boxes, Scores]]
DECODERS: Mapping[str, Decoder] = {
    "nanodet": _nanodet,
    "yolox": _yolox,
    "ssd": _ssd,
    "detr": _detr,
}


def _output(outputs: Outputs, name: str | None) -> np.ndarray:
    if name is None or name not in outputs:
        raise DetectorError(f"there is no output {name!r}, but {', '.join(map(repr, outputs))}")
    return outputs[name]


def _joined(outputs: Outputs, names: tuple[str, ...]) -> Float[np.ndarray, "n c"]:
    """Return the rows of several outputs for one picture, one below the other."""
    if not names:
        raise DetectorError("the card names no output for boxes")
    found = [_output(outputs, name) for name in names]
    for name, each in zip(names, found, strict=True):
        if each.ndim != 3 or len(each) != 1:
            raise DetectorError(
                f"output {name!r} has the shape {each.shape}, not (1, rows, columns)"
            )
    if len({each.shape[2] for each in found}) > 1:
        raise DetectorError(f"outputs {', '.join(names)} have different numbers of columns")
    return np.concatenate([each[0] for each in found])


def _person(classes: Float[np.ndarray, "n c"], card: Card) -> Float[np.ndarray, " n"]:
    """Return the column of persons."""
    person = card.output.person
    if person >= classes.shape[1]:
        raise DetectorError(f"persons are class {person}, but there are {classes.shape[1]} classes")
    return classes[:, person]


def _cells(card: Card, count: int) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    """Return the centre and the stride of every cell, in pixels of the input."""
    share, pixels = card.output.centre
    centres, strides = list[np.ndarray](), list[np.ndarray]()
    for stride in card.output.strides:
        columns, rows = -(-card.input.width // stride), -(-card.input.height // stride)
        down, across = np.mgrid[:rows, :columns]
        cells = np.stack([across.ravel(), down.ravel()], axis=1)
        centres.append((cells + share) * stride + pixels)
        strides.append(np.full(len(cells), float(stride)))
    if sum(map(len, strides)) != count:
        raise DetectorError(
            f"it answers for {count} cells, where strides of {list(card.output.strides)} give "
            f"{sum(map(len, strides))} on {card.input.width} x {card.input.height} pixels"
        )
    return np.concatenate(centres), np.concatenate(strides)


def _size(card: Card) -> Float[np.ndarray, " 4"]:
    return np.array([card.input.width, card.input.height] * 2, dtype=float)
