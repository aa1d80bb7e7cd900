"""Drawing on the grid of a kernel: lines, boxes and crosses through its centre, thicker and thinner.

A grid is a boolean array of odd sizes, (L, L), or (3, L, L) with the slices z-1, z and z+1. Each function
returns another grid, as point-symmetric as the one given, whose centre pixel is set. In a grid of three
slices it acts on the middle one or on all of them. Sizes are in pixels, centre included; as a kernel has a
middle, an even size counts as the next odd one. What reaches beyond the grid is cut off.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

from napari_autostructn2v.errors import KernelError
from napari_autostructn2v.kernel import centre

Slices = Literal["middle", "all"]

WITH_NEIGHBOURS = np.ones((3, 3), dtype=bool)
"""A pixel and its eight neighbours."""


def line(
    grid: np.ndarray, angle_degrees: float, length: int, *, slices: Slices = "middle", value: bool = True
) -> np.ndarray:
    """Set, or erase, a straight line through the centre.

    Parameters
    ----------
    grid
        bool (L, L) or (3, L, L).
    angle_degrees
        From +X, counter-clockwise as seen on the screen: 90 points upwards, where row numbers fall.
    length
        Along X or Y, whichever the line is longer along, as a verdict gives it.
    slices
        Which slices of three to draw in.
    value
        False erases.
    """
    reach, turn = _reach(length), np.radians(angle_degrees)
    direction = np.array([-np.sin(turn), np.cos(turn)])
    steps = np.arange(-reach, reach + 1)[:, None] * direction / np.abs(direction).max()
    return _drawn(grid, np.rint(steps).astype(int), slices, value)


def box(
    grid: np.ndarray, height: int, width: int, *, slices: Slices = "middle", value: bool = True
) -> np.ndarray:
    """Set, or erase, a filled box around the centre.

    Parameters
    ----------
    grid
        bool (L, L) or (3, L, L).
    height
        In pixels.
    width
        In pixels.
    slices
        Which slices of three to draw in.
    value
        False erases.
    """
    y, x = _reach(height), _reach(width)
    offsets = np.mgrid[-y : y + 1, -x : x + 1].reshape(2, -1).T
    return _drawn(grid, offsets, slices, value)


def cross(grid: np.ndarray, length: int, *, slices: Slices = "middle", value: bool = True) -> np.ndarray:
    """Set, or erase, a line along X and one along Y.

    Parameters
    ----------
    grid
        bool (L, L) or (3, L, L).
    length
        Of each line, in pixels.
    slices
        Which slices of three to draw in.
    value
        False erases.
    """
    along_x = line(grid, 0, length, slices=slices, value=value)
    return line(along_x, 90, length, slices=slices, value=value)


def thickened(grid: np.ndarray, *, slices: Slices = "middle") -> np.ndarray:
    """The grid grown by one pixel in every direction.

    Parameters
    ----------
    grid
        bool (L, L) or (3, L, L).
    slices
        Which slices of three to act on.
    """
    grown = grid.copy()
    for plane in _planes(grown, slices):
        plane[...] = ndimage.binary_dilation(plane, WITH_NEIGHBOURS)
    return grown


def thinned(grid: np.ndarray, *, slices: Slices = "middle") -> np.ndarray:
    """The grid without its outermost pixels. Lines of one or two pixels stay: they are thin already.

    Parameters
    ----------
    grid
        bool (L, L) or (3, L, L).
    slices
        Which slices of three to act on.
    """
    thin = grid.copy()
    for plane in _planes(thin, slices):
        core = ndimage.binary_erosion(plane, WITH_NEIGHBOURS)
        lines = plane & ~ndimage.binary_dilation(core, WITH_NEIGHBOURS)
        # where a line left a thick part, the pixel between the two is gone with its rim: bridge it
        plane[...] = plane & (core | lines | ndimage.binary_closing(core | lines, WITH_NEIGHBOURS))
    thin[centre(grid.shape)] = True
    return thin


def _reach(size: int) -> int:
    """Pixels on either side of the centre."""
    if size < 1:
        raise KernelError(f"Nothing of {size} pixels can be drawn. Take 1 or more.")
    return size // 2


def _planes(grid: np.ndarray, slices: Slices) -> list[np.ndarray]:
    """Views of the slices to act on."""
    if grid.ndim == 2:
        return [grid]
    return list(grid) if slices == "all" else [grid[1]]


def _drawn(grid: np.ndarray, offsets: np.ndarray, slices: Slices, value: bool) -> np.ndarray:
    """The grid with pixels at ``offsets`` from the centre, (n, 2), set to ``value``."""
    drawn = grid.copy()
    index = offsets + centre(grid.shape)[-2:]
    inside = ((index >= 0) & (index < grid.shape[-2:])).all(axis=1)
    for plane in _planes(drawn, slices):
        plane[tuple(index[inside].T)] = value
    drawn[centre(grid.shape)] = True
    return drawn
