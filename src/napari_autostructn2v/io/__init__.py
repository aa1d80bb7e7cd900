"""Stacks in files: MRC, TIFF in its dialects, and OME-Zarr; read lazily, written slice by slice.

Files of Gatan, Velox, Berkeley and TIA are read as well.

The format libraries are imported when a file of theirs is opened, so importing this package is cheap.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from napari_autostructn2v._version import __version__
from napari_autostructn2v.disk.atomic import check_place, write_atomically
from napari_autostructn2v.errors import FileError, StackError
from napari_autostructn2v.io import formats
from napari_autostructn2v.io.image import PACKINGS, Heading, ImageFile, Unit, VoxelSize
from napari_autostructn2v.stack import Stack

__all__ = [
    "Heading",
    "ImageFile",
    "Unit",
    "VoxelSize",
    "check_stack_place",
    "file_state",
    "read_stack",
    "write_stack",
]

MAX_SLICES = 2**31
MAX_SLICE_PIXELS = 2**31
"""A slice is worked on whole, in float32: above this (8 GiB) a size is a damaged header, or hopeless."""


def read_stack(path: str | Path) -> ImageFile:
    """Open a stack without reading its pixels.

    Parameters
    ----------
    path
        An MRC file (.mrc .rec .map .st .ali and others, also packed as .gz or .bz2), a TIFF, OME-TIFF or
        ImageJ TIFF, an OME-Zarr folder (NGFF 0.4 or 0.5), a folder of TIFF slices of one shape, taken in
        natural order (2 before 10), or a file of Gatan (.dm3 .dm4), Velox or Berkeley (.emd) or TIA (.ser).

    Returns
    -------
    ImageFile
        Its ``array`` has shape (Z, Y, X) or (Y, X) and reads a slice when it is indexed.

    Raises
    ------
    FileError
        If the file is missing, cut short, not what its suffix says, or holds colours, channels, time points
        or complex numbers.
    MissingLibraryError
        If it is of a format whose library is not installed.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise FileError(f"There is no file {path}. Check its name and folder.")
        image = _read(path)
    except FileError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from error
    _check(image)
    return image


def file_state(path: Path) -> str:
    """A fingerprint that changes when a file, or a stack that is a folder, is replaced or written to.

    It is made of sizes and times, not of values. Of a folder of slices it covers each slice; of an OME-Zarr
    its metadata and levels, but no chunks that are rewritten in their place.

    Parameters
    ----------
    path
        A file or a folder.

    Raises
    ------
    FileError
        If it is missing or cannot be read.
    """
    try:
        if path.is_dir():
            files, all_of_it = sorted(path.iterdir()), formats.format_of_folder(path) is not None
            # among slices may be what others put there, such as results that are being written
            files = [file for file in files if all_of_it or (file.is_file() and file.name[0] != ".")]
            found = [(file.name, file.stat()) for file in files]
        else:
            with path.open("rb") as opened:  # network disks know then what is there, and not before
                found = [(path.name, os.fstat(opened.fileno()))]
    except OSError as error:
        raise _unreadable(path, error) from error
    facts = [(name, status.st_size, status.st_mtime_ns) for name, status in found]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _unreadable(path: Path, error: OSError) -> FileError:
    return FileError(
        f"{path} cannot be read: {error.strerror or error}. Check that you may read it and that its disk is "
        "connected."
    )


def _read(path: Path) -> ImageFile:
    named = formats.format_of(path)
    if path.is_dir():
        found = named if named is not None and named.is_folder else formats.format_of_folder(path)
        if found is not None:
            return found.read(path)
        from napari_autostructn2v.io import tiff

        return tiff.read_folder(path)
    if not path.is_file():
        raise FileError(f"{path} is no file but a device or a pipe. Choose a file.")
    if named is None:
        named = formats.format_of_content(path)
    if named is None and path.suffix.lower() in PACKINGS:
        raise FileError(f"{path.name} is packed. Unpack it first, and open what was in it.")
    if named is None and (advice := formats.advice_to_convert(path)):
        raise FileError(f"{path.name} cannot be read here. {advice}")
    if named is None:
        raise FileError(
            f"{path.name} ends in {path.suffix.lower()!r}, which is not known here. Known are "
            f"{formats.suffixes_in_words(formats.FORMATS)}, and a folder of TIFF slices. Convert the file, "
            "or rename it if only its ending is wrong."
        )
    if named.is_folder:
        raise FileError(
            f"{path.name} is a file, but {named.name} is a folder. If it is packed, unpack it first."
        )
    return named.read(path)


