"""Noise that runs along a line, too weak to stand out anywhere in the spectrum.

A correlation of 0.1 between neighbours moves the power of no frequency by more than a fifth, up along one
axis and down along the other, so that no peak is found. But it does so all over the spectrum: by lag, all of
it falls on two neighbours, of opposite sign. The image does otherwise. What is alike in all directions is in
no lag; grids and layers of a sample raise both neighbours, and neighbouring slices share them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from napari_autostructn2v.kernel import POINT, centre
from napari_autostructn2v.noise.autocorrelation import MIN_COHERENCE, slices_independent
from napari_autostructn2v.noise.spectrum import BackgroundSpectrum, by_lag
from napari_autostructn2v.noise.verdict_input import beyond_chance

DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Neighbours along which lines are looked for, each with the one at a right angle to it."""

MIN_LAG = 0.025
"""Least value at the neighbour: half of a correlation of 0.05. White noise reaches 0.015."""

MIN_SINGLE_LAG = 0.15
"""The same in a single slice, of which nothing else tells whether it is the image."""

MIN_OPPOSITE = 0.3
"""Least share of it that the neighbour at a right angle lacks."""

SURE, FAIRLY_SURE = 8.0, 4.0
"""Standard errors of the neighbour, and of what lies on from it."""

MIN_FAR_LAG = 0.008
"""Least value of a pixel farther along the line."""

LEAST_TILES = 16
"""Tiles below which the regions of the field tell nothing: their tiles overlap."""

FEW_TILES = 64
"""Tiles below which the many neighbours of a kernel cannot be told from chance one by one: a line can."""

SURE_OF_FEW = 0.15
"""Least of the strongest correlation at which a kernel of so few tiles is believed without a line."""

LEAST_POWER = 1e-3
"""Share of the power that the noise alone is taken to have, at least, at any frequency."""


def with_weak_line(
    kernel: np.ndarray,
    correlation: np.ndarray,
    far_scatter: float,
    background: BackgroundSpectrum,
    isotropic: bool | None,
) -> tuple[np.ndarray, np.ndarray, float]:
    """A kernel and what it was made of, with the line that the noise has by lag.

    The line stands instead of a kernel that is none, or of few tiles; another that lies on it is prolonged.

    Parameters
    ----------
    kernel, correlation
        As the peaks of the spectrum have it, (L, L).
    far_scatter
        Standard error of ``correlation``.
    background
        Averaged spectra.
    isotropic
        Whether the noise is correlated alike in all directions; None if unknown.
    """
    line = weak_line(background, len(correlation) // 2)
    if kernel.sum() > 1 and line is not None and not (kernel & ~_through_centre(line)).any():
        return kernel | (line != 0), correlation, far_scatter
    if kernel.sum() > 1 and background.tiles >= FEW_TILES:
        return kernel, correlation, far_scatter
    if line is not None:
        hidden = line != 0
        hidden[centre(hidden.shape)] = True
        return hidden, line.copy(), float(np.median(background.lag_error))
    if not isotropic and np.abs(beyond_chance(correlation, 0)[kernel]).max() < SURE_OF_FEW:
        kernel = POINT
    return kernel, correlation, far_scatter


def _through_centre(line: np.ndarray) -> np.ndarray:
    """The whole straight line, bool (L, L), on which another lies."""
    y, x = np.indices(line.shape) - len(line) // 2
    step_y, step_x = np.argwhere(line != 0)[0] - len(line) // 2
    return np.asarray(y * step_x == x * step_y)


@lru_cache(maxsize=4)
def weak_line(background: BackgroundSpectrum, reach: int) -> np.ndarray | None:
    """Correlation of the noise along a line through the centre, 0 elsewhere, (2 * reach + 1,) * 2.

    Parameters
    ----------
    background
        Averaged spectra.
    reach
        Farthest lag, in pixels.

    Returns
    -------
    numpy.ndarray or None
        None if the noise has no such line, or what there is may be the image.
    """
    if background.tiles < LEAST_TILES or background.noiseless or abs(background.coherence) >= MIN_COHERENCE:
        return None
    single = background.cross_power is None
    lags, error = background.lags, background.lag_error
    middle = len(lags) // 2
    own = lags if single or slices_independent(background) else _of_the_noise(background)

    def along(values: np.ndarray, step: tuple[int, int], pixels: int) -> float:
        return float(values[middle + pixels * step[0], middle + pixels * step[1]])

    def is_line(step: tuple[int, int]) -> bool:
        across = (step[1], -step[0])
        raised, lowered = along(lags, step, 1), -along(lags, across, 1)
        return (
            raised >= (MIN_SINGLE_LAG if single else MIN_LAG)
            and raised >= SURE * along(error, step, 1)
            and lowered >= max(MIN_OPPOSITE * raised, FAIRLY_SURE * along(error, across, 1))
            and along(own, step, 1) >= raised / 2
        )

    step = max((step for step in DIRECTIONS if is_line(step)), key=lambda s: along(lags, s, 1), default=None)
    if step is None:
        return None
    correlation = np.zeros((2 * reach + 1,) * 2)
    for pixels in range(1, reach + 1):
        value = along(lags, step, pixels)
        if value < max(MIN_FAR_LAG, FAIRLY_SURE * along(error, step, pixels)):
            break
        across = along(lags, (step[1], -step[0]), pixels)
        for sign in (-pixels, pixels):
            correlation[reach + sign * step[0], reach + sign * step[1]] = value - min(across, 0.0)
    return correlation


def _of_the_noise(background: BackgroundSpectrum) -> np.ndarray:
    """The lags of what neighbouring slices do not share."""
    assert background.cross_power is not None
    own = np.maximum(background.power - background.cross_power, LEAST_POWER * background.power)
    return by_lag(np.log(own))
