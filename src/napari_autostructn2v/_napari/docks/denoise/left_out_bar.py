"""What of the stack is left out, in sight while a person decides what to do with the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_autostructn2v._napari.widgets.bindings import Bindings
from napari_autostructn2v._napari.widgets.panel_parts import button, message_label, show_message

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace


class LeftOutBar(QWidget):
    """What was never measured, in a sentence, and a button that shows these pixels."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.text = message_label()
        self.text.setToolTip("What of this stack was never measured")
        self.show_pixels = button(
            "Show",
            "Show as a layer which pixels are left out: blank ones, which keep their values, in blue, those "
            "that are replaced in orange. Or remove that layer",
            self._toggle,
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.text, 1)
        row.addWidget(self.show_pixels, 0, Qt.AlignmentFlag.AlignTop)
        Bindings(self).connect(workspace.viewer.layers.events.removed, self.refresh)

    def refresh(self, event: Any = None) -> None:
        """Show the session."""
        run, layer = self._workspace.session.run, self._workspace.left_out
        survey = None if run is None else run.survey
        self.setVisible(survey is not None)
        words = "" if survey is None else survey.message
        show_message(self.text, words, "warning", self._workspace.viewer.theme)
        self.show_pixels.setVisible(layer.possible)
        self.show_pixels.setText("Show" if layer.layer is None else "Hide")

    def _toggle(self) -> None:
        self._workspace.left_out.toggle()
        self.refresh()
