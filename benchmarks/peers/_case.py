"""What passes between the benchmark and a peer: ``python PEER.py CASE.npz OUT.npz``, both NumPy archives.

A peer runs in an environment of its own, with NumPy but without this project's package.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Case:
    """A noisy stack and what a peer may know about it.

    Attributes
    ----------
    noisy, clean
        Stacks (Z, Y, X), float32. The truth only chooses settings of the classical filters.
    noise_power
        Expected ``abs(fft2(noise)) ** 2 / (Y * X)`` of a slice's noise, (Y, X), zero frequency first: its
        mean is the variance, and white noise of unit variance is 1 everywhere.
    axis
        Along which the mask of StructN2V lies: ``"x"``, ``"y"`` or ``"none"``.
    span
        Pixels of that mask, the centre included.
    steps
        Training steps of 12 patches of 64 × 64 that our own stages take.
    """

    noisy: np.ndarray
    clean: np.ndarray
    noise_power: np.ndarray
    axis: str
    span: int
    steps: int

    def samples(self) -> list[int]:
        """Two slices, inside the stack, on which settings are compared."""
        depth = len(self.noisy)
        return sorted({depth // 3, 2 * depth // 3})


def read() -> Case:
    """The case named first on the command line."""
    if len(sys.argv) != 3:
        raise SystemExit(f"usage: {sys.argv[0]} CASE.npz OUT.npz")
    with np.load(sys.argv[1]) as file:
        case = Case(
            noisy=file["noisy"],
            clean=file["clean"],
            noise_power=file["noise_power"],
            axis=str(file["axis"]),
            span=int(file["span"]),
            steps=int(file["steps"]),
        )
    # A spectrum of another scale goes unnoticed otherwise: BM3D then leaves all noise, or nothing, in place.
    variance, power = float(np.var(case.noisy - case.clean)), float(case.noise_power.mean())
    if not 0.1 < power / variance < 10:
        raise SystemExit(f"noise_power has a mean of {power:.3g}, but the noise a variance of {variance:.3g}")
    return case


def write(denoised: np.ndarray, settings: str, seconds: float) -> None:
    """Write the outcome to the file named second on the command line.

    Parameters
    ----------
    denoised
        Stack (Z, Y, X).
    settings
        What was run, for people.
    seconds
        Of computing; neither imports nor the search for settings, which nobody without the truth could make.
    """
    np.savez(sys.argv[2], denoised=denoised.astype(np.float32), settings=settings, seconds=seconds)


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in decibels after an affine fit, as in ``napari_autostructn2v.metrics``."""
    x, y = (np.asarray(a, dtype=np.float64).ravel() for a in (image, truth))
    gain = np.cov(x, y, bias=True)[0, 1] / max(x.var(), np.finfo(float).tiny)
    error = np.mean(np.square(gain * (x - x.mean()) - (y - y.mean())))
    return float(10 * np.log10(np.ptp(y) ** 2 / error))
