"""A stack of slices as the engine sees it: (Z, Y, X), lazy, one float32 slice at a time.

The engine computes in float32, and with squares: it needs values that are near zero against their noise, and
noise that is near 1. Most stacks are so as they come. Those that are not are read as
``(value - level) / unit`` (:class:`Scale`), and what leaves the engine goes the same way back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np

from napari_autostructn2v.config import Mode
from napari_autostructn2v.errors import ConfigError, StackError

MIN_SIDE = 16
"""Smallest slice side in pixels: below it no network of two levels sees any context."""

FEW_SLICES = 20
"""Below this many slices 2.5D has little to learn from and is usually no better than 2D."""

STEPS_INSIDE, STEPS_OF_RESULTS = 512, 8
"""Steps of float32 at its level that the noise of a stack must be worth, or the level is taken off; and those
that are enough for results, with which less is computed."""

FAINTEST, STRONGEST = 2.0**-40, 2.0**40
"""Noise whose squares float32 holds with ease, whatever is done with them: beyond, the unit is another."""

TINIEST, LARGEST = 2.0**-100, 2.0**100
"""Noise of which float32 holds the values themselves with all their digits."""

BLOCK = 16
"""Side in pixels of the blocks in which noise is measured to choose the scale."""

SCALE_SLICES = 5
"""Slices that are read for that, as long as they are not blank."""

SCALE_BLOCKS = 1024
"""Blocks of a slice that are looked at for that."""

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


@dataclass(frozen=True)
class Scale:
    """How the values of a stack become those that the engine computes with, and the other way round.

    Attributes
    ----------
    level
        Value that the engine knows as 0.
    unit
        What the engine knows as 1: a power of two, so that dividing by it rounds nothing.
    dtype
        Of results: float32 where its steps are small against the noise, else float64.
    """

    level: float = 0.0
    unit: float = 1.0
    dtype: np.dtype[Any] = FLOAT32

    def inner(self, values: np.ndarray) -> np.ndarray:
        """Values of the stack as the engine has them, float32; infinite where they are too large for it."""
        with np.errstate(over="ignore"):
            if (self.level, self.unit) == (0.0, 1.0):
                return values.astype(np.float32)
            # each divided by itself: a difference of values may be larger than any number
            return (values.astype(np.float64) / self.unit - self.level / self.unit).astype(np.float32)

    def outer(self, plane: np.ndarray) -> np.ndarray:
        """What the engine has made, as values of the stack."""
        if (self.level, self.unit) == (0.0, 1.0):
            return plane.astype(self.dtype, copy=False)
        return (plane.astype(np.float64) * self.unit + self.level).astype(self.dtype)

    def outer_difference(self, plane: np.ndarray) -> np.ndarray:
        """A difference of two of the engine's slices, as one of values of the stack: it has no level."""
        return Scale(0.0, self.unit, self.dtype).outer(plane)


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of the stack: the network works on z-scores."""

    mean: float
    std: float

    def inner(self, scale: Scale) -> Normalisation:
        """Of values of a stack: as the engine has them."""
        return Normalisation((self.mean - scale.level) / scale.unit, self.std / scale.unit)

    def outer(self, scale: Scale) -> Normalisation:
        """Of the engine's: as values of the stack."""
        return Normalisation(self.mean * scale.unit + scale.level, self.std * scale.unit)


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
        """The part of it that lies in a stack of that shape."""
        (z, y, x) = (
            (max(0, start), min(end, size))
            for (start, end), size in zip((self.z, self.y, self.x), shape, strict=True)
        )
        return Box(z, y, x)


