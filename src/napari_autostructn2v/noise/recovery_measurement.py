"""Measure what tells detail from noise in the residual of a stack: its spectrum and its energies.

In the flattest tiles the residual is taken for noise alone, and what it holds beyond that in the others, at a
frequency or at a place, for detail (:mod:`~napari_autostructn2v.noise.recovery`).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import fft, ndimage

from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.noise.overdrawn import overdrawn
from napari_autostructn2v.noise.recovery import BANDS, POOL, Recovery, energy_around
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

LEAST_SHARE = 0.05
"""Share of detail in what the first step finds, below which nothing tells one place from another."""

ENOUGH_PLACES = 2**19
"""So many of that grid say well enough what energies a band has; of more, evenly spread ones are taken."""

_BACKGROUND = AnalysisConfig(flat_share=FLAT_SHARE)


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
    # the window of the tiles spreads a peak over the bins beside it
    spread = ndimage.binary_dilation(peaks, np.ones((3, 3)))
    return np.where(spread, 0, gain), np.where(peaks, 1, np.where(spread, gain, 0))


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
            around = [energy_around(found), *(energy for _, energy in bands)]
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
