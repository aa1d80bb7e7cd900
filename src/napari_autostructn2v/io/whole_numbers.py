"""Types that results are saved in: floats as they are, or for other programs whole numbers."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from napari_autostructn2v.computed import ComputedArray
from napari_autostructn2v.config import ResultType
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.events import SliceDone

WholeType = Literal["uint8", "uint16"]

CLIPPED: dict[WholeType, float] = {"uint8": 0.001, "uint16": 0.0}
"""Share of the values that may be clipped. 256 grey values are too few to spend them on the last outliers;
65536 are enough for all of them."""

BINS = 2**16
"""Of the histogram by which the range is chosen, from the lowest value to the highest."""


@dataclass(frozen=True)
class WholeNumbers:
    """How values become whole numbers: linear, and rounded to the nearest.

    Attributes
    ----------
    dtype
        Of the whole numbers.
    low, high
        Values that become the lowest and the highest number.
    clipped
        Share of the values outside, which become the lowest or the highest as well.
    """

    dtype: WholeType
    low: float
    high: float
    clipped: float

    def of(self, array: Any) -> ComputedArray:
        """The same stack in whole numbers, computed slice by slice; 0 where a value is not a number.

        Parameters
        ----------
        array
            Shape (Z, Y, X) or (Y, X).
        """
        top = np.iinfo(self.dtype).max
        span = (self.high - self.low) or 1.0

        def plane(z: int) -> np.ndarray:
            values = np.asarray(array[z] if len(array.shape) == 3 else array[...], dtype=np.float64)
            scaled = np.clip((values - self.low) / span, 0, 1) * top
            return np.rint(np.nan_to_num(scaled)).astype(self.dtype)

        return ComputedArray(tuple(array.shape), plane, self.dtype)

    def __str__(self) -> str:
        """In words, for whoever saves a stack so."""
        top = np.iinfo(self.dtype).max
        beyond = f"{self.clipped:.2%} of the values are clipped" if self.clipped else "nothing is clipped"
        return f"{self.dtype}: 0 is {self.low:.5g}, {top} is {self.high:.5g}, and {beyond}."


def whole_numbers(array: Any, dtype: WholeType) -> Generator[SliceDone, None, WholeNumbers]:
    """Choose the range of values that whole numbers of this type are to cover.

    Parameters
    ----------
    array
        Shape (Z, Y, X) or (Y, X), real numbers; read twice, one slice at a time.
    dtype
        ``"uint8"`` or ``"uint16"``.

    Yields
    ------
    SliceDone
        After each slice of each of the two readings.

    Returns
    -------
    WholeNumbers
        With no more values outside than :data:`CLIPPED`, half of them on either side.

    Raises
    ------
    StackError
        If no value is a finite number.
    """
    depth = array.shape[0] if len(array.shape) == 3 else 1
    lowest, highest = np.inf, -np.inf
    for z, values in enumerate(_finite(array)):
        if values.size:
            lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
        yield SliceDone(z=z, done=z + 1, total=2 * depth)
    if lowest > highest:
        raise StackError("No value of this stack is a number, so it cannot be saved as whole numbers.")
    counts = np.zeros(BINS, dtype=np.int64)
    for z, values in enumerate(_finite(array)):
        counts += np.histogram(values, BINS, (lowest, highest if highest > lowest else lowest + 1))[0]
        yield SliceDone(z=z, done=depth + z + 1, total=2 * depth)
    edges = np.linspace(lowest, highest, BINS + 1)
    allowed = CLIPPED[dtype] / 2 * counts.sum()
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])
    # so many whole bins lie outside on either side
    first, last = (int(np.searchsorted(outside, allowed, "right")) for outside in (below, above))
    outside = counts[:first].sum() + counts[BINS - last :].sum()
    return WholeNumbers(dtype, float(edges[first]), float(edges[BINS - last]), float(outside / counts.sum()))


def type_in_file(asked: ResultType | None, made: Any) -> np.dtype[Any]:
    """The type that a file has to hold.

    Parameters
    ----------
    asked
        What a person has asked for; None for the values as they are.
    made
        Type of the result, float32 or float64.

    Raises
    ------
    StackError
        If results are not saved so, or the values would lose what matters.
    """
    if asked is not None and asked not in get_args(ResultType):
        raise StackError(f"Results are not saved as {asked}. Choose {', '.join(get_args(ResultType))}.")
    if asked == "float32" and np.dtype(made) == np.float64:
        raise StackError(
            "As float32 these values would lose what matters, their digits or their size. Save them as they "
            "are, in float64, or as whole numbers."
        )
    return np.dtype(made if asked is None else asked)


def in_type(array: Any, asked: ResultType | None) -> Generator[SliceDone, None, tuple[Any, str]]:
    """A result as a person wants it saved.

    Parameters
    ----------
    array
        Shape (Z, Y, X) or (Y, X), floats.
    asked
        As for :func:`type_in_file`.

    Yields
    ------
    SliceDone
        As :func:`whole_numbers`.

    Returns
    -------
    array
        The same in the type asked for, never read whole.
    words : str
        How values became whole numbers; empty if they did not.

    Raises
    ------
    StackError
        As of :func:`type_in_file` and :func:`whole_numbers`.
    """
    type_in_file(asked, array.dtype)
    if asked is None or asked == "float32":
        return array, ""
    numbers = yield from whole_numbers(array, asked)
    return numbers.of(array), str(numbers)


def _finite(array: Any) -> Iterator[np.ndarray]:
    for z in range(array.shape[0]) if len(array.shape) == 3 else [...]:
        plane = np.asarray(array[z], dtype=np.float64)
        yield plane[np.isfinite(plane)]
