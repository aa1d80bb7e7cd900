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
    nowhere = np.asarray(unknown.all(axis=1))
    filled_rows = _mirrored(plane, unknown & ~nowhere[:, None])
    if nowhere.any():
        rows = _mirrored(np.arange(len(plane))[None], nowhere[None])[0]
        filled_rows[nowhere] = filled_rows[rows[nowhere]]
    return filled_rows


def _mirrored(lines: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Lines (n, X) with their unknown pixels, never all of a line, mirrored at the nearest known one."""
    size = lines.shape[1]
    edges = np.diff(np.pad(unknown, ((0, 0), (1, 1))).view(np.int8), axis=1)
    (row, first), (_, end) = np.nonzero(edges == 1), np.nonzero(edges == -1)  # of each run of unknown pixels
    length = end - first
    row, first, end = (np.repeat(each, length) for each in (row, first, end))
    at = first + np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    after = (first == 0) | ((end < size) & (end - at < at - first + 1))
    nearest = np.where(after, end, first - 1)
    source = 2 * nearest - at
    source = np.where((source < 0) | (source >= size), nearest, source)
    source = np.where(unknown[row, source], nearest, source)
    lines = lines.copy()
    lines[row, at] = lines[row, source]
    return lines
