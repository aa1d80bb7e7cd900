"""napari's reader and writer over the engine's files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from napari.layers import Image
from napari.utils.notifications import Notification, NotificationSeverity, notification_manager

from napari_autostructn2v._napari.canvas.layer_names import RESULTS
from napari_autostructn2v._napari.canvas.placement import Placement
from napari_autostructn2v._napari.canvas.voxel_sizes import (
    LayerData,
    heading_of,
    image_layer,
    voxel_size_of,
)
from napari_autostructn2v._napari.napari_private import unwrapped
from napari_autostructn2v._napari.review.layer_data import layer_data
from napari_autostructn2v._napari.review.spectrum_status import edges_in_nm
from napari_autostructn2v._napari.session.run_files import open_run
from napari_autostructn2v._napari.widgets.plugin_dock import show_dock
from napari_autostructn2v.errors import AutoStructN2VError, FileError
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.io.formats import OME_ZARR, TIFF, format_of
from napari_autostructn2v.kernel import embed_kernel, load_kernel

OPENED_BY_OTHERS = (TIFF, OME_ZARR)
"""Formats for which napari, or a plugin of its own, has readers and writers."""


def get_reader(path: str | Sequence[str]) -> Callable[[str], list[LayerData]] | None:
    """Return a reader for a file that napari does not open itself or a run folder, else None."""
    if not isinstance(path, str):
        return None
    if (known := format_of(Path(path))) is not None and known not in OPENED_BY_OTHERS:
        return read_image
    if (Path(path) / "run.json").is_file():
        return read_run_folder
    return None


def read_image(path: str) -> list[LayerData]:
    """A stack as a lazy image layer."""
    return [image_layer(read_stack(path))]


def read_run_folder(path: str) -> list[LayerData]:
    """What a run has left in its folder so far: input and results, and the analysis, hidden."""
    folder = Path(path)
    try:
        record = json.loads((folder / "run.json").read_text())
        name, source = record["input"] or folder.name, record.get("input_path")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(f"{folder / 'run.json'} cannot be read: {error}. Run it again.") from error
    files = {title.format(name): folder / stage / "denoised.tif" for stage, title in RESULTS.items()}
    if source is not None:
        files = {name: Path(source), **files}
    layers: list[LayerData] = []
    placement = None
    for title, file in files.items():
        if not file.exists():  # the stage is yet to come, or the input was moved
            continue
        array, meta, kind = image_layer(read_stack(file), name=title)
        placement = placement or Placement.of(Image(np.broadcast_to(np.uint8(0), array.shape), **meta))
        layers.append((array, {**meta, **placement.result(len(array.shape))}, kind))
    parts = ("spectrum", "peaks", "autocorrelation", "kernel")
    *images, kernel_file = (folder / "analysis" / f"{part}.tif" for part in parts)
    if placement is not None and all(file.exists() for file in (*images, kernel_file)):
        spectrum, peaks, lags = map(tifffile.imread, images)
        kernel = embed_kernel(load_kernel(kernel_file), lags.shape[-1])
        found = layer_data(spectrum, peaks, lags, kernel, placement.inside, edges_in_nm(placement)).values()
        layers += [(data, {**meta, "visible": False}, shown_as) for data, meta, shown_as in found]
    if not layers:
        raise FileError(f"The run {folder} has no result yet. Let it finish, or run it again.")
    notify_resumable(folder)
    return layers


def write_image(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one image layer in the format of the suffix; napari's dialog has asked about overwriting."""
    size = voxel_size_of(meta.get("scale"), meta.get("units"))
    heading = heading_of(meta.get("metadata") or {})
    return [str(write_stack(path, data, voxel_size=size, heading=heading, overwrite=True))]


# napari shows the first forty letters, and the rest on demand
OFFER = (
    "To review this run, open it in the dock: here, or later with Open run … under Data. These layers only "
    "show what the run has left."
)


def notify_resumable(folder: Path) -> None:
    """Ask in a notification whether to go on with the run in a folder, if that is possible."""
    try:
        open_run(folder)
    except AutoStructN2VError:  # it is yet to be finished, or its input is gone: there is only this to see
        return
    notification_manager.dispatch(
        Notification(
            OFFER, NotificationSeverity.INFO, actions=(("Go on with this run", lambda _: go_on(folder)),)
        )
    )


def go_on(folder: Path) -> None:
    """Open a run in the session of the present viewer, in place of the layers that only show it."""
    import napari

    from napari_autostructn2v._napari.workspace import workspace_of  # which needs the readers

    viewer: Any = unwrapped(napari.current_viewer())
    show_dock(viewer, "Structured denoising")
    shown = [layer for layer in viewer.layers if layer.source.path == str(folder)]
    workspace_of(viewer).runs.open_folder(folder, instead_of=shown)
