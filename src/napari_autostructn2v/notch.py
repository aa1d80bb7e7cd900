"""A protected Fourier notch: take away patterns that reach too far for any kernel.

Offsets of whole rows, fixed columns, hum, a readout grid: such noise can be predicted from far outside a
small kernel, so a blind spot cannot remove it. In the spectrum of a whole slice it is narrow, a line along an
axis or a few single peaks, and there it is taken down to what lies around it. Image detail is broad; where a
narrow peak does come from the sample (a lattice, a microtubule), it is not found in the background, or it
goes on through the slices at a slant.

References
----------
Moisan, L. Periodic plus smooth image decomposition. Journal of Mathematical Imaging and Vision 39 (2011),
161-179.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import fft, ndimage

from napari_autostructn2v.config import NotchChoice
from napari_autostructn2v.stack import ComputedArray, Stack

MAX_SLICES = 32
"""Slices measured: the pattern's frequencies are the same all over a stack."""

SURROUNDINGS = 0.035
"""Width in cycles per pixel of what a peak is held against: what is broader is a kernel's business."""

NARROW = 1.2
"""Log power that a peak has above its surroundings."""

CERTAIN = 5.0
"""The same in standard errors of a single bin."""

LINE = 0.7
"""Log power that three quarters of a line along an axis have above what is beside it."""

PROTECTED = 0.02
"""Below this frequency (cycles per pixel) no single peak is taken: the image is strong there."""

PROTECTED_BINS = 2
"""So many bins around zero frequency are left alone on lines as well."""

LINE_STARTS = 0.04
"""From this frequency on (cycles per pixel) half of a line must be among the peaks of the background."""

COHERENT = 0.4
"""Share of the power common to all slices from which a pattern counts as the same in all of them, or as going
on from slice to slice."""

FEWEST_FOR_COHERENCE = 6
"""Slices below which it cannot be told what they have in common."""

DETAIL = 8.0
"""Sigma in pixels of the Gaussian that is taken from a slice before the median of a row: the offset is left
in all of its pixels, image detail in some of them."""

LATTICE = 4.0
"""Log power of a wave above its surroundings from which it is surely a lattice's; below it may be chance."""

ENDS = 4
"""Pixels at each end of a profile whose median says how much the ends differ, whatever a single one does."""

ON_AXIS = 0.75
"""Bins within which a peak lies on an axis, or at half the sampling frequency."""

MAX_WAVES = 64
"""Most single peaks; more are no pattern but the spectrum's own roughness, and the strongest are kept."""


@dataclass(frozen=True, eq=False)
class Offsets:
    """Whole rows, or whole columns, lifted or lowered.

    Attributes
    ----------
    axis
        0 for rows, 1 for columns: the axis along which the offset changes.
    gain
        What is left of each frequency of the offsets, 0 to 1, ``rfft`` layout.
    fixed
        Offsets that all slices have in common, to be subtracted first, one for each row or column.
    """

    axis: int
    gain: np.ndarray
    fixed: np.ndarray

    def pattern(self, plane: np.ndarray) -> np.ndarray:
        """The offsets in a slice, to be broadcast against it."""
        across = 1 - self.axis
        detail = ndimage.gaussian_filter1d(plane, DETAIL, axis=self.axis)
        np.subtract(plane, detail, out=detail)
        profile = np.median(detail, axis=across, overwrite_input=True) - self.fixed
        offsets = self.fixed + fft.irfft(_periodic_spectrum(profile) * (1 - self.gain), n=profile.size)
        return np.expand_dims(offsets, across)


