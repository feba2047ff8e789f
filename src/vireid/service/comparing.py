"""Comparing: where two pictures are alike, place by place.

If each number of an embedding stands for one part of the picture, a similarity, which is a sum of
products, is a sum of the products of each part: exact arithmetic. For other models each place is
covered in turn, and what the similarity loses is what the model saw there.
"""

import numpy as np

from vireid.models.embedder import Embedder
from vireid.models.occlusion import Places, places_alike
from vireid.pictures import pixels_of
from vireid.records import ImageRecord
from vireid.search.hits import mean_of
from vireid.service.galleries import Served
from vireid.service.latest_searches import Latest
from vireid.service.messages import Comparison
from vireid.service.uploads import decoded
from vireid.types.arrays import Pixels, Vector


def compared(served: Served, search: Latest, id_: str) -> Comparison:
    """Say where a hit and the first picture that was searched with are alike.

    Raises:
        Problem: There is no such picture.
        VireidError: A picture's file is gone, or the gallery has too few pictures to centre.
    """
    embedder, record = served.searcher.embedder, served.entry(id_).record
    if not search.queries:
        return Comparison(reason="A sentence is not compared place by place.")
    if embedder.grid is None:
        query, hit = _by_covering(served, search, record)
        return Comparison(how="covered", query=_told(query), hit=_told(hit))
    shares = shares_of(*_vectors(served, search, record), embedder.grid)
    similarity = round(float(shares.sum()), 6)
    return Comparison(how="parts", similarity=similarity, query=_told(shares), hit=_told(shares))


def _vectors(served: Served, search: Latest, record: ImageRecord) -> tuple[Vector, Vector]:
    """Return the vectors whose product is the similarity of a hit."""
    gallery = served.searcher.gallery
    vectors = np.stack([query.vector for query in search.queries])
    hit = gallery.vectors_of([record])
    if search.centred:
        vectors = gallery.centred(vectors, search.queries[0].modality)
        hit = gallery.centred(hit, record.modality, record.camera)
    asked = mean_of(vectors) if search.several == "mean" else vectors
    return asked[int(np.argmax(asked @ hit[0]))], hit[0]


def _by_covering(served: Served, search: Latest, record: ImageRecord) -> tuple[Places, Places]:
    """Return what the similarity loses by each place of the query and of the hit."""
    embedder, first = served.searcher.embedder, search.queries[0]
    (hit,) = served.searcher.gallery.vectors_of([record])
    asked = _pixels(search, embedder)
    shown = pixels_of(record, embedder.height, embedder.width)
    of_query = places_alike(embedder, asked, first.modality, hit)
    return of_query, places_alike(embedder, shown, record.modality, first.vector)


def _pixels(search: Latest, embedder: Embedder) -> Pixels:
    """Return the first picture that was searched with, at the model's size."""
    first = search.queries[0]
    if search.upload:
        return decoded(search.upload, embedder, first.modality).pixels
    assert first.entry is not None
    return pixels_of(first.entry.record, embedder.height, embedder.width)


def _told(places: Places) -> list[list[float]]:
    return [[round(float(each), 6) for each in row] for row in places]


def shares_of(query: Vector, hit: Vector, grid: tuple[int, int]) -> Places:
    """Return what each part of the picture adds to the dot product of two embeddings.

    Args:
        query: Embedding of a picture.
        hit: Embedding of another one.
        grid: Rows and columns of parts; number i of an embedding stands for part i modulo their
            number.
    """
    products = np.asarray(query, np.float64) * hit
    return np.asarray(products.reshape(-1, *grid).sum(axis=0))
