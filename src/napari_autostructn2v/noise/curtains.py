"""Curtains: stripes along an axis that start and end anywhere, as milling and cutting leave them.

They are longer than any kernel and shorter than the field, so that neither a blind spot nor a filter of whole
rows and columns takes them. What tells them from the image is that each of them changes across and hardly
along. A slice p is taken apart into an image and stripes s, here along Y, such that

    sum |dx (p - s)|  +  ALONG sum |dy s|  +  SPARSE sum |s|

is smallest, with differences dx, dy between neighbouring pixels and p in units of its noise: the stripes take
the changes across that go on along Y, and nothing else. Absolute values let a stripe begin and end, whatever
its brightness, and let what stands out in some rows only, as detail does, count for little.

References
----------
Bouali, M. & Ladjal, S. Toward optimal destriping of MODIS data using a unidirectional variational model.
IEEE Transactions on Geoscience and Remote Sensing 49 (2011), 2924-2935.
Fehrenbach, J., Weiss, P. & Lorenzo, C. Variational algorithms to remove stationary noise. IEEE Transactions
on Image Processing 21 (2012), 4420-4430.
Boyd, S. et al. Distributed optimization and statistical learning via the alternating direction method of
multipliers. Foundations and Trends in Machine Learning 3 (2011), 1-122.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from napari_autostructn2v.stack import Stack
from napari_autostructn2v.threads import THREADS

ALONG = 3.0
"""Weight of changes along a stripe, against those of the image across it."""

SPARSE = 0.05
"""Weight of the stripes themselves."""

ROWS_PER_BIN = 4
"""Rows that are averaged before the stripes are sought, which are longer than that by far."""

ROUNDS = 50
"""Rounds of the alternating direction method; twice as many change the stripes' error by less than 0.1 dB."""

PENALTY = 0.5
"""Penalty of that method: how fast the stripes follow."""

RELAXATION = 1.8
"""Its over-relaxation (Boyd, section 3.4.3): without it several times the rounds are needed."""

SLICE_PAIRS = 3
"""Pairs of neighbouring slices in which curtains are looked for."""

LARGEST_LOOK = 1024
"""Pixels along each axis of the part in which they are looked for."""

SHORTEST_FIELD = 64
"""Pixels of a slice along the stripes below which curtains are no other than whole rows."""

FAR = (48, 96)
"""Lags along the stripes, in pixels, at which nothing but curtains is correlated."""

MIN_FAR_CORRELATION = 0.008
"""Correlation there from which a closer look is taken."""

GOES_ON_PX = 60
"""Lag along the stripes at which curtains are mostly the same, and edges of the image are not."""

MIN_GOING_ON = 0.6
"""Correlation of the stripes at that lag: 0.7 and more for curtains, below 0.45 for what walls and filaments
leave in them."""

BY_CHANCE = 0.05
"""Power of the stripes, in that of the noise, that is found where there are none."""

MIN_PARTIAL = 0.05
"""Share of the stripes' power that is not alike all along the field, beyond chance; whole rows and columns
have none."""

MIN_POWER = 0.06
"""Power of the stripes in that of the noise, below which they are chance."""

FREQUENCIES = (0.04, 0.18)
"""Cycles per pixel across the stripes at which they show: below is the image, above only narrow ones do."""

STRONG_FAR_CORRELATION = 0.06
"""Far correlation that is asked of stripes which go on from slice to slice, as straight parts of the sample
do, and of those in a single slice, which does not tell."""

SAME_STRIPES = 0.5
"""Correlation of two slices' stripes from which they are the same ones. In neighbours curtains may well be;
all through the stack only layers of the sample are."""

REGULAR = 0.75
"""Correlation of the stripes with themselves some way across from which they are a lattice."""

WIDEST_STRIPE = 8
"""Pixels across from which on stripes are others."""


