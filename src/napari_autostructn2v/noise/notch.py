"""A protected Fourier notch: take away patterns that reach too far for any kernel.

Offsets of whole rows, fixed columns, hum, a readout grid: such noise can be predicted from far outside a
small kernel, so a blind spot cannot remove it. In the spectrum of a whole slice it is narrow, a line along an
axis or a few single peaks, and there it is taken down to what lies around it. (Stripes that start and end
anywhere make a line too, and are taken where they are: see :mod:`~napari_autostructn2v.noise.curtains`.)
Image detail is broad; where a narrow peak does come from the sample (a lattice, a microtubule), it is not
found in the background, or it goes on through the slices at a slant.

References
----------
Moisan, L. Periodic plus smooth image decomposition. Journal of Mathematical Imaging and Vision 39 (2011),
161-179.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import fft, ndimage

from napari_autostructn2v.config import MAX_TILE, MIN_TILE, NotchChoice
from napari_autostructn2v.noise.curtains import find_curtains
from napari_autostructn2v.noise.patterns import (
    Notch,
    Offsets,
    Wave,
    _times,
    half_spectrum,
    notched,
    periodic_spectrum,
)
from napari_autostructn2v.noise.spectrum import full_from_rfft2, power
from napari_autostructn2v.stack import Stack
from napari_autostructn2v.threads import THREADS, in_background

MAX_SLICES = 32
"""Slices measured: the pattern's frequencies are the same all over a stack."""

SURROUNDINGS_WIDTH = 0.035
"""Width in cycles per pixel of what a peak is held against: what is broader is a kernel's business."""

MIN_PEAK_LOG_EXCESS = 1.2
"""Log power that a peak has above its surroundings."""

MIN_PEAK_STANDARD_ERRORS = 5.0
"""The same in standard errors of a single bin."""

MIN_LINE_LOG_EXCESS = 0.7
"""Log power that three quarters of a line along an axis have above what is beside it."""

MIN_WAVE_FREQUENCY = 0.02
"""Below this frequency (cycles per pixel) no single peak is taken: the image is strong there."""

PROTECTED_BINS = 2
"""So many bins around zero frequency are left alone on lines as well."""


COHERENT_POWER_SHARE = 0.4
"""Share of the power common to all slices from which a pattern counts as the same in all of them, or as going
on from slice to slice."""

MIN_SLICES_FOR_COHERENCE = 6
"""Slices below which it cannot be told what they have in common."""


LATTICE_LOG_EXCESS = 4.0
"""Log power of a wave above its surroundings from which it is surely a lattice's; below it may be chance."""


ON_AXIS_BINS = 0.75
"""Bins within which a peak lies on an axis, or at half the sampling frequency."""

MAX_WAVES = 64
"""Most single peaks; more are no pattern but the spectrum's own roughness, and the strongest are kept."""


@dataclass(frozen=True, eq=False)
class NotchRule:
    """Which patterns to take away, of any stack of the same microscope.

    Attributes
    ----------
    peaks
        Of the tiles' spectrum, bool (T, T): a pattern has to be there as well.
    choice
        ``auto`` leaves alone what looks like a lattice of the sample.
    """

    peaks: np.ndarray
    choice: NotchChoice

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, NotchRule)
            and self.choice == other.choice
            and np.array_equal(self.peaks, other.peaks)
        )

    __hash__ = None  # type: ignore[assignment]

    def among(self, patterns: Notch) -> tuple[Notch, Notch]:
        """Those of the patterns to take away, and those left alone because they look like a lattice.

        Parameters
        ----------
        patterns
            All that is narrow in a stack, as :func:`find_notch` gives it.
        """
        here = patterns.at(self.peaks)
        if self.choice == "all":
            return here, Notch()
        taken = here.without_lattices()
        others = (
            wave for wave in here.waves if wave not in taken.waves and wave.log_excess >= LATTICE_LOG_EXCESS
        )
        left_alone = Notch(waves=tuple(others))
        return taken if self.choice == "auto" else Notch(), left_alone

    def apply(self, stack: Stack) -> Stack:
        """The stack without its patterns, filtered slice by slice as it is read.

        Parameters
        ----------
        stack
            The raw data. Its patterns are found first.
        """
        notch, _ = self.among(find_notch(stack))
        return notched(stack, notch)


def find_notch(stack: Stack) -> Notch:
    """Find all that is narrow in the spectra of whole slices, whether noise or sample.

    It is found once for each :class:`~napari_autostructn2v.stack.Stack` and kept as long as that is, as the
    analysis, the training, the prediction and the recovery of a run all ask for it.

    The logarithm of the power is averaged over the slices and held against the median of its surroundings;
    peaks must be large and certain. A line along an axis is judged as a whole, against the lines beside it,
    since each of its bins may be weak.

    Parameters
    ----------
    stack
        The raw data; up to 32 slices of it are read, some at a time and each of them again.
    """
    if (found := _found.get(stack)) is None:
        chosen = stack.measured_among(_chosen(stack.shape[0]))
        curtains = find_curtains(stack, chosen)
        offsets = _find_offsets(stack, chosen, others_than={part.axis for part in curtains})
        lines = Notch(offsets, curtains)
        found = _found[stack] = replace(lines, waves=_find_waves(notched(stack, lines), chosen))
    return found


_found: WeakKeyDictionary[Stack, Notch] = WeakKeyDictionary()


