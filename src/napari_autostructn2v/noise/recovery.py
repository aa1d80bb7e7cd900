"""Spectral recovery: bring back from the residual the detail that a blind spot cannot predict.

What a network takes out, original minus denoised, is noise and the part of the image that cannot be told
from the surroundings of a pixel. In flat background the residual is noise alone; where it holds more than
that, at a frequency or at a place, the rest is detail. Two steps, both of them Wiener gains that need no
truth: first in the spectrum of the whole stack, then, of what that leaves, locally in four bands.

What repeats in the sample, as the wall of a microtubule does, is a peak of a few frequencies, and a filter of
a few frequencies spreads it over a whole tile, far beyond the wall: ripples in the background. So it is put
back to where the result shows something: band by band and place by place in turn, what is still missing is
looked for again, until both agree (Papoulis and Gerchberg).

And what the network draws too strongly is taken back (:mod:`~napari_autostructn2v.noise.overdrawn`).

References
----------
Wiener, N. Extrapolation, Interpolation and Smoothing of Stationary Time Series. MIT Press (1949).

Papoulis, A. A new algorithm in spectral analysis and band-limited extrapolation. IEEE Transactions on
Circuits and Systems 22, 735 (1975).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from scipy import fft, ndimage
from torch.nn.functional import avg_pool2d, interpolate

from napari_autostructn2v.tiling import Tile, tiles

BANDS = (0.7, 1.4, 2.8, 5.6)
"""Sigmas in pixels between which the local step looks at each band by itself."""

NEIGHBOURHOOD = 8.0
"""Sigma in pixels over which the energy of a band is averaged."""

POOL = 4
"""Pixels of the coarser grid on which those averages are computed, and what follows from them."""

NEAR = 3.0
"""Sigma in pixels over which it is averaged that a result shows something: as narrow as a membrane."""

FAINT = 0.25
"""Energy, as a share of the strongest within a tile around, below which less is there that could repeat."""

ROUNDS = 6
"""So often what repeats is looked for where it may be. After 6 a microtubule's wall has nine tenths of it."""

SIDE = 2048
"""Side in pixels of what is looked at at once: a power of two. The memory it takes is that of any slice."""


