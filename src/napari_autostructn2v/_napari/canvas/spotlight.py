"""Some layers are seen, together or each in a pane of its own, and all others are hidden for as long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from psygnal import Signal

from napari_autostructn2v._napari.canvas.camera import field_seen, zoom_to_fit

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

Panes = Literal["row", "column", "best"]
"""Panes one beside the other, one below the other, or as the pictures are larger."""

SPACING = 4
"""Screen pixels between two panes."""

CAPTION_MARGIN = 24
"""Screen pixels beside a caption."""

CAPTION_POINTS = 6.0, 10.0
"""Least and usual size of a caption."""

POINTS_WIDE = 1.1
"""Screen pixels that a letter is wide, for each point of its size."""

GRID_SETTINGS = ("enabled", "stride", "spacing", "shape")
"""Switched off first: the canvas makes each change of a grid that is on."""


class Spotlight:
    """Shows some layers of a viewer and hides the others; closed, the viewer is as it was before.

    Panes are those of napari's own grid: zoom, pan and slice are common, and a place of the sample is the
    same point of the world in each, so what is picked in any of them is right. Each is captioned with the
    name of its layer. A pane shows as much of the sample as the whole canvas did.
    """

    left = Signal()
    """The person has switched the grid off: there are no panes any more."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._visible: dict[Layer, bool] = {}
        self._captions: dict[Layer, tuple[bool, float]] = {}
        """Whether the names of layers were shown, and how large, before they became captions."""
        self._grid: dict[str, Any] = {}
        """The person's own settings while there are panes."""
        self._asked: tuple[int, Panes, tuple[int, ...], float] = (0, "best", (), 0.0)
        """How many panes, how arranged, on which canvas, and at which zoom of it they came or went last."""
        self._shape, self._magnified = (1, 1), 1.0
        """Their rows and columns, and by what the zoom changes with them."""
        self._busy = False
        viewer.canvas.grid.events.enabled.connect(self._on_grid)

    @property
    def panes(self) -> bool:
        """Whether each layer has a pane of its own."""
        return bool(self._grid)

    def show(self, layers: Sequence[Layer], panes: Panes | None = None) -> None:
        """Show these layers and no others, in place of those before.

        Parameters
        ----------
        layers
            They lie in the same place.
        panes
            How their panes are arranged, in the order of the layer list; None shows them in one picture.
        """
        if panes is not None and self._is_shown(layers, panes):
            return
        self._busy = True
        self._close_grid()
        for layer in self._viewer.layers:
            self._visible.setdefault(layer, layer.visible)
            if layer.visible != (layer in layers):
                layer.visible = layer in layers
        if panes is not None:
            self._open_grid(layers, panes)
        active = self._viewer.layers.selection.active
        if active is None or not active.visible:  # its controls would do nothing
            self._viewer.layers.selection.active = layers[0] if layers else None
        self._busy = False

    def _is_shown(self, layers: Sequence[Layer], panes: Panes) -> bool:
        """Whether these layers have these panes already: to make them anew takes a while."""
        seen = [layer for layer in self._viewer.layers if layer.visible]
        as_before = self._asked[1:3] == (panes, tuple(self._viewer.canvas.size))
        return self.panes and as_before and list(self._captions) == list(layers) and set(seen) == set(layers)

    def close(self) -> None:
        """Let all layers and the grid be as they were."""
        self._busy = True
        self._close_grid()
        for layer, visible in self._visible.items():
            if layer in self._viewer.layers and layer.visible != visible:
                layer.visible = visible
        self._visible = {}
        self._busy = False

    def _open_grid(self, layers: Sequence[Layer], panes: Panes) -> None:
        viewer, grid, camera = self._viewer, self._viewer.canvas.grid, self._viewer.scene.camera
        self._grid = {name: getattr(grid, name) for name in GRID_SETTINGS}
        asked = len(layers), panes, tuple(viewer.canvas.size), float(camera.zoom)
        if asked != self._asked:  # else nobody has zoomed since: as it was
            self._asked, (self._shape, zoom) = asked, self._arrange(layers, panes)
            self._magnified = min(zoom / camera.zoom, 1.0)
        width = pane_size(viewer, *self._shape)[1]
        size = min(caption_size(layer.name, width) for layer in layers)
        for layer in layers:
            self._captions[layer] = layer.name_overlay.visible, layer.name_overlay.font_size
            layer.name_overlay.visible = True
            layer.name_overlay.font_size = size
        grid.stride, grid.spacing, grid.shape = 1, SPACING, self._shape
        grid.enabled = True
        if viewer.dims.ndisplay == 2:
            camera.zoom *= self._magnified

    def _arrange(self, layers: Sequence[Layer], panes: Panes) -> tuple[tuple[int, int], float]:
        """Rows and columns of panes, and the zoom at which each shows what the whole canvas does."""
        shapes = {"row": (1, len(layers)), "column": (len(layers), 1)}
        field = field_seen(self._viewer, layers[0])
        fits = {shape: zoom_to_fit(field, pane_size(self._viewer, *shape)) for shape in shapes.values()}
        shape = max(fits, key=fits.__getitem__) if panes == "best" else shapes[panes]
        return shape, fits[shape]

    def _close_grid(self) -> None:
        if not self._grid:
            return
        settings, self._grid = self._grid, {}
        for name, value in settings.items():
            setattr(self._viewer.canvas.grid, name, value)
        for layer, (shown, size) in self._captions.items():
            layer.name_overlay.visible, layer.name_overlay.font_size = shown, size
        self._captions = {}
        if self._viewer.dims.ndisplay == 2:
            camera = self._viewer.scene.camera
            camera.zoom /= self._magnified
            self._asked = (*self._asked[:3], float(camera.zoom))

    def _on_grid(self, event: Any) -> None:
        if self._busy or not self._grid or self._viewer.canvas.grid.enabled:
            return
        self._grid["enabled"] = False  # as the person wants it
        self.left.emit()


def caption_size(name: str, width: float) -> float:
    """Points in which a name fits into a pane: its end tells a result from its image."""
    return float(np.clip((width - CAPTION_MARGIN) / (POINTS_WIDE * max(len(name), 1)), *CAPTION_POINTS))


def pane_size(viewer: Viewer, rows: int, columns: int) -> np.ndarray:
    """Height and width of a pane in screen pixels, where the canvas is shared by so many."""
    panes = np.array([rows, columns])
    return np.asarray((np.array(viewer.canvas.size) - SPACING * (panes - 1)) / panes)
