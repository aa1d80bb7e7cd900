"""The quick look as a layer beside the kernel, which is painted meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal
from superqt.utils import qdebounced

from napari_autostructn2v._napari import worker
from napari_autostructn2v._napari.canvas.layer_names import QUICK_LOOK
from napari_autostructn2v._napari.canvas.placement import DERIVED_LAYER, in_a_row, slice_shown
from napari_autostructn2v._napari.review.layer_data import side_by_side
from napari_autostructn2v._napari.review.quick_look import QuickLook
from napari_autostructn2v.box import Box

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_autostructn2v._napari.review.noise_canvas import NoiseCanvas
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
    """There is a layer, or one of another size."""

    def __init__(self, canvas: NoiseCanvas, session: Session) -> None:
        self._canvas, self._session = canvas, session
        self.look = QuickLook(session)
        self.layer: Image | None = None
        self._restart_soon = qdebounced(self.look.restart, timeout=SETTLED_MS)
        session.reviewed.connect(self._on_reviewed)
        self.look.changed.connect(self._show)
        worker.serve(self.look.runner)

    def toggle(self, image: Image, seen: np.ndarray | None, point: tuple[float, ...]) -> None:
        """Begin a quick look at the pixels that are seen of the image, cut at ``point``, or end it."""
        if self.look.on:
            self.look.stop()
        elif self._session.run is not None:
            z = slice_shown(image, point)
            self.look.start(visible_box(seen, z, self._session.run.stack.shape), z)

    def close(self) -> None:
        """The window closes."""
        self._restart_soon.cancel()
        self.look.stop()

    def _on_reviewed(self) -> None:
        if self.look.on:
            self._restart_soon()

    def _show(self) -> None:
        picture, review, viewer = self.look.picture, self._session.review, self._canvas.model
        present = self.layer is not None and self.layer in viewer.layers
        if picture is None or review is None:
            if present and not self.look.on:
                viewer.layers.remove(self.layer)
                self.layer = None
            return
        limits = tuple(np.nanpercentile(picture, [0.5, 99.5]))
        if present and self.layer is not None and self.layer.data.shape == picture.shape:
            self.layer.data[...] = picture
            self.layer.contrast_limits = limits
            self.layer.refresh(thumbnail=False, extent=False, highlight=False)
            return
        if present:
            viewer.layers.remove(self.layer)
        kernel = side_by_side(review.automatic.autocorrelation, np.nan)
        place = in_a_row([review.automatic.spectrum.shape, kernel.shape, picture.shape])[-1]
        active = viewer.layers.selection.active
        self.layer = viewer.add_image(
            picture,
            name=QUICK_LOOK,
            contrast_limits=limits,
            metadata=dict(DERIVED_LAYER),
            **place,
        )
        viewer.layers.selection.active = active
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
