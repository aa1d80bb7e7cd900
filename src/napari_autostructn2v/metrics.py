"""How close a denoised stack is to the truth, where there is one."""

from __future__ import annotations

import numpy as np


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in decibels, after the affine fit of the image to the truth.

    Self-supervised training does not know the scale of the truth, and contrast is set anew at display, so a
    gain and an offset are not counted as errors.

    Parameters
    ----------
    image, truth
        Arrays of one shape.
    """
    x, y = (np.asarray(a, dtype=np.float64).ravel() for a in (image, truth))
    gain = np.cov(x, y, bias=True)[0, 1] / max(x.var(), np.finfo(float).tiny)
    error = np.mean(np.square(gain * (x - x.mean()) - (y - y.mean())))
    return float(10 * np.log10(np.ptp(y) ** 2 / error))
