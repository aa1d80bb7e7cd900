"""The single peaks in the spectra of whole slices: waves, whether a hum's or a lattice's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import fft, ndimage

from napari_autostructn2v.noise.harmony import alone_beside, lattice_spots
from napari_autostructn2v.noise.patterns import Wave, _times
from napari_autostructn2v.noise.spectrum import full_from_rfft2, power
from napari_autostructn2v.stack import Stack
from napari_autostructn2v.threads import THREADS, in_background

SURROUNDINGS_WIDTH = 0.035
"""Width in cycles per pixel of what a peak is held against: what is broader is a kernel's business."""

MIN_PEAK_LOG_EXCESS = 1.2
"""Log power that a peak has above its surroundings."""

MIN_PEAK_STANDARD_ERRORS = 5.0
"""The same in standard errors of a single bin."""

MIN_WAVE_FREQUENCY = 0.02
"""Below this frequency (cycles per pixel) no single peak is taken: the image is strong there."""

COHERENT_POWER_SHARE = 0.4
"""Share of the power common to all slices from which a pattern counts as the same in all of them, or as going
on from slice to slice."""

MIN_SLICES_FOR_COHERENCE = 6
"""Slices below which it cannot be told what they have in common."""

LATTICE_LOG_EXCESS = 4.0
"""Log power of a wave above its surroundings from which it is surely a lattice's; below it may be chance."""

ON_AXIS_BINS = 0.75
"""Bins within which a peak lies on an axis, or at half the sampling frequency."""

FIELD_BLOCKS = 4
"""Blocks along each edge of a slice in which the strength of a wave is compared."""

FIELD_SLICES = 8
"""Slices in which that is done, at most."""

EVEN_POWER = 0.25
"""Share of the usual power of a wave that each block of the field has, if it covers the field."""

MAX_WAVES = 64
"""Most single peaks; more are no pattern but the spectrum's own roughness, and the strongest are kept."""


def find_waves(stack: Stack, chosen: list[int]) -> tuple[Wave, ...]:
    """Find single peaks of slices, which are gone through again for the phases of what is found.

    Parameters
    ----------
    stack
        The raw data, without what makes lines in its spectrum.
    chosen
        Slices to measure, with neighbours among them.
    """
    shape = stack.shape[1:]
    window = tuple(np.hanning(n + 2)[1:-1] for n in shape)
    found = _single_peaks(stack, chosen, window)
    if not found:
        return ()
    waves, places = zip(*found, strict=True)
    rows, columns = (
        weights[:, None] * np.exp(-2j * np.pi * np.outer(np.arange(weights.size) / weights.size, bins))
        for weights, bins in zip(window, np.array(places).T, strict=True)
    )

    def phases(z: int) -> np.ndarray:
        # of each wave in a slice, its bin of the transform
        along_x = level(stack, z) @ np.hstack([columns.real, columns.imag]).astype(np.float32)
        return np.asarray((rows * (along_x[:, : len(waves)] + 1j * along_x[:, len(waves) :])).sum(axis=0))

    phasors = np.array(list(in_background(phases, chosen, threads=THREADS)))
    pairs = [(i, i + 1) for i in range(len(chosen) - 1) if chosen[i + 1] == chosen[i] + 1]
    fixed = [bool(_coherent(list(of_wave))) for of_wave in phasors.T]
    of_lattice = _of_lattice(stack, chosen, waves)
    mean = None
    if any(fixed):
        mean = np.zeros(shape, np.float32)
        for z in chosen:
            plane = stack.plane(z)
            plane /= len(chosen)
            mean += plane
    return tuple(
        replace(
            wave,
            persists_in_z=_coherent([of_wave[b] * of_wave[a].conj() for a, b in pairs]),
            of_lattice=belongs,
            static_image=mean if same else None,
        )
        for wave, of_wave, same, belongs in zip(waves, phasors.T, fixed, of_lattice, strict=True)
    )


