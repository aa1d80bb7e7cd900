"""BM3D for correlated noise by its authors, slice by slice, given the true power spectrum of the noise.

Nobody who has only the noisy stack knows that spectrum. On top of it, profile and strength of the filter are
those that come closest to the truth in the middle slice. (The package is for nonprofit use only.)

References
----------
Mäkinen, Y., Azzari, L. & Foi, A. Collaborative filtering of correlated noise: exact transform-domain variance
for improved shrinkage and patch matching. IEEE Transactions on Image Processing 29 (2020), 8339-8354.
Dabov, K., Foi, A., Katkovnik, V. & Egiazarian, K. Image denoising by sparse 3-D transform-domain
collaborative filtering. IEEE Transactions on Image Processing 16 (2007), 2080-2095.
"""

from __future__ import annotations

import itertools
import time
from importlib.metadata import version

import numpy as np
from _case import psnr, read, write
from bm3d import BM3DProfile, BM3DProfileRefilter, bm3d

PROFILES = {"np": BM3DProfile, "refilter": BM3DProfileRefilter}
STRENGTHS = (0.8, 1.0, 1.2, 1.4, 1.7, 2.0)  # 1: as much filtering as the spectrum says


def main() -> None:
    """Choose the settings on the middle slice, denoise all."""
    case = read()
    # bm3d wants the noise's power under an unscaled fft2, which is ours: s ** 2 * Y * X everywhere gives
    # exactly what the standard deviation s alone gives. The scale of the values does not matter (0.001 dB).
    power = case.noise_power.astype(np.float64)
    middle = len(case.noisy) // 2

    def denoise(image: np.ndarray, name: str, strength: float) -> np.ndarray:
        profile = PROFILES[name]()
        profile.filter_strength = strength
        return np.asarray(bm3d(image.astype(np.float64), power, profile))

    choices = itertools.product(PROFILES, STRENGTHS)
    name, strength = max(choices, key=lambda c: psnr(denoise(case.noisy[middle], *c), case.clean[middle]))

    start = time.perf_counter()
    denoised = np.stack([denoise(image, name, strength) for image in case.noisy])
    seconds = time.perf_counter() - start
    settings = f"bm3d {version('bm3d')}, true noise spectrum, profile {name}, strength {strength:g}"
    write(denoised, f"{settings}; chosen with the truth", seconds)


if __name__ == "__main__":
    main()
