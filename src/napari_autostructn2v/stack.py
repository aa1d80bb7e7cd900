"""A stack of slices as the engine sees it: (Z, Y, X), lazy, one float32 slice at a time.

The engine computes in float32, and with squares: it needs values that are near zero against their noise, and
noise that is near 1. Most stacks are so as they come. Those that are not are read as
``(value - level) / unit`` (:class:`Scale`), and what leaves the engine goes the same way back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

import numpy as np

from napari_autostructn2v.box import Box
from napari_autostructn2v.computed import ComputedArray, DerivedArray
from napari_autostructn2v.config import Mode
from napari_autostructn2v.errors import ConfigError, StackError
from napari_autostructn2v.measured import Measured
from napari_autostructn2v.scale import Normalisation, Scale, measured_normalisation, measured_scale
from napari_autostructn2v.unmeasured import NOTHING_MEASURED, Unmeasured
from napari_autostructn2v.unmeasured.fill import filled

MIN_SIDE = 16
"""Smallest slice side in pixels: below it no network of two levels sees any context."""


@dataclass(frozen=True, eq=False)
class Stack:
    """A checked stack over any array that can be sliced.

    Attributes
    ----------
    array
        Array-like of shape (Z, Y, X) or (Y, X): NumPy, memory map, Dask or Zarr. Never read whole.
    given
        Scale of another stack, with which this one is compared; its own is measured if None.
    original
        The stack of which this is a denoised version: the same pixels were never measured. None if it is
        none.
    left_out
        Pixels that a person leaves out, an array-like of bool (Y, X) or (Z, Y, X); None if there are none.
    """

    array: Any
    given: Scale | None = None
    original: Stack | None = None
    left_out: Any = None

    @cached_property
    def scale(self) -> Scale:
        """How the engine has its values; the same for everybody who reads the same stack."""
        if self.given is not None:
            return self.given
        return (
            self.array.scale
            if isinstance(self.array, DerivedArray)
            else measured_scale(self.raw, self.shape[0], np.dtype(self.array.dtype))
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        shape = tuple(int(n) for n in self.array.shape)
        return shape if len(shape) == 3 else (1, *shape)  # type: ignore[return-value]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape the array came with, which results have as well."""
        return tuple(int(n) for n in self.array.shape)

    def plane(self, z: int) -> np.ndarray:
        """Slice ``z`` as the engine computes with it, float32, shape (Y, X), on its :attr:`scale`.

        Pixels that were never measured are filled by what lies beside them, a slice without any other by the
        nearest that has some. Where brightness changes from slice to slice, all have one level.

        Parameters
        ----------
        z
            Number of the slice, from 0.

        Raises
        ------
        StackError
            If no slice holds anything that was measured.
        """
        if isinstance(self.array, DerivedArray) and self.array.scale == self.scale:
            return self.array.plane(z)
        values = self.raw(z)
        unmeasured = self.unmeasured(z, values)
        if unmeasured is not None and unmeasured.whole_slice:
            return self.plane(self._nearest_measured(z))
        return self.plane_of(z, values)

    def plane_of(self, z: int, values: np.ndarray) -> np.ndarray:
        """Values of slice ``z``, measured or denoised, as the engine computes with them, float32 (Y, X).

        Parameters
        ----------
        z
            As for :meth:`plane`.
        values
            Of the slice, (Y, X); some of it was measured.
        """
        plane = self.scale.inner(values)
        unmeasured = self.unmeasured(z)
        if unmeasured is not None:
            plane = filled(plane, unmeasured.pixels)
        # what was computed from slices of one level has that level already
        if not isinstance(self.array, DerivedArray) and (offset := self.offset(z)):
            plane -= np.float32(offset)
        return plane

    def unmeasured(self, z: int, values: np.ndarray | None = None) -> Unmeasured | None:
        """Pixels of slice ``z`` that were never measured; None if all were.

        Parameters
        ----------
        z
            As for :meth:`plane`.
        values
            The slice as the array has it, if it was just read.
        """
        if self.original is not None:
            return self.original.unmeasured(z)
        if isinstance(self.array, DerivedArray):
            return self.array.unmeasured(z)
        return self._measured.unmeasured(z, values)

    def offset(self, z: int) -> float:
        """How much brighter slice ``z`` was recorded than others, on the :attr:`scale`; 0 where levels agree.

        Parameters
        ----------
        z
            As for :meth:`plane`.
        """
        if self.original is not None:
            return self.original.offset(z)
        if isinstance(self.array, DerivedArray):
            return 0.0 if self.array.origin is None else self.array.origin.offset(z)
        return self._measured.offset(z)

    @cached_property
    def _measured(self) -> Measured:
        """What was found in the slices so far."""
        return Measured(self.raw, self.scale.inner, self.shape[0], self.left_out)

    @property
    def is_levelled(self) -> bool:
        """Whether brightness changes from slice to slice, so that all are brought to one level."""
        return self._measured.common_level is not None

    def is_measured(self, z: int) -> bool:
        """Whether slice ``z`` holds anything that was measured.

        Parameters
        ----------
        z
            As for :meth:`plane`.
        """
        return (found := self.unmeasured(z)) is None or not found.whole_slice

    def measured_among(self, slices: Sequence[int]) -> list[int]:
        """Those of some slices that hold anything that was measured; of all slices if none of them does.

        Parameters
        ----------
        slices
            Their numbers.
        """
        every = range(self.shape[0])
        return [z for z in slices if self.is_measured(z)] or [z for z in every if self.is_measured(z)]

    def _nearest_measured(self, z: int) -> int:
        for other in sorted(range(self.shape[0]), key=lambda other: (abs(other - z), other)):
            if self.is_measured(other):
                return other
        raise StackError(NOTHING_MEASURED)

    def restored(self, z: int, plane: np.ndarray) -> np.ndarray:
        """What was made of slice ``z``, as values of the stack; blank pixels have their own.

        Parameters
        ----------
        z
            As for :meth:`plane`.
        plane
            What the engine has made of the slice, (Y, X).
        """
        if isinstance(self.array, DerivedArray) and self.array.origin is not None:
            return self.array.origin.restored(z, plane)
        if offset := self.offset(z):
            plane = plane + np.float32(offset)
        values = self.scale.outer(plane)
        unmeasured = self.unmeasured(z)
        if unmeasured is not None and unmeasured.blank.any():
            values = np.where(unmeasured.blank, self.raw(z).astype(values.dtype), values)
        return values

    def difference(self, z: int, plane: np.ndarray) -> np.ndarray:
        """A difference of two of the engine's slices, as one of values of the stack; none in blank pixels.

        Parameters
        ----------
        z
            As for :meth:`plane`.
        plane
            The difference, (Y, X).
        """
        values = self.scale.outer_difference(plane)
        unmeasured = self.unmeasured(z)
        return values if unmeasured is None else np.where(unmeasured.blank, 0, values).astype(values.dtype)

    def raw(self, z: int) -> np.ndarray:
        """Slice ``z`` as the array has it, shape (Y, X).

        Parameters
        ----------
        z
            As for :meth:`plane`.
        """
        return np.asarray(self.array[z] if len(self.array.shape) == 3 else self.array[...])

    def neighbours(self, z: int) -> tuple[int, int, int]:
        """Slices z-1, z and z+1, mirrored at the ends, which 2.5D sees to predict slice z.

        Parameters
        ----------
        z
            Number of the slice that is predicted, from 0.
        """
        last = self.shape[0] - 1
        return (z - 1 if z > 0 else min(1, last), z, z + 1 if z < last else max(last - 1, 0))

    def cropped(self, box: Box) -> Stack:
        """The part of the stack in a box, as lazy as the stack.

        Parameters
        ----------
        box
            The part, in pixels. What of it reaches beyond the ends of the stack is left out.

        Raises
        ------
        StackError
            If hardly anything of the stack is in the box.
        """
        box = box.within(self.shape)
        depth, height, width = box.shape
        if depth < 1 or min(height, width) < MIN_SIDE:
            raise StackError(
                f"The chosen part holds {max(depth, 0)} slices of {max(height, 0)} × {max(width, 0)} pixels: "
                f"at least one slice of {MIN_SIDE} × {MIN_SIDE} is needed. Choose a larger part."
            )

        def unmeasured(z: int) -> Unmeasured | None:
            found = self.unmeasured(box.z[0] + z)
            return None if found is None else found.of_part(*box.field)

        def plane(z: int) -> np.ndarray:
            return self.plane(box.z[0] + z)[box.field]

        return Stack(DerivedArray(self, plane, box.shape, unmeasured=unmeasured))

    @cached_property
    def normalisation(self) -> Normalisation:
        """Mean and standard deviation of all that was measured, in one pass.

        Raises
        ------
        StackError
            If nothing was, or all is the same.
        """
        return self._measured_values((z, self.plane(z)) for z in range(self.shape[0]))

    def _measured_values(self, planes: Iterable[tuple[int, np.ndarray]]) -> Normalisation:
        """The normalisation of a stack whose slices these are, each with its number."""

        def measured() -> Iterator[np.ndarray]:
            for z, plane in planes:
                unmeasured = self.unmeasured(z)
                yield plane if unmeasured is None else plane[~unmeasured.pixels]

        found = measured_normalisation(measured())
        if found is None:
            raise StackError(NOTHING_MEASURED)
        return found.outer(self.scale)

    def normalised(self, slices: Sequence[int]) -> np.ndarray:
        """Some slices on the scale of their :attr:`normalisation`, float32 (n, Y, X).

        Parameters
        ----------
        slices
            Their numbers. Where these are all of the stack, each is read once, however it is normalised.

        Raises
        ------
        StackError
            As :attr:`normalisation`.
        """
        values = np.empty((len(slices), *self.shape[1:]), dtype=np.float32)

        def read() -> Iterator[tuple[int, np.ndarray]]:
            for values_here, z in zip(values, slices, strict=True):  # in place: held once
                values_here[...] = self.plane(z)
                yield z, values_here

        if "normalisation" not in vars(self) and list(slices) == list(range(self.shape[0])):
            vars(self)["normalisation"] = self._measured_values(read())  # where cached_property looks for it
        else:
            deque(read(), maxlen=0)
        normalisation = self.normalisation.inner(self.scale)
        values -= normalisation.mean
        values /= normalisation.std
        return values


