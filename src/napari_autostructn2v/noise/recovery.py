"""Spectral recovery: bring back from the residual the detail that a blind spot cannot predict.

What a network takes out, original minus denoised, is noise and the part of the image that cannot be told
from the surroundings of a pixel. In flat background the residual is noise alone; where it holds more than
that, at a frequency or at a place, the rest is detail. Two steps, both of them Wiener gains that need no
truth: first in the spectrum of the whole stack, then, of what that leaves, locally: at the frequencies of
what repeats in the sample, as the wall of a microtubule does, and in four bands. And what the network draws
too strongly is taken back (:mod:`~napari_autostructn2v.noise.overdrawn`).

References
----------
Wiener, N. Extrapolation, Interpolation and Smoothing of Stationary Time Series. MIT Press (1949).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from scipy import fft, ndimage
from torch.nn.functional import avg_pool2d, interpolate

from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.noise.overdrawn import overdrawn
from napari_autostructn2v.noise.rings import frequency_radius
from napari_autostructn2v.noise.spectrum import full_from_rfft2_centred, power, tile_spectra
from napari_autostructn2v.noise.tiles import (
    Tiles,
    batches,
    choose_tiles,
    sampled_slices,
    tile_corners,
    tile_side,
)
from napari_autostructn2v.residual import residual_of
from napari_autostructn2v.stack import Stack, as_stack
from napari_autostructn2v.threads import THREADS, in_background
from napari_autostructn2v.tiling import Tile, tiles

FLAT_SHARE = 0.25
"""Share of the tiles, the flattest ones, in which the residual is taken for noise alone."""

NOISE_MARGIN_SE = 0.5
"""Standard errors by which the noise spectrum is taken as higher than measured."""

SURE_SE = 5.0
"""Standard errors by which a single frequency that surely is of the sample stands out of noise."""

CHANCE_SE = 3.0
"""Standard errors by which a frequency of the background stands out of those beside it by chance."""

NOISE_ENERGY_QUANTILE = 0.9
"""Quantile of the local energy in flat background that is still taken for noise."""

DETAIL_ENERGY_FACTOR = 1.5
"""Energy over that quantile from which it is detail. At 1, patches of stripes came back here and there; at
1.5 the worst are half as strong, and nine tenths of the gain remain."""

BANDS = (0.7, 1.4, 2.8, 5.6)
"""Sigmas in pixels between which the local step looks at each band by itself."""

LEAST_SHARE = 0.05
"""Share of detail in what the first step finds, below which nothing tells one place from another."""

NEIGHBOURHOOD = 8.0
"""Sigma in pixels over which the energy of a band is averaged."""

POOL = 4
"""Pixels of the coarser grid on which those averages are computed, and what follows from them."""

SIDE = 2048
"""Side in pixels of what is looked at at once: a power of two. The memory it takes is that of any slice."""

ENOUGH_PLACES = 2**19
"""So many of that grid say well enough what energies a band has; of more, evenly spread ones are taken."""

_BACKGROUND = AnalysisConfig(flat_share=FLAT_SHARE)


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
        if self.found_calm > 0:
            # its gain is right where there is as much detail as on average; where there is less, less is
            share = _detail_share(_energy(found), self.found_calm) / np.float32(self.found_share)
            found *= _finer(np.minimum(share, 1), found.shape)
        for (band, energy), calm in zip(bands, self.calm, strict=True):
            found += band * _finer(_detail_share(energy, calm), band.shape)
        if self.overdrawn is not None:
            spectrum, shape, back = self._transformed(denoised)
            found -= back(spectrum * self._response(shape, "overdrawn"))
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
            fine = np.ones((), np.float32)
            for sigma in BANDS:
                rows, columns = (_gaussian_response(sigma, size) for size in shape)
                coarse = rows[:, None] * columns[: rest.shape[1]]
                band = filtered(rest * (fine - coarse))
                yield band, _energy(band)
                fine = coarse
            if repeating is not None:
                band = filtered(repeating)
                yield band, _energy(band)

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
            response = fft.rfft2(np.roll(gain, (-half, -half), axis=(0, 1))).real
            self._responses[shape, which] = response
        return response


def recovery_slices(stack: Stack) -> list[int]:
    """The only slices that :func:`find_recovery` reads.

    Parameters
    ----------
    stack
        The raw data, or what a notch left of them.
    """
    return sampled_slices(stack, tile_side(stack, _BACKGROUND))


def find_recovery(stack: Stack, denoised: Stack) -> Recovery | None:
    """Measure the residual of a stack; None if all of it is flat, so that there is nothing to bring back.

    Parameters
    ----------
    stack
        What the network was given: the raw data, or what a notch left of them.
    denoised
        What it made of them. Nothing but the :func:`recovery_slices` is read.
    """
    background = choose_tiles(stack, denoised, _BACKGROUND)
    side, count = background.side, len(background.corners)
    flat_tiles = set(background.corners)
    corners = tile_corners(stack, side)
    slices = sorted({z for z, _, _ in background.corners})
    residuals = residual_of(stack, denoised)

    made = as_stack(denoised, like=stack)

    def measured(z: int) -> tuple[np.ndarray, bool]:
        """Sums over tiles, (4, T, T // 2 + 1), and whether all that was looked at is flat.

        The residual's power in all tiles and in flat ones, its cross-spectrum with the result, whose power.

        Parameters
        ----------
        z
            Index of the slice.
        """
        result = made.plane(z)
        residual = stack.plane(z) - result
        here = np.array([(z, *corner) in flat_tiles for corner in corners])
        sums = np.zeros((4, side, side // 2 + 1))
        for some in batches(corners):
            left, drawn = (tile_spectra(image, corners[some], side) for image in (residual, result))
            powers = power(left)
            sums[0] += powers.sum(axis=0)
            sums[1] += powers[here[some]].sum(axis=0)
            sums[2] += (left * drawn.conj()).real.sum(axis=0)
            sums[3] += power(drawn).sum(axis=0)
        _, rest = _places(background, z, corners, residual.shape)
        return sums, not rest.any()

    sums, all_flat = np.zeros((4, side, side // 2 + 1)), True
    for of_slice, nothing_else in in_background(measured, slices, threads=THREADS):
        sums += of_slice
        all_flat &= nothing_else
    whole, noise, along, drawn = map(full_from_rfft2_centred, sums)
    tiles_seen = len(corners) * len(slices)
    excess = overdrawn(along, drawn, whole, tiles_seen)
    whole /= tiles_seen
    noise /= count
    if all_flat or not noise.any():
        return None
    gain, repeats = _gains(whole, noise, tiles_seen, count)
    first_step = Recovery(
        _impulse(gain),
        (),
        _impulse(repeats) if repeats.any() else None,
        overdrawn=None if excess is None else _impulse(excess),
    )
    (of_found, *energies), flat = _energies(first_step, residuals, background)
    # where all that was looked at is flat, nothing says that noise is stronger elsewhere
    elsewhere = np.median(energies[0][~flat]) if not flat.all() else 0.0
    stronger = max(1.0, float(elsewhere / np.median(energies[0][flat])))
    calm = [stronger * DETAIL_ENERGY_FACTOR * float(np.quantile(energy[flat], NOISE_ENERGY_QUANTILE))
            for energy in energies[: len(BANDS)]]  # fmt: skip
    # at the few frequencies of what repeats nothing else is expected: what exceeds the noise is taken
    calm += [stronger * float(energy[flat].mean()) for energy in energies[len(BANDS) :]]
    noise_found, all_found = float(of_found[flat].mean()), float(of_found.mean())
    share = 1 - noise_found / all_found if all_found > 0 else 0.0
    if share < LEAST_SHARE:  # what differs from place to place is chance
        return replace(first_step, calm=tuple(calm))
    return replace(first_step, calm=tuple(calm), found_calm=noise_found, found_share=share)


def _gains(
    whole: np.ndarray, noise: np.ndarray, tiles: int, flat_tiles: int
) -> tuple[np.ndarray, np.ndarray]:
    """The share of the residual at each frequency that is detail: everywhere, and of what repeats.

    Parameters
    ----------
    whole, noise
        Power of the residual in all tiles and in the flat ones, (T, T), centred.
    tiles, flat_tiles
        How many these are.
    """
    around, calm = (ndimage.uniform_filter(power, 3, mode="wrap") for power in (whole, noise))
    calm *= 1 + NOISE_MARGIN_SE / np.sqrt(2 * flat_tiles)
    # noise that follows the brightness is stronger elsewhere than in the background
    stronger = max(1.0, float(np.median((around / calm)[frequency_radius(len(whole)) > 0.4])))
    gain = np.clip(1 - stronger * calm / around, 0, 1)
    # a repeat is a peak of single frequencies, which the average over those beside it would hide; what is a
    # peak in the background as well is noise
    alone = stronger * np.maximum(noise, calm)
    error = np.sqrt(whole**2 / tiles + alone**2 / flat_tiles)
    peaks = (whole - alone > SURE_SE * error) & (noise < calm * (1 + CHANCE_SE / np.sqrt(flat_tiles)))
    return np.where(peaks, 0, gain), peaks.astype(float)


def _impulse(gain: np.ndarray) -> np.ndarray:
    """The filter with this gain, both (T, T), centred."""
    return np.asarray(fft.fftshift(fft.ifft2(fft.ifftshift(gain)).real))


def _places(
    background: Tiles, z: int, corners: list[tuple[int, int]], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Where a slice is flat, and where else its tiles lie, bool (Y, X)."""
    flat, seen = np.zeros((2, *shape), dtype=bool)
    flat_tiles = [(y, x) for of, y, x in background.corners if of == z]
    for mask, some in ((flat, flat_tiles), (seen, corners)):
        for y, x in some:
            mask[y : y + background.side, x : x + background.side] = True
    return flat, seen & ~flat


def _energies(first_step: Recovery, residuals: Stack, background: Tiles) -> tuple[np.ndarray, np.ndarray]:
    """Energy of what the first step finds and of each band of the rest, (bands, places); which are flat."""
    corners = tile_corners(residuals, background.side)
    slices = sorted({z for z, _, _ in background.corners})
    seen = min(math.prod(residuals.shape[1:]), len(corners) * background.side**2)
    step = 2 ** max(0, math.ceil(math.log2(len(slices) * seen / POOL**2 / ENOUGH_PLACES) / 2))

    def measured(z: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        residual = residuals.plane(z)
        flat, rest = _places(background, z, corners, residual.shape)
        energies, which = [], []
        for tile in first_step.tiles(residual.shape):
            found, bands = first_step.split(residual[tile.source])
            around = [_energy(found), *(energy for _, energy in bands)]
            inner = tuple(slice(side.start // POOL, -(-side.stop // POOL), step) for side in tile.inner)
            here, other = (mask[tile.target][:: POOL * step, :: POOL * step] for mask in (flat, rest))
            energies.append(np.array([energy[inner][here | other] for energy in around]))
            which.append(here[here | other])
        return energies, which

    energies, which = [], []
    for some, of_some in in_background(measured, slices, threads=THREADS):
        energies += some
        which += of_some
    return np.concatenate(energies, axis=1), np.concatenate(which)


@lru_cache(maxsize=64)
def _gaussian_response(sigma: float, size: int) -> np.ndarray:
    """The share of each of the ``size`` frequencies along an axis that a Gaussian lets through, float32."""
    lag = np.minimum(np.arange(size), size - np.arange(size))
    weights = np.exp(-0.5 * (lag / sigma) ** 2) * (lag <= round(4 * sigma))
    return np.asarray(fft.fft(weights / weights.sum()).real, dtype=np.float32)


def _energy(band: np.ndarray) -> np.ndarray:
    """Mean square over the neighbourhood of each pixel, on a coarser grid: it is smooth."""
    pooled = avg_pool2d(torch.from_numpy(np.square(band))[None, None], POOL, ceil_mode=True)
    return np.asarray(ndimage.gaussian_filter(pooled[0, 0].numpy(), NEIGHBOURHOOD / POOL))


def _detail_share(energy: np.ndarray, calm: float) -> np.ndarray:
    """The share of the energy around a place that is detail, if so much of it is noise."""
    return np.clip(1 - np.float32(calm) / np.maximum(energy, np.finfo(np.float32).tiny), 0, 1)


def _finer(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An image of the coarser grid on that of the pixels."""
    fine = interpolate(torch.from_numpy(image)[None, None], scale_factor=POOL, mode="bilinear")
    return np.asarray(fine[0, 0, : shape[0], : shape[1]].numpy())
