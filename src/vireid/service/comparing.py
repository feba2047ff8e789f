"""Comparing: where on two pictures a similarity comes from, part by part.

If each number of an embedding stands for one part of the picture, a similarity, which is a sum of
products, is a sum of the products of each part: exact arithmetic, no guess at what a network sees.
"""

import numpy as np
from jaxtyping import Float

from vireid.search.hits import mean_of
from vireid.service.galleries import Served
from vireid.service.latest_searches import Latest
from vireid.service.messages import Comparison
from vireid.types.arrays import Vector


def compared(served: Served, search: Latest, id_: str) -> Comparison:
    """Say how much of the similarity of a hit comes from each part of the picture.

    Raises:
        Problem: There is no such picture.
        VireidError: The gallery has too few pictures to centre.
    """
    searcher = served.searcher
    record = served.entry(id_).record
    grid = searcher.embedder.grid
    if not search.queries:
        return Comparison(reason="A sentence is not compared part by part.")
    if grid is None:
        name = searcher.embedder.name
        return Comparison(reason=f"The model {name} does not tell where on a picture it looks.")
    vectors = np.stack([query.vector for query in search.queries])
    hit = searcher.gallery.vectors_of([record])
    if search.centred:
        vectors = searcher.gallery.centred(vectors, search.queries[0].modality)
        hit = searcher.gallery.centred(hit, record.modality, record.camera)
    asked = mean_of(vectors) if search.several == "mean" else vectors
    best = asked[int(np.argmax(asked @ hit[0]))]
    shares = shares_of(best, hit[0], grid)
    return Comparison(
        similarity=round(float(shares.sum()), 6),
        shares=[[round(float(each), 6) for each in row] for row in shares],
    )


def shares_of(
    query: Vector, hit: Vector, grid: tuple[int, int]
) -> Float[np.ndarray, "rows columns"]:
    """Return what each part of the picture adds to the dot product of two embeddings.

    Args:
        query: Embedding of a picture.
        hit: Embedding of another one.
        grid: Rows and columns of parts; number i of an embedding stands for part i modulo their
            number.
    """
    products = np.asarray(query, np.float64) * hit
    return np.asarray(products.reshape(-1, *grid).sum(axis=0))
