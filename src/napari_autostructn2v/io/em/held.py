"""Which of the data in a microscope's file is the stack: such files hold spectra and pictures beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_autostructn2v.errors import FileError, plural

_MOST_NAMES = 5
_NAME_LENGTH = 40


@dataclass(frozen=True)
class Held:
    """Data that a file holds.

    Attributes
    ----------
    name
        What the file calls it.
    shape
        The axis that changes fastest is the last; of a stack, (Z, Y, X).
    dtype
        None if its values are no plain numbers.
    place
        Where it lies, for the reader of the format.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    place: Any

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def trouble(self) -> str:
        """Why it is no grey stack, and what to do; empty if it is one."""
        if self.dtype is not None and self.dtype.kind == "c":
            return "complex numbers, as of a Fourier transform. Save magnitude or real part, and open that."
        if self.dtype is None or self.dtype.kind not in "uifb":
            return "colours, or values that are no plain numbers. Save it as grey values from its program."
        if 0 in self.shape:
            return "no pixels. Save it again."
        if len(self.shape) < 2 or 1 in self.shape[-2:]:
            return "a spectrum or a line and no image. Save an image, and open that."
        if len(self.shape) > 3:
            return (
                f"data of {len(self.shape)} axes, {' × '.join(map(str, self.shape))}, such as a map of "
                "diffraction patterns. Save one stack (Z, Y, X) or one slice (Y, X)."
            )
        return ""


def only_stack(every: Sequence[Held], path: Path) -> tuple[Held, tuple[str, ...]]:
    """The largest grey stack, the first of those that are as large; and what else there is, in words.

    Parameters
    ----------
    every
        What the file holds, in its order.
    path
        Of the file, for messages.

    Raises
    ------
    FileError
        If none of it is a grey stack.
    """
    if not every:
        raise FileError(f"{path.name} holds no image, or none that is known here. Save it again as TIFF.")
    stacks = [each for each in every if not each.trouble]
    if not stacks:
        raise FileError(f"{path.name} holds {max(every, key=lambda each: each.size).trouble}")
    chosen = max(stacks, key=lambda each: each.size)
    others = [_shown(each.name) for each in every if each is not chosen]
    if not others:
        return chosen, ()
    named = ", ".join(others[:_MOST_NAMES]) + (" and more" if len(others) > _MOST_NAMES else "")
    return chosen, (
        f"{path.name} holds {plural(len(every), 'image')}, of which {_shown(chosen.name)} is read. Left out: "
        f"{named}. To denoise another one, save it on its own.",
    )


def _shown(name: str) -> str:
    """A name that a file gives, fit for a sentence."""
    words = " ".join("".join(char if char.isprintable() else " " for char in name).split())
    return words if len(words) <= _NAME_LENGTH else words[: _NAME_LENGTH - 1] + "…"
