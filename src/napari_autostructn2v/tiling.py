"""Large slices in tiles that overlap, so that what is made of the tiles equals what is made of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Field = tuple[slice, slice]
"""Rows and columns of a slice."""


@dataclass(frozen=True)
class Tile:
    """One tile of a slice.

    Attributes
    ----------
    source
        What to read of the slice: the tile and its surroundings, as far as there are any.
    inner
        The tile in what was read.
    target
        The tile in the slice.
    """

    source: Field
    inner: Field
    target: Field


def tiles(shape: tuple[int, ...], side: int, margin: int) -> Iterator[Tile]:
    """The tiles of a slice (Y, X), row by row.

    Parameters
    ----------
    shape
        Of the slice.
    side
        Of a tile in pixels; those at the far ends may be smaller.
    margin
        How far the surroundings reach that a tile needs, in pixels.
    """
    height, width = shape
    for y in range(0, height, side):
        for x in range(0, width, side):
            ends = min(y + side, height), min(x + side, width)
            first = max(0, y - margin), max(0, x - margin)
            yield Tile(
                (
                    slice(first[0], min(ends[0] + margin, height)),
                    slice(first[1], min(ends[1] + margin, width)),
                ),
                (slice(y - first[0], ends[0] - first[0]), slice(x - first[1], ends[1] - first[1])),
                (slice(y, ends[0]), slice(x, ends[1])),
            )
