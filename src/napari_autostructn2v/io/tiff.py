"""TIFF stacks: plain, ImageJ and OME, in one file or in a folder of slices."""

from __future__ import annotations

import math
import struct
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from tifffile import PHOTOMETRIC

from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io.formats import TIFF
from napari_autostructn2v.io.image import (
    Heading,
    ImageFile,
    VoxelSize,
    measured,
    measured_by_axis,
    planes,
    stack_name,
    stored_dtype,
)
from napari_autostructn2v.io.lazy import LazyArray
from napari_autostructn2v.io.untrusted.tiff_safety import refuse_other_folders, refuse_packing
from napari_autostructn2v.stack import Stack

_CLASSIC_BYTES = 2**32 - 2**25
"""Most image data a classic TIFF holds, with room for its tags."""

_MAX_COMPRESSION = 10_000
"""No codec packs a micrograph that far: a header that promises more pixels than that is damaged."""

_IMAGEJ_DTYPES = ("uint8", "int16", "uint16", "float32")
_OME_UNITS = {"nm": "nm", "um": "µm", "angstrom": "Å", "pixel": "pixel"}


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
        series = _only_stack(tif, path)
        dialect = "OME-TIFF" if tif.is_ome else "ImageJ TIFF" if tif.is_imagej else "TIFF"
        voxel_size = _voxel_size(tif, len(series.shape))
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
        raise _damaged(path) from error
    return ImageFile(array, voxel_size, stack_name(path), path, dialect)


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
    paths = [
        Path(name)
        for name in tifffile.natural_sorted(str(p) for p in folder.iterdir() if p.is_file())
        if name.lower().endswith(TIFF.suffixes) and not Path(name).name.startswith(".")
    ]
    if not paths:
        raise FileError(
            f"The folder {folder} holds no TIFF files and no OME-Zarr. Choose the folder of slices."
        )
    first, voxel_size = None, None
    for path in paths:
        with _open(path) as tif:
            series = _only_stack(tif, path)
            this = (tuple(series.shape), series.dtype)
            if len(series.shape) != 2:
                raise FileError(
                    f"{path.name} in {folder} is a stack of {series.shape[0]} slices. Open it on its own, "
                    "or keep it out of a folder of single slices."
                )
            if first is None:
                first, voxel_size = this, _voxel_size(tif, 2)
            elif this != first:
                raise FileError(
                    f"The slices in {folder} differ: {paths[0].name} is {_describe(*first)}, {path.name} is "
                    f"{_describe(*this)}. Keep only slices of one stack in the folder."
                )
    assert first is not None
    store = tifffile.TiffSequence(paths, imread=_slice).aszarr(chunkshape=first[0], chunkdtype=first[1])
    array = LazyArray(zarr.open_array(store, mode="r"), folder)
    return ImageFile(array, voxel_size, folder.name, folder, "folder of TIFF slices")


def _slice(name: str) -> np.ndarray:
    with _open(Path(name)) as tif:
        return np.asarray(_only_stack(tif, Path(name)).asarray())


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


def _damaged(path: Path) -> FileError:
    return FileError(
        f"The TIFF file {path.name} is damaged, or of a kind that cannot be read here. Open it in Fiji and "
        "save it again as TIFF, or copy it again."
    )