def _check(image: ImageFile) -> None:
    shape, kind, name = image.array.shape, np.dtype(image.array.dtype).kind, image.path.name
    if kind == "c":
        raise FileError(f"{name} holds complex numbers. Save their magnitude or real part, and open that.")
    if kind not in "uifb":
        raise FileError(f"{name} holds values of type {image.array.dtype}. Save it as integers or floats.")
    if 0 in shape:
        raise FileError(f"{name} holds no pixels: its shape is {shape}. Save it again.")
    if max(shape) > MAX_SLICES:
        raise FileError(
            f"{name} says its shape is {shape}, which cannot be. The file is damaged: copy it again."
        )
    if int(shape[-1]) * int(shape[-2]) > MAX_SLICE_PIXELS:
        raise FileError(
            f"{name} says its slices have {shape[-2]} × {shape[-1]} pixels, more than fits in memory. Crop "
            "or bin the stack; if it should be smaller, the file is damaged: copy it again."
        )


def write_stack(
    path: str | Path,
    array: Any,
    *,
    voxel_size: VoxelSize | None = None,
    heading: Heading | None = None,
    how: str = "",
    overwrite: bool = False,
) -> Path:
    """Write a stack, slice by slice, in the format of the suffix.

    The file appears under its name only when it is complete. Data types a format cannot hold become float32,
    or float64 where float32 does not hold their values; MRC has no unsigned bytes, so uint8 becomes uint16
    there, and no float64.

    Parameters
    ----------
    path
        Ends in .mrc (or another suffix of MRC), .ome.tif (OME-TIFF), .tif (ImageJ TIFF) or .zarr (OME-Zarr).
        A .tif beyond 4 GB or of float64, which ImageJ's own format cannot hold, is written as OME-TIFF.
    array
        Shape (Z, Y, X) or (Y, X); anything that can be sliced. Never read whole.
    voxel_size
        Written into the file; None if unknown.
    heading
        Of the file that the stack was made of: what that says beside its pixels is taken over if the format
        and the shape are the same. None if there is none.
    how
        How it was made, in some words, which stand behind the name of this program in the labels of MRC and
        in the tag *Software* of TIFF.
    overwrite
        Replace what is there.

    Returns
    -------
    pathlib.Path
        Where it was written.

    Raises
    ------
    FileError
        If it exists and ``overwrite`` is False, the suffix is unknown or of a format that is only read, the
        format cannot hold such values, or it cannot be written.
    StackError
        If the array is no stack of real numbers.
    """
    path = Path(path)
    if len(array.shape) not in (2, 3) or 0 in array.shape or np.dtype(array.dtype).kind not in "uifb":
        raise StackError(
            f"An array of shape {tuple(array.shape)} and type {array.dtype} cannot be written. "
            "Give real numbers of shape (Z, Y, X) or (Y, X)."
        )
    chosen = check_stack_place(path, overwrite=overwrite, dtype=Stack(array).scale.dtype)
    if overwrite and os.path.isdir(path) and formats.format_of_folder(path) is not chosen:
        raise FileError(f"{path} is a folder of something else and is not replaced. Choose another name.")
    with write_atomically(path, overwrite=overwrite) as beside:
        made_by = f"napari-autostructn2v {__version__} {how}".rstrip()
        chosen.write(beside, array, voxel_size, heading, made_by)
    return path


def check_stack_place(path: Path, *, overwrite: bool, dtype: Any = np.float32) -> formats.Format:
    """Check that :func:`write_stack` can write there: before hours of work rather than after them.

    Parameters
    ----------
    path, overwrite
        As for :func:`write_stack`.
    dtype
        Of floats that hold the values: of the :class:`~napari_autostructn2v.scale.Scale` of the stack.

    Returns
    -------
    Format
        In which it will be written.

    Raises
    ------
    FileError
        If the suffix is unknown or of a format that is only read, the format cannot hold such values, the
        folder is missing, or the file exists and ``overwrite`` is False.
    """
    chosen, endings = formats.format_of(path), formats.suffixes_in_words(formats.written())
    if chosen is None:
        raise FileError(f"Cannot tell the format from the name {path.name}. End it in {endings}.")
    if not chosen.is_written:
        raise FileError(
            f"{path.name} would be a file of {chosen.name}, which is read here but not written. End the name "
            f"in {endings}."
        )
    if path.suffix.lower() in PACKINGS:
        raise FileError(f"{path.name} would be packed, which is not done here. Choose the name {path.stem}.")
    needed = np.dtype(dtype).name
    if needed not in chosen.dtypes:
        others = " or ".join(known.suffixes[0] for known in formats.FORMATS if needed in known.dtypes)
        raise FileError(
            f"{path.name} would lose what matters: these values need numbers of type {needed}, for their "
            f"digits or their size, and {chosen.name} cannot hold them. Choose a name that ends in {others}."
        )
    check_place(path, overwrite=overwrite)
    return chosen