def _single_peaks(
    stack: Stack, chosen: list[int], window: tuple[np.ndarray, ...]
) -> list[tuple[Wave, tuple[int, int]]]:
    """Single peaks of the averaged spectrum, the highest first, each with its bin from zero frequency."""
    count, (height, width) = len(chosen), stack.shape[1:]
    shape = (height, width)
    # slices may be large: single precision, halves of spectra, and threads that share one slice
    powers, logs = np.zeros((2, height, width // 2 + 1), np.float32)
    for z in chosen:
        of_slice = power(fft.rfft2(_times(level(stack, z), window), workers=THREADS))
        powers += of_slice
        of_slice += np.finfo(np.float32).tiny
        logs += np.log(of_slice, out=of_slice)
    powers /= count
    logs /= count
    excess = fft.fftshift(full_from_rfft2(logs, width))
    del logs
    surroundings = _local_median(excess)
    excess -= surroundings
    certain = max(MIN_PEAK_LOG_EXCESS, MIN_PEAK_STANDARD_ERRORS * np.pi / np.sqrt(6 * count))
    tops = (excess == ndimage.maximum_filter(excess, size=7, mode="wrap")) & (excess >= certain)
    found: list[tuple[Wave, tuple[int, int]]] = []
    seen: set[tuple[int, int]] = set()
    for y, x in sorted(map(tuple, np.argwhere(tops).tolist()), key=lambda top: -excess[top]):
        if (y, x) in seen or len(found) == MAX_WAVES:
            continue
        if np.hypot((y - height // 2) / height, (x - width // 2) / width) < MIN_WAVE_FREQUENCY:
            continue
        # seen from zero frequency, what is at -f is the same wave; between two bins, it may be in the other
        seen |= {
            ((2 * (height // 2) - y + dy) % height, (2 * (width // 2) - x + dx) % width)
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
        }
        rows, columns = np.arange(y - 2, y + 3), np.arange(x - 2, x + 3)
        near = np.ix_(rows % height, columns % width)
        bins = np.stack(np.meshgrid(rows - height // 2, columns - width // 2, indexing="ij"))
        weight = np.maximum(powers[_in_half(bins, shape)] - np.exp(surroundings[near]), 0)
        at = np.stack([bins[0] / height, bins[1] / width])
        frequency = (weight * at).sum(axis=(1, 2)) / weight.sum()
        on_axis = np.abs(frequency) * shape < ON_AXIS_BINS
        frequency[on_axis] = 0
        frequency[(0.5 - np.abs(frequency)) * shape < ON_AXIS_BINS] = -0.5
        spread = np.sqrt((weight * np.square(at - frequency[:, None, None])).sum() / weight.sum())
        of_the_window = 0.9 * np.hypot(1 / height, 1 / width) / np.sqrt(2)
        own = np.sqrt(max(spread**2 - of_the_window**2, 1e-18))
        wave = Wave(
            frequency=(float(frequency[0]), float(frequency[1])),
            sigma_px=float(np.clip(1 / (2 * np.pi * own), 12, min(shape) / 8)),
            log_excess=float(excess[y, x]),
            oblique=not on_axis.any(),
            persists_in_z=None,
        )
        found.append((wave, (y - height // 2, x - width // 2)))
    return found


def _of_lattice(stack: Stack, chosen: list[int], waves: Sequence[Wave]) -> list[bool | None]:
    """Of each wave, whether it belongs to a lattice of the others; None if that cannot be told."""
    (height, width), heights = stack.shape[1:], np.array([wave.log_excess for wave in waves])
    frequencies = np.array([wave.frequency for wave in waves])
    certain = heights >= LATTICE_LOG_EXCESS
    lattice = lattice_spots(frequencies, certain, (height, width))
    alone = np.zeros(len(waves), dtype=bool)
    alone[certain] = alone_beside(frequencies[certain], heights[certain], lattice[certain], (height, width))
    return [
        True if belongs else False if candidate and _covers_field(stack, chosen, wave) else None
        for wave, belongs, candidate in zip(waves, lattice, alone, strict=True)
    ]


def _covers_field(stack: Stack, chosen: list[int], wave: Wave) -> bool:
    """Whether a wave is as strong all over the slices, as none is that comes from a grain of the sample."""
    height, width = stack.shape[1:]
    carrier_y, carrier_x = (
        np.exp(-2j * np.pi * f * np.arange(n)).astype(np.complex64)
        for f, n in zip(wave.frequency, (height, width), strict=True)
    )
    rows, columns = (np.linspace(0, n, FIELD_BLOCKS, endpoint=False).astype(int) for n in (height, width))
    powers = np.zeros((FIELD_BLOCKS, FIELD_BLOCKS))
    for z in chosen[:: -(-len(chosen) // FIELD_SLICES)]:
        slow = np.add.reduceat(level(stack, z) * carrier_x, columns, axis=1) * carrier_y[:, None]
        powers += power(np.add.reduceat(slow, rows, axis=0))
    return bool(powers.min() >= EVEN_POWER * np.median(powers))


def _coherent(phasors: list[complex]) -> bool | None:
    """Whether complex numbers have a phase in common; None if they are too few to tell."""
    if len(phasors) < MIN_SLICES_FOR_COHERENCE - 1:
        return None
    alone = np.square(np.abs(phasors)).sum()
    # the pairs of different ones only: chance adds nothing to them
    return bool(
        np.abs(np.sum(phasors)) ** 2 - alone > COHERENT_POWER_SHARE * (np.sum(np.abs(phasors)) ** 2 - alone)
    )


def _in_half(bins: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Where the ``rfft2`` half has these bins, counted from zero frequency along Y and X, (2, ...)."""
    mirrored = bins[1] % shape[1] > shape[1] // 2
    y, x = np.where(mirrored, -bins, bins)
    return y % shape[0], x % shape[1]


def _local_median(spectrum: np.ndarray) -> np.ndarray:
    """Median over the surroundings of each frequency.

    Of large slices, first the median of small blocks: a sort of thousands of values for each bin is slow.
    """
    block = [max(1, round(SURROUNDINGS_WIDTH * n / 9)) for n in spectrum.shape]
    rows, columns = (
        np.arange(-(-n // b) * b).reshape(-1, b) % n for n, b in zip(spectrum.shape, block, strict=True)
    )
    medians = np.array([np.median(spectrum[some][:, columns], axis=(0, 2)) for some in rows])
    coarse = ndimage.median_filter(medians, size=9, mode="wrap")
    wide = np.repeat(coarse, block[1], axis=1)[:, : spectrum.shape[1]]
    return np.asarray(np.repeat(wide, block[0], axis=0)[: spectrum.shape[0]])


def level(stack: Stack, z: int) -> np.ndarray:
    """A slice less its mean, which would leak from zero frequency into its surroundings.

    Parameters
    ----------
    stack
        The raw data.
    z
        Which slice, from 0.
    """
    plane = stack.plane(z)
    plane -= plane.mean()
    return plane
