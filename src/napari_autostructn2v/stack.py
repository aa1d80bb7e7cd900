"""A stack of slices as the engine sees it: (Z, Y, X), lazy, one float32 slice at a time.

The engine computes in float32, and with squares: it needs values that are near zero against their noise, and
noise that is near 1. Most stacks are so as they come. Those that are not are read as
``(value - level) / unit`` (:class:`Scale`), and what leaves the engine goes the same way back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np

from napari_autostructn2v.config import Mode
from napari_autostructn2v.errors import ConfigError, StackError
from napari_autostructn2v.scale import Normalisation, Scale, measured_scale

MIN_SIDE = 16
"""Smallest slice side in pixels: below it no network of two levels sees any context."""

FEW_SLICES = 20
"""Below this many slices 2.5D has little to learn from and is usually no better than 2D."""


@dataclass(frozen=True)
class Box:
    """Part of a stack: from the first index of each axis up to, but without, the last.

    Attributes
    ----------
    z, y, x
        First and last index in pixels.
    """

    z: tuple[int, int]
    y: tuple[int, int]
    x: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        depth, height, width = (end - start for start, end in (self.z, self.y, self.x))
        return depth, height, width

    @property
    def field(self) -> tuple[slice, slice]:
        """What it takes of a slice (Y, X)."""
        return slice(*self.y), slice(*self.x)

    def within(self, shape: tuple[int, int, int]) -> Box:
        """The part of it that lies in a stack of that shape.

        Parameters
        ----------
        shape
            Slices, rows and columns of the stack.
        """
        (z, y, x) = (
            (max(0, start), min(end, size))
            for (start, end), size in zip((self.z, self.y, self.x), shape, strict=True)
        )
        return Box(z, y, x)


@dataclass(frozen=True, eq=False)
class Stack:
    """A checked stack over any array that can be sliced.

    Attributes
    ----------
    array
        Array-like of shape (Z, Y, X) or (Y, X): NumPy, memory map, Dask or Zarr. Never read whole.
    given
        Scale of another stack, with which this one is compared; its own is measured if None.
    """

    array: Any
    given: Scale | None = None

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

    def values(self, z: int) -> np.ndarray:
        """Slice ``z`` as the array has it, shape (Y, X).

        Parameters
        ----------
        z
            Number of the slice, from 0.

        Raises
        ------
        StackError
            If the slice holds NaN or infinite values.
        """
        values = self.raw(z)
        if not np.isfinite(values).all():
            bad = int(values.size - np.isfinite(values).sum())
            raise StackError(
                f"Slice {z} holds {bad} NaN or infinite values. Replace them first, for example by the "
                "median of the stack, or crop the part that was not reconstructed."
            )
        return values

    def plane(self, z: int) -> np.ndarray:
        """Slice ``z`` as the engine computes with it, float32, shape (Y, X), on its :attr:`scale`.

        Parameters
        ----------
        z
            As for :meth:`values`.

        Raises
        ------
        StackError
            If the slice holds NaN or infinite values, or some that are too far from all others.
        """
        if isinstance(self.array, DerivedArray) and self.array.scale == self.scale:
            return self.array.plane(z)
        values = self.values(z)
        plane = self.scale.inner(values)
        if values.dtype.itemsize > 4 and not np.isfinite(plane).all():
            far = int(plane.size - np.isfinite(plane).sum())
            raise StackError(
                f"Slice {z} holds {far} values that are so much larger than all others, up to "
                f"{np.abs(values).max():.1e}, that nothing can be computed with both. Replace them first, "
                "for example by the median of the stack."
            )
        return plane

    def raw(self, z: int) -> np.ndarray:
        """Slice ``z``, whatever it holds, shape (Y, X).

        Parameters
        ----------
        z
            As for :meth:`values`.
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
        return Stack(DerivedArray(self, lambda z: self.plane(box.z[0] + z)[box.field], box.shape))

    @cached_property
    def normalisation(self) -> Normalisation:
        """Mean and standard deviation over all slices, in one pass.

        Raises
        ------
        StackError
            If values are not finite or all the same.
        """
        return self._measured(self.plane(z) for z in range(self.shape[0]))

    def _measured(self, planes: Iterable[np.ndarray]) -> Normalisation:
        """The normalisation of a stack whose slices these are."""
        sums, count, reference = np.zeros(2), 0, 0.0
        lowest, highest = np.inf, -np.inf
        for plane in planes:
            if count == 0:  # shifted sums: float64 stays exact on large offsets
                reference = float(plane.mean())
            lowest, highest = min(lowest, float(plane.min())), max(highest, float(plane.max()))
            shifted = plane.astype(np.float64) - reference
            sums += shifted.sum(), np.square(shifted).sum()
            count += plane.size
        if lowest == highest:
            raise StackError("All values of the stack are the same: there is nothing to denoise.")
        mean, square = sums / count
        std = float(np.sqrt(max(square - mean**2, 0.0)))
        return Normalisation(mean=float(mean + reference), std=std).outer(self.scale)

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

        def read() -> Iterator[np.ndarray]:
            for filled, z in zip(values, slices, strict=True):  # in place: held once
                filled[...] = self.plane(z)
                yield filled

        if "normalisation" not in vars(self) and list(slices) == list(range(self.shape[0])):
            vars(self)["normalisation"] = self._measured(read())  # where cached_property looks for it
        else:
            deque(read(), maxlen=0)
        normalisation = self.normalisation.inner(self.scale)
        values -= normalisation.mean
        values /= normalisation.std
        return values


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
    """

    def __init__(
        self,
        origin: Stack,
        plane: Callable[[int], np.ndarray],
        shape: tuple[int, ...] | None = None,
        *,
        difference: bool = False,
    ) -> None:
        self.scale, self.plane = origin.scale, plane
        outer = self.scale.outer_difference if difference else self.scale.outer
        super().__init__(shape or origin.input_shape, lambda z: outer(plane(z)), self.scale.dtype)


def residual_of(original: Stack, denoised: Stack) -> Stack:
    """Original minus denoised, computed slice by slice as it is read.

    Parameters
    ----------
    original, denoised
        Of one shape.
    """
    denoised = as_stack(denoised, like=original)
    return Stack(DerivedArray(original, lambda z: original.plane(z) - denoised.plane(z), difference=True))


def as_stack(array: Any, mode: Mode = "2d", depth: int = 0, *, like: Stack | None = None) -> Stack:
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
        A stack with which this one is compared, as what a model made of it: it is read on the same scale.

    Raises
    ------
    StackError
        If the array is empty, complex, an RGB picture, too small, or has too few slices for the mode.
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
    return stack if like is None else Stack(stack.array, like.scale)


def few_slices_notice(stack: Stack, mode: Mode) -> str | None:
    """A warning for 2.5D on a thin stack, or None.

    Parameters
    ----------
    stack
        The stack that is to be denoised.
    mode
        How: only ``"2.5d"`` needs many slices.
    """
    if mode == "2.5d" and stack.shape[0] < FEW_SLICES:
        return (
            f"2.5D on only {stack.shape[0]} slices learns little from the neighbours; "
            f"below {FEW_SLICES} slices compare it with 2D."
        )
    return None
