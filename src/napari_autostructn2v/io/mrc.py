"""MRC files, memory-mapped, or unpacked first. Sizes in the header are called nx, ny, nz.

The axes of the array are those of the file, sections, rows and columns, whichever axes of the specimen they
lie along: turning the array would make of each slice as many reads as it has rows. The voxel's edges follow
them, and a result says of its axes what the file said.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import mrcfile  # type: ignore[import-untyped]
import numpy as np
from mrcfile import utils
from mrcfile.dtypes import HEADER_DTYPE  # type: ignore[import-untyped]

from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io.formats import MRC
from napari_autostructn2v.io.image import Heading, ImageFile, VoxelSize, planes, stack_name, stored_dtype
from napari_autostructn2v.io.lazy import LazyArray, damage_in_words
from napari_autostructn2v.io.mrc_header import (
    COMPLEX_MODES,
    MAX_EXTENDED_BYTES,
    REAL_MODES,
    MrcHeading,
    add_label,
    byte_order,
    dtype_of,
    holds_half_bytes,
    is_marked,
    set_voxel_size,
    shape_of,
    taken_over,
    voxel_size_of,
)
from napari_autostructn2v.io.packed import UnpackedBeside, is_packed, open_packed, size_in_words

_HEADER_BYTES = HEADER_DTYPE.itemsize


def read(path: Path) -> ImageFile:
    """Memory-map an MRC file; one that is packed is unpacked beside it when its first slice is asked for.

    The header is checked against the file's size before anything is mapped: mrcfile would first allocate as
    much as an extended header claims. A missing "MAP " mark, a wrong machine stamp and surplus bytes at the
    end stop nobody, since old microscope software writes them.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FileError
        If it is no MRC file, complex, cut short, or several volumes in one.
    """
    raw = _bytes(path, 0, _HEADER_BYTES)
    if len(raw) < _HEADER_BYTES:
        raise _no_mrc(path)
    order = byte_order(raw)
    header = np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0]
    shape: tuple[int, ...] = shape_of(header)
    offset = _HEADER_BYTES + int(header["nsymbt"])
    _refuse_other_modes(header, path)
    if min(shape) < 1 or offset < _HEADER_BYTES:
        raise _no_mrc(path)
    dtype = dtype_of(header)
    _refuse_missing_pixels(path, offset + math.prod(shape) * dtype.itemsize, is_marked(header))
    if utils.spacegroup_is_volume_stack(header["ispg"]) and 0 < header["mz"] < header["nz"]:
        raise FileError(
            f"{path.name} holds {header['nz'] // header['mz']} volumes. Save the one to denoise on its own."
        )
    if header["ispg"] == 0 and shape[0] == 1:
        shape = shape[1:]
    notices = []
    if offset - _HEADER_BYTES <= MAX_EXTENDED_BYTES:
        extended = _bytes(path, _HEADER_BYTES, offset - _HEADER_BYTES)
    else:
        extended = b""
        notices.append(
            f"The extended header of {path.name}, {size_in_words(offset - _HEADER_BYTES)}, is too long to be "
            "handed on to results."
        )
    if is_packed(path):
        unpacked = UnpackedBeside(path, offset, shape, dtype)
        notices.append(unpacked.notice)
        array: Any = LazyArray(unpacked, path)
    else:
        array = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
    heading = MrcHeading(raw, order, extended)
    return ImageFile(
        array, voxel_size_of(header), stack_name(path), path, "MRC", heading=heading, notices=tuple(notices)
    )


def _bytes(path: Path, start: int, length: int) -> bytes:
    """Some bytes of the file as it is when it is unpacked; fewer where it ends."""
    if not is_packed(path):
        with path.open("rb") as file:
            file.seek(start)
            return file.read(length)
    with damage_in_words(path), open_packed(path) as file:
        file.read(start)
        return file.read(length)


def _refuse_other_modes(header: Any, path: Path) -> None:
    if holds_half_bytes(header):
        raise FileError(
            f"{path.name} holds 4-bit values (MRC mode 101). Convert it first, for example with IMOD: "
            "newstack -mode 1 in.mrc out.mrc."
        )
    mode = int(header["mode"])
    if mode in COMPLEX_MODES and min(shape_of(header)) > 0:
        raise FileError(
            f"{path.name} holds complex numbers (MRC mode {mode}), so it is a Fourier transform. Open the "
            "stack it was made from, or transform it back first."
        )
    if mode not in REAL_MODES:
        raise _no_mrc(path)


def _refuse_missing_pixels(path: Path, needed: int, marked: bool) -> None:
    if is_packed(path):  # how much is in it shows when it is unpacked
        return
    size = path.stat().st_size
    if needed > size and not marked:
        raise _no_mrc(path)
    if needed > size:
        raise FileError(
            f"{path.name} is cut short: {needed - size} of its {needed} bytes are missing. Copy it again "
            "from where it was made."
        )


def _no_mrc(path: Path) -> FileError:
    return FileError(
        f"{path.name} is no MRC file, or its header is damaged. If another program can open it, save it from "
        "there as MRC or TIFF; otherwise copy it again."
    )


def write(
    path: Path, array: Any, voxel_size: VoxelSize | None, heading: Heading | None, made_by: str
) -> None:
    """Write a new MRC file slice by slice.

    Parameters
    ----------
    path
        Where nothing is yet.
    array
        Shape (Z, Y, X) or (Y, X), anything that can be sliced. Of a type that MRC cannot hold, float32 is
        written.
    voxel_size
        Written into the header in ångström. Nothing is written if it is None or in pixels.
    heading
        Of the file that the stack was made of. One of an MRC file of the same shape is taken over: origin,
        start, axes, labels, extended header, in the byte order of that file, in which others wrote them.
    made_by
        Becomes the last label, with the time.
    """
    # mrcfile stores uint8 as mode 6, unsigned 16 bits: mode 0 is signed bytes.
    dtype = stored_dtype(array.dtype, MRC.dtypes)
    mode, shape = utils.mode_from_dtype(dtype), tuple(array.shape)
    with mrcfile.new_mmap(path, shape, mode) as mrc:
        header = mrc.header.copy()
    extended = b""
    if isinstance(heading, MrcHeading) and heading.suits(shape):
        header, extended = taken_over(heading, mode), heading.extended
    else:
        header["nlabl"] = 0  # that of the library
    add_label(header, made_by)
    set_voxel_size(header, voxel_size)
    stored = utils.dtype_from_mode(mode).newbyteorder(header.dtype["mode"].byteorder)
    low, high, total, squares, count = math.inf, -math.inf, 0.0, 0.0, 0
    # The pixels go through plain writes: on a full disk a write raises, but a memory map kills the process.
    with path.open("r+b") as file:
        file.seek(_HEADER_BYTES)
        file.write(extended)
        for plane in planes(array, stored):
            file.write(plane.data)
            numbers = plane[np.isfinite(plane)]  # others stay in the stack, and say nothing of it
            if numbers.size:
                low, high = min(low, float(numbers.min())), max(high, float(numbers.max()))
            total += float(numbers.sum(dtype=np.float64))
            squares += float(np.square(numbers, dtype=np.float64).sum())
            count += numbers.size
        mean = total / max(count, 1)
        header["dmin"], header["dmax"], header["dmean"] = low, high, mean
        header["rms"] = math.sqrt(max(squares / max(count, 1) - mean**2, 0.0))
        file.seek(0)
        file.write(header.tobytes())
