"""The kernel: which neighbours share noise with a pixel, and so must be hidden with it.

A kernel is a boolean array of shape (K, K), or (3, K, K) for 2.5D where the first axis is slice z-1, z and
z+1. Sizes are odd (rows and columns may differ) and the centre is True. What an analysis finds is
point-symmetric, because an autocorrelation is: a neighbour at +d shares noise exactly as the one at -d does.
A person may draw a one-sided kernel all the same.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_autostructn2v.config import Mode
from napari_autostructn2v.errors import FileError, KernelError

POINT = np.ones((1, 1), dtype=bool)
"""The kernel of standard Noise2Void: one blind pixel."""

MAX_FILE_BYTES = 2**22
"""Size of a file from which it is surely no kernel: a stack chosen by mistake is not read whole."""

Offset = tuple[int, ...]


def mirrored(array: np.ndarray) -> np.ndarray:
    """The array seen through its centre: index +d becomes -d along every axis.

    Parameters
    ----------
    array
        With one sample in the middle: of odd sizes.
    """
    return np.flip(array)


def validate_kernel(array: Any, mode: Mode | None = None) -> np.ndarray:
    """Return ``array`` as a kernel.

    Parameters
    ----------
    array
        Anything that converts to an array of shape (K, L) or (3, K, L); non-zero means hidden.
    mode
        The mode it has to go with; None takes either.

    Returns
    -------
    numpy.ndarray
        Boolean kernel of the same shape.

    Raises
    ------
    KernelError
        If a size is even, the centre is missing, or it is not one of the mode.
    """
    try:
        kernel = np.asarray(array).astype(bool)
    except (TypeError, ValueError) as error:
        raise KernelError("The kernel is no rectangular array of numbers.") from error
    if kernel.ndim not in (2, 3) or (kernel.ndim == 3 and kernel.shape[0] != 3):
        raise KernelError(f"A kernel has shape (K, K), or (3, K, K) for 2.5D; this one has {kernel.shape}.")
    if any(n % 2 == 0 for n in kernel.shape):
        raise KernelError(
            f"The kernel's size {kernel.shape} is even along an axis, so it has no centre pixel. "
            "Add or remove one row or column."
        )
    if not kernel[centre(kernel.shape)]:
        raise KernelError("The kernel's centre pixel is not set. It is the blind spot itself: set it.")
    if mode is not None and (kernel.ndim == 3) != (mode == "2.5d"):
        raise KernelError(f"The kernel has {kernel.ndim} axes, which does not go with {mode.upper()}.")
    return kernel


def centre(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Index of the centre of an array of odd sizes.

    Parameters
    ----------
    shape
        Odd along every axis.
    """
    return tuple(n // 2 for n in shape)


def trim_kernel(kernel: np.ndarray) -> np.ndarray:
    """The smallest box around the centre that holds every pixel of the kernel; slices are never dropped.

    Parameters
    ----------
    kernel
        bool (K, K) or (3, K, K).
    """
    mid = centre(kernel.shape)[-2:]
    rows, columns = np.nonzero(kernel.any(axis=0) if kernel.ndim == 3 else kernel)[-2:]
    reach = [int(np.abs(index - m).max()) for index, m in zip((rows, columns), mid, strict=True)]
    y, x = (slice(m - r, m + r + 1) for m, r in zip(mid, reach, strict=True))
    return kernel[..., y, x].copy()


def united(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The smallest kernel that hides what either of two of one mode hides.

    Parameters
    ----------
    one, other
        bool (K, K) or (3, K, K).
    """
    side = max(*one.shape[-2:], *other.shape[-2:])
    return trim_kernel(embed_kernel(one, side) | embed_kernel(other, side))


def embed_kernel(kernel: np.ndarray, size: int) -> np.ndarray:
    """The kernel in the middle of an empty (size, size) grid per slice.

    Parameters
    ----------
    kernel
        bool (K, K) or (3, K, K).
    size
        L, the side of the grid in pixels, odd.

    Raises
    ------
    KernelError
        If it does not fit.
    """
    if max(kernel.shape[-2:]) > size:
        raise KernelError(f"A kernel of {kernel.shape[-2:]} pixels does not fit a grid of {size} × {size}.")
    margins = [((size - n) // 2, (size - n) // 2) for n in kernel.shape[-2:]]
    return np.pad(kernel, [(0, 0)] * (kernel.ndim - 2) + margins)


def load_kernel(path: str | Path) -> np.ndarray:
    """Read a kernel from .npy, .tif or .json (nested lists).

    Parameters
    ----------
    path
        Of a file of at most 4 MiB; the suffix says what it is.

    Raises
    ------
    FileError
        If the file cannot be read.
    KernelError
        If what it holds is no kernel.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise FileError(f"There is no file {path}. Check its name and folder.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FileError(f"{path.name} is much too large for a kernel. Is it a stack?")
        match path.suffix.lower():
            case ".npy":
                # mapped: the header is compared with the size of the file before memory is taken
                array: Any = np.load(path, allow_pickle=False, mmap_mode="r")
            case ".tif" | ".tiff":
                array = _read_tiff(path)
            case ".json":
                array = json.loads(path.read_text())
            case suffix:
                raise FileError(f"A kernel is a .npy, .tif or .json file; {path.name} ends in {suffix!r}.")
        if not isinstance(array, list | np.ndarray):
            raise ValueError("it is no table of numbers")
        array = np.array(array)
        if array.dtype.kind not in "biuf":
            raise ValueError("it holds something else than numbers")
    except (FileError, MemoryError):
        raise
    except Exception as error:  # three formats, each with its own zoo of exceptions on damaged files
        raise FileError(f"The kernel file {path} cannot be read: {error}") from error
    return validate_kernel(array)


def _read_tiff(path: Path) -> np.ndarray:
    from napari_autostructn2v.io import read_stack

    array = read_stack(path).array
    if math.prod(array.shape) * array.dtype.itemsize > MAX_FILE_BYTES:
        raise FileError(f"{path.name} is much too large for a kernel. Is it a stack?")
    return np.asarray(array)


def save_kernel(path: str | Path, kernel: np.ndarray, *, overwrite: bool = False) -> Path:
    """Write a kernel as .npy, .tif or .json, chosen by the suffix.

    Parameters
    ----------
    path
        Its suffix says what is written.
    kernel
        bool (K, K) or (3, K, K).
    overwrite
        Whether a file that is there is replaced.

    Raises
    ------
    FileError
        If the file exists, the suffix is none of these, or the folder cannot be written.
    """
    from napari_autostructn2v.disk.atomic import write_atomically

    path, kernel = Path(path), validate_kernel(kernel)
    if path.suffix.lower() not in (".npy", ".tif", ".tiff", ".json"):
        raise FileError(f"A kernel is saved as .npy, .tif or .json; {path.name} ends in {path.suffix!r}.")
    with write_atomically(path, overwrite=overwrite) as beside:
        match path.suffix.lower():
            case ".npy":
                with beside.open("wb") as file:
                    np.save(file, kernel)
            case ".json":
                beside.write_text(json.dumps(kernel.astype(int).tolist()))
            case _:
                import tifffile

                tifffile.imwrite(beside, kernel.astype(np.uint8), photometric="minisblack")
    return path


@dataclass(frozen=True)
class Edits:
    """What a person added to and erased from an automatic result, as offsets from the centre.

    Kept apart from the result itself, so that moving a threshold recomputes the automatic part and puts the
    person's part back on top. Offsets, not indices, so that the grid may change its size.
    """

    added: frozenset[Offset] = frozenset()
    erased: frozenset[Offset] = frozenset()

    def apply(self, automatic: np.ndarray) -> np.ndarray:
        """A copy of ``automatic`` (boolean, odd sizes) with the edits on top.

        Edits outside the grid are kept, not applied.

        Parameters
        ----------
        automatic
            A kernel's grid or the peaks of a spectrum, bool, odd sizes.

        Raises
        ------
        KernelError
            If an edit has another number of axes than ``automatic``.
        """
        edited = automatic.copy()
        for offsets, value in ((self.added, True), (self.erased, False)):
            for offset in offsets:
                if len(offset) != edited.ndim:
                    raise KernelError(
                        f"An edit at {offset} has {len(offset)} axes, and what it is an edit of has "
                        f"{edited.ndim}. Bring edits of a kernel into its mode first: 2D or 2.5D."
                    )
                index = tuple(o + m for o, m in zip(offset, centre(edited.shape), strict=True))
                if all(0 <= i < n for i, n in zip(index, edited.shape, strict=True)):
                    edited[index] = value
        return edited

    def in_mode(self, mode: Mode) -> Edits:
        """The edits of a kernel as those of a kernel in ``mode``.

        A single slice is the middle one of three, and the other way round: edits of the two beside it have
        no place in 2D and are left out.

        Parameters
        ----------
        mode
            Of the kernel that the edits are for.
        """
        return Edits(_in_mode(self.added, mode), _in_mode(self.erased, mode))

    def updated(self, before: np.ndarray, after: np.ndarray, automatic: np.ndarray) -> Edits:
        """These edits and what a stroke changed from ``before`` to ``after``; the last stroke wins.

        What a stroke sets back to the ``automatic`` value, as an undo does, is no edit any more.

        Parameters
        ----------
        before
            What the stroke began with, bool, edits included.
        after
            What it left, bool, same shape.
        automatic
            The same without any edit, bool, same shape.
        """
        added, erased = set(self.added), set(self.erased)
        mid = np.array(centre(after.shape))
        for index in np.argwhere(before != after):
            offset: Offset = tuple(int(o) for o in index - mid)
            added.discard(offset)
            erased.discard(offset)
            if after[tuple(index)] != automatic[tuple(index)]:
                (added if after[tuple(index)] else erased).add(offset)
        return Edits(frozenset(added), frozenset(erased))

    def to_json(self) -> dict[str, list[list[int]]]:
        """The edits as plain lists."""
        return {"added": sorted(map(list, self.added)), "erased": sorted(map(list, self.erased))}

    @classmethod
    def from_json(cls, data: dict[str, list[list[int]]]) -> Edits:
        """The edits that :meth:`to_json` wrote.

        Parameters
        ----------
        data
            With the keys ``added`` and ``erased``.
        """
        return cls(*(frozenset(tuple(map(int, o)) for o in data[key]) for key in ("added", "erased")))


def _in_mode(offsets: frozenset[Offset], mode: Mode) -> frozenset[Offset]:
    in_three = (offset if len(offset) == 3 else (0, *offset) for offset in offsets)
    if mode == "2.5d":
        return frozenset(in_three)
    return frozenset((y, x) for z, y, x in in_three if z == 0)
