"""The spectrum of frames, told by their colours: cameras switch to infrared at night.

Infrared frames are grey, or tinted all over alike. How much colours differ within a frame tells
them from visible ones, which hold something coloured even in fog and dusk. Thermal cameras that
paint heat in false colours look visible: say their spectrum.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from vireid.records import Modality
from vireid.types.arrays import Pixels
from vireid.video.frames import Frame

LOOKED_AT = (64, 48)
"""Columns and rows that frames are averaged to, in which noise of compression is lost."""
GREY, COLOURED = 5.0, 10.0
"""Colourfulness below which a frame is infrared, and above which it is visible.

In three registered pairs of real videos infrared frames have 0 and visible ones 23 or more; of
2,168 rendered pictures, infrared ones have 0 and visible ones 8 or more.
"""
STEADY = 1.0
"""Seconds for which frames have to look otherwise before the spectrum is taken to have changed."""


def colourfulness(pixels: Pixels) -> float:
    """Return how much colours differ within a picture, from 0 for grey.

    That is the 95th percentile of |red - green| + |blue - green|, each without its median, in grey
    levels: a tint of the whole does not count, nor does a small coloured inscription.
    """
    small = Image.fromarray(pixels).resize(LOOKED_AT, Image.Resampling.BOX)
    values = np.asarray(small, np.float32).reshape(-1, 3)
    tints = values[:, [0, 2]] - values[:, [1]]
    tints -= np.median(tints, axis=0)
    return float(np.percentile(np.abs(tints).sum(axis=1), 95))


@dataclass
class SpectrumSense:
    """Tells the spectrum of frames that come in the order of their times, with hysteresis."""

    spectrum: Modality | None = None
    """Spectrum of the frame before."""
    _other_since: float | None = None

    def of(self, frame: Frame) -> Modality:
        """Return the spectrum of the next frame."""
        found = colourfulness(frame.pixels)
        if self.spectrum is None:
            is_grey = found < (GREY + COLOURED) / 2
            self.spectrum = Modality.INFRARED if is_grey else Modality.VISIBLE
            return self.spectrum
        is_visible = self.spectrum is Modality.VISIBLE
        if not (found < GREY if is_visible else found > COLOURED):
            self._other_since = None
        elif self._other_since is None:
            self._other_since = frame.seconds
        elif frame.seconds - self._other_since >= STEADY:
            self.spectrum, self._other_since = self.spectrum.other, None
        return self.spectrum
