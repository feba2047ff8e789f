"""Options of engines and of models: engines, pictures at once, number formats; see `models`."""

from typing import Literal

Engine = Literal["auto", "cpu", "cuda", "tensorrt", "coreml", "openvino"]
BATCH = 32
"""Number of pictures that go through a network together, unless another is asked for."""
Precision = Literal["float32", "bfloat16", "int8"]
"""Number format in which a network computes: `int8` is a matter of its graph, the others of the
engine."""
StoredWeights = Literal["float32", "float16"]
"""Number formats in which weights of joined models are stored."""
