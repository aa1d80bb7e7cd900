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
from typing import Annotated
from weakref import WeakKeyDictionary

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import fft

from napari_autostructn2v.config import MAX_TILE, MIN_TILE, NotchChoice
from napari_autostructn2v.noise.curtains import find_curtains
from napari_autostructn2v.noise.patterns import (
    Notch,
    Offsets,
    half_spectrum,
    notched,
    periodic_spectrum,
)
from napari_autostructn2v.noise.waves import (
    COHERENT_POWER_SHARE,
    LATTICE_LOG_EXCESS,
    MIN_SLICES_FOR_COHERENCE,
    find_waves,
    level,
)
from napari_autostructn2v.stack import Stack
from napari_autostructn2v.threads import THREADS, in_background

MAX_SLICES = 32
"""Slices measured: the pattern's frequencies are the same all over a stack."""

MIN_LINE_LOG_EXCESS = 0.7
"""Log power that three quarters of a line along an axis have above what is beside it."""

PROTECTED_BINS = 2
"""So many bins around zero frequency are left alone on lines as well."""


@dataclass(frozen=True, eq=False)
class NotchRule:
    """Which patterns to take away, of any stack of the same microscope.

    Attributes
    ----------
    peaks
        Of the tiles' spectrum, bool (T, T): a pattern has to be there as well.
    choice
        ``auto`` leaves alone what looks like a lattice of the sample.
    limit_px
        The shortest period that the optics pass, in pixels along Y and along X: what is finer is no sample's.
        None if it is not known.
    """

    peaks: np.ndarray
    choice: NotchChoice
    limit_px: tuple[float, float] | None = None

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, NotchRule)
            and (self.choice, self.limit_px) == (other.choice, other.limit_px)
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
        taken = here.without_lattices(self.limit_px)
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
        found = _found[stack] = replace(lines, waves=find_waves(notched(stack, lines), chosen))
    return found


_found: WeakKeyDictionary[Stack, Notch] = WeakKeyDictionary()


def _chosen(depth: int) -> list[int]:
    """Slices from all over the stack, in pairs of neighbours where they are not all taken."""
    if depth <= MAX_SLICES:
        return list(range(depth))
    first = np.linspace(0, depth - 2, MAX_SLICES // 2).round().astype(int)
    return sorted({int(z) for z in (*first, *(first + 1))})


def _find_offsets(stack: Stack, chosen: list[int], *, others_than: set[int]) -> tuple[Offsets, ...]:
    """Offsets of rows and of columns, but along the axes on which curtains take them as well."""

    def profiles(z: int) -> tuple[np.ndarray, np.ndarray]:
        plane = level(stack, z)
        return _line_spectrum(plane), _line_spectrum(plane.T)

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


Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class NotchDescription(BaseModel):
    """A notch rule as JSON."""

    model_config = ConfigDict(extra="forbid")

    side: int = Field(ge=MIN_TILE, le=MAX_TILE)
    peaks: list[tuple[int, int]]
    choice: NotchChoice
    limit_px: tuple[Length, Length] | None = None
    """As of the rule; models made before have none."""

    @classmethod
    def of(cls, rule: NotchRule) -> NotchDescription:
        """As the rule says.

        Parameters
        ----------
        rule
            What is to be described.
        """
        return cls(
            side=len(rule.peaks),
            peaks=np.argwhere(rule.peaks).tolist(),
            choice=rule.choice,
            limit_px=rule.limit_px,
        )

    def rule(self) -> NotchRule:
        """The rule that it describes."""
        peaks = np.zeros((self.side, self.side), dtype=bool)
        for place in self.peaks:
            if not all(0 <= index < self.side for index in place):
                raise ValueError("a peak of the notch lies outside of its spectrum")
            peaks[place] = True
        return NotchRule(peaks, self.choice, self.limit_px)
