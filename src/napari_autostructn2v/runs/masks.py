"""Masks in a run folder, as pictures that other programs open."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import tifffile

from napari_autostructn2v.disk.atomic import make_folder, write_atomically
from napari_autostructn2v.stack import Stack
from napari_autostructn2v.survey import unmeasured_labels


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
        tifffile.imwrite(
            beside, np.asarray(mask, dtype=np.uint8), photometric="minisblack", compression="zlib"
        )


def read_mask(file: Path) -> np.ndarray | None:
    """The mask in a file, bool (Y, X) or (Z, Y, X); None if there is no file.

    Parameters
    ----------
    file
        A TIFF file that :func:`write_mask` wrote.
    """
    return tifffile.imread(file) > 0 if file.exists() else None


def mask_digest(mask: np.ndarray | None) -> str | None:
    """A fingerprint of a mask, by which it is known again; None if there is none.

    Parameters
    ----------
    mask
        bool (Y, X) or (Z, Y, X).
    """
    if mask is None:
        return None
    bits = np.packbits(np.asarray(mask, dtype=bool))
    return hashlib.sha256(str(mask.shape).encode() + bits.tobytes()).hexdigest()


def write_unmeasured(path: Path, stack: Stack) -> None:
    """Keep what of a stack was never measured: 1 where it is blank, 2 where it is replaced.

    Parameters
    ----------
    path
        Of the TIFF file.
    stack
        The input of a run.

    Raises
    ------
    FileError
        If it cannot be written.
    """
    slices = (unmeasured_labels(stack, z) for z in range(stack.shape[0]))
    with write_atomically(path, overwrite=True) as beside:
        tifffile.imwrite(
            beside, slices, shape=stack.shape, dtype=np.uint8, photometric="minisblack", compression="zlib"
        )