@dataclass(frozen=True, eq=False)
class Recovery:
    """How to tell detail from noise in a residual.

    Attributes
    ----------
    gain
        Impulse response of the first step, (T, T), T odd, centred.
    calm
        Energy of each band that is still noise.
    repeats
        Impulse response at the frequencies at which the sample repeats, likewise, which is one more band;
        None if there are none.
    found_calm
        Energy of what the first step finds that is still noise.
    found_share
        The share of detail in what it finds, over the whole stack.
    overdrawn
        Impulse response, likewise, of what is too strong in the result; None if hardly anything is.
    """

    gain: np.ndarray
    calm: tuple[float, ...]
    repeats: np.ndarray | None = None
    found_calm: float = 0.0
    found_share: float = 1.0
    overdrawn: np.ndarray | None = None
    _responses: dict[tuple[tuple[int, ...], str], np.ndarray] = field(
        default_factory=dict, init=False, repr=False
    )

    def detail(self, residual: np.ndarray, denoised: np.ndarray) -> np.ndarray:
        """The detail in the residual of a slice (Y, X), less what is overdrawn in it, float32.

        Parameters
        ----------
        residual
            Original minus denoised, float (Y, X), as the engine has them.
        denoised
            The slice as the network has made it, likewise.
        """
        found = np.empty(residual.shape, np.float32)
        for tile in self.tiles(residual.shape):
            around = self.detail_around(residual[tile.source], denoised[tile.source])
            found[tile.target] = around[tile.inner]
        return found

    def tiles(self, shape: tuple[int, ...]) -> Iterator[Tile]:
        """The tiles in which a slice (Y, X) is looked at, each with all that reaches into it.

        Parameters
        ----------
        shape
            Of the slice, in pixels.
        """
        # a Gaussian of SciPy ends at four sigmas
        reach = len(self.gain) // 2 + round(4 * BANDS[-1]) + round(4 * NEIGHBOURHOOD) + POOL
        if self.repeats is not None:  # each round reads what the one before found half a tile farther away
            reach += ROUNDS * (len(self.repeats) // 2)
        margin = -(-reach // POOL) * POOL + POOL
        return tiles(shape, (SIDE, SIDE), margin)

    def detail_around(self, residual: np.ndarray, denoised: np.ndarray) -> np.ndarray:
        """The detail in what one of the tiles reads, less what is overdrawn: right in the tile alone.

        Parameters
        ----------
        residual, denoised
            ``source`` of a tile of :meth:`tiles`, cut out of the slices, float (Y, X).
        """
        found, bands = self.split(residual)
        if self.repeats is not None or self.overdrawn is not None:
            drawn, shape, back = self._transformed(denoised)
        if self.found_calm > 0:
            # its gain is right where there is as much detail as on average; where there is less, less is
            share = _detail_share(energy_around(found), self.found_calm) / np.float32(self.found_share)
            found *= _finer(np.minimum(share, 1), found.shape)
        for band, (filtered, energy) in enumerate(bands):
            share = _finer(_detail_share(energy, self.calm[band]), filtered.shape)
            if band < len(BANDS):
                found += filtered * share
            else:
                structure = back(drawn * _band_response(BANDS[0], BANDS[-1], shape))
                found += self._repeating(residual, structure, share)
        if self.overdrawn is not None:
            found -= back(drawn * self._response(shape, "overdrawn"))
        return found

    def _repeating(self, residual: np.ndarray, structure: np.ndarray, share: np.ndarray) -> np.ndarray:
        """What repeats, where it does: where there is detail of these frequencies, and a result to hold it.

        Parameters
        ----------
        residual
            As for :meth:`detail_around`.
        structure
            What the result shows beside noise and brightness, likewise.
        share
            The share of detail in what has these frequencies, as far as they tell the place: within a tile.
        """
        shown = energy_around(structure, NEAR)
        strongest = ndimage.maximum_filter(shown, len(self.gain) // POOL)
        least = np.maximum(np.float32(FAINT) * strongest, np.finfo(np.float32).tiny)
        where = share * _finer(np.minimum(shown / least, 1), share.shape)
        found = np.zeros_like(share)
        for _ in range(ROUNDS):
            spectrum, shape, back = self._transformed(where * (residual - found))
            found += where * back(spectrum * self._response(shape, "repeats"))
        return found

    def split(self, residual: np.ndarray) -> tuple[np.ndarray, Iterator[tuple[np.ndarray, np.ndarray]]]:
        """What the first step finds in a residual (Y, X), and the bands of the rest; all of it float32.

        Each band comes with its energy around every pixel, on a grid that is :data:`POOL` times coarser. The
        bands are differences of Gaussians, and the last is what repeats. All filters multiply one spectrum,
        within a margin as wide as the farthest of them reaches.

        Parameters
        ----------
        residual
            A slice, or what a tile of :meth:`tiles` reads of it.
        """
        spectrum, shape, filtered = self._transformed(residual)
        found = spectrum * self._response(shape, "gain")
        repeating = None if self.repeats is None else spectrum * self._response(shape, "repeats")
        rest = spectrum - found if repeating is None else spectrum - found - repeating

        def bands() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for finer, coarser in itertools.pairwise((0.0, *BANDS)):
                band = filtered(rest * _band_response(finer, coarser, shape))
                yield band, energy_around(band)
            if repeating is not None:
                band = filtered(repeating)
                yield band, energy_around(band)

        return filtered(found), bands()

    def _transformed(
        self, image: np.ndarray
    ) -> tuple[np.ndarray, tuple[int, ...], Callable[[np.ndarray], np.ndarray]]:
        """The spectrum of an image with a margin, the shape of both together, and the way back."""
        margin = max(len(self.gain) // 2, round(4 * BANDS[-1]))
        shape = tuple(fft.next_fast_len(size + 2 * margin, real=True) for size in image.shape)
        inner = tuple(slice(margin, margin + size) for size in image.shape)
        beyond = [(margin, whole - size - margin) for whole, size in zip(shape, image.shape, strict=True)]
        spectrum = fft.rfft2(np.pad(image.astype(np.float32, copy=False), beyond, mode="reflect"))

        def back(part: np.ndarray) -> np.ndarray:
            return np.asarray(fft.irfft2(part, shape, overwrite_x=True)[inner])

        return spectrum, shape, back

    def _response(self, shape: tuple[int, ...], which: Literal["gain", "repeats", "overdrawn"]) -> np.ndarray:
        """The share of each frequency that is taken, as ``rfft2`` lays them out."""
        response = self._responses.get((shape, which))
        if response is None:  # two threads may both compute it: that is cheaper than waiting in turn
            impulse, gain = getattr(self, which), np.zeros(shape, np.float32)
            gain[: len(impulse), : len(impulse)] = impulse
            half = len(impulse) // 2
            # the spectrum of a slice is finer than that of a tile, and goes over its ends in between
            response = np.clip(fft.rfft2(np.roll(gain, (-half, -half), axis=(0, 1))).real, 0, 1)
            self._responses[shape, which] = response
        return response


def _band_response(finer: float, coarser: float, shape: tuple[int, ...]) -> np.ndarray:
    """The share of each frequency between two Gaussians of these sigmas, as ``rfft2`` lays them out."""
    through = []
    for sigma in (finer, coarser):
        rows, columns = (_gaussian_response(sigma, size) for size in shape)
        through.append(rows[:, None] * columns[: shape[1] // 2 + 1])
    return through[0] - through[1]


@lru_cache(maxsize=64)
def _gaussian_response(sigma: float, size: int) -> np.ndarray:
    """The share of each of the ``size`` frequencies along an axis that a Gaussian lets through, float32."""
    if sigma == 0:
        return np.ones(size, np.float32)
    lag = np.minimum(np.arange(size), size - np.arange(size))
    weights = np.exp(-0.5 * (lag / sigma) ** 2) * (lag <= round(4 * sigma))
    return np.asarray(fft.fft(weights / weights.sum()).real, dtype=np.float32)


def energy_around(band: np.ndarray, sigma: float = NEIGHBOURHOOD) -> np.ndarray:
    """Mean square over the neighbourhood of each pixel, on a coarser grid: it is smooth.

    Parameters
    ----------
    band
        What is in a slice, float32 (Y, X).
    sigma
        Of the neighbourhood, in pixels.
    """
    pooled = avg_pool2d(torch.from_numpy(np.square(band))[None, None], POOL, ceil_mode=True)
    return np.asarray(ndimage.gaussian_filter(pooled[0, 0].numpy(), sigma / POOL))


def _detail_share(energy: np.ndarray, calm: float) -> np.ndarray:
    """The share of the energy around a place that is detail, if so much of it is noise."""
    return np.clip(1 - np.float32(calm) / np.maximum(energy, np.finfo(np.float32).tiny), 0, 1)


def _finer(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An image of the coarser grid on that of the pixels."""
    fine = interpolate(torch.from_numpy(image)[None, None], scale_factor=POOL, mode="bilinear")
    return np.asarray(fine[0, 0, : shape[0], : shape[1]].numpy())
