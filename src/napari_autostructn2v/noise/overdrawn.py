"""What a network draws too strongly: the outlines that would else be found in what was removed.

A network learns to fill in a pixel that it does not see, and is then shown all of them. What it has learnt to
put there comes on top of what is there: lines and edges come out darker or brighter than they are. The
regression of the original on the result says by how much, frequency by frequency. Noise that has passed makes
the two more alike and only hides it, so that what is found is certain.

References
----------
Draper, N. R., Smith, H. Applied Regression Analysis, 3rd edition (1998), chapter 1: the slope through zero.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_autostructn2v.noise.rings import frequency_radius

LEAST = 0.02
"""Share of a frequency below which nothing is corrected: it would not be seen, and takes time."""

LOWEST_RING = 2
"""In bins from zero frequency: nearer lies the brightness, in which a tile does not tell one from another."""


def overdrawn(along: np.ndarray, drawn: np.ndarray) -> np.ndarray | None:
    """The share of a result at each frequency that is too much, (T, T), centred; None if hardly any is.

    Parameters
    ----------
    along
        Real part of the cross-spectrum of residual and result, (T, T), centred.
    drawn
        Power of the result, likewise.
    """
    side = len(drawn)
    radius = frequency_radius(side) * side
    ring = np.rint(radius).astype(int)
    rings = np.arange(ring.max() + 1)
    power = np.maximum(ndimage.sum(drawn, ring, rings), np.finfo(np.float64).tiny)
    # the slope is one plus this; where it is below one, the result goes beyond the original
    share = np.clip(-ndimage.sum(along, ring, rings) / power, 0, 1)
    share[:LOWEST_RING] = 0
    if share.max() < LEAST:
        return None
    return np.interp(radius, rings, share)
