"""BM3D for correlated noise by its authors, slice by slice, given the true power spectrum of the noise.

Nobody who has only the noisy stack knows that spectrum. On top of it, profile and strength of the filter are
those that come closest to the truth in two slices. (The package is for nonprofit use only.)

References
----------
Mäkinen, Y., Azzari, L. & Foi, A. Collaborative filtering of correlated noise: exact transform-domain variance
for improved shrinkage and patch matching. IEEE Transactions on Image Processing 29 (2020), 8339-8354.
Dabov, K., Foi, A., Katkovnik, V. & Egiazarian, K. Image denoising by sparse 3-D transform-domain
collaborative filtering. IEEE Transactions on Image Processing 16 (2007), 2080-2095.
"""

from __future__ import annotations

import itertools
import os
import time
from importlib.metadata import version

import numpy as np
from _case import psnr, read, write
from bm3d import BM3DProfile, BM3DProfileRefilter, bm3d

PROFILES = {"np": BM3DProfile, "refilter": BM3DProfileRefilter}
STRENGTHS = (0.8, 1.0, 1.2, 1.4, 1.7, 2.0)  # 1: as much filtering as the spectrum says
THREADS = int(
    os.environ.get("OMP_NUM_THREADS", "0")
)  # not OpenMP's, but held to it as other peers are; 0: all


def main() -> None:
    """Choose the settings on two slices, denoise all."""
    case = read()
    # bm3d wants the power under an unscaled fft2: s ** 2 * Y * X everywhere gives exactly what the standard
    # deviation s alone gives. The scale of the values does not matter (0.001 dB).
    power = case.noise_power.astype(np.float64) * case.noise_power.size

    def denoise(images: np.ndarray, name: str, strength: float) -> np.ndarray:
        profile = PROFILES[name]()
        profile.filter_strength = strength
        profile.num_threads = THREADS
        return np.stack([bm3d(image.astype(np.float64), power, profile) for image in images])

    samples = case.samples()
    choices = itertools.product(PROFILES, STRENGTHS)
    name, strength = max(choices, key=lambda c: psnr(denoise(case.noisy[samples], *c), case.clean[samples]))

    start = time.perf_counter()
    denoised = denoise(case.noisy, name, strength)
    seconds = time.perf_counter() - start
    settings = f"bm3d {version('bm3d')}, true noise spectrum, profile {name}, strength {strength:g}"
    write(denoised, f"{settings}; chosen with the truth", seconds)


if __name__ == "__main__":
    main()
