"""Hands for a napari window: real clicks, strokes and keys."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.docks.denoise.save_dialog import SaveDialog
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v._napari.worker import THREAD
from napari_autostructn2v._napari.workspace import workspace_of

PATIENCE_S = 300
"""A ceiling against hanging, on the busiest machine: no test measures time."""


def live() -> None:
    """Let the window handle what waits for it, as its event loop would."""
    QApplication.processEvents()
    # outside of a running loop nothing that was to be deleted later is, and removed layers stay alive
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


class Hand:
    """Does with a viewer what a person does: presses, drags, keys, waiting."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self._noise: Any = None
        """The canvas of the noise, while the pointer is there."""

    @property
    def canvas(self) -> Any:
        """What the pointer is over."""
        noise = None if self._noise is None else self._noise.dock.canvas  # None while it is hidden
        return (noise or self.viewer.window._qt_viewer).canvas

    def over(self, layer: Any) -> None:
        """Go to the canvas that shows a layer."""
        self._noise = None
        if layer not in self.viewer.layers:
            self.over_noise()
            assert layer in self._noise.model.layers

    def over_noise(self) -> None:
        """Go to the canvas of the noise, which is opened for that."""
        self._noise = workspace_of(self.viewer).noise
        self._noise.show()
        self.wait(self.noise_rests)

    def noise_rests(self) -> bool:
        """Whether there is a canvas of the noise, and it shows what it was asked for."""
        noise = workspace_of(self.viewer).noise
        return bool(noise._there and noise._next_flight is None and not noise.flight.flying)

    def at(self, layer: Any, point: tuple[float, float]) -> QPoint:
        """Canvas pixel of a point of a 2D layer, in its data coordinates."""
        self.over(layer)
        viewer = self.viewer if self._noise is None else self._noise.model
        world = np.array(viewer.dims.point, dtype=float)
        world[-2:] = layer.data_to_world(point)[-2:]
        view = self.canvas.view
        x, y, _, w = (view.transform * view.scene.transform).map(
            list(world[list(viewer.dims.displayed)][::-1])
        )
        return QPoint(round(x / w), round(y / w))

    def stroke(self, layer: Any, *points: tuple[float, float]) -> None:
        """Press at the first point, drag through the others, release."""
        pixels = [self.at(layer, point) for point in points]
        native = self.canvas.native
        # a hover first: napari paints where the cursor was last seen
        self._move(pixels[0], Qt.MouseButton.NoButton)
        QTest.mousePress(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pixels[0])
        for pixel in pixels[1:]:
            self._move(pixel, Qt.MouseButton.LeftButton)
        QTest.mouseRelease(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pixels[-1])
        live()

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
        live()

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        self.canvas.native.setFocus()
        QTest.keyClick(self.canvas.native, key, modifier)
        live()

    def undo(self) -> None:
        self.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)

    def redo(self) -> None:
        self.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)

    def click(self, button: Any) -> None:
        assert button.isEnabled(), f"{button.text()} is greyed out"
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        live()

    def choose(self, button: Any, entry: Any) -> None:
        """Open the menu of a button and click on an entry."""
        self.click(button)
        menu = entry.associatedObjects()[0]
        self.wait(menu.isVisible)
        assert entry.isEnabled() and entry.isVisible(), f"{entry.text()} cannot be chosen"
        QTest.mouseClick(
            menu,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
            menu.actionGeometry(entry).center(),
        )
        live()

    def save_result(
        self, dock: StructuredDenoisingWidget, *, as_kind: str = "floats", edge_nm: float = 0
    ) -> None:
        """Save the result of a dock, with these values and this voxel size in the dialog."""
        self.click(dock.result.save_result)
        (dialog,) = (each for each in dock.findChildren(SaveDialog) if each.isVisible())
        getattr(dialog, as_kind).setChecked(True)
        if edge_nm:
            dialog.edge.setValue(edge_nm)
        self.click(dialog.save)

    def wait(self, condition: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
        """Let the window live until ``condition``."""
        start = time.monotonic()
        while not condition():
            assert time.monotonic() - start < seconds, f"nothing came of it in {seconds} s"
            live()
            time.sleep(0.005)

    def close_dock(self, widget: Any) -> None:
        """What the x of a dock does: the widget is destroyed."""
        self.viewer.window.remove_dock_widget(widget)
        gone: list[bool] = []
        widget.destroyed.connect(lambda: gone.append(True))
        widget.deleteLater()
        live()
        assert gone

    def ask_to_close(self) -> None:
        """What the x in the window's frame does: the window manager asks the window to close."""
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XInternAtom.restype = ctypes.c_ulong
        x11.XInternAtom.argtypes = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
        x11.XSendEvent.argtypes = (
            ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p,
        )  # fmt: skip
        x11.XCloseDisplay.argtypes = (ctypes.c_void_p,)
        display = x11.XOpenDisplay(None)
        window = int(self.viewer.window._qt_window.winId())
        protocols, close = (
            x11.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")
        )
        # an XClientMessageEvent: type, serial, sent, display, window, message, format, data
        event = (ctypes.c_long * 24)(33, 0, 1, 0, window, protocols, 32, close, 0)
        x11.XSendEvent(display, window, 0, 0, event)
        x11.XCloseDisplay(display)

    def rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)


class CountingHand(Hand):
    """Counts the clicks on buttons."""

    clicks = 0

    def click(self, button: Any) -> None:
        self.clicks += 1
        super().click(button)


def small_screen(make_napari_viewer: Any) -> Any:
    """A viewer in a window that is really shown, on a small screen."""
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1280, 800)
    return viewer


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
    hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.messages.error)
    assert not dock.session.messages.error


def threads_at_work() -> set[Any]:
    """What is still at work in a thread: trainings and their like, and what is being written."""
    from superqt.utils._qthreading import WorkerBase

    jobs = {thread for thread in threading.enumerate() if thread.name == THREAD}
    return jobs | set(WorkerBase._worker_set)


class Gate:
    """Where threads wait until it is opened, so that a test finds them in the middle of something.

    Parameters
    ----------
    free
        How many may pass before it closes.
    """

    def __init__(self, free: int = 0) -> None:
        self.reached = threading.Event()
        """Somebody waits."""
        self._free, self._opened = free, threading.Event()

    def open(self) -> None:
        """Let all go on."""
        self._opened.set()

    def enter(self) -> None:
        """Wait here. The window may not: it would stand still for as long as the work takes."""
        if self._free > 0:
            self._free -= 1
        elif not self._opened.is_set():
            assert threading.current_thread() is not threading.main_thread(), "the window waits for the work"
            self.reached.set()
            self._opened.wait()

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, behind this gate."""

        def held(*args: Any, **options: Any) -> Any:
            self.enter()
            return call(*args, **options)

        return held
