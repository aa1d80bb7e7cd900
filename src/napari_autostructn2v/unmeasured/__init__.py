"""Pixels that were never measured: found by themselves, left out, and said.

What is found in a slice follows from that slice alone, so that whoever reads it, one process or many, finds
the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy import ndimage

from napari_autostructn2v.unmeasured.blank import find_blank, find_blended
from napari_autostructn2v.unmeasured.fill import filled
from napari_autostructn2v.unmeasured.spikes import find_spikes

BLANK, REPLACED = 1, 2
"""What :attr:`Unmeasured.labels` are, apart from 0."""

NOTHING_MEASURED = (
    "There is nothing to denoise: all values of the stack are the same, no numbers, or left out."
)


class BlankKind(StrEnum):
    """What blank pixels of a slice are, in words."""

    FRAME = "a frame"
    AREA = "areas of one value"
    WHOLE_SLICE = "whole slices"
    NO_NUMBERS = "no numbers"
    LEFT_OUT = "left out by hand"


@dataclass(frozen=True, eq=False)
class Unmeasured:
    """Pixels of a slice that were never measured.

    Attributes
    ----------
    blank
        Those that hold nothing of the sample and keep their own values in a result, bool (Y, X): padding, no
        numbers, what a person left out.
    spoiled
        Those that hold something else, and are replaced by what the network predicts, bool (Y, X): hot and
        dead pixels, hits of X-rays, a rim that was mixed with padding.
    spikes
        How many hot or dead pixels and hits there are.
    kinds
        What the blank ones are.
    """

    blank: np.ndarray
    spoiled: np.ndarray
    spikes: int = 0
    kinds: frozenset[BlankKind] = frozenset()

    @property
    def pixels(self) -> np.ndarray:
        """All of them, bool (Y, X)."""
        return self.blank | self.spoiled

    @property
    def labels(self) -> np.ndarray:
        """A picture of them, uint8 (Y, X): :data:`BLANK`, :data:`REPLACED`, and 0 for what was measured."""
        labels = np.zeros(self.blank.shape, dtype=np.uint8)
        labels[self.blank], labels[self.spoiled] = BLANK, REPLACED
        return labels

    @property
    def whole_slice(self) -> bool:
        """Whether nothing of the slice was measured."""
        return bool(self.pixels.all())

    def of_part(self, rows: slice, columns: slice) -> Unmeasured:
        """Those in a part of the slice.

        Parameters
        ----------
        rows, columns
            The part.
        """
        return replace(self, blank=self.blank[rows, columns], spoiled=self.spoiled[rows, columns])


@dataclass(frozen=True)
class Packed:
    """:class:`Unmeasured` in little memory: of a frame, some hundred bytes."""

    blank: bytes
    spoiled: bytes
    spikes: int
    kinds: frozenset[BlankKind]
    shape: tuple[int, int]

    @classmethod
    def of(cls, unmeasured: Unmeasured) -> Packed:
        """Pack it.

        Parameters
        ----------
        unmeasured
            Pixels of a slice.
        """
        blank, spoiled = (
            zlib.compress(np.packbits(mask).tobytes(), 1) for mask in (unmeasured.blank, unmeasured.spoiled)
        )
        height, width = unmeasured.blank.shape
        return cls(blank, spoiled, unmeasured.spikes, unmeasured.kinds, (height, width))

    def unpacked(self) -> Unmeasured:
        """What was packed."""
        count = self.shape[0] * self.shape[1]
        blank, spoiled = (
            np.unpackbits(np.frombuffer(zlib.decompress(part), np.uint8), count=count)
            .view(bool)
            .reshape(self.shape)
            for part in (self.blank, self.spoiled)
        )
        return Unmeasured(blank, spoiled, self.spikes, self.kinds)


def find_unmeasured(
    values: np.ndarray, plane: np.ndarray, left_out: np.ndarray | None = None
) -> Unmeasured | None:
    """Find the pixels of a slice that were never measured; None if all were.

    Parameters
    ----------
    values
        The slice as it was recorded, (Y, X).
    plane
        The same as the engine computes with it, float32 (Y, X).
    left_out
        Pixels that a person leaves out, bool (Y, X).
    """
    blank = find_blank(values)
    spoiled = find_blended(plane, blank) | ~(np.isfinite(plane) | blank)
    kinds = set(_kinds(values, blank))
    if left_out is not None and left_out.any():
        kinds.add(BlankKind.LEFT_OUT)
        blank = blank | left_out
        spoiled &= ~blank
    unknown = blank | spoiled
    spikes = 0
    if not unknown.all():
        found = find_spikes(filled(plane, unknown) if unknown.any() else plane, unknown)
        if found.any():
            spikes = int(ndimage.label(found, np.ones((3, 3)))[1])
            spoiled |= found
    if not blank.any() and not spoiled.any():
        return None
    return Unmeasured(blank, spoiled, spikes, frozenset(kinds))


def _kinds(values: np.ndarray, blank: np.ndarray) -> Iterator[BlankKind]:
    if not blank.any():
        return
    if not np.isfinite(values[blank]).all():
        yield BlankKind.NO_NUMBERS
    if blank.all():
        yield BlankKind.WHOLE_SLICE
    elif np.concatenate([blank[[0, -1]].ravel(), blank[:, [0, -1]].ravel()]).any():
        yield BlankKind.FRAME
    else:
        yield BlankKind.AREA
