"""Hands for a napari window: real clicks, strokes and keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_autostructn2v._napari.main_widget import StructuredDenoisingWidget
from napari_autostructn2v._napari.state import Phase

PATIENCE_S = 60


class Hand:
    """Does with a viewer what a person does: presses, drags, keys, waiting."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer

    @property
    def canvas(self) -> Any:
        return self.viewer.window._qt_viewer.canvas

    def at(self, layer: Any, point: tuple[float, float]) -> QPoint:
        """Canvas pixel of a point of a 2D layer, in its data coordinates."""
        world = np.array(self.viewer.dims.point, dtype=float)
        world[-2:] = layer.data_to_world(point)[-2:]
        view = self.canvas.view
        x, y, _, w = (view.transform * view.scene.transform).map(
            list(world[list(self.viewer.dims.displayed)][::-1])
        )
        return QPoint(round(x / w), round(y / w))

    def stroke(self, layer: Any, *points: tuple[float, float]) -> None:
        """Press at the first point, drag through the others, release."""
        native = self.canvas.native
        pixels = [self.at(layer, point) for point in points]
        # a hover first: napari paints where the cursor was last seen
        self._move(pixels[0], Qt.MouseButton.NoButton)
        QTest.mousePress(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pixels[0])
        for pixel in pixels[1:]:
            self._move(pixel, Qt.MouseButton.LeftButton)
        QTest.mouseRelease(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pixels[-1])
        QApplication.processEvents()

    def _move(self, pixel: QPoint, button: Qt.MouseButton) -> None:
        time.sleep(0.012)  # vispy drops moves that follow each other within 10 ms
        native = self.canvas.native
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(pixel),
            QPointF(native.mapToGlobal(pixel)),
            Qt.MouseButton.NoButton,
            button,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(native, event)
        QApplication.processEvents()

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        self.canvas.native.setFocus()
        QTest.keyClick(self.canvas.native, key, modifier)
        QApplication.processEvents()

    def undo(self) -> None:
        self.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)

    def redo(self) -> None:
        self.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)

    def click(self, button: Any) -> None:
        assert button.isEnabled(), f"{button.text()} is greyed out"
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        QApplication.processEvents()

    def wait(self, condition: Callable[[], Any], seconds: float = PATIENCE_S) -> float:
        """Let the window live until ``condition``; return how long that took."""
        start = time.monotonic()
        while not condition():
            assert time.monotonic() - start < seconds, f"nothing came of it in {seconds} s"
            QApplication.processEvents()
            time.sleep(0.005)
        return time.monotonic() - start

    def close_dock(self, widget: Any) -> None:
        """What the x of a dock does: the widget is destroyed."""
        self.viewer.window.remove_dock_widget(widget)
        gone: list[bool] = []
        widget.destroyed.connect(lambda: gone.append(True))
        widget.deleteLater()
        # outside an event loop nothing is deleted unless asked for
        QApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete.value)
        assert gone

    def rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)


def open_dock(viewer: Any, steps: int | None = None) -> StructuredDenoisingWidget:
    """The main dock, set to a training of so many steps if they are given."""
    dock = StructuredDenoisingWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Structured denoising")
    if steps is not None:
        dock.data.preset.value, dock.data.steps.value = "fast", steps
    return dock


def through_stage1(hand: Hand, dock: StructuredDenoisingWidget) -> None:
    """Run stage 1 to its end."""
    hand.click(dock.stage1.run)
    hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.error)
    assert not dock.session.error


def threads_at_work() -> set[Any]:
    """The threads that are still at work."""
    from superqt.utils._qthreading import WorkerBase

    return {w for w in WorkerBase._worker_set if "drive" in repr(getattr(w, "_gen", ""))}
