"""OME-Zarr (NGFF) images: the full-resolution level of the first multiscale image in a group.

Read in versions 0.4 and 0.5, written in 0.4: every reader of OME-Zarr knows it, those in today's tomography
tools included, while 0.5 adds nothing to a single-resolution image and shuts older readers out.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from itertools import count, takewhile
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
    translation: list[float] | None = None


class _Dataset(BaseModel):
    path: str
    coordinateTransformations: list[_Transformation] = []


class _Multiscale(BaseModel):
    axes: list[_Axis]
    datasets: list[_Dataset] = Field(min_length=1)
    coordinateTransformations: list[_Transformation] = []


class _Image(BaseModel):
    multiscales: list[_Multiscale] = Field(min_length=1)


@dataclass(frozen=True)
class ZarrHeading(Heading):
    """Where an OME-Zarr image lies, and which of its axes run backwards.

    Attributes
    ----------
    shape
        Of the image, (Z, Y, X) or (Y, X).
    backwards
        Of each axis, whether its scale is negative.
    translation
        Along each axis, in voxels.
    """

    shape: tuple[int, ...]
    backwards: tuple[bool, ...]
    translation: tuple[float, ...]


def read(path: Path) -> ImageFile:
    """Open an OME-Zarr image lazily; of the output of bioformats2raw, the first image.

    Parameters
    ----------
    path
        The folder of the image, or of the collection.

    Raises
    ------
    FileError
        If it is no OME-Zarr image, is damaged, a plate, or has several channels or time points.
    """
    try:
        group, store = open_confined(path)
        notices: tuple[str, ...] = ()
        said = _said(group)
        if "multiscales" not in said:
            group, notices = _first_image(group, said, path)
        metadata = _Image.model_validate(_said(group)).multiscales[0]
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
    spatial = [i for i, name in enumerate(names) if name in ("z", "y", "x")]
    if [names[i] for i in spatial] not in (["z", "y", "x"], ["y", "x"]):
        raise FileError(f"{path.name} has the axes {', '.join(names)}. Save it with the axes z, y, x.")
    for axis, length in zip(names, array.shape, strict=True):
        if axis not in ("z", "y", "x") and length != 1:
            raise FileError(
                f"{path.name} has {length} entries along its axis {axis!r}. Save the one to denoise on its "
                "own."
            )
    with damage_in_words(path):
        store.packed = Packing(array, path.name)
    edges, translation = _coordinates(metadata, spatial)
    units = [metadata.axes[i].unit or "" for i in spatial]
    stated = {names[i]: (abs(edge), unit) for i, edge, unit in zip(spatial, edges, units, strict=True)}
    lazy = LazyArray(array, path, spatial)
    return ImageFile(
        lazy,
        measured_by_axis(stated),
        _name(path),
        path,
        "OME-Zarr",
        ZarrHeading(
            lazy.shape,
            tuple(edge < 0 for edge in edges),
            tuple(
                way / abs(edge) if edge and math.isfinite(way / edge) else 0.0
                for way, edge in zip(translation, edges, strict=True)
            ),
        ),
        notices,
    )


def _said(group: zarr.Group) -> dict[str, Any]:
    attributes = group.attrs.asdict()
    inner = attributes.get("ome", attributes)
    return inner if isinstance(inner, dict) else {}


def _first_image(group: zarr.Group, said: dict[str, Any], path: Path) -> tuple[zarr.Group, tuple[str, ...]]:
    """The first image of a collection as bioformats2raw makes them, and that there are others."""
    if "plate" in said or "well" in said:
        kind = "plate of many images" if "plate" in said else "well of a plate"
        raise FileError(f"{path.name} is a {kind}. Open one of the images inside, such as the folder A/1/0.")
    if "bioformats2raw.layout" not in said:
        return group, ()  # no collection either, as will be said
    names = list(takewhile(lambda name: (path / name).is_dir(), map(str, count())))
    listed = _said(group["OME"]).get("series") if "OME" in group else None  # type: ignore[arg-type]
    if isinstance(listed, list) and listed:
        names = [str(name) for name in listed]
    image = group[names[0]] if names else None
    if not isinstance(image, zarr.Group):
        raise FileError(f"{path.name} is a collection without images, or they are missing. Copy it again.")
    if len(names) == 1:
        return image, ()
    return image, (
        f"{path.name} holds {len(names)} images, of which {names[0]} is read. For another one open its "
        f"folder, such as {path.name}/{names[1]}.",
    )


def _name(path: Path) -> str:
    """The name of an image; inside a collection, where all are called 0 and the like, with that before it."""
    inside = [path.name]
    for folder in path.absolute().parents:
        if not any((folder / mark).exists() for mark in OME_ZARR.folder_marks):
            break
        inside.insert(0, stack_name(folder))
    return "_".join(inside) if len(inside) > 1 else stack_name(path)


def _coordinates(metadata: _Multiscale, axes: list[int]) -> tuple[list[float], list[float]]:
    """Edges of a voxel, negative where the axis runs backwards, and the place of the first one."""
    edges, places = [1.0] * len(axes), [0.0] * len(axes)
    for step in (*metadata.datasets[0].coordinateTransformations, *metadata.coordinateTransformations):
        if step.scale is not None and len(step.scale) == len(metadata.axes):
            edges = [edge * step.scale[i] for i, edge in zip(axes, edges, strict=True)]
            places = [place * step.scale[i] for i, place in zip(axes, places, strict=True)]
        if step.translation is not None and len(step.translation) == len(metadata.axes):
            places = [place + step.translation[i] for i, place in zip(axes, places, strict=True)]
    return edges, places


def create(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    voxel_size: VoxelSize | None,
    depth: int = 1,
    heading: Heading | None = None,
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
    heading
        Of the file that the image is made of. One of an OME-Zarr image of the same shape is taken over.
    """
    names = ("z", "y", "x")[-len(shape) :]
    size = voxel_size or VoxelSize(1, 1, 1, "pixel")
    unit = {"unit": _UNITS[size.unit]} if size.unit in _UNITS else {}
    scale = [getattr(size, name) for name in names]
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if isinstance(heading, ZarrHeading) and heading.shape == tuple(shape):
        if any(heading.translation):
            places = [
                float(f"{place * edge:.12g}") for place, edge in zip(heading.translation, scale, strict=True)
            ]
            steps.append({"type": "translation", "translation": places})
        steps[0]["scale"] = [
            -edge if back else edge for edge, back in zip(scale, heading.backwards, strict=True)
        ]
    multiscale = {
        "version": "0.4",
        "axes": [{"name": name, "type": "space", **unit} for name in names],
        "datasets": [{"path": "0", "coordinateTransformations": steps}],
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


def write(
    path: Path, array: Any, voxel_size: VoxelSize | None, heading: Heading | None, made_by: str
) -> None:
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
        As for :func:`create`.
    made_by
        Not used: OME-Zarr has no place for it.
    """
    dtype = stored_dtype(array.dtype, OME_ZARR.dtypes)
    try:
        level = create(path, tuple(array.shape), dtype, voxel_size, heading=heading)
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
