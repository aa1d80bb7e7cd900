"""Masks in a run folder, as pictures that other programs open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from napari_autostructn2v.disk.atomic import make_folder, write_atomically


def write_mask(file: Path, mask: np.ndarray | None) -> None:
    """Keep a mask; None removes the file.

    Parameters
    ----------
    file
        A TIFF file.
    mask
        bool (Y, X) or (Z, Y, X).

    Raises
    ------
    FileError
        If it cannot be written.
    """
    if mask is None:
        file.unlink(missing_ok=True)
        return
    make_folder(file.parent)
    with write_atomically(file, overwrite=True) as beside:
        tifffile.imwrite(beside, mask.astype(np.uint8), photometric="minisblack", compression="zlib")


def read_mask(file: Path) -> np.ndarray | None:
    """The mask in a file, bool (Y, X) or (Z, Y, X); None if there is no file.

    Parameters
    ----------
    file
        A TIFF file that :func:`write_mask` wrote.
    """
    return tifffile.imread(file) > 0 if file.exists() else None


def same_mask(mask: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Whether two masks are the same, or both are none.

    Parameters
    ----------
    mask, other
        bool (Y, X) or (Z, Y, X), or None.
    """
    if mask is None or other is None:
        return mask is other
    return np.array_equal(mask, other)