def _chosen(depth: int) -> list[int]:
    """Slices from all over the stack, in pairs of neighbours where they are not all taken."""
    if depth <= MAX_SLICES:
        return list(range(depth))
    first = np.linspace(0, depth - 2, MAX_SLICES // 2).round().astype(int)
    return sorted({int(z) for z in (*first, *(first + 1))})


def _level(stack: Stack, z: int) -> np.ndarray:
    """A slice less its mean, which would leak from zero frequency into its surroundings."""
    plane = stack.plane(z)
    plane -= plane.mean()
    return plane


def _find_offsets(stack: Stack, chosen: list[int], *, others_than: set[int]) -> tuple[Offsets, ...]:
    """Offsets of rows and of columns, but along the axes on which curtains take them as well."""

    def profiles(z: int) -> tuple[np.ndarray, np.ndarray]:
        level = _level(stack, z)
        return _line_spectrum(level), _line_spectrum(level.T)

    of_slices = list(in_background(profiles, chosen, threads=THREADS))
    found = (_offsets(np.array(lines), axis) for axis, lines in enumerate(zip(*of_slices, strict=True)))
    return tuple(part for part in found if part is not None and part.axis not in others_than)


def _line_spectrum(plane: np.ndarray) -> np.ndarray:
    """Of each row, its amplitude at zero frequency along X and at two frequencies on each side, (Y, 5)."""
    width = plane.shape[1]
    angle = 2 * np.pi * np.outer(np.arange(width) / width, (1, 2))
    basis = np.concatenate([np.ones((width, 1)), np.cos(angle), np.sin(angle)], axis=1)
    parts = (plane @ (basis / width).astype(np.float32)).astype(np.float64)
    beside = parts[:, 1:3] + 1j * parts[:, 3:]
    return np.concatenate([parts[:, :1], beside, beside.conj()], axis=1)


def _offsets(profiles: np.ndarray, axis: int) -> Offsets | None:
    """Offsets that change along ``axis``, from the profiles of each slice (slices, size, 5)."""
    count, size = profiles.shape[:2]
    window = np.hanning(size + 2)[1:-1, None]
    power = np.array([np.square(np.abs(half_spectrum(window * profile))) for profile in profiles])
    log_power = np.mean(np.log(power + np.finfo(float).tiny), axis=0)
    beside = log_power[:, 1:].mean(axis=1)
    excess = log_power[:, 0] - beside
    far = np.arange(excess.size) > PROTECTED_BINS
    if np.quantile(excess[far], 0.25) < MIN_LINE_LOG_EXCESS:
        return None
    means = profiles[:, :, 0].real
    profile = means.mean(axis=0)
    common = half_spectrum(window[:, 0] * profile)
    fixed = np.zeros(size)
    if count >= MIN_SLICES_FOR_COHERENCE:
        share = np.square(np.abs(common)) / np.exp(log_power[:, 0])
        if np.median(share[far]) > COHERENT_POWER_SHARE + 1 / count:
            # what slices share by chance, or because the image goes on through them, stays
            by_chance = np.exp(beside) / count
            kept = np.clip(1 - by_chance / np.square(np.abs(common)), 0, 1) * far
            fixed = fft.irfft(kept * periodic_spectrum(profile), n=size)
            rest = [np.square(np.abs(half_spectrum(window[:, 0] * (mean - fixed)))) for mean in means]
            excess = np.mean(np.log(np.array(rest) + np.finfo(float).tiny), axis=0) - beside
    return Offsets(axis, np.where(far, np.exp(-np.maximum(excess, 0)), 1.0), fixed)


def _find_waves(stack: Stack, chosen: list[int]) -> tuple[Wave, ...]:
    """Single peaks of slices, which are gone through again for the phases of what is found."""
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
        """Of each wave in a slice, its bin of the transform."""
        along_x = _level(stack, z) @ np.hstack([columns.real, columns.imag]).astype(np.float32)
        return np.asarray((rows * (along_x[:, : len(waves)] + 1j * along_x[:, len(waves) :])).sum(axis=0))

    phasors = np.array(list(in_background(phases, chosen, threads=THREADS)))
    pairs = [(i, i + 1) for i in range(len(chosen) - 1) if chosen[i + 1] == chosen[i] + 1]
    fixed = [bool(_coherent(list(of_wave))) for of_wave in phasors.T]
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
            static_image=mean if same else None,
        )
        for wave, of_wave, same in zip(waves, phasors.T, fixed, strict=True)
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
        of_slice = power(fft.rfft2(_times(_level(stack, z), window), workers=THREADS))
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
        # seen from zero frequency, what is at -f is the same wave
        seen |= {(y, x), ((2 * (height // 2) - y) % height, (2 * (width // 2) - x) % width)}
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


class NotchDescription(BaseModel):
    """A notch rule as JSON."""

    model_config = ConfigDict(extra="forbid")

    side: int = Field(ge=MIN_TILE, le=MAX_TILE)
    peaks: list[tuple[int, int]]
    choice: NotchChoice

    @classmethod
    def of(cls, rule: NotchRule) -> NotchDescription:
        """As the rule says.

        Parameters
        ----------
        rule
            What is to be described.
        """
        return cls(side=len(rule.peaks), peaks=np.argwhere(rule.peaks).tolist(), choice=rule.choice)

    def rule(self) -> NotchRule:
        """The rule that it describes."""
        peaks = np.zeros((self.side, self.side), dtype=bool)
        for place in self.peaks:
            if not all(0 <= index < self.side for index in place):
                raise ValueError("a peak of the notch lies outside of its spectrum")
            peaks[place] = True
        return NotchRule(peaks, self.choice)
