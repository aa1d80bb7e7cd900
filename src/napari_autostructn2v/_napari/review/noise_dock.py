"""What is in the dock of the noise: a canvas, the tools to paint on it, and what its marks mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.qt import QtViewer
from qtpy.QtCore import QSize, QTimer, Signal
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_autostructn2v._napari.review.peak_legend import PeakLegend
from napari_autostructn2v._napari.widgets.bindings import Bindings, Connections
from napari_autostructn2v._napari.widgets.panel_parts import button

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_autostructn2v._napari.review.review_layers import ReviewLayers

HEIGHT = 290
"""Pixels that the dock asks for: the image above it is to have more."""

BRUSH_WIDTH = 84
"""Pixels of the box for the size of the brush: in a window of 1280 the bar has 600."""

NARROWEST = 470
"""Pixels that the tools need."""

TOOLS = {
    "pan_zoom": ("Move", "Move and zoom with the mouse (key 6, or hold the space bar)"),
    "paint": ("Paint", "Add what is painted on the spectrum or on the kernel (key 2)"),
    "erase": ("Erase", "Take away what is painted on the spectrum or on the kernel (key 1)"),
}


class NoiseDock(QWidget):
    """A napari canvas of its own, with a bar of tools for the layers that are painted on it.

    Qt gives a widget that moves into another window, as a dock does that is torn off, another OpenGL
    context, in which nothing of what napari has drawn exists. So the canvas goes whenever the dock is hidden,
    and a new one is made of the same layers when it is shown again.
    """

    shown = Signal()
    """It is seen and wants a canvas."""
    canvas_made = Signal()
    """The canvas is there, and has its size."""
    canvas_gone = Signal()
    """The canvas is not seen any more, and is to be let go of."""

    def __init__(
        self,
        review: ReviewLayers,
        fit: Callable[[], None],
        add_to_list: Callable[[], None],
        reviewed: Any,
    ) -> None:
        super().__init__()
        self._review = review
        self.canvas: QtViewer | None = None
        """The canvas while it is seen."""
        self._making = False
        """Whether a canvas is being made: Qt hides a window for a moment when it gets its first one."""
        self._model: ViewerModel | None = None
        self._followed = Connections()
        """To the layers that are painted."""
        self.tools = {mode: QPushButton(text) for mode, (text, _) in TOOLS.items()}
        group = QButtonGroup(self)
        for mode, tool in self.tools.items():
            tool.setCheckable(True)
            tool.setToolTip(TOOLS[mode][1])
            tool.clicked.connect(lambda _=False, mode=mode: self._take(mode))
            group.addButton(tool)
        self.size_of_brush = QSpinBox()
        self.size_of_brush.setRange(1, 40)
        self.size_of_brush.setSuffix(" px")
        self.size_of_brush.setMaximumWidth(BRUSH_WIDTH)
        self.size_of_brush.setToolTip("Width of the brush and of the eraser")
        self.size_of_brush.valueChanged.connect(self._take_size)
        self.undo = button("Undo", "Take back the last stroke (Ctrl+Z)", review.undo)
        self.redo = button("Redo", "Do again what was taken back (Ctrl+Shift+Z)", review.redo)
        self.fit = button("Fit", "See spectrum and kernel as a whole", fit)
        self.to_list = button(
            "Add to layer list",
            "Put spectrum, peaks and kernel into the layer list as well, as ordinary layers over the image. "
            "What is painted in either place is seen in both",
            add_to_list,
        )
        bar = QHBoxLayout()
        bar.setContentsMargins(4, 2, 4, 0)
        bar.setSpacing(3)
        for part in (*self.tools.values(), self.size_of_brush, self.undo, self.redo, self.fit):
            bar.addWidget(part)
        bar.addStretch()
        bar.addWidget(self.to_list)
        self.legend = PeakLegend()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addLayout(bar)
        self._column.addWidget(self.legend)
        Bindings(self).connect(reviewed, self._refresh)
        self.destroyed.connect(self._followed.release)
        self._refresh()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As high as the pictures need, and no higher."""
        return QSize(NARROWEST, HEIGHT)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As narrow as the tools are in the window's style: Qt asks before it has one, and holds to that."""
        return QSize(NARROWEST, HEIGHT // 2)

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Ask for a canvas as soon as the window stands."""
        super().showEvent(event)
        if self.canvas is None and not self._making:
            QTimer.singleShot(0, lambda: self.shown.emit() if self.isVisible() else None)

    def hideEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Give up the canvas, unless the person has put the window aside for a while."""
        super().hideEvent(event)
        if self.canvas is None or event.spontaneous() or self._making:
            return
        # at once, before Qt paints it in the next window; the rest waits until that window stands
        canvas = self._take_out(self.canvas)
        QTimer.singleShot(0, lambda: self._drop(canvas))

    def make_canvas(self, model: ViewerModel) -> None:
        """Show a model."""
        if self.canvas is not None:
            return
        self._making = True
        self._model, self.canvas = model, QtViewer(model)
        self.canvas.setAcceptDrops(False)  # a file that is dropped here is no picture of noise
        self._column.addWidget(self.canvas, 1)
        self._making = False
        self._refresh()
        QTimer.singleShot(0, self._say_made)

    def drop_canvas(self) -> None:
        """Give up the canvas."""
        if self.canvas is not None:
            self._drop(self._take_out(self.canvas))

    def _take_out(self, canvas: QtViewer) -> QtViewer:
        self.canvas = None
        self._column.removeWidget(canvas)
        canvas.hide()
        canvas.setParent(None)
        return canvas

    def _drop(self, canvas: QtViewer) -> None:
        self.canvas_gone.emit()
        canvas.close()  # and Qt deletes it

    def _say_made(self) -> None:
        if self.canvas is not None:
            self.canvas_made.emit()

    # ------------------------------------------------------------------ the tools

    def _take(self, mode: str) -> None:
        """Have a tool in hand, on whichever picture the pointer goes down."""
        painted = self._review.painted
        for layer in painted:
            layer.mode = mode
        if self._model is not None and painted:
            self._model.layers.selection.active = painted[0]

    def _take_size(self, size: int) -> None:
        for layer in self._review.painted:
            layer.brush_size = size

    def _refresh(self, event: Any = None) -> None:
        """Show which tool is in hand: keys change it as well."""
        painted = self._review.painted
        self._followed.release()
        if self._model is not None:
            self._followed.connect(self._model.layers.selection.events.active, self._show_tool)
        for layer in painted:
            self._followed.connect(layer.events.mode, self._show_tool)
            self._followed.connect(layer.events.brush_size, self._show_tool)
        for widget in (*self.tools.values(), self.size_of_brush, self.undo, self.redo, self.to_list):
            widget.setEnabled(bool(painted))
        self.legend.show_marks(self._review.marks)
        self._show_tool()

    def _show_tool(self, event: Any = None) -> None:
        for layer in self._review.painted[:1]:
            for mode, tool in self.tools.items():
                tool.setChecked(layer.mode == mode)
            if self.size_of_brush.value() != layer.brush_size:
                self.size_of_brush.blockSignals(True)
                self.size_of_brush.setValue(int(layer.brush_size))
                self.size_of_brush.blockSignals(False)
