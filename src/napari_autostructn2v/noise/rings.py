"""Rings of a centred spectrum: what is alike in all directions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import fft


@lru_cache(maxsize=8)
def frequency_radius(side: int) -> np.ndarray:
    """Distance of each bin from zero frequency, in cycles per pixel, shape (T, T).

    Parameters
    ----------
    side
        T, the side of the tiles in pixels, odd.
    """
    axis = fft.fftshift(fft.fftfreq(side))
    return np.hypot(axis[:, None], axis[None])


@lru_cache(maxsize=8)
def _rings(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rings of 0, 1, 2 ... bins around the centre, of the centre and the bins after it.

    Returns
    -------
    own
        Ring of each of these bins, (T * T // 2 + 1,).
    order
        Bins, ring after ring.
    starts
        Where each ring begins in that order, and where the last one ends.
    """
    own = np.rint(frequency_radius(side) * side).astype(int).ravel()[side * side // 2 :]
    order = np.argsort(own, kind="stable")
    return own, order, np.searchsorted(own[order], np.arange(own.max() + 2))


def ring_quantiles(image: np.ndarray, quantile: float, beside: int = 0) -> np.ndarray:
    """Quantile of a centred, point-symmetric (T, T) image over each of its rings, from the centre on.

    Parameters
    ----------
    image
        Its first half is the mirror image of the second, which alone is looked at.
    quantile
        0 to 1; between two values it is interpolated.
    beside
        So many rings inside and outside of each count as well.
    """
    _, order, starts = _rings(len(image))
    values = image.ravel()[image.size // 2 :][order]
    last = len(starts) - 1
    made = np.empty(last)
    for ring in range(beside + 1):  # with the centre, which stands for itself alone
        some = values[: starts[min(ring + beside + 1, last)]]
        made[ring] = np.quantile(np.concatenate([some, some[1:]]), quantile)
    for ring in range(beside + 1, last):
        some = values[starts[ring - beside] : starts[min(ring + beside + 1, last)]].copy()
        # each value stands for two, as that of the other half is the same
        below, share = divmod(quantile * (2 * len(some) - 1), 1)
        low, high = int(below) // 2, (int(below) + 1) // 2
        some.partition(high)
        upper = some[high]
        made[ring] = upper if low == high else share * upper + (1 - share) * some[:high].max()
    return made


def ring_median(image: np.ndarray) -> np.ndarray:
    """Median of a centred, point-symmetric (T, T) image over each ring and its two neighbours.

    It is what is the same all around.

    Parameters
    ----------
    image
        Its first half is the mirror image of the second, which alone is read.
    """
    return on_rings(ring_quantiles(image, 0.5, beside=1), len(image))


def on_rings(values: np.ndarray, side: int) -> np.ndarray:
    """The image (T, T) that has these values on its rings, from the centre on.

    Parameters
    ----------
    values
        One for each ring.
    side
        T, the side of the tiles in pixels, odd.
    """
    half = values[_rings(side)[0]]
    return np.concatenate([np.flip(half[1:]), half]).reshape(side, side)