@dataclass(frozen=True, eq=False)
class Stack:
    """A checked stack over any array that can be sliced.

    Parameters
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
        return self.array.scale if isinstance(self.array, DerivedArray) else _measured_scale(self)

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
        """Slice ``z``, whatever it holds, shape (Y, X)."""
        return np.asarray(self.array[z] if len(self.array.shape) == 3 else self.array[...])

    def neighbours(self, z: int) -> tuple[int, int, int]:
        """Slices z-1, z and z+1, mirrored at the ends, which 2.5D sees to predict slice z."""
        last = self.shape[0] - 1
        return (z - 1 if z > 0 else min(1, last), z, z + 1 if z < last else max(last - 1, 0))

    def cropped(self, box: Box) -> Stack:
        """The part of the stack in a box, as lazy as the stack.

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
        return Stack(_Cropped(self, box))

    @cached_property
    def normalisation(self) -> Normalisation:
        """Mean and standard deviation over all slices, in one pass.

        Raises
        ------
        StackError
            If values are not finite or all the same.
        """
        depth, height, width = self.shape
        sums = np.zeros(2)
        reference = float(self.plane(0).mean())  # shifted sums: float64 stays exact on large offsets
        lowest, highest = np.inf, -np.inf
        for z in range(depth):
            plane = self.plane(z)
            lowest, highest = min(lowest, float(plane.min())), max(highest, float(plane.max()))
            shifted = plane.astype(np.float64) - reference
            sums += shifted.sum(), np.square(shifted).sum()
        if lowest == highest:
            raise StackError("All values of the stack are the same: there is nothing to denoise.")
        mean, square = sums / (depth * height * width)
        std = float(np.sqrt(max(square - mean**2, 0.0)))
        return Normalisation(mean=float(mean + reference), std=std).outer(self.scale)


