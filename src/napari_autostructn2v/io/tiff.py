"""TIFF stacks: plain, ImageJ and OME, in one file or in a folder of slices."""

from __future__ import annotations

import math
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io.formats import TIFF
from napari_autostructn2v.io.image import (
    UNIT_SYMBOLS,
    Heading,
    ImageFile,
    VoxelSize,
    planes,
    stack_name,
    stored_dtype,
)
from napari_autostructn2v.io.lazy import LazyArray
from napari_autostructn2v.io.slice_numbers import missing_slices, slices_in
from napari_autostructn2v.io.tiff_calibration import voxel_size as stated_voxel_size
from napari_autostructn2v.io.tiff_series import damaged_tiff, only_stack
from napari_autostructn2v.stack import Stack

_CLASSIC_BYTES = 2**32 - 2**25
"""Most image data a classic TIFF holds, with room for its tags."""

_IMAGEJ_DTYPES = ("uint8", "int16", "uint16", "float32")


def read(path: Path) -> ImageFile:
    """Open a TIFF file: memory-mapped where its pixels lie in one uncompressed block, else decoded on demand.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FileError
        If it is no TIFF file, is cut short, or holds colours, channels, time points or several images.
    """
    tif = _open(path)
    try:
        series, left_out = only_stack(tif, path)
        dialect = "OME-TIFF" if tif.is_ome else "ImageJ TIFF" if tif.is_imagej else "TIFF"
        voxel_size = stated_voxel_size(tif, len(series.shape))
        if series.dataoffset is not None:
            dtype = np.dtype(tif.byteorder + series.dtype.char)
            array: Any = np.memmap(path, dtype, "r", series.dataoffset, tuple(series.shape))
            tif.close()
        else:
            decoded = zarr.open_array(series.aszarr(level=0), mode="r")
            weakref.finalize(decoded, tif.close)  # it reads from the open file as long as it lives
            array = LazyArray(decoded, path)
    except (OSError, MemoryError):
        tif.close()
        raise
    except Exception as error:  # what the directories did not show: tags that contradict each other
        tif.close()
        raise damaged_tiff(path) from error
    notices = (left_out,) if left_out else ()
    return ImageFile(array, voxel_size, stack_name(path), path, dialect, notices=notices)


def read_folder(folder: Path) -> ImageFile:
    """Open a folder of TIFF slices as one stack, in natural order, each slice decoded when it is asked for.

    Parameters
    ----------
    folder
        Holds the slices, one in each file. Files that are no TIFF by their names, and hidden ones, are passed
        over.

    Raises
    ------
    FileError
        If there are no TIFF files in it, or they are no single grey slices of one shape and type.
    """
    paths = slices_in(folder)
    if not paths:
        raise FileError(
            f"The folder {folder} holds no TIFF files and no OME-Zarr. Choose the folder of slices."
        )
    first, voxel_size = None, None
    for path in paths:
        with _open(path) as tif:
            series, _ = only_stack(tif, path)
            this = (tuple(series.shape), series.dtype)
            if len(series.shape) != 2:
                raise FileError(
                    f"{path.name} in {folder} is a stack of {series.shape[0]} slices. Open it on its own, "
                    "or keep it out of a folder of single slices."
                )
            if first is None:
                first, voxel_size = this, stated_voxel_size(tif, 2)
            elif this != first:
                raise FileError(
                    f"The slices in {folder} differ: {paths[0].name} is {_describe(*first)}, {path.name} is "
                    f"{_describe(*this)}. Keep only slices of one stack in the folder."
                )
    assert first is not None
    store = tifffile.TiffSequence(paths, imread=_slice).aszarr(chunkshape=first[0], chunkdtype=first[1])
    array = LazyArray(zarr.open_array(store, mode="r"), folder)
    missing = missing_slices(paths)
    notices = (missing,) if missing else ()
    return ImageFile(array, voxel_size, folder.name, folder, "folder of TIFF slices", notices=notices)