def _only_stack(tif: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    """The file's one image, checked to be a grey stack that is all there."""
    try:
        if _chain_breaks(tif):
            raise FileError(f"{path.name} is cut short: slices at its end are missing. Copy it again.")
        refuse_other_folders(tif, path)
        series = tif.series
        if len(series) != 1:
            raise FileError(
                f"{path.name} holds {len(series)} images of different kinds. Save the one to denoise on "
                "its own, for example with Fiji."
            )
        _refuse_other_axes(series[0], path)
        _refuse_missing_pixels(series[0], path)
        refuse_packing(series[0], path)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged directory fails in whatever way its bytes decide
        raise _damaged(path) from error
    return series[0]


def _chain_breaks(tif: tifffile.TiffFile) -> bool:
    """Whether the last directory that can be read points to yet another one; tifffile ignores that."""
    end = tif.pages.next_page_offset
    if end is None:
        return False
    tif.filehandle.seek(end)
    raw = tif.filehandle.read(tif.tiff.offsetsize)
    if len(raw) < tif.tiff.offsetsize:
        return True
    (following,) = struct.unpack(tif.tiff.offsetformat, raw)
    return bool(following >= tif.filehandle.size)


def _refuse_other_axes(series: tifffile.TiffPageSeries, path: Path) -> None:
    sizes = {axis: n for axis, n in zip(series.axes, series.shape, strict=True) if axis not in "YX"}
    grey = [PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE]
    if series.kind == "imagej":  # its palette is a look-up table to show grey values with, no colours
        grey.append(PHOTOMETRIC.PALETTE)
    if "S" in sizes or series.keyframe.photometric not in grey:
        raise FileError(
            f"{path.name} is a colour image. Convert it to grey values first, for example in Fiji with "
            "Image > Type > 32-bit. If it is a stack of 3 or 4 slices, save it with photometric 'minisblack'."
        )
    if sizes.get("C", 1) > 1:
        raise FileError(
            f"{path.name} has {sizes['C']} channels. Save the one to denoise on its own, for example in "
            "Fiji with Image > Color > Split Channels."
        )
    if sizes.get("T", 1) > 1:
        raise FileError(
            f"{path.name} is a time series of {sizes['T']} frames. If they are really slices, exchange "
            "frames and slices in Fiji with Image > Properties and save it again; otherwise save one time "
            "point on its own."
        )
    if len(series.shape) not in (2, 3) or not series.axes.endswith("YX"):
        raise FileError(
            f"{path.name} has the axes {series.axes} with the sizes {series.shape}. Save one stack (Z, Y, "
            "X) or one slice (Y, X)."
        )


def _refuse_missing_pixels(series: tifffile.TiffPageSeries, path: Path) -> None:
    pages = [page for page in series.pages if page is not None]
    if len(pages) < len(series.pages):
        raise FileError(
            f"{path.name} lacks some of its slices: it is cut short, or one of several files that belong "
            "together. Copy all of them into one folder."
        )
    # slices may lie in several files
    sizes = {page.parent: page.parent.filehandle.size for page in pages}
    ends = dict.fromkeys(sizes, 0)
    if series.dataoffset is not None:
        ends[pages[0].parent] = series.dataoffset + math.prod(series.shape) * series.dtype.itemsize
    else:
        for page in pages:
            segments = zip(page.dataoffsets, page.databytecounts, strict=False)
            end = max((offset + count for offset, count in segments), default=0)
            ends[page.parent] = max(ends[page.parent], end)
        if series.nbytes > _MAX_COMPRESSION * sum(sizes.values()):
            raise FileError(
                f"The header of {path.name} is damaged: it promises {series.nbytes} bytes of pixels in "
                f"{sum(sizes.values())} bytes. Copy it again."
            )
    missing = sum(max(0, end - sizes[file]) for file, end in ends.items())
    if missing:
        raise FileError(f"{path.name} is cut short: {missing} bytes are missing. Copy it again.")


def _voxel_size(tif: tifffile.TiffFile, ndim: int) -> VoxelSize | None:
    try:
        if tif.is_ome:
            return _ome_voxel_size(tif.ome_metadata or "")
        if tif.is_imagej:
            return _imagej_voxel_size(tif, ndim)
    except (ArithmeticError, LookupError, SyntaxError, TypeError, ValueError):
        pass  # a calibration nobody can make sense of is no reason to keep the pixels back
    return None


def _ome_voxel_size(xml: str) -> VoxelSize | None:
    image = tifffile.xml2dict(xml)["OME"].get("Image", {})
    pixels = (image[0] if isinstance(image, list) else image).get("Pixels", {})
    return measured_by_axis(
        {
            axis.lower(): (
                float(pixels[f"PhysicalSize{axis}"]),
                str(pixels.get(f"PhysicalSize{axis}Unit", "µm")),
            )
            for axis in "ZYX"
            if isinstance(pixels.get(f"PhysicalSize{axis}"), int | float)
        }
    )


def _imagej_voxel_size(tif: tifffile.TiffFile, ndim: int) -> VoxelSize | None:
    metadata, tags = tif.imagej_metadata or {}, tif.pages.first.tags
    unit = str(metadata.get("unit", "pixel"))
    if "\\u" in unit:  # ImageJ's descriptions are ASCII, other characters escaped as \u00B5
        unit = unit.encode("ascii", "backslashreplace").decode("unicode_escape")
    edges = {}
    for axis, name in (("y", "YResolution"), ("x", "XResolution")):
        pixels, lengths = tags[name].value if name in tags else (1, 1)
        edges[axis] = lengths / pixels if pixels else math.nan
    # ImageJ leaves the spacing out where it is 1; for a single slice it means nothing.
    z = float(metadata.get("spacing", 1.0 if ndim == 3 else edges["x"]))
    return measured(abs(z), edges["y"], edges["x"], unit, digits=6)  # fractions hold no more


def write(path: Path, array: Any, voxel_size: VoxelSize | None, heading: Heading | None) -> None:
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
    """
    holding = Stack(array).scale.dtype
    dtype, kind, options = _layout(path, tuple(array.shape), array.dtype, holding, voxel_size)
    with tifffile.TiffWriter(path, **kind) as writer:
        # As bytes: what tifffile writes from arrays fails on a full disk without saying why.
        writer.write((plane.tobytes() for plane in planes(array, dtype)), **options)


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
                metadata[f"PhysicalSize{axis}Unit"] = _OME_UNITS[voxel_size.unit]
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
