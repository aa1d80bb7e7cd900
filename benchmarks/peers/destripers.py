"""Stripes along Y removed by pystripe and by VSNR, each with the settings that come closest to the truth.

That is better than anybody could choose without the truth. ``python destripers.py CASE.npz OUT.npz``; the
case holds the stack ``noisy`` and the ``stripes`` in it, (Z, Y, X).

References
----------
Münch, B., Trtik, P., Marone, F. & Stampanoni, M. Stripe and ring artifact removal with combined
wavelet-Fourier filtering. Optics Express 17 (2009), 8567-8591.
Fehrenbach, J., Weiss, P. & Lorenzo, C. Variational algorithms to remove stationary noise. IEEE Transactions
on Image Processing 21 (2012), 4420-4430.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable

import numpy as np
from pystripe_nlm import Stripes, destripe
from pyvsnr.vsnr2d import vsnr2d_py

WAVELETS = [
    Stripes("y", *setting)
    for setting in itertools.product((4, 8, 16, 32, 64, 128), (2, 3, 4, 0), ("db3", "db10"))
]
GABORS = list(itertools.product((3, 10, 30, 100, 300), (30, 100, 300), (0.5, 1, 2)))
"""Strength, and sigma along and across the stripes in pixels."""


def best(
    settings: Iterable,
    filtered: Callable[[np.ndarray, object], np.ndarray],
    noisy: np.ndarray,
    stripes: np.ndarray,
) -> tuple[float, str]:
    """Power of what is wrong in what is taken, in decibels of that of the stripes; and the settings."""

    def wrong(setting: object) -> float:
        errors = [
            (image - filtered(image, setting) - part).var()
            for image, part in zip(noisy, stripes, strict=True)
        ]
        return float(10 * np.log10(np.sum(errors) / np.sum(stripes.var(axis=(1, 2)))))

    return min((wrong(setting), str(setting)) for setting in settings)


def main() -> None:
    """Try all settings of both on a case."""
    with np.load(sys.argv[1]) as file:
        noisy, stripes = file["noisy"], file["stripes"]
    limits = float(noisy.min()), float(noisy.max())

    def gabor(image: np.ndarray, setting: tuple[float, float, float]) -> np.ndarray:
        level, along, across = setting
        shape = {"name": "Gabor", "noise_level": level, "sigma": (along, across), "theta": 90}
        return vsnr2d_py(image, [shape], maxit=60)

    pystripe = best(WAVELETS, lambda image, setting: destripe(image, setting, limits), noisy, stripes)
    vsnr = best(GABORS, gabor, noisy, stripes)
    settings = f"{pystripe[1]}; VSNR {vsnr[1]}"
    np.savez(sys.argv[2], pystripe=pystripe[0], VSNR=vsnr[0], settings=settings)


if __name__ == "__main__":
    main()
