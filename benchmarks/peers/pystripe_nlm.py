"""Stripes removed with pystripe's wavelet-FFT filter, then non-local means of scikit-image, slice by slice.

The settings of both are those that come closest to the truth in the middle slice: better than anybody could
choose without it. No destriping is one of the choices, and the only one where the noise has no axis.

References
----------
Münch, B., Trtik, P., Marone, F. & Stampanoni, M. Stripe and ring artifact removal with combined
wavelet-Fourier filtering. Optics Express 17 (2009), 8567-8591.
Buades, A., Coll, B. & Morel, J.-M. A non-local algorithm for image denoising. CVPR (2005), 60-65.
pystripe: https://github.com/LifeCanvas-Technologies/pystripe
"""

from __future__ import annotations

import itertools
import time
from importlib.metadata import version

import numpy as np
import pystripe
from _case import psnr, read, write
from skimage.restoration import denoise_nl_means

Stripes = tuple[int, int, str] | None
"""Width of the notch in pixels, wavelet levels (0: all), wavelet; None leaves the stripes alone."""

STRIPES: list[Stripes] = list(itertools.product((8, 32, 128, 256), (1, 2, 3, 0), ("db3", "db10")))
PATCHES = (5, 7)  # sides of the patches that are compared
STRENGTHS = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.3)  # h in standard deviations of the noisy stack

# pystripe works on 16-bit counts and takes their logarithm. This high above zero that is nearly linear, as
# additive noise asks for.
LOWEST, HIGHEST = 20_000, 60_000


def destripe(image: np.ndarray, stripes: Stripes, axis: str, limits: tuple[float, float]) -> np.ndarray:
    """One slice without the stripes along an axis; pystripe itself knows horizontal ones only."""
    if stripes is None:
        return image
    width, level, wavelet = stripes
    low, high = limits
    scale = (HIGHEST - LOWEST) / (high - low)
    counts = np.rint((image - low) * scale + LOWEST).astype(np.uint16)
    upright = axis == "y"
    streaks = counts.T if upright else counts
    filtered = np.asarray(pystripe.filter_streaks(streaks, [width, width], level, wavelet), dtype=np.float32)
    return ((filtered.T if upright else filtered) - LOWEST) / scale + low


def main() -> None:
    """Choose the settings on the middle slice, denoise all."""
    case = read()
    limits = float(case.noisy.min()), float(case.noisy.max())
    spread = float(case.noisy.std())
    middle = len(case.noisy) // 2

    def smooth(image: np.ndarray, patch: int, strength: float) -> np.ndarray:
        h = strength * spread
        return np.asarray(denoise_nl_means(image, patch_size=patch, patch_distance=6, h=h, fast_mode=True))

    best: tuple[float, Stripes, int, float] = (-np.inf, None, PATCHES[0], STRENGTHS[0])
    for stripes in [None, *(STRIPES if case.axis != "none" else [])]:
        destriped = destripe(case.noisy[middle], stripes, case.axis, limits)
        for patch, strength in itertools.product(PATCHES, STRENGTHS):
            quality = psnr(smooth(destriped, patch, strength), case.clean[middle])
            best = max(best, (quality, stripes, patch, strength), key=lambda choice: choice[0])
    _, stripes, patch, strength = best

    start = time.perf_counter()
    denoised = np.stack(
        [smooth(destripe(image, stripes, case.axis, limits), patch, strength) for image in case.noisy]
    )
    seconds = time.perf_counter() - start
    first = (
        "no destriping"
        if stripes is None
        else f"pystripe {version('pystripe')} sigma {stripes[0]} level {stripes[1]} {stripes[2]}"
    )
    settings = f"{first}, non-local means patch {patch} h {strength:g} sd; chosen with the truth"
    write(denoised, settings, seconds)


if __name__ == "__main__":
    main()
