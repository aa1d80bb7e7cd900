"""What the camera sees, and flying it to some layers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.viewer import Viewer

FLIGHT_SECONDS = 0.3
FRAME_MS = 16
FILL = 0.92
"""Share of the canvas that the target fills."""


def field_seen(viewer: Viewer, layer: Layer) -> np.ndarray:
    """Height and width of what a canvas without panes shows of a layer, in world coordinates."""
    camera, displayed = viewer.scene.camera, list(viewer.dims.displayed)[-2:]
    half = np.array(viewer.canvas.size) / camera.zoom / 2
    centre = np.array(camera.center[-2:])
    axes = np.array(displayed) - (viewer.dims.ndim - layer.ndim)  # a layer has the last axes of the viewer
    extent = np.asarray(layer.extent.world)[:, axes]
    low, high = np.maximum(centre - half, extent[0]), np.minimum(centre + half, extent[1])
    return np.asarray(high - low) if (high > low).all() else 2 * half


def zoom_to_fit(size: np.ndarray, canvas: np.ndarray) -> float:
    """Screen pixels for a unit of the world, where a field of this size is to fill a canvas."""
    return float(FILL * np.min(np.asarray(canvas) / np.maximum(size, 1e-9)))


class Flight:
    """Moves the camera of a flat scene smoothly.

    Parameters
    ----------
    viewer
        Gives the viewer whose camera it is.
    """

    def __init__(self, viewer: Callable[[], ViewerModel]) -> None:
        self._viewer = viewer
        self._timer = QTimer()
        self._timer.setInterval(FRAME_MS)
        self._timer.timeout.connect(self._frame)

    def to(self, layers: Sequence[Layer], least_zoom: float = 0.0) -> None:
        """Fly until ``layers`` fill the canvas, or to the middle of what does not fit at ``least_zoom``."""
        present = [layer for layer in layers if layer in self._viewer().layers]
        if not present:
            return
        corners = np.array([layer.extent.world[:, -2:] for layer in present])
        self.to_box(corners[:, 0].min(axis=0), corners[:, 1].max(axis=0), least_zoom)

    def to_box(self, low: np.ndarray, high: np.ndarray, least_zoom: float = 0.0) -> None:
        """Fly until a box between two corners, world coordinates (y, x), fills the canvas."""
        viewer = self._viewer()
        camera = viewer.scene.camera
        self._from = np.array(camera.center, dtype=float), float(camera.zoom)
        centre = self._from[0].copy()
        centre[-2:] = (low + high) / 2
        self._to = centre, max(zoom_to_fit(high - low, viewer.canvas.size), least_zoom)
        self._start = time.perf_counter()
        self._timer.start()

    @property
    def flying(self) -> bool:
        """Whether the camera is on its way."""
        return bool(self._timer.isActive())

    def stop(self) -> None:
        """End where the camera is."""
        self._timer.stop()

    def _frame(self) -> None:
        # By the clock, not by frames: a slow display skips frames and arrives in time all the same.
        share = min((time.perf_counter() - self._start) / FLIGHT_SECONDS, 1.0)
        (centre0, zoom0), (centre1, zoom1) = self._from, self._to
        camera: Any = self._viewer().scene.camera
        camera.zoom = zoom0 * (zoom1 / zoom0) ** share
        camera.center = tuple(centre0 * (1 - share) + centre1 * share)
        if share >= 1.0:
            self._timer.stop()
