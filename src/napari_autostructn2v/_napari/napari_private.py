"""All that the plugin takes from napari without napari promising it, with the reason for each.

There is a test for each, which fails if another napari does it in another way.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Layer
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QMainWindow


def unwrapped(viewer: Any) -> Viewer:
    """The viewer itself. napari hands plugins a proxy, a new one each time and no key to remember by."""
    return getattr(viewer, "__wrapped__", viewer)


def main_window(viewer: Viewer) -> QMainWindow:
    """The window of a viewer: dialogs stand before it, and nothing public tells that it closes."""
    window: QMainWindow = viewer.window._qt_window
    return window


def shows_canvas(window: Any) -> bool:
    """Whether the canvas in a main window is seen.

    A script that closes the viewer hides the canvas first, a person who closes the window does not: nothing
    else tells the two apart, and only a person can be asked.
    """
    return bool(window._qt_viewer.isVisible())


def taken_off(model: ViewerModel) -> list[Layer]:
    """Take all layers off a viewer whose canvas has lost its OpenGL context, without drawing on it.

    The canvas arranges anew what is left after each layer, which crashes there, unless it is told that more
    will follow. Nothing tells a canvas to let go of layers that stay in its viewer.
    """
    layers = list(model.layers)
    model.layers.events.begin_batch()
    while model.layers:
        model.layers.pop()
    return layers


def forget_history(layer: Labels) -> None:
    """Let undo begin anew: napari keeps the steps of data that were replaced, and would write them back."""
    layer._reset_history()


def forget_last_step(layer: Labels, step: list[Any]) -> None:
    """Take a step off the end of a layer's undo history, if it is there.

    A stroke that changes nothing is a step for napari all the same, and Ctrl+Z would seem to fail.
    """
    history = layer._undo_history
    if history and history[-1] is step:
        history.pop()


def stroke_is_open(layer: Labels) -> bool:
    """Whether a stroke has painted and goes on: no event says which changes of the data are half done."""
    return bool(layer._staged_history)


def add_to_status(layer: Layer, text: Callable[[Any], str]) -> None:
    """Let the status bar say more about what is under the cursor of a layer.

    Parameters
    ----------
    layer
        It gets a ``get_status`` of its own, in place of one that it was given before: napari overwrites
        ``viewer.status`` at each move of the mouse, and a layer of a type of its own could be neither saved
        nor duplicated.
    text
        What to add for a position in the world. napari calls it in another thread.
    """
    original = types.MethodType(type(layer).get_status, layer)

    def get_status(self: Layer, position: Any = None, **options: Any) -> dict[str, Any]:
        status: dict[str, Any] = original(position, **options)
        if position is not None:
            status["coordinates"] += text(position)
        return status

    layer.get_status = types.MethodType(get_status, layer)
