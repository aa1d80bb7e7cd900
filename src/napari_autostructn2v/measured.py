"""What of a stack was measured, and how bright each of its slices is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from napari_autostructn2v.levels import SLICES, common_level, level_and_spread
from napari_autostructn2v.unmeasured import Packed, Unmeasured, find_unmeasured


class Measured:
    """What is found in the slices of a stack, each once, when it is asked for.

    It follows from the slice alone, but for the level that all are brought to, which some evenly spread ones
    tell: so whoever reads the stack, one process or many, finds the same.

    Parameters
    ----------
    raw
        Returns slice z as it was recorded, (Y, X).
    inner
        Brings values to the scale of the engine, float32.
    depth
        Number of slices.
    left_out
        Pixels that a person leaves out, an array-like of bool (Y, X) or (Z, Y, X); None if there are none.
    """

    def __init__(
        self,
        raw: Callable[[int], np.ndarray],
        inner: Callable[[np.ndarray], np.ndarray],
        depth: int,
        left_out: Any,
    ) -> None:
        self._raw, self._inner, self._depth, self._left_out = raw, inner, depth, left_out
        self._unmeasured: dict[int, Packed | None] = {}
        self._offsets: dict[int, float] = {}

    def unmeasured(self, z: int, values: np.ndarray | None = None) -> Unmeasured | None:
        """Pixels of slice ``z`` that were never measured; None if all were.

        Parameters
        ----------
        z
            Number of the slice, from 0.
        values
            The slice as it was recorded, if it was just read.
        """
        if z in self._unmeasured:
            packed = self._unmeasured[z]
            return None if packed is None else packed.unpacked()
        values = self._raw(z) if values is None else values
        left_out = self._left_out
        if left_out is not None and left_out.ndim == 3:
            left_out = left_out[z]
        found = find_unmeasured(values, self._inner(values), left_out)
        self._unmeasured[z] = None if found is None else Packed.of(found)
        return found

    def offset(self, z: int) -> float:
        """How much brighter slice ``z`` is than others, on the scale of the engine; 0 where levels agree.

        Parameters
        ----------
        z
            As for :meth:`unmeasured`.
        """
        if self.common_level is None:
            return 0.0
        if z not in self._offsets:
            found = self._level_and_spread(z)
            self._offsets[z] = 0.0 if found is None else found[0] - self.common_level
        return self._offsets[z]

    @cached_property
    def common_level(self) -> float | None:
        """What slices are brought to whose brightness changes; None where their levels agree."""
        some = np.unique(np.linspace(0, self._depth - 1, SLICES).round().astype(int))
        found = (self._level_and_spread(int(z)) for z in some)
        return common_level([levels for levels in found if levels is not None])

    def _level_and_spread(self, z: int) -> tuple[float, float] | None:
        """Of a slice; None if nothing of it was measured."""
        values = self._raw(z)
        unmeasured = self.unmeasured(z, values)
        if unmeasured is not None and unmeasured.whole_slice:
            return None
        return level_and_spread(self._inner(values), unmeasured)
