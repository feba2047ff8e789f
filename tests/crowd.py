"""People made of numbers: embeddings of persons under cameras, without pictures."""

from pathlib import Path

import numpy as np

from vireid.records import ImageRecord, Modality
from vireid.types.arrays import Vectors


def crowd(
    people: int,
    each: int = 3,
    *,
    noise: float = 0.5,
    seed: int = 0,
    first: int = 0,
    dim: int = 32,
    shift: tuple[float, float] = (0.0, 0.0),
) -> tuple[Vectors, list[ImageRecord]]:
    """Return unit vectors and their records: so many pictures of each person under four cameras.

    Args:
        people: Number of people.
        each: Pictures of a person under a camera; two cameras see each spectrum.
        noise: Standard deviation of a picture around its person, who has length one.
        seed: Seed.
        first: Number of the first person.
        dim: Numbers in a vector.
        shift: How far all pictures are moved along each of two directions.
    """
    generator = np.random.default_rng(seed)
    persons = generator.standard_normal((people, dim)) / np.sqrt(dim)
    vectors, records = [], []
    for number, person in enumerate(persons, first):
        for place, modality in enumerate([*Modality] * 2):
            for picture in range(each):
                off = generator.standard_normal(dim) * noise / np.sqrt(dim)
                vector = person + off
                vector[:2] += shift
                vectors.append(vector / np.linalg.norm(vector))
                path = Path(f"/crowd/cam{place}/{number:04}/{picture}.jpg")
                records.append(ImageRecord(path, modality, number, f"cam{place}"))
    return np.array(vectors, np.float32), records
