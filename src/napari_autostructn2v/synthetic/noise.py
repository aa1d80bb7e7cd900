"""Families of structured noise, each with its exact autocorrelation, and so with the kernel that is right.

Every family has unit variance and says by how much a pixel's noise is shared with its neighbours. That makes
the truth of a benchmark: the kernel found can be held against the kernel that should have been.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import fft, interpolate, signal

Shape = tuple[int, int, int]


class Noise(ABC):
    """Structured noise of zero mean and unit variance."""

    long_range: ClassVar[bool] = False
    """Whether it reaches beyond any small kernel, so that only a notch removes it."""
    fixed: ClassVar[bool] = False
    """Whether it is the same in every slice."""
    usual: ClassVar[tuple[float, float]] = (0.7, 0.5)
    """Standard deviations of it and of the white noise beside it, as strong as it comes in microscopes, in
    those of the image."""

    def parts(self) -> list[tuple[Noise, float]]:
        """The independent noises it is made of, each with its share of the variance."""
        return [(self, 1.0)]

    @abstractmethod
    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """A field of shape (Z, Y, X).

        Parameters
        ----------
        shape
            Slices, rows and columns.
        rng
            Source of chance.
        """

    @abstractmethod
    def correlation(self, dz: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
        """Autocorrelation at integer lags, arrays of one shape.

        Parameters
        ----------
        dz, dy, dx
            Integer lags along each axis, arrays of one shape.
        """

    def autocorrelation(self, reach: int, white_share: float = 0.0) -> np.ndarray:
        """Autocorrelation within ``reach`` pixels and one slice, (3, 2 * reach + 1, 2 * reach + 1).

        Parameters
        ----------
        reach
            Farthest lag in pixels.
        white_share
            Share of the total variance that is white noise on top: it belongs to lag 0 alone.
        """
        lags = np.meshgrid((-1, 0, 1), *(np.arange(-reach, reach + 1),) * 2, indexing="ij")
        correlation = (1 - white_share) * self.correlation(*lags)
        correlation[1, reach, reach] = 1.0
        return correlation

    def power(self, shape: tuple[int, int]) -> np.ndarray:
        """Expected power spectrum of a slice, ``fft2`` layout, float64 (Y, X); white noise is 1 everywhere.

        Of a finite slice, not of an endless one: the lags a slice holds, each as often as it holds them.

        Parameters
        ----------
        shape
            Rows and columns.
        """
        axes = [np.r_[0:n, 1 - n : 0] for n in shape]
        dy, dx = np.meshgrid(*axes, indexing="ij")
        height, width = shape
        held = (1 - np.abs(dy) / height) * (1 - np.abs(dx) / width)
        aliased = self.correlation(np.zeros_like(dy), dy, dx) * held
        # lags d and d - n are the same to the transform of a slice
        folded = np.zeros(shape)
        np.add.at(folded, (dy % height, dx % width), aliased)
        return np.maximum(fft.fft2(folded).real, 0)


@dataclass(frozen=True)
class White(Noise):
    """Independent from pixel to pixel: the control."""

    usual = (0.0, 0.5)

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal(shape)

    def correlation(self, dz: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
        return ((dz == 0) & (dy == 0) & (dx == 0)).astype(float)


@dataclass(frozen=True)
class ScanLines(Noise):
    """First-order autoregressive noise along a row (or a column), as a slowly drifting detector writes it.

    Attributes
    ----------
    rho
        Correlation of two neighbouring pixels of a line; it falls off as ``rho ** lag``.
    along
        ``"x"`` or ``"y"``.
    slices
        Weights with which slices z-1, z and z+1 share it.
    """

    rho: float = 0.9
    along: str = "x"
    slices: tuple[float, float, float] = (0.0, 1.0, 0.0)

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        innovations = rng.standard_normal((shape[0] + 2, *shape[1:]))
        axis = 2 if self.along == "x" else 1
        first = (slice(None),) * axis + (0,)
        innovations[first] /= np.sqrt(1 - self.rho**2)  # the first pixel already has the stationary variance
        lines = signal.lfilter([np.sqrt(1 - self.rho**2)], [1.0, -self.rho], innovations, axis=axis)
        mixed = sum(w * lines[i : i + shape[0]] for i, w in enumerate(self.slices))
        return np.asarray(mixed / np.linalg.norm(self.slices))

    def correlation(self, dz: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
        along, across = (dx, dy) if self.along == "x" else (dy, dx)
        weights = np.correlate(self.slices, self.slices, mode="full")
        shared = np.where(np.abs(dz) <= 2, weights[np.clip(dz + 2, 0, 4)], 0) / weights[2]
        return np.asarray((across == 0) * self.rho ** np.abs(along) * shared)


@dataclass(frozen=True)
class WeakLines(ScanLines):
    """Such lines beside white noise that is three times as strong: the eye sees them, no frequency shows."""

    usual = (0.2, 0.6)


class _Filtered(Noise):
    """White noise through a filter in the plane, of a given power spectrum."""

    margin = 64  # the transform wraps around: what would is cut off

    @abstractmethod
    def spectrum(self, fy: np.ndarray, fx: np.ndarray) -> np.ndarray:
        """Power at frequencies in cycles per pixel, of any scale."""

    def _spectrum(self, shape: tuple[int, int]) -> np.ndarray:
        power = self.spectrum(fft.fftfreq(shape[0])[:, None], fft.fftfreq(shape[1])[None])
        return np.asarray(power / power.mean())

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        depth, height, width = shape
        gain = np.sqrt(self._spectrum((height + self.margin, width + self.margin)))
        planes = [fft.ifft2(gain * fft.fft2(rng.standard_normal(gain.shape))).real for _ in range(depth)]
        return np.stack([plane[:height, :width] for plane in planes])

    def correlation(self, dz: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
        side = 2 * max(256, int(np.abs(dy).max()), int(np.abs(dx).max()))
        table = fft.ifft2(self._spectrum((side, side))).real
        return np.asarray((dz == 0) * table[dy % side, dx % side])


@dataclass(frozen=True)
class Streaks(_Filtered):
    """Streaks at a slant: curtains of a milled surface, scratches of a knife.

    Attributes
    ----------
    angle
        From X upwards, in degrees.
    length
        Over which the correlation falls to 1/e, in pixels.
    width
        Sigma across, in pixels.
    """

    angle: float = 30.0
    length: float = 10.0
    width: float = 0.6

    def spectrum(self, fy: np.ndarray, fx: np.ndarray) -> np.ndarray:
        turn = np.radians(self.angle)
        along = fx * np.cos(turn) - fy * np.sin(turn)  # image rows run downwards
        across = fx * np.sin(turn) + fy * np.cos(turn)
        return np.asarray(
            np.exp(-((2 * np.pi * across * self.width) ** 2)) / (1 + (2 * np.pi * along * self.length) ** 2)
        )


@dataclass(frozen=True)
class Blur(_Filtered):
    """White noise blurred alike in all directions, as interpolation leaves it.

    Attributes
    ----------
    sigma
        Of the Gaussian, in pixels.
    """

    sigma: float = 0.8

    def spectrum(self, fy: np.ndarray, fx: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-((2 * np.pi * self.sigma) ** 2) * (fy**2 + fx**2)))


@dataclass(frozen=True)
class Reconstruction(Noise):
    """White noise of a single-axis tilt series after weighted back-projection.

    The tilt axis is Y. Each XZ plane is reconstructed on its own, so the noise is white along Y; the ramp
    filter and the missing wedge correlate it along X, with both signs, and along Z.

    Attributes
    ----------
    max_tilt, tilt_step
        In degrees.
    cutoff, falloff
        Radial limit of the ramp and sigma of its Gaussian edge, in cycles per pixel.

    References
    ----------
    Radermacher, M. Weighted back-projection methods. In: Electron Tomography (2006), 245-273.
    """

    max_tilt: float = 60.0
    tilt_step: float = 3.0
    cutoff: float = 0.25
    falloff: float = 0.05

    usual = (1.5, 0.2)  # a back-projection is nearly all structured noise

    @property
    def _tilts(self) -> np.ndarray:
        return np.radians(np.arange(-self.max_tilt, self.max_tilt + 1e-6, self.tilt_step))

    def _weighting(self, frequency: np.ndarray) -> np.ndarray:
        beyond = np.maximum(frequency - self.cutoff, 0)
        return np.asarray(frequency * np.exp(-0.5 * (beyond / self.falloff) ** 2))

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        depth, height, width = shape
        detector = int(np.ceil(np.hypot(depth, width))) + 4
        stack = np.zeros((depth, width, height), dtype=np.float32)
        z, x = np.meshgrid(np.arange(depth) - depth / 2, np.arange(width) - width / 2, indexing="ij")
        weighting = self._weighting(fft.rfftfreq(detector))[:, None]
        for tilt in self._tilts:
            noise = fft.rfft(rng.standard_normal((detector, height)), axis=0)
            projection = fft.irfft(noise * weighting, n=detector, axis=0).astype(np.float32)
            position = x * np.cos(tilt) + z * np.sin(tilt) + detector / 2
            left = np.clip(np.floor(position).astype(int), 0, detector - 2)
            weight = (position - left)[..., None].astype(np.float32)
            stack += (1 - weight) * projection[left] + weight * projection[left + 1]
        variance = self._covariance(np.zeros(1), np.zeros(1))[0]
        return np.ascontiguousarray(stack.transpose(0, 2, 1)) / np.sqrt(variance)

    def _covariance(self, dz: np.ndarray, dx: np.ndarray) -> np.ndarray:
        """A sum over the tilts of the projection's covariance at the lag as that tilt sees it."""
        samples = 1024
        projection = fft.irfft(self._weighting(fft.rfftfreq(samples)) ** 2, n=samples)
        # linear interpolation between detector pixels, at all positions alike, is a cubic B-spline of it
        lags = np.arange(-samples // 2, samples // 2 + 1)
        knots = np.arange(lags[0] - 2, lags[-1] + 3)
        spline = interpolate.BSpline(knots, projection[lags % samples], 3)
        return np.asarray(sum(spline(dx * np.cos(tilt) + dz * np.sin(tilt)) for tilt in self._tilts))

    def correlation(self, dz: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
        lags, index = np.unique(np.stack([dz.ravel(), dx.ravel()]), axis=1, return_inverse=True)
        table = self._covariance(*lags.astype(float)) / self._covariance(np.zeros(1), np.zeros(1))
        return np.asarray((dy == 0) * table[index].reshape(dx.shape))
