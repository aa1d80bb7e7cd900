"""Brightness that changes from slice to slice: flicker, a slope along Z, charging."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_autostructn2v.unmeasured import Unmeasured

SLICES = 8
"""Slices, evenly spread, by which it is seen whether levels agree."""

PIXELS = 65_536
"""Pixels of a slice, evenly spread, that tell its level."""

AGREEMENT = 0.5
"""Standard deviation of the levels of slices, over that of the pixels within them, from which levels differ.
Below it a network learns as well without; the levels of other slices of the sample differ as much."""


def level_and_spread(plane: np.ndarray, unmeasured: Unmeasured | None) -> tuple[float, float]:
    """Median of a slice, and the standard deviation that a normal distribution of its spread has.

    Parameters
    ----------
    plane
        The slice, (Y, X).
    unmeasured
        Its pixels that were never measured: they do not count.
    """
    step = max(1, int(np.sqrt(plane.size / PIXELS)))
    values = plane[::step, ::step]
    if unmeasured is not None:
        measured = ~unmeasured.pixels
        values = values[measured[::step, ::step]]
        if not values.size:
            values = plane[measured]
    low, level, high = np.quantile(values, (0.16, 0.5, 0.84))
    return float(level), float(high - low) / 2


def common_level(levels: Sequence[tuple[float, float]]) -> float | None:
    """The level that slices are brought to; None if theirs agree.

    Parameters
    ----------
    levels
        Of some slices, as :func:`level_and_spread` tells.
    """
    if len(levels) < 2:
        return None
    medians, spreads = np.array(levels).T
    differ = float(medians.std()) > AGREEMENT * float(np.median(spreads))
    return float(np.median(medians)) if differ else None
