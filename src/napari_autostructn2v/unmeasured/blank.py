"""Places that hold one value and no noise: a frame, padding, a mask, a dead row, the footer of a picture.

Noise never repeats one value over many pixels in a line, but for two cases that look alike and are none of
this: a detector that is saturated, or noise that is small against the step of the integers. There the same
value is also found in pixels close by, scattered among others; around padding it is not.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

SHORTEST_RUN = 16
"""Equal pixels in a row or in a column that are more than chance."""

RING = 3
"""Pixels around a place in which its value is looked for."""

SCATTERED_SHARE, SATURATED_SHARE = 0.3, 0.15
"""Share of the pixels around a place that have its value, from which it is due to coarse steps, or if that is
the least or largest value of the slice, to saturation. Runs of :data:`SHORTEST_RUN` pixels come about by
chance only where the share is 0.4 and more."""

SOLID_SHARE = 0.6
"""Share of a place that lies in runs, at least: saturation has a ragged edge."""

NEXT_STEP_SHARE = 0.002
"""Share of pixels in the midst of a place that are off by one or two steps of the integers, from which it is
noise that is small against these steps."""

NARROW = 4
"""Part of a line below which a gap in a place is narrow."""

RECTANGULAR = 0.9
"""Share of its bounding box that a place fills which lies within the image and is no saturation."""

MAX_VALUES = 16
"""Different values that blank places of a slice have; the most frequent are looked at."""

BLENDED = 0.85
"""Distance of the pixels beside a blank place from its value, over that of pixels farther off, below which
they are a mixture of the two, as interpolation leaves it."""

STANDS_OUT = 2.0
"""Distance of the pixels beside a blank place from its value, over their standard deviation, from which a
mixture of the two is looked for."""

FOOTER_SHARE, FOOTER_FIRST_ROW, FOOTER_ROWS = 0.5, 0.99, 8
"""Of a footer: blank share of all of it, which the row above has not, and of its first row; fewest rows."""


def find_blank(values: np.ndarray) -> np.ndarray:
    """Where a slice holds nothing that was measured, bool (Y, X).

    Parameters
    ----------
    values
        A slice as it was recorded, (Y, X), any integer or float type.
    """
    blank = ~np.isfinite(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=bool)
    candidates = _runs(values, 1) | _runs(values, 0)
    if candidates.any():
        found, counts = np.unique(values[candidates], return_counts=True)
        for value in found[np.argsort(-counts, kind="stable")][:MAX_VALUES]:
            blank |= _blank_places(values, candidates, value)
    if blank.any():
        _fill_footer(blank)
        _fill_footer(blank[::-1])
    return blank


def find_blended(plane: np.ndarray, blank: np.ndarray) -> np.ndarray:
    """Pixels beside blank places that interpolation mixed with them, bool (Y, X).

    A field that was shifted by part of a pixel, or turned, has such a rim.

    Parameters
    ----------
    plane
        The slice, float (Y, X).
    blank
        Where it is blank, bool (Y, X).
    """
    if not blank.any():
        return np.zeros_like(blank)
    value = plane[blank & np.isfinite(plane)]
    rim, beyond = (np.concatenate(list(_beside(blank, distance))) for distance in (1, 4))
    rim, beyond = (some[np.isfinite(plane.flat[some]) & ~blank.flat[some]] for some in (rim, beyond))
    found = np.zeros_like(blank)
    if value.size and rim.size and beyond.size:
        off, off_beyond = (np.abs(plane.flat[some] - np.median(value)).mean() for some in (rim, beyond))
        # of padding within the noise a mixture is not seen, and does no harm
        stands_out = off_beyond > STANDS_OUT * plane.flat[beyond].std()
        found.flat[rim] = stands_out and off < BLENDED * off_beyond
    return found


def _beside(places: np.ndarray, distance: int) -> Iterator[np.ndarray]:
    """Pixels so far beyond both ends of the runs of places, along both axes, as flat indices."""
    for axis in (0, 1):
        line, first, end = _ends(places, axis)
        for at in (first - distance, end + distance - 1):
            inside = (at >= 0) & (at < places.shape[axis])
            where = (at[inside], line[inside]) if axis == 0 else (line[inside], at[inside])
            yield np.ravel_multi_index(where, places.shape)


def _ends(places: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each run of places along an axis: its line, its first pixel, and the one after its last."""
    lines = np.moveaxis(places, axis, 1)
    edges = np.diff(np.pad(lines, ((0, 0), (1, 1))).view(np.int8), axis=1)
    (line, first), (_, end) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    return line, first, end


