"""Values along a line drawn across a slice."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def line_profile(
    plane: np.ndarray,
    start: tuple[float, float],
    end: tuple[float, float],
    pixel: tuple[float, float] = (1.0, 1.0),
) -> tuple[np.ndarray, np.ndarray]:
    """Sample a slice along a line, about one sample per pixel, linearly interpolated.

    Parameters
    ----------
    plane
        Shape (Y, X).
    start, end
        Row and column in pixels; whole numbers are the centres of pixels.
    pixel
        Height and width of a pixel, in the unit that the distances shall have.

    Returns
    -------
    distance : numpy.ndarray
        From the start, float64 (n,).
    values : numpy.ndarray
        float64 (n,); NaN where the line leaves the slice.
    """
    ends = np.array([start, end], dtype=float)
    step = ends[1] - ends[0]
    share = np.linspace(0, 1, int(np.ceil(np.hypot(*step))) + 1)
    points = ends[0][:, None] + step[:, None] * share
    values = ndimage.map_coordinates(np.asarray(plane, float), points, order=1, mode="nearest")
    last = np.array(plane.shape)[:, None] - 0.5
    values[((points < -0.5) | (points > last)).any(axis=0)] = np.nan
    return share * float(np.hypot(*(step * np.array(pixel)))), values
