"""What of a stack was never measured, in figures and in words."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_autostructn2v.config import Mode
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.events import SliceSeen, Surveyed
from napari_autostructn2v.stack import Stack
from napari_autostructn2v.unmeasured import NOTHING_MEASURED, BlankKind

FEW_SLICES = 20
"""Below this many slices 2.5D has little to learn from and is usually no better than 2D."""

GOES_ON = 0.7
"""Correlation of neighbouring slices from which on they show the same things. Tomograms and FIB-SEM have 0.9
and more, serial sections of 50 nm below 0.5, noise none."""

PAIRS, SMOOTHED_PX = 4, 2.0
"""Pairs of slices that are looked at for that, and by how much they are blurred, as noise would hide it."""

MOST = 0.6
"""Share of a stack that is left out, above which a person is asked whether that is meant."""


@dataclass(frozen=True)
class Survey:
    """What of a stack was never measured.

    Attributes
    ----------
    blank
        Share of the stack that is blank, or left out by hand, 0 to 1.
    kinds
        What that is.
    spikes
        Hot and dead pixels, and hits of X-rays.
    levelled
        Whether brightness changes from slice to slice, so that slices are brought to one level.
    """

    blank: float
    kinds: frozenset[BlankKind]
    spikes: int
    levelled: bool

    @property
    def pixels(self) -> bool:
        """Whether there are pixels that were never measured."""
        return bool(self.blank or self.spikes)

    @property
    def notice(self) -> Surveyed | None:
        """The same for who watches a run; None if there is nothing to say."""
        return Surveyed(str(self), pixels=self.pixels) if str(self) else None

    def __str__(self) -> str:
        """In words; empty if there is nothing to say."""
        said = []
        if self.blank:
            share = "less than 1" if self.blank < 0.01 else f"{100 * self.blank:.0f}"
            kinds = ", ".join(kind for kind in BlankKind if kind in self.kinds)
            said.append(f"{share} % of the stack is blank ({kinds}) and is left out.")
        if self.spikes:
            said.append("1 pixel is hot." if self.spikes == 1 else f"{self.spikes} pixels are hot.")
        if self.levelled:
            said.append("The brightness changes from slice to slice: they are brought to one level.")
        return " ".join(said)


def survey(stack: Stack) -> Generator[SliceSeen, None, Survey]:
    """Look through a stack for what was never measured.

    Parameters
    ----------
    stack
        The raw data. Slices that were read before are not read again.

    Yields
    ------
    SliceSeen
        After each slice.

    Returns
    -------
    Survey
    """
    blank, spikes, kinds = 0, 0, frozenset[BlankKind]()
    depth, height, width = stack.shape
    for z in range(depth):
        found = stack.unmeasured(z)
        if found is not None:
            blank += int(found.blank.sum())
            spikes += found.spikes
            kinds |= found.kinds
        yield SliceSeen(done=z + 1, total=depth)
    return Survey(blank / (depth * height * width), kinds, spikes, stack.is_levelled)


def unmeasured_labels(stack: Stack, z: int) -> np.ndarray:
    """A picture of what was never measured, uint8 (Y, X), as :attr:`~.Unmeasured.labels`; 0 where all was.

    Parameters
    ----------
    stack
        The raw data.
    z
        Number of the slice, from 0.
    """
    found = stack.unmeasured(z)
    return np.zeros(stack.shape[1:], dtype=np.uint8) if found is None else found.labels


def few_slices_notice(stack: Stack, mode: Mode) -> str | None:
    """A warning for 2.5D on a thin stack, or None.

    Parameters
    ----------
    stack
        The stack that is to be denoised.
    mode
        How: only ``"2.5d"`` needs many slices.
    """
    if mode == "2.5d" and stack.shape[0] < FEW_SLICES:
        return (
            f"2.5D on only {stack.shape[0]} slices learns little from the neighbours; "
            f"below {FEW_SLICES} slices compare it with 2D."
        )
    return None


def refuse_constant(stack: Stack) -> None:
    """Refuse a stack that shows nothing, before any work: reads no more of it than tells.

    Parameters
    ----------
    stack
        The raw data.

    Raises
    ------
    StackError
        If all its values are the same, or none is a finite number.
    """
    first: float | None = None
    for z in range(stack.shape[0]):
        plane = stack.raw(z)
        values = plane[np.isfinite(plane)]
        if values.size and first is None:
            first = float(values[0])
        if values.size and (values != first).any():
            return
    raise StackError(NOTHING_MEASURED)


def continuity(stack: Stack) -> float:
    """How far neighbouring slices show the same things: their correlation, blurred, -1 to 1; 0 for one slice.

    Parameters
    ----------
    stack
        The raw data; a few pairs of its slices are read.
    """
    depth = stack.shape[0]
    found = []
    for z in np.unique(np.linspace(0, max(depth - 2, 0), PAIRS).round().astype(int)) if depth > 1 else ():
        pair = [ndimage.gaussian_filter(stack.plane(n), SMOOTHED_PX) for n in (int(z), int(z) + 1)]
        if all(np.ptp(plane) > 0 for plane in pair):
            found.append(float(np.corrcoef(pair[0].ravel(), pair[1].ravel())[0, 1]))
    return float(np.median(found)) if found else 0.0
