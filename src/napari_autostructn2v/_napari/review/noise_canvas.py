"""The canvas of its own on which spectrum, kernel and quick look are seen and painted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from psygnal import Signal
from qtpy.QtCore import Qt, QTimer

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.canvas.camera import Flight
from napari_autostructn2v._napari.napari_private import main_window, taken_off
from napari_autostructn2v._napari.review.noise_dock import NoiseDock
from napari_autostructn2v._napari.widgets.panel_parts import is_dark

if TYPE_CHECKING:
    import numpy as np
    from napari.layers import Layer
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QDockWidget

    from napari_autostructn2v._napari.review.review_layers import ReviewLayers

TITLE = "Noise"


class NoiseCanvas:
    """A second canvas in a dock below the image: both are seen together, and neither camera moves the other.

    Its layers are in no layer list. The dock is made when it is first asked for.
    """

    changed = Signal()
    """The dock has appeared or gone."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self.model = ViewerModel(title=TITLE)
        """Holds the layers. There is another one for each canvas: napari lets go of none that is gone."""
        self.presses: list[Callable[..., Any]] = []
        """What is called when the mouse is pressed on it, as napari's ``mouse_drag_callbacks``."""
        self.flight = Flight(lambda: self.model)
        self.dock: NoiseDock | None = None
        """What is in the dock, once it has been shown."""
        self._next_flight: Callable[[], None] | None = None
        """What to fly to as soon as there is a canvas."""
        self._seen = False
        """Whether a canvas has been seen; from then on its camera is the person's."""
        self._there = False
        """Whether there is a canvas now, of the size that the dock gives it."""
        viewer.events.theme.connect(self._follow_theme)

    def follow(self, review: ReviewLayers, add_to_list: Callable[[], None], reviewed: Any) -> None:
        """Show these layers from now on, with tools for them.

        Parameters
        ----------
        review
            The layers, in :attr:`model`.
        add_to_list
            Puts them into the layer list of the window as well.
        reviewed
            Signal after which there may be other layers.
        """
        self._review, self._add_to_list, self._reviewed = review, add_to_list, reviewed

    @property
    def shown(self) -> bool:
        """Whether the dock is open."""
        frame = self._frame
        return frame is not None and not frame.isHidden()

    def show(self) -> None:
        """Open the dock, or bring it to the front."""
        self._review.ensure()
        if self.dock is None:
            self.dock = NoiseDock(self._review, self.fit, self._add_to_list, self._reviewed)
            self.dock.shown.connect(self._on_shown)
            self.dock.canvas_made.connect(self._on_canvas_made)
            self.dock.canvas_gone.connect(self._on_canvas_gone)
        frame = self._frame
        if frame is None:
            window = main_window(self._viewer)
            # below the image alone: what is beside it keeps its height
            window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
            window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
            frame = self._viewer.window.add_dock_widget(self.dock, name=TITLE, area="bottom")
        frame.show()
        frame.raise_()
        if not main_window(self._viewer).isVisible():  # then nothing tells that it is seen
            self._on_shown()
        self.changed.emit()

    def hide(self) -> None:
        """Close the dock; what was painted stays."""
        frame = self._frame
        if frame is not None:
            QTimer.singleShot(0, frame.hide)  # a key on the very canvas may have asked for it

    def fly_to(self, layers: Sequence[Layer], least_zoom: float = 0.0) -> None:
        """Open the dock and fly to some layers, as :meth:`Flight.to`."""
        self._fly(lambda: self.flight.to(layers, least_zoom))

    def fly_to_box(self, low: np.ndarray, high: np.ndarray) -> None:
        """Open the dock and fly to a box, as :meth:`Flight.to_box`."""
        self._fly(lambda: self.flight.to_box(low, high))

    def fit(self) -> None:
        """See all there is."""
        self._fly(lambda: self.flight.to([layer for layer in self.model.layers if layer.visible]))

    def _on_zoom(self, event: Any = None) -> None:
        self._review.show_grid(self.model.scene.camera.zoom)

    def close(self) -> None:
        """The window closes."""
        self.flight.stop()
        self._viewer.events.theme.disconnect(self._follow_theme)
        if self.dock is not None:
            self.dock.drop_canvas()
            self.dock.deleteLater()
            self.dock = None

    def _fly(self, flight: Callable[[], None]) -> None:
        self.show()
        if self._there:
            flight()
        else:  # how far to zoom depends on how large the canvas will be
            self._next_flight = flight

    @property
    def _frame(self) -> QDockWidget | None:
        """The dock around the widget; the x in its bar takes it off the window, and the widget stays."""
        parent: Any = None if self.dock is None else self.dock.parent()
        return parent

    def _on_shown(self) -> None:
        if self.dock is not None:
            self._follow_theme()
            self.model.mouse_drag_callbacks[:] = self.presses
            self.model.mouse_move_callbacks[:] = [self._tell]
            self.model.scene.camera.events.zoom.connect(self._on_zoom)
            self.dock.make_canvas(self.model)

    def _on_canvas_made(self) -> None:
        self._there = True
        flight, self._next_flight = self._next_flight, None
        if flight is not None:
            flight()
        elif not self._seen:
            self.fit()
        self._seen = True
        self.changed.emit()

    def _on_canvas_gone(self) -> None:
        """Take the layers to another model, as they would else be drawn for ever on the canvas that goes."""
        self.flight.stop()
        self._there = False
        before, self.model = self.model, ViewerModel(title=TITLE)
        active = before.layers.selection.active
        self.model.layers.extend(taken_off(before))
        self.model.layers.selection.active = active
        camera, as_before = self.model.scene.camera, before.scene.camera
        camera.center, camera.zoom = as_before.center, as_before.zoom
        self.changed.emit()

    def _follow_theme(self, event: Any = None) -> None:
        self.model.theme = theme = self._viewer.theme
        # white around them makes dark pictures look darker
        self.model.canvas.background_color_override = None if is_dark(theme) else colours.LIGHT_GROUND

    def _tell(self, model: ViewerModel, event: Any) -> None:
        """Say what is under the pointer in the status bar of the window."""
        self._viewer.status = self._review.text_at(event.position)
