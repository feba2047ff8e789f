"""Doubts about pictures that are given as cut-outs of people: frames, grey, or too small."""

from collections.abc import Iterator, Sequence

import numpy as np

from vireid.pictures import PictureError, picture_of
from vireid.records import ImageRecord, Modality
from vireid.video.spectrum import GREY, colourfulness

LOOKED_AT = 100
"""Pictures that are looked at, evenly spaced: enough to see what most are like."""
MOST = 0.5
"""Share of the pictures from which a doubt is told."""
LEAST_ROWS = 48
"""Rows below which clothes cannot be told apart."""


def doubts_about(records: Sequence[ImageRecord]) -> list[str]:
    """Return a line for each reason to doubt that most pictures are what they are given as.

    Args:
        records: Pictures; some of them are read.
    """
    places = np.linspace(0, len(records), min(len(records), LOOKED_AT), endpoint=False, dtype=int)
    looked = [list(_doubts(records[place])) for place in places]
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
