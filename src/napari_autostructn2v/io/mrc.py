"""MRC files, memory-mapped. Lengths in the header are in ångström, sizes there are called nx, ny, nz."""

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
from napari_autostructn2v.io.image import ImageFile, VoxelSize, measured, planes, stack_name, stored_dtype

_REAL_MODES = (0, 1, 2, 6, 12)
_COMPLEX_MODES = (3, 4)
_FOUR_BIT_MODE = 101

_IMOD_STAMP = 1146047817
_IMOD_STAMP_OFFSET = 152 - 112  # in the header field extra2, which starts at byte 112


def read(path: Path) -> ImageFile:
    """Memory-map an MRC file.

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
    size = path.stat().st_size
    header = _read_header(path)
    mode, shape = int(header["mode"]), tuple(int(header[n]) for n in ("nz", "ny", "nx"))
    marked = bytes(header["map"])[:3] == b"MAP"
    if mode not in (*_REAL_MODES, *_COMPLEX_MODES, _FOUR_BIT_MODE) or min(shape) < 1:
        raise _no_mrc(path)
    if mode in _COMPLEX_MODES:
        raise FileError(
            f"{path.name} holds complex numbers (MRC mode {mode}), so it is a Fourier transform. Open the "
            "stack it was made from, or transform it back first."
        )
    if mode == _FOUR_BIT_MODE:
        raise FileError(
            f"{path.name} holds 4-bit values (MRC mode 101). Convert it first, for example with IMOD: "
            "newstack -mode 1 in.mrc out.mrc."
        )
    dtype = _dtype(header)
    offset = HEADER_DTYPE.itemsize + int(header["nsymbt"])
    needed = offset + math.prod(shape) * dtype.itemsize
    if offset < HEADER_DTYPE.itemsize or (needed > size and not marked):
        raise _no_mrc(path)
    if needed > size:
        raise FileError(
            f"{path.name} is cut short: {needed - size} of its {needed} bytes are missing. Copy it again "
            "from where it was made."
        )
    if utils.spacegroup_is_volume_stack(header["ispg"]) and 0 < header["mz"] < header["nz"]:
        raise FileError(
            f"{path.name} holds {header['nz'] // header['mz']} volumes. Save the one to denoise on its own."
        )
    if header["ispg"] == 0 and shape[0] == 1:
        shape = shape[1:]
    array = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
    return ImageFile(array, _voxel_size(header), stack_name(path), path, "MRC")


def _read_header(path: Path) -> Any:
    with path.open("rb") as file:
        raw = file.read(HEADER_DTYPE.itemsize)
    if len(raw) < HEADER_DTYPE.itemsize:
        raise _no_mrc(path)
    little, big = (np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0] for order in "<>")
    try:
        order = utils.byte_order_from_machine_stamp(little["machst"])
    except ValueError:
        order = "<"
    header, other = (little, big) if order == "<" else (big, little)
    # Some programs write a wrong stamp; the mode, a small number, tells the true byte order.
    return other if header["mode"] not in _REAL_MODES and other["mode"] in _REAL_MODES else header


def _dtype(header: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = utils.dtype_from_mode(header["mode"])
    order = header.dtype["mode"].byteorder
    if dtype == np.int8:
        # IMOD flags bytes as signed; with its stamp and without that flag they are unsigned.
        stamp, flags = np.frombuffer(
            header["extra2"].tobytes(), dtype=np.dtype(np.int32).newbyteorder(order)
        )[_IMOD_STAMP_OFFSET // 4 : _IMOD_STAMP_OFFSET // 4 + 2]
        if stamp == _IMOD_STAMP and not flags & 1:
            return np.dtype(np.uint8)
    return dtype.newbyteorder(order)


def _voxel_size(header: Any) -> VoxelSize | None:
    z, y, x = (
        float(header["cella"][axis]) / int(header[f"m{axis}"]) if header[f"m{axis}"] else 0.0
        for axis in "zyx"
    )
    found = measured(z, y, x, "angstrom", digits=6)  # float32 holds no more
    return found.to("nm") if found else None


def _no_mrc(path: Path) -> FileError:
    return FileError(
        f"{path.name} is no MRC file, or its header is damaged. If another program can open it, save it from "
        "there as MRC or TIFF; otherwise copy it again."
    )


def write(path: Path, array: Any, voxel_size: VoxelSize | None) -> None:
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
    """
    # mrcfile stores uint8 as mode 6, unsigned 16 bits: mode 0 is signed bytes.
    dtype = stored_dtype(array.dtype, MRC.dtypes)
    mode = utils.mode_from_dtype(dtype)
    with mrcfile.new_mmap(path, tuple(array.shape), mode) as mrc:
        if voxel_size is not None and voxel_size.unit != "pixel":
            size = voxel_size.to("angstrom")
            mrc.voxel_size = (size.x, size.y, size.z)
    low, high, total, squares = math.inf, -math.inf, 0.0, 0.0
    # The pixels go through plain writes: on a full disk a write raises, but a memory map kills the process.
    with path.open("r+b") as file:
        file.seek(HEADER_DTYPE.itemsize)
        for plane in planes(array, utils.dtype_from_mode(mode)):
            file.write(plane.data)
            low, high = min(low, float(plane.min())), max(high, float(plane.max()))
            total += float(plane.sum(dtype=np.float64))
            squares += float(np.square(plane, dtype=np.float64).sum())
    mean = total / math.prod(array.shape)
    with mrcfile.mmap(path, mode="r+") as mrc:
        mrc.header.dmin, mrc.header.dmax, mrc.header.dmean = low, high, mean
        mrc.header.rms = math.sqrt(max(squares / math.prod(array.shape) - mean**2, 0.0))
