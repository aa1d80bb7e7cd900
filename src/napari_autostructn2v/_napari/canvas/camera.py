"""Flying the camera to some layers and back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

from napari_autostructn2v._napari.napari_private import canvas_size

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

FLIGHT_SECONDS = 0.3
FRAME_MS = 16
FILL = 0.92
"""Share of the canvas that the target fills."""


class Flight:
    """Moves the camera smoothly; napari 0.9.2 fails to fit 2D layers beside 3D data to the view."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._timer = QTimer()
        self._timer.setInterval(FRAME_MS)
        self._timer.timeout.connect(self._frame)

    def to(self, layers: Sequence[Layer], least_zoom: float = 0.0) -> None:
        """Fly until ``layers`` fill the canvas, or to the middle of what does not fit at ``least_zoom``.

        In 3D the camera stays: there the view is the person's.
        """
        present = [layer for layer in layers if layer in self._viewer.layers]
        if not present:
            return
        corners = np.array([layer.extent.world[:, -2:] for layer in present])
        self.to_box(corners[:, 0].min(axis=0), corners[:, 1].max(axis=0), least_zoom)

    def to_box(self, low: np.ndarray, high: np.ndarray, least_zoom: float = 0.0) -> None:
        """Fly until a box between two corners, world coordinates (y, x), fills the canvas."""
        if self._viewer.dims.ndisplay != 2:
            return
        camera = self._camera
        self._from = np.array(camera.center, dtype=float), float(camera.zoom)
        centre = self._from[0].copy()
        centre[-2:] = (low + high) / 2
        span = np.maximum(high - low, 1e-9)
        self._to = centre, max(float(FILL * np.min(canvas_size(self._viewer) / span)), least_zoom)
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
        self._camera.zoom = zoom0 * (zoom1 / zoom0) ** share
        self._camera.center = tuple(centre0 * (1 - share) + centre1 * share)
        if share >= 1.0:
            self._timer.stop()

    @property
    def _camera(self) -> Any:
        viewer: Any = self._viewer
        return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera  # napari < 0.9
