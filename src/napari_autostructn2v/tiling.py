"""Large slices in tiles that overlap, so that what is made of the tiles equals what is made of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

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

    def touches(self, field: Field) -> bool:
        """Whether it holds any pixel of a part of the slice.

        Parameters
        ----------
        field
            The part: its rows and columns in the slice.
        """
        return all(
            own.start < other.stop and other.start < own.stop
            for own, other in zip(self.target, field, strict=True)
        )

    def within(self, field: Field) -> Tile:
        """The same tile where only that part of the slice is at hand.

        Parameters
        ----------
        field
            The part that is at hand: its rows and columns in the slice. All that the tile reads lies in it.
        """
        return Tile(relative_to(self.source, field), self.inner, relative_to(self.target, field))


def tiles(shape: tuple[int, ...], size: tuple[int, int], margin: int) -> Iterator[Tile]:
    """The tiles of a slice (Y, X), row by row.

    Parameters
    ----------
    shape
        Of the slice.
    size
        Of a tile in pixels; those at the far ends may be smaller.
    margin
        How far the surroundings reach that a tile needs, in pixels.
    """
    height, width = shape
    for y in range(0, height, size[0]):
        for x in range(0, width, size[1]):
            target = slice(y, min(y + size[0], height)), slice(x, min(x + size[1], width))
            source = (
                slice(max(0, y - margin), min(target[0].stop + margin, height)),
                slice(max(0, x - margin), min(target[1].stop + margin, width)),
            )
            yield Tile(source, relative_to(target, source), target)


@lru_cache(maxsize=16)
def best_tile_size(shape: tuple[int, ...], margin: int, multiple: int, most: int) -> tuple[int, int]:
    """The size of tiles that need the least computing: all of a slice, strips of it, or rectangles.

    Parameters
    ----------
    shape
        Of the slice (Y, X).
    margin
        Pixels that are computed around each tile as well.
    multiple
        Of which the sides of a tile are.
    most
        Pixels that a tile may have with its margin.
    """
    height, width = shape
    best, least = (multiple, multiple), float("inf")
    for rows in range(1, -(-height // multiple) + 1):
        tall = -(-height // (rows * multiple)) * multiple
        room = most // min(tall + 2 * margin, height)  # for the width of a tile with its margin
        wide = width if room >= width else (room - 2 * margin) // multiple * multiple
        if wide < multiple:
            continue
        columns = -(-width // wide)
        work = (height + 2 * margin * (rows - 1)) * (width + 2 * margin * (columns - 1))
        if work < least:
            best, least = (tall, -(-width // (columns * multiple)) * multiple), work
    return best


def relative_to(field: Field, other: Field) -> Field:
    """A part of a slice, counted from the beginning of another.

    Parameters
    ----------
    field
        Rows and columns of the part, in the slice.
    other
        Rows and columns of the part from whose beginning they are counted, in the slice.
    """
    y, x = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(field, other, strict=True))
    return y, x


def bounding(fields: Iterable[Field]) -> Field:
    """The smallest part of a slice that holds all of these.

    Parameters
    ----------
    fields
        Rows and columns of each part, in the slice; at least one part.
    """
    rows, columns = zip(*fields, strict=True)
    y, x = (slice(min(s.start for s in side), max(s.stop for s in side)) for side in (rows, columns))
    return y, x


def intersection(field: Field, other: Field) -> Field:
    """What two parts of a slice that touch have in common.

    Parameters
    ----------
    field, other
        Rows and columns of the two parts, in the slice.
    """
    y, x = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(field, other, strict=True))
    return y, x
