"""Which image a section speaks of, where another one is chosen by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_autostructn2v._napari.widgets.elided import elided
from napari_autostructn2v._napari.widgets.panel_parts import button, message_label, show_message

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace

LONGEST_NAME = 20
"""Characters of an image's name on a button."""


class OtherImageBar(QWidget):
    """Says whose results stand below, and leads back to that image or on with the one that is chosen."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.text = message_label()
        self.text.setToolTip("What stands below is not of the image chosen under Data")
        self.show_again = button(
            "Show it again", "Choose that image and look at what was made of it", workspace.show_run_again
        )
        self.start = button(
            "",
            "Run stage 1 on the image that is chosen. What stands below stays under Resume",
            workspace.start_stage1,
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 2)
        for each in (self.text, self.show_again, self.start):
            layout.addWidget(each)

    def refresh(self) -> None:
        """Show the session."""
        workspace = self._workspace
        run, chosen = workspace.session.run, workspace.chosen
        if not workspace.of_another or run is None or chosen is None:
            self.hide()
            return
        show_message(self.text, f"This is of {run.source.name}.", "warning", workspace.viewer.theme)
        self.start.setText(f"Start with {elided(chosen.name, LONGEST_NAME)}")
        self.start.setEnabled(workspace.session.ready)
        self.show()
