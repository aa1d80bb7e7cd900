"""Hot and dead pixels, and hits of X-rays and cosmic rays: a few pixels far from all around them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SIDE = 5
"""Side in pixels of the square whose median says what a pixel should be about."""

TYPICAL_QUANTILE, FACTOR = 0.95, 4.0
"""A spike is so many times as far from its surroundings as that quantile of all pixels: 7.8 standard
deviations of Gaussian noise."""

SAMPLE = 20_000
"""Pixels, evenly spread, by which the quantile is measured."""

MAX_SHARE = 0.05
"""Share of a slice that spikes make up at most; more of them are its noise."""

MAX_PIXELS = 6
"""Pixels of one spike: an object is larger."""

MAX_BESIDE, NOISE_BESIDE = 0.25, 0.45
"""Height of the pixels right beside a spike, at most: over its own height, or if that is more, over the least
height of a spike, which is noise. Optics blur what is in the sample."""


STRIP = 16
"""Rows that are looked through at a time."""

LEAST_WITHIN, BEYOND_DOUBT = 0.6, 5.0
"""Height of the lowest pixel of a spike over that of its highest, at least; and height over the least of a
spike from which it is one whatever its shape."""


def find_spikes(plane: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Where a slice has spikes, bool (Y, X).

    Parameters
    ----------
    plane
        The slice, float32 (Y, X).
    unknown
        Pixels that say nothing, bool (Y, X): blank ones and those whose value is no number. They are filled
        in ``plane``.
    """
    spikes = np.zeros(plane.shape, dtype=bool)
    padded = np.pad(plane, SIDE // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE))

    def height_of(pixels: np.ndarray) -> np.ndarray:
        """How far pixels are from the median around each.

        Parameters
        ----------
        pixels
            Their flat indices.
        """
        y, x = np.divmod(pixels, plane.shape[1])
        middle = SIDE**2 // 2  # of values that are all numbers: in a fifth of the time of np.median
        medians = [
            np.partition(windows[y[some], x[some]].reshape(-1, SIDE**2), middle, axis=1)[:, middle]
            for some in np.array_split(np.arange(len(pixels)), len(pixels) // SAMPLE + 1)
        ]
        return np.asarray(plane[y, x] - np.concatenate(medians))

    spread = np.arange(0, plane.size, max(1, plane.size // SAMPLE))
    spread = spread[~unknown.flat[spread]]
    if spread.size < SAMPLE // 10:
        spread = np.flatnonzero(~unknown)[:: max(1, plane.size // SAMPLE)]
    if not spread.size:
        return spikes
    least = FACTOR * float(np.quantile(np.abs(height_of(spread)), TYPICAL_QUANTILE))
    if least == 0:
        return spikes
    pixels = _candidates(padded[1:-1, 1:-1], least / 2)
    pixels = pixels[~unknown.flat[pixels]]
    heights = np.abs(height_of(pixels)) if pixels.size <= 4 * MAX_SHARE * plane.size else np.zeros(0)
    if not (heights > least).any():
        return spikes
    height = np.zeros(plane.shape, dtype=np.float32)
    height.flat[pixels] = heights
    known = np.zeros(plane.shape, dtype=bool)
    known.flat[pixels] = True
    if (height > least).mean() > MAX_SHARE:
        return spikes
    while True:  # a piece of a stripe is one until what it goes on with is seen
        labels, count = ndimage.label(height > least, np.ones((3, 3)))
        small = np.bincount(labels.ravel(), minlength=count + 1) <= MAX_PIXELS
        small[0] = False
        beside = np.flatnonzero(ndimage.binary_dilation(small[labels], np.ones((3, 3))) & ~known)
        if not beside.size:
            break
        known.flat[beside] = True
        height.flat[beside] = np.abs(height_of(beside))
    each = np.arange(1, count + 1)
    highest = ndimage.maximum(height, labels, each)
    highest_beside = ndimage.maximum(ndimage.maximum_filter(np.where(labels > 0, 0, height), 3), labels, each)
    sharp = highest_beside <= np.maximum(MAX_BESIDE * highest, NOISE_BESIDE * least)
    lowest = ndimage.minimum(height, labels, each)
    sharp &= (lowest >= LEAST_WITHIN * highest) | (highest >= BEYOND_DOUBT * least)
    return (small & np.append(False, sharp))[labels]


def _candidates(plane: np.ndarray, limit: float) -> np.ndarray:
    """A first, cheap look: pixels far from the mean of their four neighbours, as flat indices.

    Parameters
    ----------
    plane
        The slice with a border of one pixel, (Y + 2, X + 2).
    limit
        How far they are.
    """
    height, width = plane.shape[0] - 2, plane.shape[1] - 2
    found = []
    for first in range(0, height, STRIP):
        strip = plane[first : first + STRIP + 2]  # as much as a processor's cache holds
        away = strip[:-2, 1:-1] + strip[2:, 1:-1]
        away += strip[1:-1, :-2]
        away += strip[1:-1, 2:]
        away *= -0.25
        away += strip[1:-1, 1:-1]
        found.append(np.flatnonzero(np.abs(away, out=away) > limit) + first * width)
    return np.concatenate(found)
