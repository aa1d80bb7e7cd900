"""What files say on layers, and what layers say for files: voxel sizes, and what else was in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pint

from napari_autostructn2v.io import Heading, ImageFile, Unit, VoxelSize

if TYPE_CHECKING:
    from napari.layers import Layer

HEADING = "napari_autostructn2v_heading"
"""In the metadata of a layer: what its file says beside its pixels."""

NOTICES = "napari_autostructn2v_notices"
"""Likewise: what the person should know of its file."""

SOURCE_EVENTS = ("data", "name", "scale", "units")
"""Of a layer: after them its data, or what is known of them, are others."""

UNIT_NAMES: dict[str, Unit] = {"nanometer": "nm", "micrometer": "um", "angstrom": "angstrom"}


def image_layer(file: ImageFile, **options: Any) -> LayerData:
    """A file of the engine as layer data with its voxel size and its heading."""
    meta: dict[str, Any] = {"name": file.name, "metadata": heading_metadata(file.heading), **options}
    if file.notices:
        meta["metadata"][NOTICES] = file.notices
    if file.voxel_size is not None:
        size, ndim = file.voxel_size, len(file.array.shape)
        meta["scale"] = (size.z, size.y, size.x)[-ndim:]
        meta["units"] = (size.unit,) * ndim
    return file.array, meta, "image"


def heading_metadata(heading: Heading | None) -> dict[str, Any]:
    """What is put into the metadata of a layer, so that :func:`heading_of` finds it there."""
    return {} if heading is None else {HEADING: heading}


def heading_of(metadata: dict[str, Any]) -> Heading | None:
    """What the file of a layer, or the file that it was made of, says beside its pixels."""
    found = metadata.get(HEADING)
    return found if isinstance(found, Heading) else None


def notices_of(metadata: dict[str, Any]) -> tuple[str, ...]:
    """What the person should know of the file of a layer."""
    return tuple(map(str, metadata.get(NOTICES, ())))


def voxel_size(layer: Layer) -> VoxelSize | None:
    """The voxel size of an image layer, or None if it has only pixels."""
    return voxel_size_of(layer.scale, layer.units)


def voxel_size_of(scale: Any, units: Any) -> VoxelSize | None:
    """The same from the scale and the units that napari keeps, an entry an axis."""
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


LayerData = tuple[Any, dict[str, Any], str]
