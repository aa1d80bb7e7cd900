"""napari's reader and writer over the engine's files, and voxel sizes of layers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pint
import tifffile

from napari_autostructn2v._napari.placement import Placement
from napari_autostructn2v._napari.review_layers import KERNEL, LAGS, PEAKS, SPECTRUM, LayerData, layer_data
from napari_autostructn2v._napari.run_offer import offer_to_go_on
from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io import MRC_SUFFIXES, ImageFile, Unit, VoxelSize, read_stack, write_stack
from napari_autostructn2v.kernel import embed_kernel, load_kernel

if TYPE_CHECKING:
    from napari.layers import Layer

STAGE_TITLES = {"stage1": "stage 1", "stage2": "denoised"}
UNIT_NAMES: dict[str, Unit] = {"nanometer": "nm", "micrometer": "um", "angstrom": "angstrom"}


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


def read_run_folder(path: str) -> list[LayerData]:
    """What a run has left in its folder so far: input and results in a row, the analysis below."""
    folder = Path(path)
    try:
        record = json.loads((folder / "run.json").read_text())
        name, source = record["input"] or folder.name, record.get("input_path")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(f"{folder / 'run.json'} cannot be read: {error}. Run it again.") from error
    files = {f"{name} {title}": folder / stage / "denoised.tif" for stage, title in STAGE_TITLES.items()}
    if source is not None:
        files = {name: Path(source), **files}
    layers: list[LayerData] = []
    placement = None
    for title, file in files.items():
        if not file.exists():  # the stage is yet to come, or the input was moved
            continue
        array, meta, kind = image_layer(read_stack(file), name=title)
        placement = placement or _placement(name, array.shape, meta)
        layers.append((array, {**meta, **placement.beside(len(layers), len(array.shape))}, kind))
    found = {key: folder / "analysis" / f"{key}.tif" for key in (SPECTRUM, PEAKS, LAGS, KERNEL)}
    if placement is not None and all(file.exists() for file in found.values()):
        spectrum, peaks, lags = (tifffile.imread(found[key]) for key in (SPECTRUM, PEAKS, LAGS))
        kernel = embed_kernel(load_kernel(found[KERNEL]), lags.shape[-1])
        layers += layer_data(spectrum, peaks, lags, kernel, placement).values()
    if not layers:
        raise FileError(f"The run {folder} has no result yet. Let it finish, or run it again.")
    offer_to_go_on(folder)
    return layers


def _placement(name: str, shape: tuple[int, ...], meta: dict[str, Any]) -> Placement:
    scale = tuple(meta.get("scale", (1.0,) * len(shape)))
    size = np.array(shape[-2:]) * scale[-2:]
    units = tuple(meta.get("units", ("pixel",) * len(shape)))
    return Placement(name, scale, (0.0,) * len(shape), units, -np.array(scale[-2:]) / 2, size)


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
        name: Unit = "pixel"
    elif str(unit) in UNIT_NAMES:
        name = UNIT_NAMES[str(unit)]
    else:
        name = "nm"
        lengths = [pint.application_registry.Quantity(length, unit).to("nm").magnitude for length in lengths]
    y, x = lengths[-2:]
    z = lengths[-3] if len(lengths) == 3 else x  # a single slice is as thick as its pixels are wide
    return VoxelSize(z, y, x, name)


def _pint_unit(unit: Any) -> Any:
    return pint.application_registry.Unit(str(unit))
