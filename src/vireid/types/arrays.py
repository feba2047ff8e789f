"""Types of NumPy arrays by shape; a letter means the same axis everywhere.

n: pictures    q: queries    d: numbers in an embedding    h, w: rows and columns of a picture

Those of tensors are in `vireid.types.tensors`.
"""

import numpy as np
from jaxtyping import Float, UInt8

Pixels = UInt8[np.ndarray, "h w 3"]
"""One picture: red, green and blue of 0 .. 255."""
Pictures = UInt8[np.ndarray, "n h w 3"]
"""Pictures of one size, as `Pixels`."""
Vector = Float[np.ndarray, " d"]
Vectors = Float[np.ndarray, "n d"]
"""Embeddings, one in a row. Those of an embedder are of length one; a dot product of two is their
similarity."""
Queries = Float[np.ndarray, "q d"]
"""Embeddings to search with, one in a row."""
