"""Part of a stack."""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_autostructn2v.errors import ConfigError, StackError

SLICE_FORM = "Y0:Y1,X0:X1"
"""How a box of all slices is written."""

STACK_FORM = "Z0:Z1,Y0:Y1,X0:X1"
"""How a box of some slices is written."""


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

    @classmethod
    def from_text(cls, text: str, shape: tuple[int, ...], *forms: str) -> Box:
        """A box of a stack that a person has written.

        Parameters
        ----------
        text
            First and last index of each axis, in pixels, such as ``0:100,20:220``.
        shape
            Of the stack, (Z, Y, X) or (Y, X).
        *forms
            Which may be written: :data:`SLICE_FORM`, :data:`STACK_FORM`.

        Raises
        ------
        ConfigError
            If it is no box of such a form.
        StackError
            If it does not lie in the stack.
        """
        spans = re.findall(r"(\d+):(\d+)", text)
        form = next((form for form in forms if form.count(":") == len(spans)), None)
        if form is None or ",".join(map(":".join, spans)) != text.replace(" ", ""):
            example = ",".join(["0:100", "20:220", "20:220"][: forms[0].count(":")])
            raise ConfigError(f"{text!r} is no box. Write {' or '.join(forms)}, for example {example}.")
        depth, height, width = (1, *shape)[-3:]
        *z, y, x = ((int(first), int(last)) for first, last in spans)
        box = cls(z[0] if z else (0, depth), y, x)
        if box.within((depth, height, width)) != box or min(box.shape) < 1:
            raise StackError(f"The box {text} does not lie in the stack, whose shape is {shape}.")
        return box

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
