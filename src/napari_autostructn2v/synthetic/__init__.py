"""A generated tomogram and the structured noise of real microscopes, with the truth known.

NumPy and SciPy only, no downloads: the built-in sample, the tests and the benchmarks draw from here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_autostructn2v.config import Mode
from napari_autostructn2v.errors import ConfigError
from napari_autostructn2v.kernel import trim_kernel
from napari_autostructn2v.synthetic.families import NOISE_FAMILIES
from napari_autostructn2v.synthetic.image import atoms, crystal, filament, layers, tomogram
from napari_autostructn2v.synthetic.noise import Noise

__all__ = [
    "NOISE_FAMILIES",
    "Noise",
    "Sample",
    "atoms",
    "crystal",
    "degraded",
    "filament",
    "layers",
    "sample",
    "tomogram",
]


@dataclass(frozen=True, eq=False)
class Sample:
    """A noisy stack and its truth.

    Attributes
    ----------
    noisy, clean
        float32 (Z, Y, X); the clean stack has zero mean and unit variance.
    noise
        The structured noise in it.
    structured, white
        Standard deviations of the structured and of the white noise.
    voxel_size
        Side of a voxel in nanometres.
    """

    noisy: np.ndarray
    clean: np.ndarray
    noise: Noise
    structured: float
    white: float
    voxel_size: float = 1.0

    def oracle_kernel(
        self, mode: Mode = "2d", *, max_lag: int = 15, min_correlation: float = 0.05, max_pixels: int = 61
    ) -> np.ndarray:
        """The kernel that the truth asks for: every neighbour that shares noise, long-range noise aside.

        Parameters
        ----------
        mode
            ``"2.5d"`` gives a kernel of three slices.
        max_lag
            Farthest neighbour in pixels.
        min_correlation
            What counts as shared: correlation of the whole noise, the white noise included.
        max_pixels
            Most pixels in a slice of the kernel; those of the strongest correlation are taken.
        """
        total = self.structured**2 + self.white**2
        correlation = np.zeros((3, 2 * max_lag + 1, 2 * max_lag + 1))
        for noise, share in self.noise.parts():
            if not noise.long_range:
                correlation += share * self.structured**2 / total * noise.autocorrelation(max_lag)
        correlation = np.abs(correlation)
        correlation[1, max_lag, max_lag] = 1
        weakest = np.sort(correlation.reshape(3, -1))[:, -max_pixels]
        kernel = correlation >= np.maximum(weakest, min_correlation)[:, None, None]
        return trim_kernel(kernel if mode == "2.5d" else kernel[1])

    def noise_power(self) -> np.ndarray:
        """Expected power spectrum of the whole noise of a slice, ``fft2`` layout, float64 (Y, X)."""
        power = self.structured**2 * self.noise.power(self.clean.shape[1:]) + self.white**2
        return power * self.clean.shape[1] * self.clean.shape[2]


def sample(
    noise: str | Noise,
    *,
    shape: tuple[int, int, int] = (24, 160, 160),
    structured: float | None = None,
    white: float | None = None,
    seed: int = 0,
) -> Sample:
    """A generated tomogram with one family of noise.

    Parameters
    ----------
    noise
        The structured noise, or the name of a family.
    shape
        Slices, rows and columns.
    structured, white
        Standard deviations of the structured and of the white noise, in those of the clean image; by
        default as strong as the family comes.
    seed
        Of image and noise.

    Raises
    ------
    ConfigError
        If there is no such family.
    """
    rng = np.random.default_rng(seed)
    return degraded(tomogram(shape, rng), noise, structured=structured, white=white, rng=rng)


def degraded(
    clean: np.ndarray,
    noise: str | Noise,
    *,
    structured: float | None = None,
    white: float | None = None,
    rng: np.random.Generator,
) -> Sample:
    """A clean stack of one's own with noise added; the parameters are those of :func:`sample`.

    Parameters
    ----------
    clean
        Shape (Z, Y, X), any scale: it is brought to zero mean and unit variance.
    noise, structured, white
        As for :func:`sample`.
    rng
        Source of the noise.

    Raises
    ------
    ConfigError
        If there is no such family.
    """
    if isinstance(noise, str):
        if noise not in NOISE_FAMILIES:
            raise ConfigError(f"There is no noise {noise!r}. Choose one of {', '.join(NOISE_FAMILIES)}.")
        noise = NOISE_FAMILIES[noise]
    structured = noise.usual[0] if structured is None else structured
    white = noise.usual[1] if white is None else white
    clean = (clean - clean.mean()) / clean.std()
    noisy = clean + structured * noise.draw(clean.shape, rng) + white * rng.standard_normal(clean.shape)
    return Sample(noisy.astype(np.float32), clean.astype(np.float32), noise, structured, white)
