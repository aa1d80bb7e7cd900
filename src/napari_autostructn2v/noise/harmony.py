"""Which waves of a slice make up a lattice, and which stands alone beside it, by their frequencies.

A crystal shows many spots in the spectrum, and each is a sum of the same two. What the optics pass of it
falls off with frequency, so that a strong spot farther out than all of the lattice, and no sum of the two, is
none of the crystal's. Where there is no lattice, frequencies say nothing: layers, a microtubule or the planes
of a tilted crystal show a single spot, as a hum does.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

MIN_SPOTS = 4
"""Spots of a lattice, at least: the two that span it, and two that could have been anywhere else. One that is
their plain sum or difference is enough: there are few such places."""

MAX_ORDER = 6
"""Farthest spot of a lattice, in steps along one of the two that span it."""

MIN_ANGLE = 0.25
"""Sine of the angle between the two, at least: almost parallel ones come near to everything."""

TOLERANCE_BINS = 0.5
"""Bins of the spectrum by which a spot may miss its place, and as much again for each two steps from zero."""

MAX_OVERTONE = 8
"""Overtones of a hum that are looked for; those beyond half the sampling frequency are folded back."""

FARTHER_OUT = 2.0
"""Times as far out as the outermost spot of a lattice that a spot is which is surely the detector's. Another
crystal over it may well reach some way farther."""

EDGE = 0.9
"""Share of the distance to the outermost spot of a lattice from which on others are as far out."""

ALONE_FREQUENCY = 1 / 3
"""Cycles per pixel from which that is said: fringes of a sample are recorded with more than three pixels."""


def lattice_spots(frequencies: np.ndarray, certain: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Which of some spots make up a lattice, the largest that there is, bool (n,).

    A hum and its overtones are no lattice, though folded back at half the sampling frequency they may look
    like one; nor are layers and a hum, of which no spot is a sum of both.

    Parameters
    ----------
    frequencies
        Along Y and X, in cycles per pixel, (n, 2).
    certain
        Which of them cannot be chance, bool (n,). A lattice is found by those; the others may belong to it.
    shape
        Of the slices: a bin of the spectrum is one over that.
    """
    bins = frequencies * shape
    most, least_error = np.zeros(len(bins), dtype=bool), np.inf
    for pair in combinations(np.flatnonzero(certain), 2):
        basis = bins[list(pair)]
        if abs(np.linalg.det(basis)) < MIN_ANGLE * np.prod(np.linalg.norm(basis, axis=1)):
            continue
        steps = np.rint(bins @ np.linalg.inv(basis))
        error = np.linalg.norm(bins - steps @ basis, axis=1)
        members = (error <= _tolerance(steps)) & (np.abs(steps).max(axis=1) <= MAX_ORDER)
        found, total = members & certain, error[members & certain].sum()
        if found.sum() < MIN_SPOTS - (np.abs(steps[found]).max() <= 1):
            continue
        if not steps[found].all(axis=1).any():
            continue
        if (-found.sum(), total) < (-(most & certain).sum(), least_error):
            most, least_error = members, total
    if one_and_overtones(bins[most], shape):
        return np.zeros(len(bins), dtype=bool)
    return most


def alone_beside(
    frequencies: np.ndarray, heights: np.ndarray, lattice: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Which spots stand alone beside a lattice, far outside it and yet higher than its edge, bool (n,).

    There are none if what does not belong to the lattice is more than one wave and its overtones: then it may
    be a second lattice.

    Parameters
    ----------
    frequencies
        Along Y and X, in cycles per pixel, (n, 2).
    heights
        Log power of each above its surroundings, (n,).
    lattice
        Which of them are a lattice's, as :func:`lattice_spots` gives it.
    shape
        Of the slices.
    """
    others = ~lattice
    if not lattice.any() or not one_and_overtones(frequencies[others] * shape, shape):
        return np.zeros(len(frequencies), dtype=bool)
    radius = np.linalg.norm(frequencies, axis=1)
    outermost = radius[lattice].max()
    edge = heights[lattice & (radius > EDGE * outermost)].min()
    return others & (radius > max(FARTHER_OUT * outermost, ALONE_FREQUENCY)) & (heights > edge)


def one_and_overtones(bins: np.ndarray, shape: tuple[int, int]) -> bool:
    """Whether some spots are all multiples of one of them, folded back where they reach too far.

    Parameters
    ----------
    bins
        Of the spots, along Y and X from zero frequency, (n, 2).
    shape
        Of the slices.
    """
    orders = np.arange(-MAX_OVERTONE, MAX_OVERTONE + 1)[:, None]
    for one in bins:
        away = bins[:, None] - orders * one
        away -= np.rint(away / shape) * shape
        if (np.linalg.norm(away, axis=2) <= _tolerance(orders)).any(axis=1).all():
            return True
    return False


def _tolerance(steps: np.ndarray) -> np.ndarray:
    """Bins by which a spot so many steps from zero may miss its place."""
    return np.asarray(TOLERANCE_BINS * (1 + np.linalg.norm(steps, axis=-1) / 2))
