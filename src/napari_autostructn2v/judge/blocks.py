"""Parts of slices whose noise is independent: from how they differ follows how sure a figure is."""

from __future__ import annotations

import math

import numpy as np

SIDE = 32
"""Least side of a block in pixels, beyond which noise is taken for independent."""

ENOUGH = 1000
"""Blocks of all slices together: more would only cost time."""


class Blocks:
    """Squares that cover a slice.

    Parameters
    ----------
    shape
        Of the slice (Y, X).
    slices
        How many slices are looked at.
    """

    def __init__(self, shape: tuple[int, int], slices: int) -> None:
        height, width = shape
        side = max(SIDE, math.isqrt(height * width * slices // ENOUGH))
        self._starts = [np.arange(max(n // side, 1)) * side for n in shape]

    def sums(self, plane: np.ndarray) -> np.ndarray:
        """The sum of the values in each block, (n,).

        Parameters
        ----------
        plane
            Shape (Y, X). What is left over at the ends belongs to the last blocks.
        """
        rows = np.add.reduceat(plane.astype(np.float64), self._starts[0], axis=0)
        return np.add.reduceat(rows, self._starts[1], axis=1).ravel()
