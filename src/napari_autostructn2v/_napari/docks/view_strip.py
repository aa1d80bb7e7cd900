"""The ways to look at the image and its results, as a strip of buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_autostructn2v._napari.canvas.views import View
from napari_autostructn2v._napari.widgets.bindings import Bindings
from napari_autostructn2v._napari.widgets.panel_parts import button

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace

BUTTONS: dict[View, tuple[str, str]] = {
    "original": ("Original", "Look at the image alone"),
    "stage1": ("Stage 1", "Look at the result of stage 1 alone"),
    "denoised": ("Denoised", "Look at the result of stage 2, or of a trained model, alone"),
    "side": (
        "Side by side",
        "Each picture in a pane with its name, moved and zoomed together. They lie in the same place: "
        "what is picked in any of them is the same point of the sample",
    ),
}
COLUMNS = 3


class ViewStrip(QWidget):
    """One button for each way to look, one for the noise below, and one that blinks while it is held."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._views = views = workspace.views
        self.buttons: dict[View, QPushButton] = {
            view: button(text, tip, lambda view=view: self._show(view))
            for view, (text, tip) in BUTTONS.items()
        }
        self.noise = button(
            "Noise", "Show or hide the canvas with spectrum, kernel and quick look, below the image",
            workspace.toggle_noise,
        )  # fmt: skip
        self.blink = QPushButton("Hold to blink")
        self.blink.setToolTip(
            "While held, original and result in turn in the same place: the eye sees what changes"
        )
        self.blink.pressed.connect(lambda: views.blink(True))
        self.blink.released.connect(lambda: views.blink(False))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 2, 0, 2)
        grid.setSpacing(2)
        for place, made in enumerate((*self.buttons.values(), self.noise, self.blink)):
            grid.addWidget(made, *divmod(place, COLUMNS))
        for made in (*self.buttons.values(), self.noise):
            made.setCheckable(True)
        bindings = Bindings(self)
        bindings.connect(views.changed, self.refresh)
        bindings.connect(workspace.noise.changed, self.refresh)
        bindings.connect(workspace.session.reviewed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show how the pictures are looked at; nothing while there is nothing to compare the image with."""
        views = self._views
        self.setVisible(views.available("side"))
        for view, made in self.buttons.items():
            made.setEnabled(views.available(view))
            made.setChecked(view == views.view)
        self.noise.setEnabled(self._workspace.noise.shown or self._workspace.session.review is not None)
        self.noise.setChecked(self._workspace.noise.shown)
        self.blink.setEnabled(views.best != "original")

    def _show(self, view: View) -> None:
        self._views.show(view)
        self.refresh()  # a click on the view that is shown already does not uncheck it