def _slice(name: str) -> np.ndarray:
    with _open(Path(name)) as tif:
        return np.asarray(only_stack(tif, Path(name))[0].asarray())


def _describe(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"{shape[0]} × {shape[1]} {dtype}"


def _open(path: Path) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(path)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged header fails in whatever way its bytes decide
        raise FileError(
            f"{path.name} is no TIFF file, or its header is damaged. If another program can open it, save "
            "it from there as TIFF; otherwise copy it again."
        ) from error


def write(
    path: Path, array: Any, voxel_size: VoxelSize | None, heading: Heading | None, made_by: str
) -> None:
    """Write a new TIFF slice by slice: OME-TIFF if name, size or type ask for it, else ImageJ TIFF.

    Parameters
    ----------
    path
        Where nothing is yet.
    array
        Shape (Z, Y, X) or (Y, X), anything that can be sliced. Of a type that TIFF cannot hold, float32 or
        float64 is written.
    voxel_size
        Written into the file; None if unknown.
    heading
        Not used: a TIFF has no place for more than that.
    made_by
        Written into the tag *Software*.
    """
    holding = Stack(array).scale.dtype
    dtype, kind, options = _layout(path, tuple(array.shape), array.dtype, holding, voxel_size)
    with tifffile.TiffWriter(path, **kind) as writer:
        # As bytes: what tifffile writes from arrays fails on a full disk without saying why.
        writer.write((plane.tobytes() for plane in planes(array, dtype)), software=made_by, **options)


def create(path: Path, shape: tuple[int, ...], dtype: Any, voxel_size: VoxelSize | None) -> None:
    """Write the TIFF of a stack of floats whose pixels, all of them zero, are yet to come, in one block.

    Parameters
    ----------
    path
        Where nothing is yet.
    shape
        Of the stack, (Z, Y, X) or (Y, X).
    dtype
        float32 or float64.
    voxel_size
        As for :func:`write`.
    """
    _, kind, options = _layout(path, shape, dtype, dtype, voxel_size)
    with tifffile.TiffWriter(path, **kind) as writer:
        writer.write(None, **options)


def _layout(
    path: Path, shape: tuple[int, ...], dtype: Any, holding: Any, voxel_size: VoxelSize | None
) -> tuple[np.dtype[Any], dict[str, Any], dict[str, Any]]:
    """The type of the pixels as they are stored, and what tifffile has to be told of file and image.

    ``holding`` is the type of floats that holds them if the file cannot have them as they are.
    """
    stored = stored_dtype(dtype, _IMAGEJ_DTYPES, holding)
    ome = (
        path.name.lower().endswith((".ome.tif", ".ome.tiff"))
        or stored.name not in _IMAGEJ_DTYPES
        or math.prod(shape) * stored.itemsize > _CLASSIC_BYTES
    )
    metadata: dict[str, Any] = {"axes": "ZYX"[-len(shape) :]}
    resolution = None
    if ome:
        stored = stored_dtype(dtype, TIFF.dtypes, holding)
        if voxel_size is not None:
            for axis in "ZYX":
                metadata[f"PhysicalSize{axis}"] = float(getattr(voxel_size, axis.lower()))
                metadata[f"PhysicalSize{axis}Unit"] = UNIT_SYMBOLS[voxel_size.unit]
    elif voxel_size is not None:
        metadata |= {"spacing": float(voxel_size.z), "unit": voxel_size.unit}
        resolution = (1 / voxel_size.x, 1 / voxel_size.y)
    kind = {
        "ome": ome,
        "imagej": not ome,
        "bigtiff": ome and math.prod(shape) * stored.itemsize > _CLASSIC_BYTES,
    }
    options = {
        "shape": shape,
        "dtype": stored,
        "photometric": "minisblack",
        "metadata": metadata,
        "resolution": resolution,
    }
    return stored, kind, options
