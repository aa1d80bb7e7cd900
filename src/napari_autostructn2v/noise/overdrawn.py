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

ROUNDING = 1e-12
"""Of powers in float32."""

SURE_SE = 3.0
"""Standard errors of the slope that are given to chance: where a result is faint, noise decides it."""


def overdrawn(along: np.ndarray, drawn: np.ndarray, left: np.ndarray, tiles: int) -> np.ndarray | None:
    """The share of a result at each frequency that is too much, (T, T), centred; None if hardly any is.

    Parameters
    ----------
    along
        Real part of the cross-spectrum of residual and result, (T, T), centred, summed over tiles.
    drawn, left
        Power of the result and of the residual, likewise.
    tiles
        How many these are.
    """
    side = len(drawn)
    radius = frequency_radius(side) * side
    ring = np.rint(radius).astype(int)
    rings = np.arange(ring.max() + 1)
    together, power, rest = (ndimage.sum(each, ring, rings) for each in (along, drawn, left))
    # what is fainter than rounding is nothing
    power = np.maximum(power, ROUNDING * rest + np.finfo(np.float64).tiny)
    # each bin comes twice, as its mirror image, and of a tile half lies in those beside it
    samples = tiles * np.bincount(ring.ravel()) / 4
    error = np.sqrt(rest / power / samples / 2)
    # the slope is one plus their ratio; where it is below one, the result goes beyond the original
    share = np.clip(-together / power - SURE_SE * error, 0, 1)
    share[:LOWEST_RING] = 0
    if share.max() < LEAST:
        return None
    return np.interp(radius, rings, share)