@dataclass(frozen=True, eq=False)
class Wave:
    """One narrow peak: a wave whose amplitude and phase change slowly over the slice.

    Attributes
    ----------
    frequency
        Along Y and X, in cycles per pixel.
    reach
        Sigma in pixels over which amplitude and phase are taken as constant.
    height
        Log power above its surroundings.
    slant
        Whether it runs along neither axis.
    through
        Whether it goes on from slice to slice, be it at another phase; None if they are too few to tell.
    common
        Mean of the slices, (Y, X), if the wave is the same in all of them, or None.
    """

    frequency: tuple[float, float]
    reach: float
    height: float
    slant: bool
    through: bool | None
    common: np.ndarray | None = None

    def pattern(self, plane: np.ndarray) -> np.ndarray:
        """The wave in a slice, (Y, X), float32."""
        return np.float32(self.share) * self.envelope(plane if self.common is None else self.common)

    @property
    def share(self) -> float:
        """How much of what is there belongs to the wave: the Wiener gain, 0 to 1."""
        return float(1 - np.exp(-self.height))

    @property
    def alternating(self) -> bool:
        """Whether every other row or column is lifted: read out by two amplifiers, as no sample is built."""
        return not self.slant and -0.5 in self.frequency

    def envelope(self, plane: np.ndarray) -> np.ndarray:
        """All of the slice that is near the frequency, (Y, X).

        The slice is brought down to zero frequency and smoothed there, by as much less at its borders as
        there is less of it: no leakage, whatever the frequency.
        """
        carriers = [
            np.exp(2j * np.pi * f * np.arange(n)) for f, n in zip(self.frequency, plane.shape, strict=True)
        ]
        # single precision and in place: of a large slice this is what takes the most memory
        slow = _times((plane - plane.mean()).astype(np.complex64), [c.conj() for c in carriers])
        for axis in (0, 1):
            slow = _smoothed(slow, self.reach, axis)
        weights = [_smoothed(np.ones(n), self.reach, 0) for n in plane.shape]
        slow = _times(slow, [c / weight for c, weight in zip(carriers, weights, strict=True)])
        # a wave has its other half at -f, unless that is the same frequency
        halves = 1 if all((2 * f) % 1 == 0 for f in self.frequency) else 2
        return np.asarray(halves * slow.real)


def _times(image: np.ndarray, factors: list[np.ndarray]) -> np.ndarray:
    """Multiply an image in place by a factor for each row and one for each column."""
    rows, columns = (factor.astype(image.dtype) for factor in factors)
    image *= rows[:, None]
    image *= columns
    return image


def _smoothed(image: np.ndarray, sigma: float, axis: int) -> np.ndarray:
    """The image, changed in place.

    Zeros around it; three running means, which are a Gaussian at a tenth of its cost.
    """
    size = round(np.sqrt(4 * sigma**2 + 1))
    for _ in range(3):  # in place: it goes line by line
        ndimage.uniform_filter1d(image, size, axis=axis, output=image, mode="constant")
    return image


