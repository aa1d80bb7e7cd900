"""OME-Zarr (NGFF) images: the full-resolution level of the first multiscale image in a group.

Read in versions 0.4 and 0.5, written in 0.4: every reader of OME-Zarr knows it, those in today's tomography
tools included, while 0.5 adds nothing to a single-resolution image and shuts older readers out.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs import Blosc  # type: ignore[import-untyped]
from pydantic import BaseModel, Field, ValidationError
from zarr.core.sync import sync

from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io.formats import OME_ZARR
from napari_autostructn2v.io.image import (
    Heading,
    ImageFile,
    VoxelSize,
    measured_by_axis,
    planes,
    stack_name,
    stored_dtype,
)
from napari_autostructn2v.io.lazy import LazyArray, damage_in_words
from napari_autostructn2v.io.untrusted.zarr_store import Packing, open_confined

_UNITS = {"nm": "nanometer", "um": "micrometer", "angstrom": "angstrom"}

TILE = 1024
"""Longest side of a chunk in pixels: a slice is one chunk, or a few."""


class _Axis(BaseModel):
    name: str
    unit: str | None = None


class _Transformation(BaseModel):
    scale: list[float] | None = None


class _Dataset(BaseModel):
    path: str
    coordinateTransformations: list[_Transformation] = []


class _Multiscale(BaseModel):
    axes: list[_Axis]
    datasets: list[_Dataset] = Field(min_length=1)
    coordinateTransformations: list[_Transformation] = []


class _Image(BaseModel):
    multiscales: list[_Multiscale] = Field(min_length=1)


def read(path: Path) -> ImageFile:
    """Open an OME-Zarr group lazily.

    Parameters
    ----------
    path
        The folder of the image.

    Raises
    ------
    FileError
        If it is no OME-Zarr image, is damaged, or has several channels or time points.
    """
    try:
        group, store = open_confined(path)
        attributes = group.attrs.asdict()
        metadata = _Image.model_validate(attributes.get("ome", attributes)).multiscales[0]
        array = group[metadata.datasets[0].path]
    except ValidationError as error:
        raise FileError(
            f"{path.name} holds no OME-Zarr image of version 0.4 or 0.5 at its top. If it is a collection, "
            "open one of the images inside, such as the folder 0."
        ) from error
    except (FileError, PermissionError, MemoryError):
        raise
    except Exception as error:  # missing and malformed metadata raise whatever the parser stumbled over
        raise FileError(
            f"{path.name} is no Zarr folder, or parts of it are missing or damaged. Copy it again."
        ) from error
    names = [axis.name for axis in metadata.axes]
    if not isinstance(array, zarr.Array) or len(names) != array.ndim:
        raise FileError(f"{path.name} is damaged: its description does not fit its data. Save it again.")
    spatial = names[-3:] if names[-3:] == ["z", "y", "x"] else names[-2:]
    leading = len(names) - len(spatial)
    if spatial[-2:] != ["y", "x"]:
        raise FileError(f"{path.name} has the axes {', '.join(names)}. Save it with the axes z, y, x.")
    for axis, length in zip(names, array.shape[:leading], strict=False):
        if length != 1:
            raise FileError(
                f"{path.name} has {length} entries along its axis {axis!r}. Save the one to denoise on its "
                "own."
            )
    with damage_in_words(path):
        store.packed = Packing(array, path.name)
    return ImageFile(
        LazyArray(array, path, leading),
        _voxel_size(metadata, len(spatial)),
        stack_name(path),
        path,
        "OME-Zarr",
    )


def _voxel_size(metadata: _Multiscale, spatial: int) -> VoxelSize | None:
    edges = [1.0] * spatial
    for step in (*metadata.datasets[0].coordinateTransformations, *metadata.coordinateTransformations):
        if step.scale is not None and len(step.scale) == len(metadata.axes):
            edges = [edge * scale for edge, scale in zip(edges, step.scale[-spatial:], strict=True)]
    units = [axis.unit or "" for axis in metadata.axes[-spatial:]]
    return measured_by_axis(dict(zip("zyx"[-spatial:], zip(edges, units, strict=True), strict=True)))


def create(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], voxel_size: VoxelSize | None, depth: int = 1
) -> zarr.Array[Any]:
    """Make a new OME-Zarr group whose image is filled in later, and return that image.

    Parameters
    ----------
    path
        Where nothing is yet.
    shape, dtype, voxel_size
        Of the image, (Z, Y, X) or (Y, X).
    depth
        Slices in a chunk.
    """
    names = ("z", "y", "x")[-len(shape) :]
    size = voxel_size or VoxelSize(1, 1, 1, "pixel")
    unit = {"unit": _UNITS[size.unit]} if size.unit in _UNITS else {}
    multiscale = {
        "version": "0.4",
        "axes": [{"name": name, "type": "space", **unit} for name in names],
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [{"type": "scale", "scale": [getattr(size, n) for n in names]}],
            }
        ],
    }
    group = zarr.create_group(path, zarr_format=2, attributes={"multiscales": [multiscale]})
    return group.create_array(
        "0",
        shape=shape,
        dtype=dtype,
        chunks=(depth,) * (len(names) - 2) + tuple(min(side, TILE) for side in shape[-2:]),
        compressors=Blosc(),  # what Zarr 2 itself wrote, so every reader has it
        chunk_key_encoding={"name": "v2", "separator": "/"},
        fill_value=0,
    )


def write(path: Path, array: Any, voxel_size: VoxelSize | None, heading: Heading | None) -> None:
    """Write a new OME-Zarr group slice by slice.

    Parameters
    ----------
    path
        Where nothing is yet.
    array
        Shape (Z, Y, X) or (Y, X), anything that can be sliced. Of a type that is not supported, float32 is
        written.
    voxel_size
        Of the image; None if unknown.
    heading
        Not used.
    """
    dtype = stored_dtype(array.dtype, OME_ZARR.dtypes)
    try:
        level = create(path, tuple(array.shape), dtype, voxel_size)
        for z, plane in enumerate(planes(array, dtype)):
            level[z if level.ndim == 3 else ...] = plane
    except BaseException:
        # zarr writes several files at a time, and the others go on when one has failed: they would put back
        # what the caller is about to delete
        sync(_others_finished())
        raise


async def _others_finished() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)
