"""How far two recordings of one scene lie apart, in fractions of a pixel.

References
----------
Lucas, B. D. & Kanade, T. An iterative image registration technique with an application to stereo vision.
Proceedings of the 7th International Joint Conference on Artificial Intelligence (1981), 674-679.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from napari_autostructn2v.judge.blocks import Blocks
from napari_autostructn2v.threads import THREADS

LARGEST_SHARE = 0.1
"""A drift is looked for up to this share of a slice's side."""

STEPS = 6
"""Most steps from whole pixels to the fraction; three do on any image with some structure."""

SETTLED_PX = 0.002
"""A step shorter than this is the last."""

SURE = 3.0
"""Standard errors by which two shifts must differ to be told apart."""

SURE_OF_MANY = 5.0
"""Likewise for the best of the many whole pixels that are tried."""


@dataclass(frozen=True, eq=False)
class Drift:
    """How far a slice of the second recording lies from that of the first.

    Attributes
    ----------
    shift
        Along Y and X in pixels; none where that cannot be told.
    information
        Inverse of its covariance, (2, 2): how well it is known. 0 if it cannot be told.
    """

    shift: np.ndarray
    information: np.ndarray


UNKNOWN = Drift(np.zeros(2), np.zeros((2, 2)))
"""Of a slice that does not tell."""


def find_drift(denoised: np.ndarray, second: np.ndarray, valid: np.ndarray, blocks: Blocks) -> Drift:
    """The shift after which a slice is most like the second recording, by least squares.

    The denoised slice is taken for the first recording: it has the same image and hardly any noise, without
    which the gradients that tell the shift could not be trusted.

    Parameters
    ----------
    denoised, second
        The slice and that of the second recording, (Y, X).
    valid
        Where both were measured, bool (Y, X).
    blocks
        Parts of the slice whose noise is independent, from which the accuracy is told.
    """
    shift = _whole_pixels(denoised, second)
    if shift.any() and not _is_better(shift, denoised, second, valid, blocks, SURE_OF_MANY):
        shift = np.zeros(2)
    information = np.zeros((2, 2))
    for _ in range(STEPS):
        moved = shifted(denoised, shift)
        residual = np.where(valid, second - moved, 0)
        residual -= residual.sum() / max(valid.sum(), 1) * valid
        # content that moves by d changes by -d times its gradient
        slopes = [np.where(valid, -slope, 0) for slope in np.gradient(moved)]
        normal = np.array([[(a * b).sum() for b in slopes] for a in slopes], dtype=np.float64)
        if np.linalg.cond(normal) > 1e6:  # nothing in the slice tells a shift along some direction
            return UNKNOWN
        pulls = np.stack([blocks.sums(slope * residual) for slope in slopes])
        step = np.linalg.solve(normal, pulls.sum(axis=1))
        # the sandwich: it holds for noise that is correlated and changes with brightness
        scatter = pulls @ pulls.T
        information = normal @ np.linalg.pinv(scatter) @ normal
        shift = shift + step
        if np.abs(step).max() < SETTLED_PX:
            break
    # in nothing but noise, too, some shift is the best
    if not _is_better(shift, denoised, second, valid, blocks, SURE):
        return UNKNOWN
    return Drift(shift, information)


def agreed(drifts: Sequence[Drift]) -> list[np.ndarray]:
    """The shift of each slice: its own where it can be told from that of most, else that.

    Parameters
    ----------
    drifts
        Of each slice. Where fewer than half of them can be told, there is none.
    """
    known = [drift for drift in drifts if drift.information.any()]
    common = np.zeros(2)
    if 2 * len(known) >= len(drifts):
        information = sum((drift.information for drift in known), np.zeros((2, 2)))
        common = np.linalg.pinv(information) @ sum(
            (drift.information @ drift.shift for drift in known), np.zeros(2)
        )
    shifts = []
    for drift in drifts:
        own = drift.shift - common
        shifts.append(drift.shift if own @ drift.information @ own > SURE**2 else common)
    return shifts


def shifted(plane: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """A slice whose content is moved by fractions of pixels, by cubic splines.

    Parameters
    ----------
    plane
        Shape (Y, X).
    shift
        Along Y and X in pixels.
    """
    if not np.any(shift):
        return plane
    return np.asarray(ndimage.shift(plane, shift, order=3, mode="nearest"))


def _is_better(
    shift: np.ndarray,
    denoised: np.ndarray,
    second: np.ndarray,
    valid: np.ndarray,
    blocks: Blocks,
    sure: float,
) -> bool:
    """Whether a slice is more like the second recording at a shift than without, by so many errors."""
    more = (second - second[valid].mean()) * (shifted(denoised, shift) - denoised)
    sums = blocks.sums(np.where(valid, more, 0))
    return bool(sums.sum() > sure * np.sqrt(np.square(sums).sum()))


def _whole_pixels(denoised: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The shift to the nearest pixel: where the cross-correlation is highest."""
    shape = [fft.next_fast_len(2 * n, real=True) for n in denoised.shape]
    first, other = (fft.rfft2(plane - plane.mean(), shape, workers=THREADS) for plane in (denoised, second))
    correlation = fft.irfft2(first.conj() * other, shape, workers=THREADS)
    reach = [max(1, round(LARGEST_SHARE * n)) for n in denoised.shape]
    near = correlation[np.ix_(*(np.arange(-r, r + 1) for r in reach))]
    return np.array(np.unravel_index(near.argmax(), near.shape), dtype=np.float64) - reach
