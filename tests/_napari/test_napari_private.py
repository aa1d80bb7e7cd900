"""What napari does not promise: one test for each, which fails where another napari has changed it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hands import live
from napari.components import ViewerModel
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QLabel, QMainWindow, QWidget

from napari_autostructn2v._napari.napari_private import (
    add_to_status,
    forget_history,
    forget_last_step,
    main_window,
    shows_canvas,
    stroke_is_open,
    taken_off,
    unwrapped,
)


@pytest.fixture
def shown(make_napari_viewer: Any) -> Any:
    return make_napari_viewer(show=True)


@pytest.fixture
def labels(viewer: Any) -> Any:
    return viewer.add_labels(np.zeros((9, 9), dtype=np.uint8))


def test_a_plugin_gets_the_viewer_itself_out_of_its_proxy(viewer: Any) -> None:
    _, widget = viewer.window.add_plugin_dock_widget("napari-autostructn2v", "Structured denoising")
    assert widget.workspace.viewer is viewer
    assert unwrapped(viewer) is viewer


def test_the_main_window_holds_the_docks(viewer: Any) -> None:
    window = main_window(viewer)
    assert isinstance(window, QMainWindow)
    dock = viewer.window.add_dock_widget(QWidget(), name="nothing")
    assert dock in window.findChildren(type(dock))


def test_a_script_that_closes_the_viewer_has_hidden_the_canvas(shown: Any) -> None:
    window = main_window(shown)
    assert shows_canvas(window)
    watch = AtClosing(window)
    shown.close()
    assert watch.canvas_shown == [False]


def test_layers_outlive_the_canvas_that_has_shown_them(qapp: Any) -> None:
    model = ViewerModel()
    image = model.add_image(np.zeros((9, 9), np.float32))
    labels = model.add_labels(np.zeros((9, 9), np.uint8))
    canvas = QtViewer(model)
    live()
    assert taken_off(model) == [image, labels] and not model.layers
    canvas.close()
    live()
    other = ViewerModel()
    other.layers.extend([image, labels])
    labels.mode = "paint"
    for layer in (image, labels):
        layer.visible = False
        layer.visible = True
        layer.data = layer.data + 1
        layer.refresh()


def test_data_that_are_replaced_have_no_history(labels: Any) -> None:
    labels.data_setitem((np.array([4]), np.array([2])), 1)
    labels.data = np.zeros_like(labels.data)
    forget_history(labels)
    labels.undo()
    labels.redo()
    assert not labels.data.any()


def test_the_last_step_and_no_other_is_forgotten(labels: Any) -> None:
    steps: list[Any] = []
    labels.events.paint.connect(lambda event: steps.append(event.value))
    for column in (2, 6):
        labels.data_setitem((np.array([4]), np.array([column])), 1)
    forget_last_step(labels, steps[0])
    forget_last_step(labels, steps[1])
    labels.undo()
    assert labels.data[4, 2] == 0 and labels.data[4, 6] == 1


def test_a_stroke_is_open_until_the_button_is_released(labels: Any, hand: Any) -> None:
    seen: list[bool] = []
    labels.events.labels_update.connect(lambda: seen.append(stroke_is_open(labels)))
    labels.brush_size, labels.mode = 1, "paint"
    assert not stroke_is_open(labels)
    hand.stroke(labels, (2, 2), (2, 5), (5, 5))
    assert seen and all(seen[1:])
    assert not stroke_is_open(labels)


def test_the_status_bar_says_what_is_added(shown: Any) -> None:
    image = shown.add_image(np.zeros((9, 9)))
    add_to_status(image, lambda position: f"  in {len(position)}D")
    # what napari does when the pointer moves, in a thread that its own test support does not start
    shown.mouse_over_canvas, shown.cursor.position = True, (4, 5)
    shown.update_status_from_cursor()
    texts = [label.text() for label in main_window(shown).statusBar().findChildren(QLabel)]
    assert [text for text in texts if "in 2D" in text], texts


class AtClosing(QObject):
    """Looks at the canvas at the moment at which its window is asked to close."""

    def __init__(self, window: Any) -> None:
        super().__init__(window)
        self.canvas_shown: list[bool] = []
        window.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        if event.type() == QEvent.Type.Close:
            self.canvas_shown.append(shows_canvas(watched))
        return False
