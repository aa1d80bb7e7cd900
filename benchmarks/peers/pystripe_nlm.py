"""Stripes removed with pystripe's wavelet-FFT filter, then non-local means of scikit-image, slice by slice.

The settings of both are those that come closest to the truth in two slices: better than anybody could choose
without it. No destriping is one of the choices, and so is the strength that non-local means finds by itself.

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
from typing import NamedTuple

import numpy as np
import pystripe
from _case import psnr, read, write
from skimage.restoration import denoise_nl_means, estimate_sigma


class Stripes(NamedTuple):
    """Settings of pystripe: where the stripes run, width of the notch in pixels, levels (0: all), wavelet."""

    along: str
    width: int
    level: int
    wavelet: str

    def __str__(self) -> str:
        setting = f"sigma {self.width} level {self.level} {self.wavelet}"
        return f"pystripe {version('pystripe')} along {self.along} {setting}"


STRIPES = list(
    itertools.starmap(Stripes, itertools.product("xy", (8, 32, 128, 256), (1, 2, 3, 0), ("db3", "db10")))
)
PATCHES = (5, 7)  # sides of the patches that are compared
STRENGTHS = (None, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.3)  # h in standard deviations of the noisy stack

# pystripe works on 16-bit counts and takes their logarithm. This high above zero that is nearly linear, as
# additive noise asks for.
LOWEST, HIGHEST = 50_000, 60_000


def destripe(image: np.ndarray, stripes: Stripes | None, limits: tuple[float, float]) -> np.ndarray:
    """One slice without stripes."""
    if stripes is None:
        return image
    low, high = limits
    scale = (HIGHEST - LOWEST) / (high - low)
    counts = np.rint((image - low) * scale + LOWEST).astype(np.uint16)
    upright = stripes.along == "y"  # pystripe itself knows horizontal ones only
    filtered = pystripe.filter_streaks(
        counts.T if upright else counts, [stripes.width, stripes.width], stripes.level, stripes.wavelet
    )
    return ((filtered.T if upright else filtered).astype(np.float32) - LOWEST) / scale + low


def smooth(image: np.ndarray, patch: int, h: float | None) -> np.ndarray:
    """Non-local means; without a strength h, what scikit-image's documentation advises for its estimate."""
    sigma = 0.0
    if h is None:
        sigma = float(estimate_sigma(image))
        h = 0.8 * sigma
    return np.asarray(
        denoise_nl_means(image, patch_size=patch, patch_distance=6, h=h, sigma=sigma, fast_mode=True)
    )


def main() -> None:
    """Choose the settings on two slices, denoise all."""
    case = read()
    limits = float(case.noisy.min()), float(case.noisy.max())
    spread = float(case.noisy.std())
    samples = case.samples()

    best: tuple[float, Stripes | None, int, float | None] = (-np.inf, None, PATCHES[0], None)
    for stripes in [None, *STRIPES]:
        destriped = [destripe(case.noisy[z], stripes, limits) for z in samples]
        for patch, strength in itertools.product(PATCHES, STRENGTHS):
            h = None if strength is None else strength * spread
            quality = psnr(np.stack([smooth(image, patch, h) for image in destriped]), case.clean[samples])
            best = max(best, (quality, stripes, patch, strength), key=lambda choice: choice[0])
    _, stripes, patch, strength = best

    h = None if strength is None else strength * spread
    start = time.perf_counter()
    denoised = np.stack([smooth(destripe(image, stripes, limits), patch, h) for image in case.noisy])
    seconds = time.perf_counter() - start
    settings = (
        f"{stripes or 'no destriping'}, non-local means patch {patch} "
        f"h {'automatic' if strength is None else f'{strength:g} sd'}; chosen with the truth"
    )
    write(denoised, settings, seconds)


if __name__ == "__main__":
    main()