@dataclass(frozen=True)
class Curtains:
    """Stripes along an axis that start and end anywhere.

    Attributes
    ----------
    axis
        The axis along which the brightness changes: 0 for stripes along X, 1 for stripes along Y.
    """

    axis: int

    def line(self, side: int) -> np.ndarray:
        """Where they show in the tiles' spectrum, on the axis across them, bool (T, T).

        Parameters
        ----------
        side
            T, the side of the tiles in pixels, odd.
        """
        bins = np.zeros((side, side), dtype=bool)
        frequency = np.abs(np.arange(side) - side // 2) / side
        shown = (frequency >= FREQUENCIES[0]) & (frequency <= FREQUENCIES[1])
        bins[(shown, side // 2) if self.axis == 0 else (side // 2, shown)] = True
        return bins

    def pattern(self, plane: np.ndarray) -> np.ndarray:
        """The stripes in a slice, float32 (Y, X).

        Parameters
        ----------
        plane
            A slice, float32 (Y, X).
        """
        upright = plane if self.axis == 1 else plane.T
        stripes = _stripes(upright)
        return stripes if self.axis == 1 else stripes.T


def find_curtains(stack: Stack, chosen: list[int]) -> tuple[Curtains, ...]:
    """Find whether there are curtains along X or Y.

    Parameters
    ----------
    stack
        The raw data; up to six slices of it are read.
    chosen
        Slices that may be looked at.
    """
    firsts = np.linspace(0, max(len(chosen) - 2, 0), SLICE_PAIRS).round().astype(int)
    looked_at = sorted({chosen[i] for first in firsts for i in (first, first + 1) if i < len(chosen)})
    planes = {z: _middle(stack.plane(z)) for z in looked_at}
    return tuple(found for axis in (0, 1) if (found := _curtains(planes, axis)) is not None)


def _middle(plane: np.ndarray) -> np.ndarray:
    part = tuple(slice(max(0, (n - LARGEST_LOOK) // 2), max(0, (n - LARGEST_LOOK) // 2) + LARGEST_LOOK)
                 for n in plane.shape)  # fmt: skip
    return plane[part]


def _curtains(planes: dict[int, np.ndarray], axis: int) -> Curtains | None:
    """Curtains in some slices, by their numbers, or None."""
    upright = {z: plane if axis == 1 else plane.T for z, plane in planes.items()}
    if next(iter(upright.values())).shape[0] < SHORTEST_FIELD:
        return None
    far = np.mean([_far_correlation(plane) for plane in upright.values()])
    if far < MIN_FAR_CORRELATION:
        return None
    stripes = {z: _stripes(plane) / _noise(plane) for z, plane in upright.items()}
    power = np.mean([np.square(of_slice).mean() for of_slice in stripes.values()])
    partial = np.mean([of_slice.var(axis=0).mean() for of_slice in stripes.values()])
    if power < MIN_POWER or partial - BY_CHANCE < MIN_PARTIAL * power:
        return None
    lag = min(GOES_ON_PX, len(next(iter(stripes.values()))) // 2)
    going_on = np.mean([(of_slice[lag:] * of_slice[:-lag]).mean() for of_slice in stripes.values()]) / power
    if going_on < MIN_GOING_ON:
        return None
    first, last = min(stripes), max(stripes)
    beside = [_alike(stripes[z], stripes[z + 1]) for z in stripes if z + 1 in stripes]
    if last > first and _alike(stripes[first], stripes[last]) > SAME_STRIPES:
        return None
    if (not beside or np.mean(beside) > SAME_STRIPES) and far < STRONG_FAR_CORRELATION:
        return None
    repeats = np.mean([_repetition(of_slice) for of_slice in stripes.values()])
    return None if repeats > REGULAR else Curtains(axis)


def _alike(here: np.ndarray, there: np.ndarray) -> float:
    """Correlation of two slices' stripes."""
    return float((here * there).sum() / np.sqrt(np.square(here).sum() * np.square(there).sum()))


def _repetition(stripes: np.ndarray) -> float:
    """Strongest correlation with themselves across, farther away than a stripe is wide."""
    width = stripes.shape[1]
    spectrum = fft.rfft(stripes, n=2 * width, axis=1)
    shared = fft.irfft(np.square(np.abs(spectrum)).sum(axis=0), n=2 * width)[: width // 2]
    shared *= width / (width - np.arange(width // 2)) / shared[0]
    return float(shared[WIDEST_STRIPE:].max(initial=0))


def _noise(plane: np.ndarray) -> float:
    """Standard deviation of the noise, from differences across the stripes."""
    differences = np.abs(np.diff(plane, axis=1))
    typical = 1.4826 * np.median(differences) or differences.mean()  # few grey values: most are the same
    return float(typical / np.sqrt(2)) or 1.0


def _far_correlation(plane: np.ndarray) -> float:
    """Correlation along Y at lags of :data:`FAR`, of what changes across; bright spots count little."""
    across = plane - ndimage.gaussian_filter1d(plane, 4, axis=1)
    limit = 3 * 1.4826 * np.median(np.abs(across))
    across = np.clip(across, -limit, limit)
    across -= across.mean()
    farthest = min(FAR[1], len(plane) // 2)
    lags = range(min(FAR[0], farthest // 2), farthest, 4)
    far = np.mean([(across[lag:] * across[:-lag]).mean() for lag in lags])
    return float(far / max(np.square(across).mean(), np.finfo(np.float32).tiny))


def _stripes(plane: np.ndarray) -> np.ndarray:
    """Stripes along Y, float32 (Y, X), as the module says; a slice is taken as mirrored at its borders."""
    noise = _noise(plane)
    height, width = plane.shape
    bins = -(-height // ROWS_PER_BIN)
    padded = np.pad(plane, ((0, bins * ROWS_PER_BIN - height), (0, 0)), mode="symmetric")
    slope = _across((padded.reshape(bins, ROWS_PER_BIN, width).mean(axis=1) / noise).astype(np.float32))
    of_axes = [2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in (bins, width)]
    weight = (1 / (1 + of_axes[0][:, None] + of_axes[1])).astype(np.float32)

    # each of the three sums has its own copy of what it is a sum of, and what that lags behind by
    copies = [np.zeros_like(slope) for _ in range(3)]
    behind = [np.zeros_like(slope) for _ in range(3)]
    for _ in range(ROUNDS):
        target = _across_back(copies[0] - behind[0]) + _along_back(copies[1] - behind[1])
        target += copies[2] - behind[2]
        spectrum = fft.dctn(target, norm="ortho", workers=THREADS, overwrite_x=True)
        spectrum *= weight
        stripes = fft.idctn(spectrum, norm="ortho", workers=THREADS, overwrite_x=True)
        for i, now in enumerate((_across(stripes), _along(stripes), stripes)):
            behind[i] += RELAXATION * now + (1 - RELAXATION) * copies[i]
            copies[i] = behind[i].copy()
        copies[0] = slope - _shrunk(slope - copies[0], 1 / PENALTY)
        copies[1] = _shrunk(copies[1], ALONG / PENALTY)
        copies[2] = _shrunk(copies[2], SPARSE / PENALTY)
        for i in range(3):
            behind[i] -= copies[i]
    return np.repeat(stripes * np.float32(noise), ROWS_PER_BIN, axis=0)[:height]


def _shrunk(values: np.ndarray, by: float) -> np.ndarray:
    """Each value nearer to zero by as much, at most to zero: the proximal operator of the absolute value."""
    return values - np.clip(values, -by, by)


def _across(image: np.ndarray) -> np.ndarray:
    return np.diff(image, axis=1, append=image[:, -1:])


def _along(image: np.ndarray) -> np.ndarray:
    return np.diff(image, axis=0, append=image[-1:])


def _across_back(differences: np.ndarray) -> np.ndarray:
    """The adjoint of :func:`_across`, whose last column is zero."""
    return -np.diff(differences[:, :-1], axis=1, prepend=0, append=0)


def _along_back(differences: np.ndarray) -> np.ndarray:
    return -np.diff(differences[:-1], axis=0, prepend=0, append=0)
