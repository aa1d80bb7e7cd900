"""Pixels that were never measured, filled by what lies beside them."""

from __future__ import annotations

import numpy as np


def filled(plane: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """A slice whose unknown pixels are the mirror image of what lies beside them in their row, or column.

    Mirrored, the image goes on with noise like its own, so that spectra, patterns and networks meet no edge.

    Parameters
    ----------
    plane
        The slice, float (Y, X).
    unknown
        Pixels to be filled, bool (Y, X); not all of them.
    """
    plane = plane.copy()
    nowhere = np.asarray(unknown.all(axis=1))
    rows = np.flatnonzero(unknown.any(axis=1) & ~nowhere)
    plane[rows] = _mirrored(plane[rows], unknown[rows])
    if nowhere.any():
        plane = _mirrored(plane.T, np.tile(nowhere, (plane.shape[1], 1))).T
    return plane


def _mirrored(lines: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Lines (n, X) of which each has known pixels: the unknown ones mirrored at the nearest known one."""
    size = lines.shape[1]
    at = np.arange(size)
    before = np.maximum.accumulate(np.where(unknown, -size, at), axis=1)
    after = np.minimum.accumulate(np.where(unknown, 2 * size, at)[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(at - before <= after - at, before, after)
    source = 2 * nearest - at
    outside = (source < 0) | (source >= size)
    source = np.where(outside, nearest, source)
    source = np.where(np.take_along_axis(unknown, source, axis=1), nearest, source)
    return np.take_along_axis(lines, source, axis=1)
