"""From an autocorrelation to a kernel."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.kernel import centre

WITHIN_THREE_PIXELS = np.ones((7, 7))
"""Steps of up to three pixels, from neighbour to neighbour: a kernel reaches across a gap of two, where the
correlation changes sign on its way out."""


def extract_kernel(
    whitened: np.ndarray, shape: np.ndarray, far_scatter: float, config: AnalysisConfig
) -> np.ndarray:
    """Neighbours whose correlation is certain in one measure and of the right shape in the other.

    Whitened ring by ring, the autocorrelation is sure, as all that is isotropic cancels, but true neighbours
    get a halo of the opposite sign. Less its median over rings of equal lag, the raw one has the right shape
    and sign but is less sure. A neighbour has to pass both.

    Parameters
    ----------
    whitened
        As far as a kernel reaches, (L, L).
    shape
        One pixel farther on all sides, (L + 2, L + 2).
    far_scatter
        Standard error of ``whitened``.
    config
        Thresholds.

    Returns
    -------
    numpy.ndarray
        bool (L, L).
    """
    reach = len(whitened) // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    radius = np.hypot(y, x)
    ridge = (np.abs(shape) >= ndimage.maximum_filter(np.abs(shape), size=3) / 3)[1:-1, 1:-1]
    shape = shape[1:-1, 1:-1]
    alike = np.sign(whitened) == np.sign(shape)

    def passing(certainty: float, correlation: float) -> np.ndarray:
        certain = np.abs(whitened) >= max(certainty * far_scatter, correlation)
        passed = certain & (np.abs(shape) >= correlation) & alike & ridge
        return np.asarray((passed | np.flip(passed)) & (radius <= reach + 0.5))

    found = passing(8, config.min_correlation)
    found[reach, reach] = True
    found = ndimage.binary_propagation(radius == 0, structure=WITHIN_THREE_PIXELS, mask=found)
    found = _prolonged(_bridged(found), passing(4, config.min_correlation / 2))
    return strongest(found, shape, config)


def strongest(kernel: np.ndarray, correlation: np.ndarray, config: AnalysisConfig) -> np.ndarray:
    """Of a kernel, the pixels of the strongest correlation that hang together with the centre.

    Parameters
    ----------
    kernel
        bool (L, L), lag 0 in the middle.
    correlation
        Autocorrelation at the same lags, (L, L).
    config
        How many pixels at most.
    """
    y, x = np.indices(kernel.shape) - len(kernel) // 2
    strength = np.maximum(np.abs(correlation), np.flip(np.abs(correlation)))
    strength[(y == 0) & (x == 0)] = np.inf
    within = (kernel | np.flip(kernel)) & (np.hypot(y, x) <= len(kernel) // 2 + 0.5)
    if within.sum() > config.max_pixels:
        within &= strength >= np.sort(strength[within])[-config.max_pixels]
    return np.asarray(
        ndimage.binary_propagation(np.isinf(strength), structure=WITHIN_THREE_PIXELS, mask=within)
    )


def _bridged(kernel: np.ndarray) -> np.ndarray:
    """The kernel with the straight line from each of its pixels to the centre filled in."""
    filled = kernel.copy()
    mid = centre(kernel.shape)
    for offset in np.argwhere(kernel) - mid:
        steps = np.linspace(0, 1, int(np.abs(offset).max()) + 1)[:, None]
        filled[tuple((np.rint(steps * offset).astype(int) + mid).T)] = True
    return filled


def _prolonged(kernel: np.ndarray, faint: np.ndarray) -> np.ndarray:
    """The kernel with its rays drawn out, straight on, over pixels of a fainter correlation."""
    longer = kernel.copy()
    mid = np.array(centre(kernel.shape))
    offsets = np.argwhere(faint) - mid
    for offset in offsets[np.argsort(np.abs(offsets).max(axis=1), kind="stable")]:
        distance = int(np.abs(offset).max())
        inner = np.rint(offset * (distance - 1) / max(distance, 1)).astype(int)
        if inner.any() and longer[tuple(inner + mid)]:
            longer[tuple(offset + mid)] = True
    return longer
