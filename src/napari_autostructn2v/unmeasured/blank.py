"""Places that hold one value and no noise: a frame, padding, a mask, a dead row, the footer of a picture.

Noise never repeats one value over many pixels in a line, but for two cases that look alike and are none of
this: a detector that is saturated, or noise that is small against the step of the integers. There the same
value is also found in pixels close by, scattered among others; around padding it is not.
"""

from __future__ import annotations

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

RECTANGULAR = 0.9
"""Share of its bounding box that a place fills which lies within the image and is no saturation."""

MAX_VALUES = 16
"""Different values that blank places of a slice have; the most frequent are looked at."""

BLENDED = 0.85
"""Distance of the pixels beside a blank place from its value, over that of pixels farther off, below which
they are a mixture of the two, as interpolation leaves it."""

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
            blank |= _blank_places(values, candidates & (values == value), value)
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
    finite = np.isfinite(plane)
    near = ndimage.binary_dilation(blank, np.ones((3, 3)))
    rim = near & ~blank
    beyond = ndimage.binary_dilation(near, np.ones((5, 5))) & ~ndimage.binary_dilation(near, np.ones((3, 3)))
    places = blank & finite
    if not places.any() or not rim.any() or not beyond.any():
        return np.zeros_like(blank)
    value = np.median(plane[places])
    mixed = np.abs(plane[rim] - value).mean() < BLENDED * np.abs(plane[beyond] - value).mean()
    return rim if mixed else np.zeros_like(blank)


def _runs(values: np.ndarray, axis: int) -> np.ndarray:
    """Pixels in runs of equal ones along an axis, bool (Y, X)."""
    values = np.moveaxis(values, axis, 1)
    begins = values[:, 1:] == values[:, :-1]
    length, least = 1, min(SHORTEST_RUN, values.shape[1]) - 1
    while length < least:  # equal pairs that follow one another, twice as many each time
        step = min(length, least - length)
        begins = begins[:, :-step] & begins[:, step:]
        length += step
    runs = np.zeros(values.shape, dtype=bool)
    if begins.any():
        for shift in range(length + 1):
            runs[:, shift : shift + begins.shape[1]] |= begins
    return np.moveaxis(runs, 1, axis)


def _blank_places(values: np.ndarray, places: np.ndarray, value: np.generic) -> np.ndarray:
    """Those of the places of one value that are no saturation and no coarse steps, bool (Y, X)."""
    in_runs = places
    places = ndimage.binary_propagation(in_runs, mask=values == value)  # to where it comes to a point
    labels, count = ndimage.label(places, np.ones((3, 3)))
    grown = ndimage.maximum_filter(labels, size=2 * RING + 1)
    ring = np.where((labels == 0) & ~_small_holes(places), grown, 0)
    same = np.bincount(ring.ravel(), (values == value).ravel(), count + 1)
    extreme = value in (values.min(), values.max())
    limit = SATURATED_SHARE if extreme else SCATTERED_SHARE
    alone = same < limit * np.maximum(np.bincount(ring.ravel(), minlength=count + 1), 1)
    alone[0] = False
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    alone &= np.bincount(labels[in_runs], minlength=count + 1) >= SOLID_SHARE * sizes
    if values.dtype.kind in "ui":
        closed = ndimage.minimum_filter(ndimage.maximum_filter(labels, 3), 3)
        near = (values != value) & (np.abs(values.astype(np.float64) - float(value)) <= 2)
        holes = np.bincount(np.where(near, closed, 0).ravel(), minlength=count + 1)
        alone &= holes <= NEXT_STEP_SHARE * sizes
    if extreme:
        for label, place in enumerate(ndimage.find_objects(labels), start=1):
            at_border = any(
                side.start == 0 or side.stop == size for side, size in zip(place, labels.shape, strict=True)
            )
            alone[label] &= at_border or (labels[place] == label).mean() >= RECTANGULAR
    return alone[labels]


def _small_holes(places: np.ndarray) -> np.ndarray:
    """Holes in places, as the letters of a footer, bool (Y, X); not the image within a frame."""
    holes, _ = ndimage.label(~places)
    sizes = np.bincount(holes.ravel())
    inside = sizes < places.sum()
    inside[0] = False
    inside[np.concatenate([holes[[0, -1]].ravel(), holes[:, [0, -1]].ravel()])] = False
    return inside[holes]


def _fill_footer(blank: np.ndarray) -> None:
    """Take the text and the scale bar of a footer for blank as well, in place."""
    shares = blank.mean(axis=1)
    firsts = np.flatnonzero(shares >= FOOTER_FIRST_ROW)
    for first in firsts[(firsts > 0) & (firsts <= len(blank) - FOOTER_ROWS)]:
        if shares[first - 1] < FOOTER_SHARE <= shares[first:].mean():
            blank[first:] = True
            return