class ComputedArray:
    """A stack whose slices are computed, or read, as they are asked for.

    Parameters
    ----------
    shape
        (Z, Y, X) or (Y, X).
    dtype
        Of its values.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any = np.float32) -> None:
        self.shape, self.ndim, self.dtype = shape, len(shape), np.dtype(dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        """A slice (Y, X), or what NumPy would give for any other index."""
        if self.ndim == 2:
            return self._computed(0)[index]
        z, *rest = index if isinstance(index, tuple) else (index,)
        if z is Ellipsis:
            z, rest = slice(None), [Ellipsis, *rest]
        planes = np.arange(self.shape[0])[z]
        if np.ndim(planes) == 0:
            return self._computed(int(planes))[tuple(rest)]
        return np.stack([self._computed(int(p)) for p in planes])[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype=dtype)

    def _computed(self, z: int) -> np.ndarray:
        raise NotImplementedError


class DerivedArray(ComputedArray):
    """What is computed from the slices of a stack: an array of values like those of the stack.

    A :class:`Stack` of it takes the slices as the engine has them, without the way to values and back.

    Parameters
    ----------
    origin
        The stack.
    shape
        (Z, Y, X) or (Y, X); that of the stack if None.
    """

    difference = False
    """Whether its values are differences of values of the stack, which have no level."""

    def __init__(self, origin: Stack, shape: tuple[int, ...] | None = None) -> None:
        super().__init__(shape or origin.input_shape, origin.scale.dtype)
        self.scale = origin.scale

    def plane(self, z: int) -> np.ndarray:
        """Slice ``z`` as the engine has it, float32 (Y, X)."""
        raise NotImplementedError

    def _computed(self, z: int) -> np.ndarray:
        plane = self.plane(z)
        return self.scale.outer_difference(plane) if self.difference else self.scale.outer(plane)


class _Cropped(DerivedArray):
    """A box of a stack."""

    def __init__(self, stack: Stack, box: Box) -> None:
        super().__init__(stack, box.shape)
        self._stack, self._box = stack, box

    def plane(self, z: int) -> np.ndarray:
        """A slice of the stack, cut to the box."""
        return self._stack.plane(self._box.z[0] + z)[self._box.field]


class RemovedArray(DerivedArray):
    """Original minus denoised, computed slice by slice as it is read.

    Parameters
    ----------
    original, denoised
        Of one shape.
    """

    difference = True

    def __init__(self, original: Stack, denoised: Stack) -> None:
        super().__init__(original)
        self._original, self._denoised = original, as_stack(denoised, like=original)

    def plane(self, z: int) -> np.ndarray:
        """What was removed from a slice."""
        return self._original.plane(z) - self._denoised.plane(z)


def float32_holds(level: float, noise: float) -> bool:
    """Whether float32 holds values around ``level`` with all that matters beside such noise."""
    return _steps(level, noise) >= STEPS_OF_RESULTS and TINIEST <= noise <= LARGEST


def _steps(level: float, noise: float) -> float:
    """How many steps of float32 at that level the noise is worth, or up to twice as many."""
    return noise / max(abs(level) * float(np.finfo(np.float32).eps), 5e-324)


def _measured_scale(stack: Stack) -> Scale:
    """The scale of a stack by its level and its noise, of which a few slices tell enough."""
    dtype = np.dtype(stack.array.dtype)
    if dtype.itemsize <= 2:
        return Scale()  # float32 holds all that such types hold
    found: list[tuple[float, float]] = []
    blank: list[float] = []
    for read, (level, noise) in enumerate(_levels_and_noise(stack), start=1):
        if noise > 0:
            found.append((level, noise))
        else:
            blank.append(level)
        if found and read >= SCALE_SLICES:
            break
    if not found and blank:  # slices that are blank, each in itself
        level = float(_middle(np.array(blank)))
        found = [(level, float(np.abs(np.array(blank) - level).mean()))]
    if not found:
        return Scale()
    level, noise = (float(_middle(np.array(each))) for each in zip(*found, strict=True))
    if noise == 0:
        return Scale(level)
    return Scale(
        level=0.0 if _steps(level, noise) >= STEPS_INSIDE else level,
        unit=1.0 if FAINTEST <= noise <= STRONGEST else 2.0 ** math.floor(math.log2(noise)),
        # what came as float32 has no finer steps itself
        dtype=FLOAT32 if dtype.name == "float32" or float32_holds(level, noise) else FLOAT64,
    )


def _levels_and_noise(stack: Stack) -> Iterator[tuple[float, float]]:
    """Level of a slice and mean deviation from it, both within small blocks and typical of those that vary.

    Blank parts and whatever lies around the image do not count so, nor do blocks with values that are not
    finite. First come slices from all over the stack, then all others.
    """
    depth = stack.shape[0]
    first = np.unique(np.linspace(0, depth - 1, min(depth, SCALE_SLICES)).round().astype(int)).tolist()
    for z in (*first, *(z for z in range(depth) if z not in first)):
        raw = stack.raw(z)
        height, width = (min(BLOCK, size) for size in raw.shape)
        rows, columns = raw.shape[0] // height, raw.shape[1] // width
        step = max(1, math.isqrt(rows * columns // SCALE_BLOCKS))
        blocks = raw[: rows * height, : columns * width].reshape(rows, height, columns, width)
        some = blocks[::step, :, ::step].swapaxes(1, 2).reshape(-1, height * width).astype(np.float64)
        some = some[np.isfinite(some).all(axis=1)]
        if not len(some):
            continue
        levels = _middle(some, axis=1)
        with np.errstate(over="ignore"):  # no squares and no sums: values may be as large as numbers are
            noise = (np.abs(some - levels[:, None]) / (height * width)).sum(axis=1)
        varied = (noise > 0) & np.isfinite(noise)
        if varied.any():
            yield float(_middle(levels[varied])), float(_middle(noise[varied]))
        else:
            level = float(_middle(levels))
            yield level, float(np.abs(levels - level).mean())


def _middle(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """The median; of an even number of values the lower of two, so that it is one of them."""
    return np.asarray(np.quantile(values, 0.5, axis=axis, method="lower"))


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
    """A warning for 2.5D on a thin stack, or None."""
    if mode == "2.5d" and stack.shape[0] < FEW_SLICES:
        return (
            f"2.5D on only {stack.shape[0]} slices learns little from the neighbours; "
            f"below {FEW_SLICES} slices compare it with 2D."
        )
    return None