def _runs(values: np.ndarray, axis: int) -> np.ndarray:
    """Pixels in runs of equal ones along an axis, bool (Y, X)."""
    values = np.moveaxis(values, axis, 1)
    begins = values[:, 1:] == values[:, :-1]
    length, least = 1, min(SHORTEST_RUN, values.shape[1]) - 1
    while length < least:  # equal pairs that follow one another, twice as many each time
        step = min(length, least - length)
        begins = begins[:, :-step] & begins[:, step:]
        length += step
    runs = np.zeros_like(values, dtype=bool)  # in the order of the values in memory
    if begins.any():
        runs[:, : begins.shape[1]] = begins
        reached = 1
        while reached <= length:
            step = min(reached, length + 1 - reached)
            runs[:, step:] |= runs[:, :-step].copy()
            reached += step
    return np.moveaxis(runs, 1, axis)


def _blank_places(values: np.ndarray, runs: np.ndarray, value: np.generic) -> np.ndarray:
    """Those of the places of one value that are no saturation and no coarse steps, bool (Y, X)."""
    equal = values == value
    # a place reaches beyond its runs, to where it comes to a point
    labels, count = ndimage.label(equal, np.ones((3, 3)))
    in_runs = np.bincount(labels[runs & equal], minlength=count + 1)
    number = (np.cumsum(in_runs > 0) * (in_runs > 0)).astype(np.int32)
    labels, in_runs = number[labels], np.concatenate([[0], in_runs[in_runs > 0]])
    count = len(in_runs) - 1
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    extreme = value in (values.min(), values.max())
    same, around = _same_around(labels, equal)
    alone = same < (SATURATED_SHARE if extreme else SCATTERED_SHARE) * np.maximum(around, 1)
    alone &= in_runs >= SOLID_SHARE * sizes
    alone[0] = False
    if values.dtype.kind in "ui":
        y, x = np.nonzero((values != value) & (np.abs(values.astype(np.float32) - float(value)) <= 2))
        within = (x > 0) & (x < values.shape[1] - 1)
        y, x = y[within], x[within]
        midst = labels[y, x - 1] == labels[y, x + 1]
        holes = np.bincount(labels[y[midst], x[midst] - 1], minlength=count + 1)
        alone &= holes <= NEXT_STEP_SHARE * sizes
    if extreme:
        for label, place in enumerate(ndimage.find_objects(labels), start=1):
            at_border = any(
                side.start == 0 or side.stop == size for side, size in zip(place, labels.shape, strict=True)
            )
            alone[label] &= at_border or (labels[place] == label).mean() >= RECTANGULAR
    return alone[labels]


def _same_around(labels: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each place, how many pixels around it have its value, and how many there are.

    Gaps that are narrow do not count: what lies between the letters of a footer.
    """
    counts = np.zeros((2, labels.max() + 1))
    for axis in (0, 1):
        line, first, end = _ends(labels > 0, axis)
        along, equal = np.moveaxis(labels, axis, 1), np.moveaxis(same, axis, 1)
        size, of = along.shape[1], along[line, first]
        narrow = (line[1:] == line[:-1]) & (of[1:] == of[:-1]) & (first[1:] - end[:-1] <= size // NARROW)
        before_narrow, after_narrow = np.append(narrow, False), np.insert(narrow, 0, False)
        for distance in range(1, RING + 1):
            for at, skipped in ((first - distance, after_narrow), (end + distance - 1, before_narrow)):
                inside = (at >= 0) & (at < size) & ~skipped
                there, owner = (line[inside], at[inside]), of[inside]
                outside = along[there] == 0
                counts[0] += np.bincount(owner[outside], equal[there][outside], len(counts[0]))
                counts[1] += np.bincount(owner[outside], minlength=len(counts[1]))
    return counts[0], counts[1]


def _fill_footer(blank: np.ndarray) -> None:
    """Take the text and the scale bar of a footer for blank as well, in place."""
    shares = blank.mean(axis=1)
    firsts = np.flatnonzero(shares >= FOOTER_FIRST_ROW)
    for first in firsts[(firsts > 0) & (firsts <= len(blank) - FOOTER_ROWS)]:
        if shares[first - 1] < FOOTER_SHARE <= shares[first:].mean():
            blank[first:] = True
            return
