"""Structured noise that reaches beyond any small kernel: whole lines, curtains, waves, grids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_autostructn2v.synthetic.noise import Noise, Shape


@dataclass(frozen=True)
class RowOffsets(Noise):
    """Each row of each slice lifted or lowered as a whole, as a jumping baseline does."""

    long_range = True

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        return np.broadcast_to(rng.standard_normal((*shape[:2], 1)), shape)

    def correlation(self, dz: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
        return ((dz == 0) & (dy == 0)).astype(float)


@dataclass(frozen=True)
class Columns(Noise):
    """Gain differences of a detector's columns, the same in every slice."""

    long_range = fixed = True

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        return np.broadcast_to(rng.standard_normal(shape[2]), shape)

    def correlation(self, dz: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
        return (dx == 0).astype(float)


@dataclass(frozen=True)
class Hum(Noise):
    """Mains hum: one oblique wave whose phase is another in each slice and wanders from row to row.

    Attributes
    ----------
    frequency
        Along Y and X, in cycles per pixel.
    drift
        Standard deviation of the step of the phase from one row to the next, in radians.
    """

    frequency: tuple[float, float] = (0.13, 0.07)
    drift: float = 0.02
    long_range = True

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        depth, height, width = shape
        phase = rng.uniform(0, 2 * np.pi, (depth, 1, 1))
        phase = phase + np.cumsum(self.drift * rng.standard_normal((depth, height, 1)), axis=1)
        y, x = np.mgrid[:height, :width]
        wave = self.frequency[0] * y + self.frequency[1] * x
        return np.asarray(np.sqrt(2) * np.sin(2 * np.pi * wave + phase))

    def correlation(self, dz: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
        wave = np.cos(2 * np.pi * (self.frequency[0] * dy + self.frequency[1] * dx))
        return np.asarray((dz == 0) * wave * np.exp(-0.5 * self.drift**2 * np.abs(dy)))


@dataclass(frozen=True)
class Grid(Noise):
    """Seams of a detector's readout blocks: every so many pixels a lifted row and column, in every slice.

    Attributes
    ----------
    period
        Distance of the seams in pixels.
    """

    period: int = 8
    long_range = fixed = True

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        comb_y, comb_x = (self._comb(n, int(rng.integers(self.period))) for n in shape[1:])
        return np.broadcast_to((comb_y[:, None] + comb_x) / np.sqrt(2), shape)

    def _comb(self, size: int, phase: int) -> np.ndarray:
        share = 1 / self.period
        seams = (np.arange(size) + phase) % self.period == 0
        return np.asarray((seams - share) / np.sqrt(share * (1 - share)))

    def correlation(self, dz: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
        alike = [np.where(d % self.period == 0, 1.0, -1 / (self.period - 1)) for d in (dy, dx)]
        return np.asarray(sum(alike) / 2)


@dataclass(frozen=True)
class Curtains(Noise):
    """Stripes along Y that start and end anywhere, as a milled surface shows them.

    Attributes
    ----------
    lengths
        Shortest and longest stripe in pixels; between them every ratio is as likely.
    width
        Sigma across, in pixels.
    every
        One stripe starts in so many pixels of a row, on average.
    """

    lengths: tuple[float, float] = (60.0, 1000.0)
    width: float = 1.0
    every: float = 25.0
    long_range = True
    usual = (1.5, 0.3)

    @property
    def _mean_length(self) -> float:
        shortest, longest = self.lengths
        return (longest - shortest) / np.log(longest / shortest)

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        depth, height, width = shape
        margin = self.lengths[1] / 2
        # as many as cross what is seen, on average: a row by one in every so many pixels
        side = 3 * self.width
        count = (width + 2 * side) / self.every * (height + 2 * margin) / self._mean_length
        y, x = np.arange(height), np.arange(width)
        field = np.zeros(shape)
        for z in range(depth):
            for _ in range(rng.poisson(count)):
                length = np.exp(rng.uniform(*np.log(self.lengths)))
                middle, place = rng.uniform(-margin, height + margin), rng.uniform(-side, width + side)
                across = np.exp(-0.5 * ((x - place) / self.width) ** 2)
                along = np.abs(y - middle) < length / 2
                field[z, along] += rng.standard_normal() * across
        return field / np.sqrt(np.sqrt(np.pi) * self.width / self.every)

    def correlation(self, dz: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
        shortest, longest = self.lengths
        # a stripe of length l holds a lag d in l - d places: averaged over the lengths
        lag = np.abs(dy).astype(float)
        least = np.clip(lag, shortest, longest)
        along = np.maximum(longest - least - lag * np.log(longest / least), 0) / (longest - shortest)
        return np.asarray((dz == 0) * along * np.exp(-0.25 * (dx / self.width) ** 2))
