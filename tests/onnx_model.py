"""A model in the exported layout that needs no training: coarse colours, turned at random."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

HEIGHT, WIDTH, DIM = 32, 16, 16
FILES = ("visible.onnx", "infrared.onnx", "weights.bin")


def write_model(folder: Path, seed: int = 0, name: str = "toy") -> Path:
    """Both graphs compute the same, so a picture finds itself in the other spectrum."""
    folder.mkdir(parents=True)
    weights = np.random.default_rng(seed).standard_normal((24, DIM)).astype(np.float32)
    (folder / "weights.bin").write_bytes(weights.tobytes())
    for graph in FILES[:2]:
        onnx.save_model(_graph(weights), folder / graph)
    facts = {
        "format": 1,
        "name": name,
        "method": "colours",
        "fingerprint": hashlib.sha256(weights.tobytes()).hexdigest()[:16],
        "height": HEIGHT,
        "width": WIDTH,
        "embedding_dim": DIM,
        "precision": "float32",
        "files": {f: hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in FILES},
    }
    (folder / "model.json").write_text(json.dumps(facts))
    return folder


def _graph(weights: np.ndarray) -> onnx.ModelProto:
    turned = numpy_helper.from_array(weights, "weights")
    onnx.external_data_helper.set_external_data(turned, "weights.bin", 0, weights.nbytes)
    turned.ClearField("raw_data")
    half = numpy_helper.from_array(np.array(127.5, np.float32), "half")
    cell = [HEIGHT // 4, WIDTH // 2]
    steps = [
        helper.make_node("Cast", ["pictures"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["floats", "half"], ["centred"]),
        helper.make_node("Transpose", ["centred"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["cells"], kernel_shape=cell, strides=cell),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["turned"]),
        helper.make_node("LpNormalization", ["turned"], ["embeddings"], axis=1, p=2),
    ]
    pictures = helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", HEIGHT, WIDTH, 3])
    embeddings = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", DIM])
    graph = helper.make_graph(steps, "colours", [pictures], [embeddings], [half, turned])
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10)


def person(identity: int, shift: int = 0) -> Image.Image:
    """A picture that looks the same for one identity, a little brighter with each shift."""
    blocks = np.random.default_rng(identity).integers(0, 200, (8, 4, 3))
    pixels = (blocks + 3 * shift).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels.repeat(8, axis=0).repeat(8, axis=1))


def write_site(root: Path, people: int = 6, cameras: tuple[str, ...] = ("cam1", "cam3")) -> Path:
    """A folder in SYSU-MM01's layout; cam3 is infrared."""
    for shift, camera in enumerate(cameras):
        for identity in range(1, people + 1):
            for frame in (1, 2):
                path = root / camera / f"{identity:04d}" / f"{frame:04d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                person(identity, shift + frame).save(path, quality=95)
    return root


def write_people(root: Path, count: int = 6) -> Path:
    """Write a picture of each person in both spectra, in folders that name them."""
    for identity in range(count):
        for camera, spectrum in enumerate(("visible", "infrared")):
            folder = root / spectrum / f"cam{camera}" / f"{identity:04}"
            folder.mkdir(parents=True)
            person(identity, camera).save(folder / "1.png")
    return root
