"""Tiles of a stack: where its background is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from napari_autostructn2v.config import MIN_TILE, AnalysisConfig
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.stack import Stack
from napari_autostructn2v.threads import THREADS, in_background

MIN_SLICES, MAX_SLICES, ENOUGH_TILES = 16, 64, 6000
"""Slices and tiles looked at: noise is alike all over a stack, and more only cost time. With so many tiles,
errors are far below the smallest departure that is a peak, and below the smallest correlation in a kernel."""

TILES_AT_ONCE = 32
"""Tiles transformed together: as many of the usual size as a processor's cache holds."""

MIN_SHARE_INSIDE = 0.98
"""Share of a tile that has to lie in the outlined background."""

MAX_UNMEASURED = 0.02
"""Share of a tile that may never have been measured, and is filled."""


@dataclass(frozen=True)
class Tiles:
    """Where a stack shows its background.

    Attributes
    ----------
    side
        Of a tile in pixels, odd.
    corners
        Slice, first row and first column of each tile, in the order of the slices.
    independent
        As how many tiles they count that overlap by half; in small slices they overlap by more.
    outlined
        Whether a person has said where the background is.
    """

    side: int
    corners: tuple[tuple[int, int, int], ...]
    independent: float
    outlined: bool


def choose_tiles(
    stack: Stack, denoised: Stack | None, config: AnalysisConfig, region: np.ndarray | None = None
) -> Tiles:
    """Find the background: the flattest tiles, or those of an outlined region.

    Only there is noise alone: with all tiles, real structure that has a direction (a microtubule) is taken
    for noise.

    Parameters
    ----------
    stack
        The raw data.
    denoised
        What Stage 1 made of it: it shows better than the raw data where there is nothing. None if there is
        no Stage 1.
    config
        Tile size and share of background.
    region
        Outlined background, bool (Y, X) or (Z, Y, X). The tiles get smaller where it asks for that.

    Raises
    ------
    StackError
        If the region does not have the shape of the stack, or holds no tile.
    """
    side = tile_side(stack, config)
    if region is None:
        flattest = _flattest_tiles(stack, denoised, side, config)
        return Tiles(side, tuple(flattest), len(flattest) * _novelty(stack, side), False)
    region = check_region(region, stack)
    smallest = min(MIN_TILE, side)
    while True:
        inside = _tiles_inside(region, stack, side, _step(side))
        if len(inside) >= config.min_tiles or side == smallest:
            break
        side = max(side // 3 * 2 + 1, smallest)
    if len(inside) > ENOUGH_TILES:
        inside = _tiles_inside(region, stack, side, _step(side, len(inside)))
    if not inside:
        raise StackError(
            f"The outlined background is too small: it holds no square of {smallest} × {smallest} pixels. "
            "Outline more of it."
        )
    return Tiles(side, tuple(inside), len(inside) * _novelty(stack, side), True)


def _tiles_inside(region: np.ndarray, stack: Stack, side: int, step: int) -> list[tuple[int, int, int]]:
    """Corners (z, y, x) of the tiles in an outlined background, in the order of the slices."""
    corners = _grid(stack.shape[1:], side, step)
    found = []
    for z in sampled_slices(stack, side):
        unknown = _shares_unmeasured(stack, z, corners, side)
        outlined = region if region.ndim == 2 else region[z]
        found += [
            (z, y, x)
            for (y, x), share in zip(corners, unknown, strict=True)
            if share <= MAX_UNMEASURED and outlined[y : y + side, x : x + side].mean() > MIN_SHARE_INSIDE
        ]
    return found


def _shares_unmeasured(stack: Stack, z: int, corners: list[tuple[int, int]], side: int) -> np.ndarray:
    """Of tiles of a slice, the share of pixels that were never measured, (n,)."""
    unmeasured = stack.unmeasured(z)
    if unmeasured is None:
        return np.zeros(len(corners))
    sums = np.pad(unmeasured.pixels.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    y, x = np.array(corners).T
    counts = sums[y + side, x + side] - sums[y, x + side] - sums[y + side, x] + sums[y, x]
    return np.asarray(counts / side**2)


def tile_side(stack: Stack, config: AnalysisConfig) -> int:
    """Side of the tiles in pixels, odd: smaller where slices are.

    Parameters
    ----------
    stack
        The raw data.
    config
        Tile size.
    """
    return min(config.tile_size, (min(stack.shape[1:]) - 1) // 2 * 2 + 1)


def check_region(region: np.ndarray, stack: Stack) -> np.ndarray:
    """The region as bool (Y, X) or (Z, Y, X).

    Parameters
    ----------
    region
        Non-zero where the background is outlined.
    stack
        Whose shape it must have.

    Raises
    ------
    StackError
        If it has neither shape, or nothing is in it.
    """
    region = np.asarray(region, dtype=bool)
    if region.shape not in (stack.shape, stack.shape[1:]):
        raise StackError(
            f"The background region has shape {region.shape}, the stack {stack.shape}. "
            "Outline it on the stack itself."
        )
    if not region.any():
        raise StackError("The background region is empty. Outline some background, or choose none.")
    return region


def batches(corners: Sequence[tuple[int, int]]) -> Iterator[slice]:
    """The tiles of a slice, so many at a time that their transforms need little memory.

    Parameters
    ----------
    corners
        First row and column of each tile.
    """
    return (slice(first, first + TILES_AT_ONCE) for first in range(0, len(corners), TILES_AT_ONCE))


def _flattest_tiles(
    stack: Stack, denoised: Stack | None, side: int, config: AnalysisConfig
) -> list[tuple[int, int, int]]:
    """Corners (z, y, x) of the flattest tiles, in the order of the slices."""
    corners = tile_corners(stack, side)
    slices = sampled_slices(stack, side)

    def spreads(z: int) -> list[float]:
        level = (denoised or stack).plane(z)
        level -= level.mean()  # which would cost digits
        smooth = ndimage.gaussian_filter(level, 2.0)
        return [
            spread
            for some in batches(corners)
            for spread in detrended(cut_tiles(smooth, corners[some], side)).std(axis=(1, 2))
        ]

    rough = in_background(spreads, slices, threads=THREADS)
    tiles = [
        (max(float(unknown), MAX_UNMEASURED), spread, z, *corner)
        for z, of_slice in zip(slices, rough, strict=True)
        for corner, spread, unknown in zip(
            corners, of_slice, _shares_unmeasured(stack, z, corners, side), strict=True
        )
    ]
    tiles.sort()
    count = sum(unknown <= MAX_UNMEASURED for unknown, *_ in tiles)
    count = max(count, min(config.min_tiles, len(tiles)))  # the fewest unmeasured pixels
    keep = max(round(config.flat_share * count), min(config.min_tiles, count))
    return sorted((z, y, x) for _, _, z, y, x in tiles[:keep])


def sampled_slices(stack: Stack, side: int) -> list[int]:
    """Slices spread over the stack, fewer of them where each has many tiles.

    Parameters
    ----------
    stack
        The raw data.
    side
        T, the side of the tiles in pixels, odd.
    """
    tiles = len(_grid(stack.shape[1:], side, _step(side)))
    count = int(np.clip(ENOUGH_TILES // tiles, MIN_SLICES, MAX_SLICES))
    spread = np.linspace(0, stack.shape[0] - 1, min(stack.shape[0], count)).round().astype(int)
    return stack.measured_among(np.unique(spread).tolist())


def _novelty(stack: Stack, side: int) -> float:
    """Share of a tile that is new to it, over that of tiles which overlap by half, at most 1."""
    step = _step(side)
    shares = ((1 + (size - side) / step) / len(_starts(size, side, step)) for size in stack.shape[1:])
    return math.prod(min(1.0, share) for share in shares)


def tile_corners(stack: Stack, side: int) -> list[tuple[int, int]]:
    """First row and column of the tiles at which each of the slices is looked at.

    They overlap by half. Where these are more than enough, they lie farther apart, all over the slice.

    Parameters
    ----------
    stack
        The raw data.
    side
        T, the side of the tiles in pixels, odd.
    """
    overlapping = _grid(stack.shape[1:], side, _step(side))
    return _grid(stack.shape[1:], side, _step(side, len(overlapping) * len(sampled_slices(stack, side))))


def _step(side: int, tiles: int = 0) -> int:
    """Pixels from tile to tile, of so many in all if they overlapped by half."""
    return math.ceil(max(1, side // 2) * math.sqrt(max(1.0, tiles / ENOUGH_TILES)))


def _grid(shape: tuple[int, ...], side: int, step: int) -> list[tuple[int, int]]:
    rows, columns = (_starts(size, side, step) for size in shape)
    return [(y, x) for y in rows for x in columns]


def _starts(size: int, side: int, step: int) -> list[int]:
    """First pixels of tiles from end to end, about ``step`` apart, the same seen from either end."""
    last = size - side
    if last == 0:
        return [0]
    count = -(-last // step) + 1
    if count % 2 and last % 2:  # an odd number of them has one right in the middle
        count += 1 if last >= 0.75 * step * count else -1
    half = [last * i // (count - 1) for i in range(-(-count // 2))]
    return half + [last - start for start in reversed(half[: count // 2])]


def cut_tiles(plane: np.ndarray, corners: list[tuple[int, int]], side: int) -> np.ndarray:
    """The tiles of a slice (Y, X) that begin at these corners, a copy, (n, T, T).

    Parameters
    ----------
    plane
        A slice, float32 (Y, X).
    corners
        First row and column of each of n tiles.
    side
        T, the side of the tiles in pixels, odd.
    """
    view = np.lib.stride_tricks.sliding_window_view(plane, (side, side))
    rows, columns = np.array(corners).T
    return view[rows, columns]


def detrended(tiles: np.ndarray) -> np.ndarray:
    """Tiles (n, T, T) less their quadratic trend: slow shading is neither noise nor structure.

    Parameters
    ----------
    tiles
        (n, T, T), any numbers; the result is float64.
    """
    basis = _quadratic_basis(tiles.shape[-1])
    flat = tiles.reshape(len(tiles), -1).astype(np.float64)
    return (flat - (flat @ basis) @ basis.T).reshape(tiles.shape)


@lru_cache(maxsize=4)
def _quadratic_basis(side: int) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].reshape(2, -1)
    basis, _ = np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))
    return basis
