"""The data of layers, as what a run takes them for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_autostructn2v._napari.canvas.slices import grey_values
from napari_autostructn2v._napari.canvas.voxel_sizes import heading_of, notices_of, voxel_size
from napari_autostructn2v._napari.session.state import Source
from napari_autostructn2v.io.slice_numbers import missing_slices, slices_in

if TYPE_CHECKING:
    from napari.layers import Image


def source_of(layer: Image) -> Source:
    """The data of a layer in full resolution, never read here, and what is known of their file."""
    path = Path(layer.source.path) if layer.source.path else None
    return Source(
        layer.name,
        grey_values(layer),
        voxel_size(layer),
        path,
        heading_of(layer.metadata),
        notices_of(layer.metadata) or _notices_of_folder(path),
    )


def _notices_of_folder(path: Path | None) -> tuple[str, ...]:
    """What is to be said of a folder of slices, which napari opens by itself."""
    if path is None or not path.is_dir():
        return ()
    try:
        told = missing_slices(slices_in(path))
    except OSError:  # it is gone by now
        return ()
    return (told,) if told else ()
