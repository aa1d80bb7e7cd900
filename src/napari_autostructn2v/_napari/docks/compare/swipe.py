"""One image over another, seen only to the right of a divider that is dragged."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.canvas.layer_names import COMPARED, DIVIDER
from napari_autostructn2v._napari.canvas.placement import DERIVED_LAYER, Placement
from napari_autostructn2v._napari.canvas.slices import full_shape, shown_slice, shows_slices, slice_at
from napari_autostructn2v._napari.widgets.bindings import Connections

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

GRAB = 10.0
"""Screen pixels beside the divider from which it can be taken."""

WIDTH = 1 / 250
"""Of the divider, as a share of the image's longer side."""

STEP = 1 / 40
"""Of the divider by a key, as a share of the image's width."""


class Swipe:
    """Shows a layer's present slice to the right of a divider, over another in the same place.

    napari 0.9.2 clips no image in 2D. NaN is transparent, so a float copy of the slice is shown, NaN to the
    left of the divider.

    Parameters
    ----------
    viewer
        In which the comparison is.
    lower
        What is seen left of the divider.
    source
        Where slices are taken from, shape as ``lower``.
    """

    def __init__(self, viewer: Viewer, lower: Image, source: Image) -> None:
        self._viewer, self._lower, self._source = viewer, lower, source
        rows, self._columns = full_shape(lower)[-2:]
        place = Placement.of(lower).on_grid(2)
        self.column = self._columns // 2
        """First column in which the upper layer is seen."""
        self._slice = np.zeros((rows, self._columns))
        self.top = viewer.add_image(
            self._slice.copy(),
            name=COMPARED.format(source.name),
            colormap=source.colormap,
            gamma=source.gamma,
            contrast_limits=tuple(source.contrast_limits),
            metadata=dict(DERIVED_LAYER),
            **place,
        )
        self.divider = viewer.add_shapes(
            [np.array([[-0.5, -0.5], [rows - 0.5, -0.5]])],
            shape_type="line",
            edge_color=colours.DIVIDER,
            opacity=1.0,
            edge_width=WIDTH * max(rows, self._columns),
            name=DIVIDER,
            metadata=dict(DERIVED_LAYER),
            **place,
        )
        self._connections = Connections()
        for event in ("current_step", "order", "ndisplay"):
            self._connections.connect(getattr(viewer.dims.events, event), self.draw)
        viewer.mouse_drag_callbacks.append(self._drag)
        self.draw()

    def close(self) -> None:
        """Take the divider away."""
        self._connections.release()
        if self._drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._drag)
        for layer in (self.top, self.divider):
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def draw(self, event: Any = None) -> None:
        """Show the present slice, cut at the divider."""
        if self.top not in self._viewer.layers:
            return
        shown = shows_slices(self._viewer)
        self.top.visible = shown
        if self.divider in self._viewer.layers:
            self.divider.visible = shown
        if not shown:
            return
        self._slice = shown_slice(self._source, slice_at(self._viewer, self._lower)).astype(np.float64)
        self._cut()

    def move_to(self, column: int) -> None:
        """Let the upper layer be seen from this column on."""
        self.column = int(np.clip(column, 0, self._columns))
        self._cut()

    def step(self, by: int) -> None:
        """Move the divider to the right, so many of the steps in which a person feels their way."""
        self.move_to(self.column + by * max(1, round(STEP * self._columns)))

    def _cut(self) -> None:
        self.top.data[:, self.column :] = self._slice[:, self.column :]
        self.top.data[:, : self.column] = np.nan
        self.top.refresh(thumbnail=False, extent=False, highlight=False)
        if self.divider in self._viewer.layers:
            here = np.array(self.divider.data_to_world((0, 0)))
            shift = self.top.data_to_world((0, self.column)) - here
            turned = np.array(self.divider.affine)[:-1, :-1]
            self.divider.translate = self.divider.translate + np.linalg.solve(turned, shift)

    def _drag(self, viewer: Viewer, event: Any) -> Generator[None, None, None]:
        if not shows_slices(viewer) or not self._is_near(event.position):
            return
        active = viewer.layers.selection.active
        pan = getattr(active, "mouse_pan", None)
        if active is not None:
            active.mouse_pan = False
        try:
            yield
            while event.type == "mouse_move":
                self.move_to(round(self._column_at(event.position)))
                yield
        finally:
            if active is not None:
                active.mouse_pan = pan

    def _column_at(self, position: Any) -> float:
        """Column of the first pixel right of a point of the world."""
        return float(self.top.world_to_data(np.asarray(position)[-2:])[-1]) + 0.5

    def _is_near(self, position: Any) -> bool:
        first, second = (np.array(self.top.data_to_world((0, x))) for x in (0, 1))
        away = abs(self._column_at(position) - self.column) * np.linalg.norm(second - first)
        return bool(away * self._viewer.scene.camera.zoom <= GRAB)