def as_stack(
    array: Any,
    mode: Mode = "2d",
    depth: int = 0,
    *,
    like: Stack | None = None,
    left_out: Any = None,
) -> Stack:
    """Check that an array can be denoised, without reading its values.

    Parameters
    ----------
    array
        Shape (Y, X) or (Z, Y, X), any integer or float type; NumPy, memory map, Dask or Zarr.
    mode
        ``"2.5d"`` needs at least three slices.
    depth
        How many times the network that is to see it halves the resolution; 0 if there is none.
    like
        A stack with which this one is compared, as what a model made of it: it is read on the same scale,
        and without the same pixels.
    left_out
        Pixels that a person leaves out, bool (Y, X) or (Z, Y, X); those that were never measured are found
        besides. None adds none.

    Raises
    ------
    StackError
        If the array is empty, complex, an RGB picture, too small, or has too few slices for the mode; if
        what is left out is of another shape.
    ConfigError
        If there is no such mode.
    """
    if mode not in get_args(Mode):
        raise ConfigError(f'There is no mode {mode!r}. Choose "2d" or "2.5d".')
    if isinstance(array, Stack):
        stack = array
    else:
        stack = Stack(array if hasattr(array, "shape") and hasattr(array, "dtype") else np.asarray(array))
    shape, kind = stack.input_shape, np.dtype(stack.array.dtype).kind
    if kind == "c":
        raise StackError("The data are complex numbers. Take their magnitude or real part first.")
    if kind not in "uif":
        raise StackError(f"The data type is {stack.array.dtype}. Convert it to integers or floats first.")
    if 0 in shape:
        raise StackError(f"The array is empty: its shape is {shape}.")
    if len(shape) in (3, 4) and shape[-1] in (3, 4) and min(shape[-3:-1]) >= MIN_SIDE:
        raise StackError(
            f"The shape {shape} looks like an RGB picture. Convert it to grey values, or choose one channel."
        )
    if len(shape) not in (2, 3):
        raise StackError(
            f"The array has {len(shape)} axes, {shape}. Give one stack (Z, Y, X) or one slice (Y, X)."
        )
    if min(shape[-2:]) < MIN_SIDE:
        raise StackError(
            f"Slices of {shape[-2]} × {shape[-1]} pixels are too small: "
            f"at least {MIN_SIDE} × {MIN_SIDE} are needed."
        )
    if min(shape[-2:]) < 2**depth:
        raise StackError(
            f"Slices of {shape[-2]} × {shape[-1]} pixels are too small for a network of depth {depth}: at "
            f"least {2**depth} × {2**depth} are needed. Take larger slices, or a network of a smaller depth."
        )
    if mode == "2.5d" and stack.shape[0] < 3:
        raise StackError(
            f"2.5D looks at three neighbouring slices and this stack has {stack.shape[0]}. Choose 2D instead."
        )
    if left_out is not None:
        left_out = left_out if isinstance(left_out, ComputedArray) else np.asarray(left_out, dtype=bool)
        if left_out.shape not in (stack.shape, stack.shape[1:]):
            raise StackError(
                f"What is left out has shape {left_out.shape}, the stack {stack.shape}. Give one mask for "
                "all slices, or one for each."
            )
        stack = replace(stack, left_out=left_out)
    return stack if like is None else Stack(stack.array, like.scale, original=like)
