"""Graphs in which equal parts are merged and weights halved: what they compute stays the same."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from vireid.models.onnx_graphs import halve_weights, merge_equal

HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'


def computed(model: onnx.ModelProto, given: np.ndarray) -> list[np.ndarray]:
    return list(ReferenceEvaluator(model).run(None, {"x": given}))


def test_equal_nodes_are_one_and_results_keep_their_names() -> None:
    model = parser.parse_model(
        HEAD
        + """twice (float[2] x) => (float[2] y, float[2] z)
        <float[2] w = {1, 2}, float[2] same = {1, 2}>
        {
            a = Mul(x, w)
            b = Mul(x, same)
            c = Neg(a)
            d = Neg(b)
            e = Add(c, d)
            y = Exp(e)
            z = Exp(e)
        }"""
    )
    given = np.array([3, 4], np.float32)
    before = computed(model, given)
    merge_equal(model)
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Mul", "Neg", "Add", "Exp", "Exp"]
    assert [tensor.name for tensor in model.graph.initializer] == ["w"]
    assert np.array_equal(computed(model, given), before)


@pytest.mark.parametrize(
    "body",
    [
        "a, m = MaxPool<kernel_shape = [1]>(x)\n b = MaxPool<kernel_shape = [1]>(x)",
        "b = MaxPool<kernel_shape = [1]>(x)\n a, m = MaxPool<kernel_shape = [1]>(x)",
    ],
)
def test_results_that_one_node_gives_and_the_other_does_not(body: str) -> None:
    model = parser.parse_model(
        f"""{HEAD} pools (float[1, 1, 2] x) => (float[1, 1, 2] y)
        <float high = {{3.5}}>
        {{
            {body}
            c = Clip(b, , high)
            y = Add(a, c)
        }}"""
    )
    given = np.array([[[3, 4]]], np.float32)
    before = computed(model, given)
    merge_equal(model)
    assert np.array_equal(computed(model, given), before)
    assert len(model.graph.node) == 4


def test_random_numbers_are_drawn_as_often_as_before() -> None:
    model = parser.parse_model(
        HEAD
        + """noise (float[8] x) => (float[8] y)
        {
            a = RandomNormalLike(x)
            b = RandomNormalLike(x)
            y = Sub(a, b)
        }"""
    )
    merge_equal(model)
    assert np.any(computed(model, np.zeros(8, np.float32))[0])


def test_a_graph_with_branches_stays_as_it_is() -> None:
    model = parser.parse_model(
        HEAD
        + """branches (float[2] x) => (float[2] y)
        <bool yes = {1}>
        {
            a = Neg(x)
            b = Neg(x)
            y = If(yes) <
                then_branch = one () => (float[2] p) { p = Exp(a) },
                else_branch = other () => (float[2] q) { q = Exp(b) }
            >
        }"""
    )
    before = model.SerializeToString()
    merge_equal(model)
    assert model.SerializeToString() == before


def test_only_what_float16_can_hold_is_halved() -> None:
    draw = np.random.default_rng(0).standard_normal((16, 32)).astype(np.float32)
    weights = {"usual": draw, "large": draw * 1e5, "small": draw * 1e-8, "vector": draw.ravel()}
    names = list(weights)
    shapes = ", ".join(f"float[{','.join(map(str, weights[n].shape))}] {n}" for n in names[:3])
    model = parser.parse_model(
        f"""{HEAD} products (float[16, 32] x) => (float[16, 32] a, float[16, 32] b, float[16, 32] c)
        <{shapes}>
        {{ a = Mul(x, usual)\n b = Mul(x, large)\n c = Mul(x, small) }}"""
    )
    del model.graph.initializer[:]
    model.graph.initializer.extend(numpy_helper.from_array(w, n) for n, w in weights.items())
    given = np.ones((16, 32), np.float32)
    before = computed(model, given)
    halve_weights(model)
    onnx.checker.check_model(model)
    kept = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kept == {
        "usual/float16": onnx.TensorProto.FLOAT16,
        **dict.fromkeys(("large", "small", "vector"), onnx.TensorProto.FLOAT),
    }
    for found, expected in zip(computed(model, given), before, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3)
