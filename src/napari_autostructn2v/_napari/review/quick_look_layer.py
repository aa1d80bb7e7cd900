"""The quick look as a layer below the kernel, which is painted meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal
from superqt.utils import qdebounced

from napari_autostructn2v._napari import worker
from napari_autostructn2v._napari.canvas.layer_names import QUICK_LOOK
from napari_autostructn2v._napari.canvas.placement import NOISE_LAYER, Placement, slice_shown
from napari_autostructn2v._napari.review.layer_data import left_of_kernel, side_by_side
from napari_autostructn2v._napari.review.quick_look import QuickLook
from napari_autostructn2v.box import Box

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

    from napari_autostructn2v._napari.session.session import Session

SIDE = 160
"""Largest side of the field in pixels: what trains in seconds on a laptop."""

SMALLEST = 48
SLICES_AROUND = 4

SETTLED_MS = 350
"""Time without a stroke after which a new kernel is looked at."""


class QuickLookLayer:
    """Shows a quick look, and begins it anew after an edit."""

    appeared = Signal()
    """The layer is there now, for the first time since the quick look began."""

    def __init__(self, viewer: Viewer, session: Session, placement: Callable[[], Placement | None]) -> None:
        self._viewer, self._session, self._placement = viewer, session, placement
        self.look = QuickLook(session)
        self.layer: Image | None = None
        self._restart_soon = qdebounced(self.look.restart, timeout=SETTLED_MS)
        session.reviewed.connect(self._on_reviewed)
        self.look.changed.connect(self._show)
        worker.serve(self.look.runner)

    def toggle(self, image: Image, seen: np.ndarray | None) -> None:
        """Begin a quick look at the pixels that are seen of the image, or end it."""
        if self.look.on:
            self.look.stop()
        elif self._session.run is not None:
            z = slice_shown(image, tuple(np.asarray(self._viewer.dims.point)))
            self.look.start(visible_box(seen, z, self._session.run.stack.shape), z)

    def close(self) -> None:
        """The window closes."""
        self._restart_soon.cancel()
        self.look.stop()

    def _on_reviewed(self) -> None:
        if self.look.on:
            self._restart_soon()

    def _show(self) -> None:
        picture, placement, review = self.look.picture, self._placement(), self._session.review
        present = self.layer is not None and self.layer in self._viewer.layers
        if picture is None or placement is None or review is None:
            if present and not self.look.on:
                self._viewer.layers.remove(self.layer)
                self.layer = None
            return
        limits = tuple(np.nanpercentile(picture, [0.5, 99.5]))
        if present and self.layer is not None and self.layer.data.shape == picture.shape:
            self.layer.data[...] = picture
            self.layer.contrast_limits = limits
            self.layer.refresh(thumbnail=False, extent=False, highlight=False)
            return
        if present:
            self._viewer.layers.remove(self.layer)
        lags = review.automatic.autocorrelation
        kernel = side_by_side(lags, np.nan).shape
        active = self._viewer.layers.selection.active
        self.layer = self._viewer.add_image(
            picture,
            name=QUICK_LOOK,
            contrast_limits=limits,
            metadata=dict(NOISE_LAYER),
            **placement.inside(picture.shape, (left_of_kernel(lags), 1.0), above=kernel),
        )
        self._viewer.layers.selection.active = active
        if not present:
            self.appeared.emit()


def visible_box(seen: np.ndarray | None, z: int, shape: tuple[int, int, int]) -> Box:
    """What is seen of an image, at most a small field of it; its middle if it is out of sight.

    Parameters
    ----------
    seen
        First and last pixel that is seen, (2, 2) or with more axes before; None if nobody knows.
    z
        The slice that is shown; some slices around it are taken as well.
    shape
        Of the stack, (Z, Y, X).
    """
    low, high = np.array([(0, 0), shape[1:]]) if seen is None else seen[:, -2:]
    middle, size = (low + high) / 2, high - low
    if (size < SMALLEST).any():
        middle, size = np.array(shape[1:]) / 2, np.array(shape[1:])
    side = np.minimum(np.minimum(size, SIDE), shape[1:])
    start = np.clip(np.rint(middle - side / 2), 0, np.array(shape[1:]) - side).astype(int)
    (y0, x0), (y1, x1) = start.tolist(), (start + side).astype(int).tolist()
    return Box((max(0, z - SLICES_AROUND), min(shape[0], z + SLICES_AROUND + 1)), (y0, y1), (x0, x1))
