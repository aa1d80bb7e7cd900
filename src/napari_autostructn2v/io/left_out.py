"""Pixels that a person leaves out of stacks, as files and boxes say them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_autostructn2v.box import SLICE_FORM, STACK_FORM, Box
from napari_autostructn2v.computed import ComputedArray
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.io import read_stack


@dataclass(frozen=True)
class LeftOut:
    """What is left out of each of some stacks.

    Attributes
    ----------
    files
        Masks, of a slice or of a whole stack; what is above 0 is left out.
    boxes
        As :meth:`Box.from_text` reads them.
    """

    files: tuple[Path, ...] = ()
    boxes: tuple[str, ...] = ()

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> LeftOut:
        """What names of files and boxes say.

        Parameters
        ----------
        texts
            A file where there is one of that name, else a box where there is a colon.
        """
        boxes = [text for text in texts if ":" in text and not Path(text).exists()]
        # workers may have been started in another folder
        return cls(tuple(Path(text).resolve() for text in texts if text not in boxes), tuple(boxes))

    def of(self, shape: tuple[int, ...]) -> Any:
        """What is left out of a stack, read one slice at a time where it differs from slice to slice.

        Parameters
        ----------
        shape
            Of the stack, (Z, Y, X) or (Y, X).

        Returns
        -------
        array
            bool (Y, X) for all slices, or (Z, Y, X); None if nothing is left out.

        Raises
        ------
        ConfigError
            If a box is none.
        FileError
            If a file cannot be read.
        StackError
            If a box does not lie in the stack, or a mask has another shape.
        """
        boxes = [Box.from_text(text, shape, SLICE_FORM, STACK_FORM) for text in self.boxes]
        masks = [read_stack(file).array for file in self.files]
        for file, mask in zip(self.files, masks, strict=True):
            if mask.shape not in (shape, shape[-2:]):
                raise StackError(f"{file} has shape {mask.shape}, the stack {shape}.")
        if not boxes and not masks:
            return None

        def plane(z: int) -> np.ndarray:
            left_out = np.zeros(shape[-2:], dtype=bool)
            for box in boxes:
                if box.z[0] <= z < box.z[1]:
                    left_out[box.field] = True
            for mask in masks:
                left_out |= np.asarray(mask[z] if mask.ndim == 3 else mask[...]) > 0
            return left_out

        depth = shape[0] if len(shape) == 3 else 1
        if all(box.z == (0, depth) for box in boxes) and all(mask.ndim == 2 for mask in masks):
            return plane(0)
        return ComputedArray(shape, plane, bool)
