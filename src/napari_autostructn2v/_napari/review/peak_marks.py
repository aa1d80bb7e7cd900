"""What stands in the layer of peaks: found, added by hand, erased by hand, each in a colour of its own."""

from __future__ import annotations

import numpy as np

from napari_autostructn2v._napari.colours import PEAK_MARKS
from napari_autostructn2v.noise.review import Mark

LINE_WIDTH = 0.25
NAMES = {Mark.FOUND: "found", Mark.ADDED: "added", Mark.ERASED: "erased"}


def lines(marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outlines of what is marked, and a cross on each erased bin.

    Parameters
    ----------
    marks
        :class:`Mark` of each bin, uint8 (T, T).

    Returns
    -------
    lines
        (n, 2, 2): start and direction of each, in bins. One of no length where nothing is marked.
    colours
        (n, 4).
    """
    if not marks.any():  # napari 0.9.2 takes no colours for no lines
        return np.zeros((1, 2, 2)), np.zeros((1, 4))
    parts = {mark: [outline(marks == mark)] for mark in PEAK_MARKS}
    parts[Mark.ERASED].append(_crosses(np.argwhere(marks == Mark.ERASED)))
    drawn = {mark: np.concatenate(each) for mark, each in parts.items()}
    colours = [np.repeat([PEAK_MARKS[mark]], len(each), axis=0) for mark, each in drawn.items()]
    return np.concatenate(list(drawn.values())), np.concatenate(colours)


def outline(mask: np.ndarray) -> np.ndarray:
    """Lines around the pixels of a mask (T, T), in pixels: start and direction of each, (n, 2, 2)."""
    padded = np.pad(mask, 1)
    level, upright = (np.argwhere(np.diff(padded.astype(np.int8), axis=axis)) for axis in (0, 1))
    starts = np.concatenate([level - [0.5, 1.5], upright - [1.5, 0.5]])
    directions = np.repeat([(0.0, 1.0), (1.0, 0.0)], [len(level), len(upright)], axis=0)
    return np.stack([starts, directions], axis=1)


def _crosses(bins: np.ndarray) -> np.ndarray:
    """The two diagonals of each bin, (2 n, 2, 2)."""
    falling = np.stack([bins - 0.5, np.full(bins.shape, 1.0)], axis=1)
    rising = np.stack([bins + np.array([0.5, -0.5]), np.tile([-1.0, 1.0], (len(bins), 1))], axis=1)
    return np.concatenate([falling, rising])


def painted(data: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Marks that a person means who left ``data``: 0 erases, any label adds, (T, T)."""
    on, off = np.where(found, Mark.FOUND, Mark.ADDED), np.where(found, Mark.ERASED, Mark.NONE)
    return np.where(data != Mark.NONE, on, off).astype(np.uint8)