@dataclass(frozen=True, eq=False)
class Notch:
    """Narrow peaks to take away from every slice.

    Attributes
    ----------
    offsets
        Of rows and of columns.
    waves
        Single peaks.
    """

    offsets: tuple[Offsets, ...] = ()
    waves: tuple[Wave, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.offsets or self.waves)

    def pattern(self, plane: np.ndarray) -> np.ndarray:
        """What is taken away from a slice (Y, X), float32."""
        # in single precision, for slices may be large, and without the mean, which would cost digits
        left = (plane - plane.mean()).astype(np.float32, copy=False)
        pattern = np.zeros_like(left)

        def take(part: np.ndarray) -> None:
            np.subtract(left, part, out=left)
            np.add(pattern, part, out=pattern)

        for offsets in self.offsets:
            take(offsets.pattern(left))
        take(self._fixed)
        for wave in self.waves:
            if wave.common is None:
                take(wave.pattern(left))
        return pattern

    @cached_property
    def _fixed(self) -> np.ndarray:
        """The sum of the waves that are the same in all slices, however many; 0 if there are none."""
        total = np.zeros((), np.float32)
        for wave in self.waves:
            if wave.common is not None:
                total = total + wave.pattern(wave.common)
        return total

    def at(self, peaks: np.ndarray) -> Notch:
        """Of this notch, the part at these peaks of the tiles' spectrum.

        Parameters
        ----------
        peaks
            bool (T, T), T odd, centred, as :func:`~napari_autostructn2v.spectrum.find_peaks` gives it. A line
            along an axis is taken as a whole where half of it is there.
        """
        side, middle = len(peaks), len(peaks) // 2
        outer = np.abs(np.arange(side) - middle) >= LINE_STARTS * side
        lines = (peaks[outer, middle].mean() >= 0.5, peaks[middle, outer].mean() >= 0.5)
        return Notch(
            tuple(part for part in self.offsets if lines[part.axis]),
            tuple(wave for wave in self.waves if peaks[_tile_bin(wave, side)]),
        )

    def without_lattices(self) -> Notch:
        """Of this notch, the part that is the detector's, as far as can be told.

        A lattice, or layers, of the sample go on from slice to slice, most often at a slant; a pattern of
        the detector that goes on through the slices is a grid of rows and columns. Where there is a lattice,
        what else goes on through the slices is more of it.
        """
        lasting = [wave for wave in self.waves if wave.through is not False]
        level = [wave for wave in lasting if not wave.slant]
        highest = max((wave.height for wave in level), default=0.0)
        lattice = any(wave.slant and wave.height > highest / 2 for wave in lasting)
        grid = level if len({wave.frequency[0] == 0 for wave in level}) == 2 and not lattice else []
        kept = (w for w in self.waves if w not in lasting or w in grid or w.alternating)
        return replace(self, waves=tuple(kept))

    def on_tiles(self, side: int) -> np.ndarray:
        """Where it acts in the tiles' spectrum, whose window widens a line to three bins, bool (T, T)."""
        bins = np.zeros((side, side), dtype=bool)
        middle = slice(side // 2 - 1, side // 2 + 2)
        for part in self.offsets:
            bins[(slice(None), middle) if part.axis == 0 else (middle, slice(None))] = True
        for wave in self.waves:
            y, x = _tile_bin(wave, side)
            bins[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = True
        return bins | np.flip(bins)


def _tile_bin(wave: Wave, side: int) -> tuple[int, int]:
    y, x = (min(max(round(f * side) + side // 2, 0), side - 1) for f in wave.frequency)
    return y, x


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
        """Those of the patterns to take away, and those left alone because they look like a lattice."""
        here = patterns.at(self.peaks)
        if self.choice == "all":
            return here, Notch()
        taken = here.without_lattices()
        others = (wave for wave in here.waves if wave not in taken.waves and wave.height >= LATTICE)
        left_alone = Notch(waves=tuple(others))
        return taken if self.choice == "auto" else Notch(), left_alone

    def apply(self, stack: Stack) -> Stack:
        """The stack without its patterns, filtered slice by slice as it is read."""
        notch, _ = self.among(find_notch(stack))
        return Stack(NotchedArray(stack, notch))


class PatternArray(ComputedArray):
    """What a notch takes away from a stack, computed slice by slice as it is read.

    Parameters
    ----------
    stack
        The raw data.
    notch
        What to take away.
    """

    def __init__(self, stack: Stack, notch: Notch) -> None:
        super().__init__(stack.input_shape)
        self._stack, self._notch = stack, notch

    def _computed(self, z: int) -> np.ndarray:
        return self._notch.pattern(self._stack.plane(z))


class NotchedArray(PatternArray):
    """A stack without the pattern, likewise."""

    def _computed(self, z: int) -> np.ndarray:
        plane = self._stack.plane(z)
        return plane - self._notch.pattern(plane)


def find_notch(stack: Stack) -> Notch:
    """Find all that is narrow in the spectra of whole slices, whether noise or sample.

    The logarithm of the power is averaged over the slices and held against the median of its surroundings;
    peaks must be large and certain. A line along an axis is judged as a whole, against the lines beside it,
    since each of its bins may be weak.

    Parameters
    ----------
    stack
        The raw data; up to 32 slices of it are read, one at a time and some of them again.
    """
    chosen = _chosen(stack.shape[0])
    pairs = [(i, i + 1) for i in range(len(chosen) - 1) if chosen[i + 1] == chosen[i] + 1]

    def raw() -> Iterator[np.ndarray]:
        return (stack.plane(z).astype(np.float64) for z in chosen)

    lines = Notch(_find_offsets(raw()))

    def without_lines() -> Iterator[np.ndarray]:
        return (plane - lines.pattern(plane) for plane in raw()) if lines else raw()

    return Notch(lines.offsets, _find_waves(without_lines, (len(chosen), *stack.shape[1:]), pairs))


def _chosen(depth: int) -> list[int]:
    """Slices from all over the stack, in pairs of neighbours where they are not all taken."""
    if depth <= MAX_SLICES:
        return list(range(depth))
    first = np.linspace(0, depth - 2, MAX_SLICES // 2).round().astype(int)
    return sorted({int(z) for z in (*first, *(first + 1))})


def _find_offsets(planes: Iterable[np.ndarray]) -> tuple[Offsets, ...]:
    """Offsets of rows and of columns."""
    profiles: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for plane in planes:
        # the mean would leak from zero frequency into its surroundings
        level = plane - plane.mean()
        for axis, oriented in ((0, level), (1, level.T)):
            x = np.arange(oriented.shape[1]) / oriented.shape[1]
            # the line of the spectrum on which the other frequency is zero, and two on each side
            waves = [np.exp(2j * np.pi * k * x) for k in (1, 2, -1, -2)]
            profiles[axis].append(oriented @ np.stack([np.ones(x.size), *waves], axis=1) / x.size)
    found = (_offsets(np.array(lines), axis) for axis, lines in enumerate(profiles))
    return tuple(part for part in found if part is not None)


def _offsets(profiles: np.ndarray, axis: int) -> Offsets | None:
    """Offsets that change along ``axis``, from the profiles of each slice (slices, size, 5)."""
    count, size = profiles.shape[:2]
    window = np.hanning(size + 2)[1:-1, None]
    power = np.array([np.square(np.abs(_half_spectrum(window * profile))) for profile in profiles])
    log_power = np.mean(np.log(power + np.finfo(float).tiny), axis=0)
    beside = log_power[:, 1:].mean(axis=1)
    excess = log_power[:, 0] - beside
    far = np.arange(excess.size) > PROTECTED_BINS
    if np.quantile(excess[far], 0.25) < LINE:
        return None
    means = profiles[:, :, 0].real
    profile = means.mean(axis=0)
    common = _half_spectrum(window[:, 0] * profile)
    fixed = np.zeros(size)
    if count >= FEWEST_FOR_COHERENCE:
        share = np.square(np.abs(common)) / np.exp(log_power[:, 0])
        if np.median(share[far]) > COHERENT + 1 / count:
            # what slices share by chance, or because the image goes on through them, stays
            by_chance = np.exp(beside) / count
            kept = np.clip(1 - by_chance / np.square(np.abs(common)), 0, 1) * far
            fixed = fft.irfft(kept * _periodic_spectrum(profile), n=size)
            rest = [np.square(np.abs(_half_spectrum(window[:, 0] * (mean - fixed)))) for mean in means]
            excess = np.mean(np.log(np.array(rest) + np.finfo(float).tiny), axis=0) - beside
    return Offsets(axis, np.where(far, np.exp(-np.maximum(excess, 0)), 1.0), fixed)


def _half_spectrum(profiles: np.ndarray) -> np.ndarray:
    """Transform along the first axis, up to half the sampling frequency."""
    return np.asarray(fft.fft(profiles, axis=0)[: profiles.shape[0] // 2 + 1])


def _periodic_spectrum(profile: np.ndarray) -> np.ndarray:
    """Spectrum of a profile without what its unequal ends leak into it, ``rfft`` layout (Moisan 2011)."""
    frequency = fft.rfftfreq(profile.size)
    jump = np.median(profile[-ENDS:]) - np.median(profile[:ENDS])
    divisor = 2 * np.cos(2 * np.pi * frequency) - 2
    divisor[0] = 1
    # transform of a jump up at the first and down at the last sample
    smooth = (1 - np.exp(2j * np.pi * frequency)) / divisor
    smooth[0] = 0
    return np.asarray(fft.rfft(profile) - smooth * jump)


def _find_waves(
    planes: Callable[[], Iterator[np.ndarray]], shape: tuple[int, int, int], pairs: list[tuple[int, int]]
) -> tuple[Wave, ...]:
    """Single peaks of slices, which are gone through a second time for the phases of what is found."""
    count, height, width = shape
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    mean = np.zeros((height, width), np.float32)
    powers, logs = np.zeros((2, height, width // 2 + 1))
    for plane in planes():
        power = np.square(np.abs(fft.rfft2(window * (plane - plane.mean())))) + np.finfo(float).tiny
        mean += plane / count
        powers += power / count
        logs += np.log(power) / count
    power = fft.fftshift(_whole(powers, width))
    log_power = fft.fftshift(_whole(logs, width))
    surroundings = _local_median(log_power)
    excess = log_power - surroundings
    fy, fx = (fft.fftshift(fft.fftfreq(n)) for n in mean.shape)
    certain = max(NARROW, CERTAIN * np.pi / np.sqrt(6 * count))
    tops = (excess == ndimage.maximum_filter(excess, size=7, mode="wrap")) & (excess >= certain)
    tops &= np.hypot(fy[:, None], fx) >= PROTECTED
    waves: list[Wave] = []
    places: list[tuple[int, int]] = []
    seen: set[tuple[int, int]] = set()
    for y, x in sorted(map(tuple, np.argwhere(tops).tolist()), key=lambda top: -excess[top]):
        if (y, x) in seen or len(waves) == MAX_WAVES:
            continue
        # seen from zero frequency, what is at -f is the same wave
        seen |= {(y, x), ((2 * (height // 2) - y) % height, (2 * (width // 2) - x) % width)}
        rows, columns = np.arange(y - 2, y + 3), np.arange(x - 2, x + 3)
        near = np.ix_(rows % height, columns % width)
        weight = np.maximum(power[near] - np.exp(surroundings[near]), 0)
        at = np.stack(
            np.meshgrid((rows - height // 2) / height, (columns - width // 2) / width, indexing="ij")
        )
        frequency = (weight * at).sum(axis=(1, 2)) / weight.sum()
        on_axis = np.abs(frequency) * mean.shape < ON_AXIS
        frequency[on_axis] = 0
        frequency[(0.5 - np.abs(frequency)) * mean.shape < ON_AXIS] = -0.5
        spread = np.sqrt((weight * np.square(at - frequency[:, None, None])).sum() / weight.sum())
        of_the_window = 0.9 * np.hypot(1 / height, 1 / width) / np.sqrt(2)
        own = np.sqrt(max(spread**2 - of_the_window**2, 1e-18))
        half = (int(fft.ifftshift(np.arange(height))[y]), int(fft.ifftshift(np.arange(width))[x]))
        if half[1] > width // 2:
            half = (-half[0] % height, width - half[1])
        wave = Wave(
            frequency=(float(frequency[0]), float(frequency[1])),
            reach=float(np.clip(1 / (2 * np.pi * own), 12, min(mean.shape) / 8)),
            height=float(excess[y, x]),
            slant=not on_axis.any(),
            through=None,
        )
        waves.append(wave)
        places.append(half)
    if not waves:
        return ()
    at_places = tuple(np.array(places).T)
    phasors = np.array([fft.rfft2(window * (plane - plane.mean()))[at_places] for plane in planes()])
    return tuple(
        replace(
            wave,
            through=_coherent([phases[b] * phases[a].conj() for a, b in pairs]),
            common=mean if _coherent(list(phases)) else None,
        )
        for wave, phases in zip(waves, phasors.T, strict=True)
    )


def _coherent(phasors: list[complex]) -> bool | None:
    """Whether complex numbers have a phase in common; None if they are too few to tell."""
    if len(phasors) < FEWEST_FOR_COHERENCE - 1:
        return None
    alone = np.square(np.abs(phasors)).sum()
    # the pairs of different ones only: chance adds nothing to them
    return bool(np.abs(np.sum(phasors)) ** 2 - alone > COHERENT * (np.sum(np.abs(phasors)) ** 2 - alone))


def _whole(half: np.ndarray, width: int) -> np.ndarray:
    """A real, point-symmetric spectrum in ``fft2`` layout from its ``rfft2`` half."""
    rows = -np.arange(half.shape[0]) % half.shape[0]
    return np.hstack([half, half[rows][:, width - np.arange(half.shape[1], width)]])


def _local_median(spectrum: np.ndarray) -> np.ndarray:
    """Median over the surroundings of each frequency.

    Of large slices, first the median of small blocks: a sort of thousands of values for each bin is slow.
    """
    shape = spectrum.shape
    block = [max(1, round(SURROUNDINGS * n / 9)) for n in shape]
    padded = np.pad(spectrum, [(0, -n % b) for n, b in zip(shape, block, strict=True)], mode="wrap")
    pieces = padded.reshape(padded.shape[0] // block[0], block[0], padded.shape[1] // block[1], block[1])
    coarse = ndimage.median_filter(np.median(pieces, axis=(1, 3)), size=9, mode="wrap")
    return np.asarray(
        np.repeat(np.repeat(coarse, block[0], axis=0), block[1], axis=1)[: shape[0], : shape[1]]
    )
