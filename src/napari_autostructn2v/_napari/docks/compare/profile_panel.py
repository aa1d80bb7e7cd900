"""Values along a line that is drawn on the image, of all layers that are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtWidgets import QVBoxLayout, QWidget
from superqt.utils import qdebounced

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.canvas.layer_names import PROFILE_LINE
from napari_autostructn2v._napari.canvas.placement import DERIVED_LAYER, Placement
from napari_autostructn2v._napari.canvas.slices import full_shape, shown_slice, slice_at
from napari_autostructn2v._napari.canvas.voxel_sizes import voxel_size
from napari_autostructn2v._napari.docks.compare.comparison import Comparison
from napari_autostructn2v._napari.widgets.bindings import Bindings, Connections
from napari_autostructn2v._napari.widgets.elided import elided
from napari_autostructn2v._napari.widgets.panel_parts import button
from napari_autostructn2v._napari.widgets.plot import Plot, dress
from napari_autostructn2v.figures.line_profile import line_profile

if TYPE_CHECKING:
    from napari.layers import Image, Shapes
    from napari.viewer import Viewer

LEGEND_ROOM = 0.32
"""Height of a line of the legend as a share of that of the curves."""
REDRAW_MS = 40
"""A drag moves the line more often than a plot can be drawn."""


class ProfilePanel(QWidget):
    """Adds a line to the viewer and plots what lies under it.

    Parameters
    ----------
    viewer
        Which gets the line.
    comparison
        Which must not hide it.
    chosen
        The layers to plot, now.
    """

    def __init__(self, viewer: Viewer, comparison: Comparison, chosen: Callable[[], Sequence[Image]]) -> None:
        super().__init__()
        self._viewer, self._comparison, self._chosen = viewer, comparison, chosen
        self.line: Shapes | None = None
        """The layer with the line, while there is one."""
        self._followed: tuple[Image, ...] = ()
        self._connections = Connections()
        self.destroyed.connect(lambda: self._connections.release())
        self.draw = button(
            "Draw a line",
            "Put a line on the image and plot the values under it; drag the line or its ends. It is seen "
            "wherever the layers are not side by side",
            self.toggle,
        )
        self.plot = Plot()
        self.plot.addLegend(offset=(-5, 2), labelTextSize="8pt")
        self.plot.setLabel("left", "value", **{"font-size": "8pt"})
        self.plot.setToolTip("Values of the present slice along the line: sharp edges should stay sharp")
        self.plot.setFixedHeight(190)
        self.plot.hide()
        layout = QVBoxLayout(self)
        layout.addWidget(self.draw)
        layout.addWidget(self.plot)
        self._redraw_soon = qdebounced(self.redraw, timeout=REDRAW_MS, parent=self)
        bindings = Bindings(self)
        bindings.connect(viewer.dims.events.current_step, self._soon)
        bindings.connect(viewer.events.theme, self._take_theme)
        bindings.connect(viewer.layers.events.removed, self._on_removed)
        self._take_theme()

    def toggle(self) -> None:
        """Add the line, or remove it."""
        if self.line is not None:
            self._viewer.layers.remove(self.line)
        elif self._chosen():
            self._add_line(self._chosen()[0])

    def refresh(self) -> None:
        """Plot the layers that are chosen by now."""
        layers = tuple(self._chosen())
        self.draw.setEnabled(bool(layers) or self.line is not None)
        if layers != self._followed:
            self._follow(layers)
        self._soon()

    def _add_line(self, first: Image) -> None:
        rows, columns = full_shape(first)[-2:]
        ends = np.array([[rows / 2, columns / 4], [rows / 2, 3 * columns / 4]])
        self.line = self._viewer.add_shapes(
            [ends],
            shape_type="line",
            edge_color=colours.PROFILE_LINE,
            opacity=1.0,
            edge_width=max(rows, columns) / 100,
            name=PROFILE_LINE,
            metadata=dict(DERIVED_LAYER),
            **Placement.of(first).on_grid(2),
        )
        self.line.mode = "select"
        self.line.selected_data = {0}
        self.line.events.set_data.connect(self._soon)
        self._comparison.kept.add(self.line)
        self.draw.setText("Remove the line")
        self.plot.show()
        self.redraw()

    def _on_removed(self, event: Any) -> None:
        if self.line is None or event.value is not self.line:
            return
        self._comparison.kept.discard(self.line)
        self.line.events.set_data.disconnect(self._soon)
        self.line = None
        self.draw.setText("Draw a line")
        self.plot.hide()

    def close_line(self) -> None:
        """Take the line away: the dock goes."""
        self._connections.release()
        if self.line is not None and self.line in self._viewer.layers:
            self.line.events.set_data.disconnect(self._soon)
            self._comparison.kept.discard(self.line)
            self._viewer.layers.remove(self.line)

    def _follow(self, layers: tuple[Image, ...]) -> None:
        self._connections.release()
        self._followed = layers
        for layer in layers:
            self._connections.connect(layer.events.data, self._soon)

    def _soon(self, event: Any = None) -> None:
        if self.line is not None:
            self._redraw_soon()

    def redraw(self) -> None:
        """Plot the values under the line now."""
        self.plot.clear()
        layers = self._chosen()
        if self.line is None or not layers or not len(self.line.data):
            return
        size = voxel_size(layers[0])
        known = size is not None and size.unit != "pixel"
        pixel = (1.0, 1.0)
        if size is not None and known:
            pixel = (size.to("nm").y, size.to("nm").x)
        self.plot.setLabel("bottom", "nm" if known else "pixels", **{"font-size": "8pt"})
        z = slice_at(self._viewer, layers[0])
        # points of the world, since the line's layer may have been moved meanwhile
        start, end = (self._on_image(layers[0], self.line.data[0][end]) for end in (0, -1))
        seen = []
        for layer, colour in zip(layers, colours.PROFILES, strict=False):
            distance, values = line_profile(shown_slice(layer, z), start, end, pixel)
            self.plot.plot(
                distance, values, name=elided(layer.name), pen=pg.mkPen(colour, width=1), connect="finite"
            )
            seen.append(values[np.isfinite(values)])
        if (all_seen := np.concatenate(seen)).size:
            low, high = all_seen.min(), all_seen.max()
            self.plot.setYRange(low, high + LEGEND_ROOM * len(layers) * (high - low))
        self._take_theme()

    def _on_image(self, first: Image, corner: np.ndarray) -> tuple[float, float]:
        assert self.line is not None
        world = np.array(self._viewer.dims.point, dtype=float)
        world[-2:] = self.line.data_to_world(corner)[-2:]
        y, x = first.world_to_data(world[-first.ndim :])[-2:]
        return float(y), float(x)

    def _take_theme(self, event: Any = None) -> None:
        dress(self.plot, self._viewer.theme)
