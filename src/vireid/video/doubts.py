"""Doubts about pictures that are given as cut-outs of people: frames, grey, or too small."""

from collections.abc import Iterator, Sequence

import numpy as np

from vireid.pictures import PictureError, picture_of
from vireid.records import LEAST_ROWS, ImageRecord, Modality, spread
from vireid.video.spectrum import GREY, colourfulness

LOOKED_AT = 100
"""Pictures that are looked at, evenly spaced: enough to see what most are like."""
MOST = 0.5
"""Share of the pictures from which a doubt is told."""


def doubts_about(records: Sequence[ImageRecord]) -> list[str]:
    """Return a line for each reason to doubt that most pictures are what they are given as.

    Args:
        records: Pictures; some of them are read.
    """
    looked = [list(_doubts(record)) for record in spread(records, LOOKED_AT)]
    told = list[str]()
    for doubt, way_out in WAYS_OUT.items():
        count = sum(doubt in each for each in looked)
        if looked and count >= MOST * len(looked):
            told.append(f"{count} of {len(looked)} pictures that were looked at {doubt}; {way_out}")
    return told


WIDE, SMALL, COLOURLESS = (
    "are wider than tall",
    f"are fewer than {LEAST_ROWS} pixels high",
    "are called visible and have no colour",
)
WAYS_OUT = {
    WIDE: "if they are frames, cut the people out first: vireid cut",
    SMALL: "people in them are hard to tell apart",
    COLOURLESS: "if they are infrared, say so: --modality infrared",
}


def _doubts(record: ImageRecord) -> Iterator[str]:
    try:
        picture = picture_of(record)
    except PictureError:  # is told by whoever uses it
        return
    if picture.width > picture.height:
        yield WIDE
    if picture.height < LEAST_ROWS:
        yield SMALL
    if record.modality is Modality.VISIBLE and colourfulness(np.asarray(picture)) < GREY:
        yield COLOURLESS
