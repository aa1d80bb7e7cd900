"""The scale on which the engine has the values of a stack, and the way back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

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
        """Values of the stack as the engine has them, float32; infinite where they are too large for it.

        Parameters
        ----------
        values
            Of the stack, any shape and type.
        """
        with np.errstate(over="ignore"):
            if (self.level, self.unit) == (0.0, 1.0):
                return values.astype(np.float32)
            # each divided by itself: a difference of values may be larger than any number
            return (values.astype(np.float64) / self.unit - self.level / self.unit).astype(np.float32)

    def outer(self, plane: np.ndarray) -> np.ndarray:
        """What the engine has made, as values of the stack.

        Parameters
        ----------
        plane
            Values that the engine has computed, any shape.
        """
        if (self.level, self.unit) == (0.0, 1.0):
            return plane.astype(self.dtype, copy=False)
        return (plane.astype(np.float64) * self.unit + self.level).astype(self.dtype)

    def outer_difference(self, plane: np.ndarray) -> np.ndarray:
        """A difference of two of the engine's slices, as one of values of the stack: it has no level.

        Parameters
        ----------
        plane
            The difference as the engine has it, any shape.
        """
        return Scale(0.0, self.unit, self.dtype).outer(plane)


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of the stack: the network works on z-scores."""

    mean: float
    std: float

    def inner(self, scale: Scale) -> Normalisation:
        """Of values of a stack: as the engine has them.

        Parameters
        ----------
        scale
            How the engine has the values of the stack.
        """
        return Normalisation((self.mean - scale.level) / scale.unit, self.std / scale.unit)

    def outer(self, scale: Scale) -> Normalisation:
        """Of the engine's: as values of the stack.

        Parameters
        ----------
        scale
            How the engine has the values of the stack.
        """
        return Normalisation(self.mean * scale.unit + scale.level, self.std * scale.unit)


def measured_normalisation(parts: Iterable[np.ndarray]) -> Normalisation | None:
    """Mean and standard deviation of values; None if there are none, or all are the same.

    Parameters
    ----------
    parts
        The values, float32, some at a time.
    """
    sums, count, reference = np.zeros(2), 0, 0.0
    lowest, highest = math.inf, -math.inf
    for values in parts:
        if not values.size:
            continue
        if count == 0:  # shifted sums: float64 stays exact on large offsets
            reference = float(values.mean())
        lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
        shifted = values.astype(np.float64) - reference
        sums += shifted.sum(), np.square(shifted).sum()
        count += values.size
    if lowest >= highest:
        return None
    mean, square = sums / count
    return Normalisation(float(mean + reference), math.sqrt(max(square - mean**2, 0.0)))


def float32_holds(level: float, noise: float) -> bool:
    """Whether float32 holds values around ``level`` with all that matters beside such noise.

    Parameters
    ----------
    level
        The value around which the others lie.
    noise
        How far they typically are from it, in the same unit.
    """
    return _steps(level, noise) >= STEPS_OF_RESULTS and TINIEST <= noise <= LARGEST


def _steps(level: float, noise: float) -> float:
    """How many steps of float32 at that level the noise is worth, or up to twice as many."""
    return noise / max(abs(level) * float(np.finfo(np.float32).eps), 5e-324)


def measured_scale(read: Callable[[int], np.ndarray], depth: int, dtype: np.dtype[Any]) -> Scale:
    """The scale of a stack by its level and its noise, of which a few slices tell enough.

    Parameters
    ----------
    read
        Gives a slice (Y, X) as the stack has it, by its number.
    depth
        Number of slices.
    dtype
        Of the stack.
    """
    if dtype.itemsize <= 2:
        return Scale()  # float32 holds all that such types hold
    found: list[tuple[float, float]] = []
    blank: list[float] = []
    for count, (level, noise) in enumerate(_levels_and_noise(read, depth), start=1):
        if noise > 0:
            found.append((level, noise))
        else:
            blank.append(level)
        if found and count >= SCALE_SLICES:
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


def _levels_and_noise(read: Callable[[int], np.ndarray], depth: int) -> Iterator[tuple[float, float]]:
    """Level of a slice and mean deviation from it, both within small blocks and typical of those that vary.

    Blank parts and whatever lies around the image do not count so, nor do blocks with values that are not
    finite. First come slices from all over the stack, then all others.
    """
    first = np.unique(np.linspace(0, depth - 1, min(depth, SCALE_SLICES)).round().astype(int)).tolist()
    for z in (*first, *(z for z in range(depth) if z not in first)):
        raw = read(z)
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
