"""Detectors that are real ONNX files and need no training: people are coloured rectangles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

COLOURS = ((230, 40, 40), (40, 60, 230), (40, 200, 60))
"""Colours of people in visible frames."""
GREYS = ((250, 250, 250), (190, 190, 190), (130, 130, 130))
"""Warmth of the same people in infrared frames."""
WIDTH, HEIGHT = 160, 120
NEAR = 32.0
CARD = """
format = 1
title = "coloured rectangles"
[input]
width = {width}
height = {height}
fit = "stretched"
colours = "rgb"
[output]
decoder = "ssd"
scores = ["scores"]
boxes = ["boxes"]
labels = "labels"
[thresholds]
largest = 0.9
widest = 2.0
[origin]
licence = "none"
page = "none"
how = "tests make it"
"""


def write_detector(folder: Path, name: str = "toy") -> Path:
    """Write a detector that finds one person of each colour, and its card beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    onnx.save_model(_graph(), path)
    path.with_suffix(".toml").write_text(CARD.format(width=WIDTH, height=HEIGHT))
    return path


def _graph() -> onnx.ModelProto:
    """Where a row or a column holds pixels near a colour, there somebody is."""
    colours = np.array(COLOURS + GREYS, np.float32)
    nodes, inits, boxes, scores = [], [], list[str](), list[str]()
    sides = numpy_helper.from_array(np.array([1, 4], np.int64), "side_shape")
    one = numpy_helper.from_array(np.array([1], np.int64), "one")
    inits += [sides, one, numpy_helper.from_array(np.array(NEAR, np.float32), "near")]
    inits.append(numpy_helper.from_array(np.array([0], np.int64), "axis_0"))
    inits.append(numpy_helper.from_array(np.array([1], np.int64), "axis_1"))
    inits.append(numpy_helper.from_array(np.array([2], np.int64), "axis_2"))
    for k, colour in enumerate(colours):
        inits.append(numpy_helper.from_array(colour.reshape(1, 3, 1, 1), f"colour{k}"))

        def node(kind: str, inputs: list[str], output: str, k: int = k, **how: Any) -> str:
            nodes.append(helper.make_node(kind, inputs, [f"{output}{k}"], **how))
            return f"{output}{k}"

        gap = node("Abs", [node("Sub", ["images", f"colour{k}"], "difference")], "gap")
        furthest = node("ReduceMax", [gap, "axis_1"], "furthest", keepdims=0)
        mask = node("Cast", [node("Less", [furthest, "near"], "is")], "mask", to=TensorProto.FLOAT)
        row = node("ReduceMax", [mask, "axis_1"], "row", keepdims=0)
        column = node("ReduceMax", [mask, "axis_2"], "column", keepdims=0)
        first = [
            node("ArgMax", [each], f"first_{n}_", axis=1, keepdims=1)
            for n, each in (("x", row), ("y", column))
        ]
        last = [
            node("Add", [node("ArgMax", [each], f"l_{n}_", axis=1, select_last_index=1), "one"], n)
            for n, each in (("x", row), ("y", column))
        ]
        joined = node("Concat", [*first, *last], "joined", axis=1)
        boxes.append(node("Cast", [joined], "box", to=TensorProto.FLOAT))
        scores.append(node("ReduceMax", [row, "axis_1"], "score", keepdims=1))
    nodes.append(helper.make_node("Concat", boxes, ["all"], axis=0))
    inits.append(numpy_helper.from_array(np.array([1, -1, 4], np.int64), "box_shape"))
    nodes.append(helper.make_node("Reshape", ["all", "box_shape"], ["boxes"]))
    nodes.append(helper.make_node("Concat", scores, ["scores_1"], axis=1))
    inits.append(numpy_helper.from_array(np.array(0.9, np.float32), "sure"))
    nodes.append(helper.make_node("Mul", ["scores_1", "sure"], ["scores"]))
    inits.append(numpy_helper.from_array(np.array(0.0, np.float32), "nothing"))
    nodes.append(helper.make_node("Mul", ["scores_1", "nothing"], ["labels"]))
    graph = helper.make_graph(
        nodes,
        "rectangles",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, None, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, None]),
            helper.make_tensor_value_info("labels", TensorProto.FLOAT, [1, None]),
        ],
        inits,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def write_constant(
    path: Path, outputs: dict[str, np.ndarray], shape: Sequence[int], names: Sequence[str] = ("in",)
) -> Path:
    """Write a detector that answers the same for every picture."""
    nodes, inits = [], []
    for name, value in outputs.items():
        inits.append(numpy_helper.from_array(value.astype(np.float32), f"{name}_is"))
        nodes.append(helper.make_node("Identity", [f"{name}_is"], [name]))
    # A graph whose input nothing uses would lose it.
    nodes.append(helper.make_node("Identity", [names[0]], ["seen"]))
    taken = [helper.make_tensor_value_info(names[0], TensorProto.FLOAT, list(shape))]
    for name in names[1:]:
        taken.append(helper.make_tensor_value_info(name, TensorProto.INT64, [1, 2]))
        nodes.append(helper.make_node("Identity", [name], [f"{name}_seen"]))
    answers = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, list(value.shape))
        for name, value in outputs.items()
    ]
    answers.append(helper.make_tensor_value_info("seen", TensorProto.FLOAT, list(shape)))
    graph = helper.make_graph(nodes, "constant", taken, answers, inits)
    opset = [helper.make_opsetid("", 18)]
    onnx.save_model(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


def frame_with(
    boxes: dict[int, tuple[int, int, int, int]],
    width: int = WIDTH,
    height: int = HEIGHT,
    colours: Sequence[tuple[int, int, int]] = COLOURS,
) -> np.ndarray:
    """A grey frame with people of some numbers in some boxes."""
    frame = np.full((height, width, 3), 70, np.uint8)
    for person, (left, top, right, bottom) in boxes.items():
        frame[max(0, top) : bottom, max(0, left) : right] = colours[person]
    return frame
