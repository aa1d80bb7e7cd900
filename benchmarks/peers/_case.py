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
        Expected ``abs(fft2(noise)) ** 2`` of one slice, (Y, X), zero frequency first.
    axis
        Along which the noise is correlated: ``"x"``, ``"y"`` or ``"none"``.
    span
        Pixels along that axis that share noise, the centre included.
    steps
        Training steps of 12 patches of 64 × 64 that our own stages take.
    """

    noisy: np.ndarray
    clean: np.ndarray
    noise_power: np.ndarray
    axis: str
    span: int
    steps: int


def read() -> Case:
    """The case named first on the command line."""
    if len(sys.argv) != 3:
        raise SystemExit(f"usage: {sys.argv[0]} CASE.npz OUT.npz")
    with np.load(sys.argv[1]) as case:
        return Case(
            noisy=case["noisy"],
            clean=case["clean"],
            noise_power=case["noise_power"],
            axis=str(case["axis"]),
            span=int(case["span"]),
            steps=int(case["steps"]),
        )


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
