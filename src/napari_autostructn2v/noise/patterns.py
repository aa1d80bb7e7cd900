"""Patterns of whole slices: offsets of rows and columns, curtains, waves, and a stack without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import fft, ndimage

from napari_autostructn2v.computed import DerivedArray
from napari_autostructn2v.noise.curtains import Curtains
from napari_autostructn2v.stack import Stack

MIN_LINE_FREQUENCY = 0.04
"""From this frequency on (cycles per pixel) half of a line must be among the peaks of the background."""

DETAIL_SIGMA_PX = 8.0
"""Sigma in pixels of the Gaussian that is taken from a slice before the median of a row: the offset is left
in all of its pixels, image detail in some of them."""

END_PIXELS = 4
"""Pixels at each end of a profile whose median says how much the ends differ, whatever a single one does."""


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
        """The offsets in a slice, to be broadcast against it.

        Parameters
        ----------
        plane
            A slice, float32 (Y, X).
        """
        across = 1 - self.axis
        detail = ndimage.gaussian_filter1d(plane, DETAIL_SIGMA_PX, axis=self.axis)
        np.subtract(plane, detail, out=detail)
        profile = np.median(detail, axis=across, overwrite_input=True) - self.fixed
        offsets = self.fixed + fft.irfft(periodic_spectrum(profile) * (1 - self.gain), n=profile.size)
        return np.expand_dims(offsets, across)


@dataclass(frozen=True, eq=False)
class Wave:
    """One narrow peak: a wave whose amplitude and phase change slowly over the slice.

    Attributes
    ----------
    frequency
        Along Y and X, in cycles per pixel.
    sigma_px
        Sigma in pixels over which amplitude and phase are taken as constant.
    log_excess
        Log power above its surroundings.
    oblique
        Whether it runs along neither axis.
    persists_in_z
        Whether it goes on from slice to slice, be it at another phase; None if they are too few to tell.
    static_image
        Mean of the slices, (Y, X), if the wave is the same in all of them, or None.
    of_lattice
        True if its frequency fits a lattice of the other waves; False if it stands alone beside such a
        lattice, farther out than all of it; None if neither can be told.
    """

    frequency: tuple[float, float]
    sigma_px: float
    log_excess: float
    oblique: bool
    persists_in_z: bool | None
    static_image: np.ndarray | None = None
    of_lattice: bool | None = None

    def pattern(self, plane: np.ndarray) -> np.ndarray:
        """The wave in a slice, (Y, X), float32.

        Parameters
        ----------
        plane
            A slice, float32 (Y, X). It is not read if the wave is the same in all slices.
        """
        pattern = self.envelope(plane if self.static_image is None else self.static_image)
        pattern *= np.float32(self.share)
        return pattern

    @property
    def share(self) -> float:
        """How much of what is there belongs to the wave: the Wiener gain, 0 to 1."""
        return float(1 - np.exp(-self.log_excess))

    @property
    def alternating(self) -> bool:
        """Whether every other row or column is lifted: read out by two amplifiers, as no sample is built."""
        return not self.oblique and -0.5 in self.frequency

    @property
    def direction_deg(self) -> float:
        """Across its fronts, in the pixels of a slice, from X upwards, 0 to 180 degrees."""
        # image rows run downwards; microscopists measure angles upwards from X
        return float(np.degrees(np.arctan2(-self.frequency[0], self.frequency[1])) % 180)

    @property
    def asked_about(self) -> bool:
        """Whether nothing tells if it is the detector's or the sample's: too few slices, and no lattice."""
        return self.persists_in_z is None and not self.of_lattice

    @property
    def period_px(self) -> float:
        """In pixels, across its fronts."""
        return float(1 / np.hypot(*self.frequency))

    def finer_than(self, limit_px: tuple[float, float] | None) -> bool:
        """Whether its period is shorter than the optics can pass.

        Parameters
        ----------
        limit_px
            The shortest period that they pass, in pixels along Y and along X; None if it is not known.
        """
        return limit_px is not None and bool(np.hypot(*np.multiply(self.frequency, limit_px)) > 1)

    def envelope(self, plane: np.ndarray) -> np.ndarray:
        """All of the slice that is near the frequency, (Y, X), float32.

        The slice is brought down to zero frequency and smoothed there, by as much less at its borders as
        there is less of it: no leakage, whatever the frequency.

        Parameters
        ----------
        plane
            A slice, float32 (Y, X).
        """
        carriers = [
            np.exp(2j * np.pi * f * np.arange(n)) for f, n in zip(self.frequency, plane.shape, strict=True)
        ]
        # single precision and in place: of a large slice this is what takes the most memory
        slow = np.zeros(plane.shape, np.complex64)
        np.subtract(plane, plane.mean(), out=slow.real)
        slow = _times(slow, [c.conj() for c in carriers])
        for axis in (0, 1):
            slow = _smoothed(slow, self.sigma_px, axis)
        weights = [_smoothed(np.ones(n), self.sigma_px, 0) for n in plane.shape]
        slow = _times(slow, [c / weight for c, weight in zip(carriers, weights, strict=True)])
        # a wave has its other half at -f, unless that is the same frequency
        halves = 1 if all((2 * f) % 1 == 0 for f in self.frequency) else 2
        near = slow.real
        near *= halves
        return near


def _times(image: np.ndarray, factors: Sequence[np.ndarray]) -> np.ndarray:
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
    """What is narrow in the spectrum, to take away from every slice.

    Attributes
    ----------
    offsets
        Of rows and of columns.
    curtains
        Stripes along an axis that start and end anywhere.
    waves
        Single peaks.
    """

    offsets: tuple[Offsets, ...] = ()
    curtains: tuple[Curtains, ...] = ()
    waves: tuple[Wave, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.offsets or self.curtains or self.waves)

    def take_from(self, plane: np.ndarray) -> np.ndarray:
        """Take the patterns away from a slice (Y, X), float32, in place; returned is the slice.

        Parameters
        ----------
        plane
            The slice; it is changed.
        """
        if not self:
            return plane
        # slices may be large: no second copy, and without the mean, which would cost digits
        mean = plane.mean()
        plane -= mean
        for offsets in self.offsets:
            plane -= offsets.pattern(plane)
        for curtains in self.curtains:
            plane -= curtains.pattern(plane)
        plane -= self._fixed
        for wave in self.waves:
            if wave.static_image is None:
                plane -= wave.pattern(plane)
        plane += mean
        return plane

    @cached_property
    def _fixed(self) -> np.ndarray:
        """The sum of the waves that are the same in all slices, however many; 0 if there are none."""
        total = np.zeros((), np.float32)
        for wave in self.waves:
            if wave.static_image is not None:
                total = total + wave.pattern(wave.static_image)
        return total

    def at(self, peaks: np.ndarray) -> Notch:
        """Of this notch, the part at these peaks of the tiles' spectrum.

        Parameters
        ----------
        peaks
            bool (T, T), T odd, centred, as :func:`~napari_autostructn2v.noise.spectrum.find_peaks` gives it.
            A line along an axis is taken as a whole where half of it is there.
        """
        side, middle = len(peaks), len(peaks) // 2
        outer = np.abs(np.arange(side) - middle) >= MIN_LINE_FREQUENCY * side
        lines = (peaks[outer, middle].mean() >= 0.5, peaks[middle, outer].mean() >= 0.5)
        return Notch(
            tuple(part for part in self.offsets if lines[part.axis]),
            tuple(part for part in self.curtains if peaks[part.line(side)].mean() >= 0.5),
            tuple(wave for wave in self.waves if peaks[_tile_bin(wave, side)]),
        )

    def without_lattices(self, limit_px: tuple[float, float] | None = None) -> Notch:
        """Of this notch, the part that is the detector's, as far as can be told.

        The detector's is what no optics pass, and what stands alone beside a lattice; unless it belongs to a
        lattice, also what does not go on from slice to slice. A lattice, or layers, of the sample do go on,
        most often at a slant; a pattern of the detector that goes on through the slices is a grid of rows and
        columns. Where there is a lattice, what else goes on through the slices is more of it.

        Parameters
        ----------
        limit_px
            The shortest period that the optics pass, in pixels along Y and along X; None if it is not known.
        """
        sure = [wave for wave in self.waves if _surely_noise(wave, limit_px)]
        lasting = [wave for wave in self.waves if wave not in sure and wave.persists_in_z is not False]
        level = [wave for wave in lasting if not wave.oblique]
        highest = max((wave.log_excess for wave in level), default=0.0)
        lattice = any(wave.oblique and wave.log_excess > highest / 2 for wave in lasting)
        grid = level if len({wave.frequency[0] == 0 for wave in level}) == 2 and not lattice else []
        passing = [wave for wave in self.waves if wave not in lasting and not wave.of_lattice]
        kept = (w for w in self.waves if w in sure or w in grid or w in passing or w.alternating)
        return replace(self, waves=tuple(kept))

    def on_tiles(self, side: int) -> np.ndarray:
        """Where it acts in the tiles' spectrum, whose window widens a line to three bins, bool (T, T).

        Parameters
        ----------
        side
            T, the side of the tiles in pixels, odd.
        """
        bins = np.zeros((side, side), dtype=bool)
        middle = slice(side // 2 - 1, side // 2 + 2)
        for axis in {part.axis for part in self.offsets} | {part.axis for part in self.curtains}:
            bins[(slice(None), middle) if axis == 0 else (middle, slice(None))] = True
        for wave in self.waves:
            y, x = _tile_bin(wave, side)
            bins[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = True
        return bins | np.flip(bins)


def _surely_noise(wave: Wave, limit_px: tuple[float, float] | None) -> bool:
    """Whether a single wave is told from the sample by its frequency alone.

    What belongs to a lattice is left alone however fine it is: a voxel size may be wrong.
    """
    return wave.of_lattice is False or (wave.finer_than(limit_px) and not wave.of_lattice)


def _tile_bin(wave: Wave, side: int) -> tuple[int, int]:
    y, x = (min(max(round(f * side) + side // 2, 0), side - 1) for f in wave.frequency)
    return y, x


def notched(stack: Stack, notch: Notch) -> Stack:
    """A stack without what a notch takes away, computed slice by slice as it is read.

    Parameters
    ----------
    stack
        The raw data.
    notch
        What to take away.
    """
    return Stack(DerivedArray(stack, lambda z: notch.take_from(stack.plane(z))))


def pattern_of(stack: Stack, notch: Notch) -> Stack:
    """What a notch takes away from a stack, likewise.

    Parameters
    ----------
    stack, notch
        As for :func:`notched`.
    """

    def plane(z: int) -> np.ndarray:
        raw = stack.plane(z)
        return raw - notch.take_from(raw.copy())

    return Stack(DerivedArray(stack, plane, difference=True))


def half_spectrum(profiles: np.ndarray) -> np.ndarray:
    """Transform along the first axis, up to half the sampling frequency.

    Parameters
    ----------
    profiles
        (n,), or (n, m) for m of them side by side.
    """
    return np.asarray(fft.fft(profiles, axis=0)[: profiles.shape[0] // 2 + 1])


def periodic_spectrum(profile: np.ndarray) -> np.ndarray:
    """Spectrum of a profile without what its unequal ends leak into it, ``rfft`` layout (Moisan 2011).

    Parameters
    ----------
    profile
        One value for each row or column, (n,).
    """
    frequency = fft.rfftfreq(profile.size)
    jump = np.median(profile[-END_PIXELS:]) - np.median(profile[:END_PIXELS])
    divisor = 2 * np.cos(2 * np.pi * frequency) - 2
    divisor[0] = 1
    # transform of a jump up at the first and down at the last sample
    smooth = (1 - np.exp(2j * np.pi * frequency)) / divisor
    smooth[0] = 0
    return np.asarray(fft.rfft(profile) - smooth * jump)
