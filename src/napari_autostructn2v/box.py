"""Part of a stack."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """Part of a stack: from the first index of each axis up to, but without, the last.

    Attributes
    ----------
    z, y, x
        First and last index in pixels.
    """

    z: tuple[int, int]
    y: tuple[int, int]
    x: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        depth, height, width = (end - start for start, end in (self.z, self.y, self.x))
        return depth, height, width

    @property
    def field(self) -> tuple[slice, slice]:
        """What it takes of a slice (Y, X)."""
        return slice(*self.y), slice(*self.x)

    def within(self, shape: tuple[int, int, int]) -> Box:
        """The part of it that lies in a stack of that shape.

        Parameters
        ----------
        shape
            Slices, rows and columns of the stack.
        """
        (z, y, x) = (
            (max(0, start), min(end, size))
            for (start, end), size in zip((self.z, self.y, self.x), shape, strict=True)
        )
        return Box(z, y, x)
