"""Types of tensors by shape; a letter means the same axis everywhere.

n: images in a batch    d: numbers in an embedding    k: training identities h, w: rows and columns
of an image    c, y, x: channels, rows and columns of a feature map

Shapes are checked while the tests run (jaxtyping and beartype) and cost nothing otherwise.
"""

from jaxtyping import Float, Int, UInt8
from torch import Tensor

Images = Float[Tensor, "n 3 h w"]
"""Images with red, green and blue in [0, 1]; infrared ones repeat one channel three times."""
FeatureMaps = Float[Tensor, "n c y x"]
Embeddings = Float[Tensor, "n d"]
Identities = Int[Tensor, " n"]
"""Training identities, numbered 0 .. k-1."""
Modalities = Int[Tensor, " n"]
"""Modality of each row: 0 visible, 1 infrared, 2 auxiliary."""
Logits = Float[Tensor, "n k"]
Scalar = Float[Tensor, ""]


def can_be_read(tensor: Tensor) -> bool:
    """Return whether looking at numbers of a tensor costs nothing, because a processor has them.

    A processor that looks at those of a GPU waits until the GPU has come so far, and launches
    nothing meanwhile. Losses check what batches consist of only where that costs nothing; settings
    and samplers see to it everywhere.
    """
    return tensor.device.type == "cpu"


def images_of(pixels: UInt8[Tensor, "n h w 3"]) -> Images:
    """Return pictures as networks see them; learning, scoring and searching all go through here."""
    return pixels.permute(0, 3, 1, 2).float().div(255)
