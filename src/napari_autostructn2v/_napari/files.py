"""napari's reader and writer over the engine's files, and voxel sizes of layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pint

from napari_autostructn2v.io import MRC_SUFFIXES, ImageFile, VoxelSize, read_stack, write_stack

if TYPE_CHECKING:
    from napari.layers import Layer

UNIT_NAMES = {"nanometer": "nm", "micrometer": "um", "angstrom": "angstrom"}

LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: str | Sequence[str]) -> Callable[[str], list[LayerData]] | None:
    """Return a reader for an MRC file or a run folder, or None for anything else."""
    if not isinstance(path, str):
        return None
    if Path(path).suffix.lower() in MRC_SUFFIXES:
        return read_mrc
    if (Path(path) / "run.json").is_file():
        return read_run_folder
    return None


def read_mrc(path: str) -> list[LayerData]:
    """An MRC file as a memory-mapped image layer."""
    return [image_layer(read_stack(path))]


def image_layer(file: ImageFile, **options: Any) -> LayerData:
    """A file of the engine as layer data with its voxel size."""
    meta: dict[str, Any] = {"name": file.name, **options}
    if file.voxel_size is not None:
        size, ndim = file.voxel_size, len(file.array.shape)
        meta["scale"] = (size.z, size.y, size.x)[-ndim:]
        meta["units"] = (size.unit,) * ndim
    return file.array, meta, "image"


def write_image(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one image layer in the format of the suffix; napari's dialog has asked about overwriting."""
    size = _voxel_size(meta.get("scale"), meta.get("units"))
    return [str(write_stack(path, data, voxel_size=size, overwrite=True))]


def voxel_size(layer: Layer) -> VoxelSize | None:
    """The voxel size of an image layer, or None if it has only pixels."""
    return _voxel_size(layer.scale, layer.units)


def _voxel_size(scale: Any, units: Any) -> VoxelSize | None:
    if scale is None or units is None:
        return None
    lengths = [abs(float(s)) for s in scale][-3:]
    unit = _pint_unit(units[-1])
    if not unit.is_compatible_with("nm"):
        if all(length == 1 for length in lengths):
            return None
        name = "pixel"
    elif str(unit) in UNIT_NAMES:
        name = UNIT_NAMES[str(unit)]
    else:
        name = "nm"
        lengths = [pint.application_registry.Quantity(length, unit).to("nm").magnitude for length in lengths]
    while len(lengths) < 3:  # a single slice is as thick as its pixels are wide
        lengths.insert(0, lengths[-1])
    return VoxelSize(*lengths, unit=name)


def _pint_unit(unit: Any) -> Any:
    return pint.application_registry.Unit(str(unit))
