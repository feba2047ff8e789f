"""k-reciprocal re-ranking: who is near whom in both directions decides, not a distance alone.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017
(https://openaccess.thecvf.com/content_cvpr_2017/html/Zhong_Re-Ranking_Person_Re-Identification_CVPR_2017_paper.html).
**It uses all queries at once**: those that others ask decide what an answer is worth. A search
with one picture cannot do so, and numbers with and without it do not compare.

Let the n pictures be all queries and the gallery, d(i, j) the squared distance of two of them
divided by the largest one that i has, and N(i, k) the picture i and its k nearest.

* R(i, k) = those j of N(i, k) that have i in N(j, k)
* R*(i) = R(i, k1), and R(j, k1/2) of those j in it of which more than two thirds are in R(i, k1)
* V(i, j) = exp(-d(i, j)) for j in R*(i), else 0; divided by the sum over j
* W(i) = the mean of V over i and its k2 - 1 nearest (no mean if k2 is 1)
* Jaccard distance J(i, j) = 1 - sum_l min(W(i, l), W(j, l)) / sum_l max(W(i, l), W(j, l))
* result = (1 - weight) J + weight d, for every query i and gallery picture j

This is the authors' code (https://github.com/zhunzhong07/person-re-ranking); their paper takes
over R(j, k1/2) at two thirds already, and leaves out the division by the sum. A picture is always
the first of its own neighbours, equal distances keep the order of the pictures, and k1/2 is rounded
as Python does. W has few entries in a row, so that nothing here is as large as n x n.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from vireid.errors import VireidError

Vectors = Float[np.ndarray, "n d"]
Neighbours = Int[np.ndarray, "n k"]

_CELLS_AT_A_TIME = 1 << 20
"""Of a matrix with a column for every picture; four megabytes of numbers."""
_PAIRS_AT_A_TIME = 1 << 18


@dataclass(frozen=True)
class KReciprocal:
    """The parameters; those of the paper unless others are said."""

    k1: int = 20
    """Neighbours that are asked whether they are neighbours back."""
    k2: int = 6
    """Pictures, itself among them, over which neighbourhoods are averaged; 1: none."""
    weight: float = 0.3
    """Of the original distance (the paper's lambda): 1 ranks as without re-ranking."""
    name: str = "k-reciprocal"

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1 or not 0 <= self.weight <= 1:
            raise VireidError(f"{self}: k1 and k2 are 1 or more, lambda is from 0 to 1")

    def __str__(self) -> str:
        return f"{self.name} k1={self.k1} k2={self.k2} lambda={self.weight:g}"
