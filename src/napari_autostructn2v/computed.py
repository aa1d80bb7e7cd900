"""Arrays whose slices are computed, or read, when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from napari_autostructn2v.scale import Scale
from napari_autostructn2v.unmeasured import Unmeasured


class Origin(Protocol):
    """The stack from whose slices others are computed."""

    @property
    def scale(self) -> Scale:
        """How the engine has its values."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(Z, Y, X) or (Y, X)."""

    def unmeasured(self, z: int, /) -> Unmeasured | None:
        """Pixels of slice ``z`` that were never measured; None if all were.

        Parameters
        ----------
        z
            Number of the slice, from 0.
        """

    def offset(self, z: int, /) -> float:
        """How much brighter slice ``z`` was recorded than others.

        Parameters
        ----------
        z
            Number of the slice, from 0.
        """

    def restored(self, z: int, plane: np.ndarray, /) -> np.ndarray:
        """What was made of slice ``z``, as values of the stack.

        Parameters
        ----------
        z
            Number of the slice, from 0.
        plane
            What the engine has made of it, (Y, X).
        """


class ComputedArray:
    """A stack whose slices are computed, or read, as they are asked for.

    Parameters
    ----------
    shape
        (Z, Y, X) or (Y, X).
    compute
        Returns slice z, shape (Y, X); of a single slice, z is 0.
    dtype
        Of its values.
    """

    def __init__(
        self, shape: tuple[int, ...], compute: Callable[[int], np.ndarray], dtype: Any = np.float32
    ) -> None:
        self.shape, self.ndim, self.dtype = shape, len(shape), np.dtype(dtype)
        self._compute = compute

    def __getitem__(self, index: Any) -> np.ndarray:
        """A slice (Y, X), or what NumPy would give for any other index."""
        if self.ndim == 2:
            return self._compute(0)[index]
        z, *rest = index if isinstance(index, tuple) else (index,)
        if z is Ellipsis:
            z, rest = slice(None), [Ellipsis, *rest]
        planes = np.arange(self.shape[0])[z]
        if np.ndim(planes) == 0:
            return self._compute(int(planes))[tuple(rest)]
        return np.stack([self._compute(int(p)) for p in planes])[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype=dtype)


class DerivedArray(ComputedArray):
    """What is computed from the slices of a stack: an array of values like those of the stack.

    A :class:`Stack` of it takes the slices as the engine has them, without the way to values and back.

    Parameters
    ----------
    origin
        The stack.
    plane
        Returns slice z as the engine has it, float32 (Y, X).
    shape
        (Z, Y, X) or (Y, X); that of the stack if None.
    difference
        Whether its values are differences of values of the stack, which have no level.
    unmeasured
        Returns the pixels of slice z that were never measured; those of the stack if None.
    """

    def __init__(
        self,
        origin: Origin,
        plane: Callable[[int], np.ndarray],
        shape: tuple[int, ...] | None = None,
        *,
        difference: bool = False,
        unmeasured: Callable[[int], Unmeasured | None] | None = None,
    ) -> None:
        self.scale, self.plane = origin.scale, plane
        self.unmeasured = unmeasured or origin.unmeasured
        self.origin = origin if unmeasured is None else None
        """The stack, if the slices are as large as its slices and have their numbers."""
        outer = self.scale.outer_difference if difference else self.scale.outer
        super().__init__(shape or origin.input_shape, lambda z: outer(plane(z)), self.scale.dtype)
