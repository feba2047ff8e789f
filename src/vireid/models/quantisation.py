"""Quantisation: a model's networks in whole numbers of 8 bits, by ONNX Runtime.

Weights are rounded to 7 bits, channel by channel: with 8 a processor without VNNI would overflow
where another does not, and a result shall not depend on the processor. What flows between layers
is rounded to 8 bits by ranges that are taken from pictures.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from vireid.records import Modality
from vireid.types.arrays import Pictures

OPERATORS = ["Conv", "MatMul", "Gemm"]
"""Operators that are computed in whole numbers; all others stay as they are."""
AT_ONCE = 16


def quantised(
    folder: Path, pictures: Mapping[Modality, Pictures]
) -> Mapping[Modality, onnx.ModelProto]:
    """Return the graphs of an exported model in whole numbers, with their weights.

    Args:
        folder: Exported model, in float32.
        pictures: Some pictures of each spectrum, of the model's size.
    """
    return {modality: _quantised(folder, modality, some) for modality, some in pictures.items()}


def _quantised(folder: Path, modality: Modality, pictures: Pictures) -> onnx.ModelProto:
    import onnxruntime
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    onnxruntime.set_default_logger_severity(3)  # its remarks on constants say nothing to anybody
    with TemporaryDirectory(prefix="vireid-") as scratch:
        place = Path(scratch)
        onnx.save_model(onnx.load(folder / f"{modality}.onnx"), place / "graph.onnx")
        # Joins each convolution with the normalisation behind it, which then costs no precision.
        shape_inference.quant_pre_process(
            place / "graph.onnx", place / "fused.onnx", skip_symbolic_shape=True
        )
        quantization.quantize_static(
            place / "fused.onnx",
            place / "whole.onnx",
            _reader(pictures),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(place / "whole.onnx")


def _reader(pictures: Pictures) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands pictures to ONNX Runtime, some at a time."""

        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = iter(
                pictures[start : start + AT_ONCE] for start in range(0, len(pictures), AT_ONCE)
            )

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"pictures": batch}

    return Reader()
