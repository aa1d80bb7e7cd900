"""What a review ends with, always in sight below what scrolls: go on, look again, or leave it at that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v._napari.widgets.panel_parts import button

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace

MAIN = f"""
QPushButton:enabled {{
    background-color: {colours.MAIN_BUTTON}; color: {colours.MAIN_BUTTON_TEXT}; padding: 6px;
}}
QPushButton:enabled:hover {{ background-color: {colours.MAIN_BUTTON_UNDER_POINTER}; }}
QPushButton:enabled:pressed {{ background-color: {colours.MAIN_BUTTON_PRESSED}; }}
"""
ASIDE = f"""
QPushButton:enabled {{ background-color: {colours.TRANSPARENT}; text-decoration: underline; }}
"""


class DecisionBar(QWidget):
    """Approve, Regenerate and Skip, each of a look of its own."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._session = workspace.session
        self.approve = button(
            "Approve and run stage 2",
            "Train again with this kernel and denoise the stack",
            workspace.approve,
            main=True,
        )
        self.regenerate = button(
            "↻ Regenerate", "Analyse the noise again; your edits are put on top", workspace.regenerate
        )
        self.skip = button("Skip stage 2", "Take the result of stage 1 as it is", self._session.skip)
        row = QHBoxLayout()
        row.addWidget(self.regenerate)
        row.addWidget(self.skip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(self.approve)
        layout.addLayout(row)
        self.refresh(False)

    def refresh(self, opened: bool) -> None:
        """Show the session; once there is a result, only while the review is ``opened``."""
        session = self._session
        reviewing = session.phase is Phase.REVIEW or (session.phase is Phase.RESULT and opened)
        self.setVisible(session.review is not None and reviewing)
        for each in (self.approve, self.regenerate, self.skip):
            each.setEnabled(session.review is not None and session.runner.job is None)
        again = session.run is not None and session.run.stage2 is not None
        self.approve.setText("Run stage 2 again" if again else "Approve and run stage 2")
        # what the verdict advises is what stands out
        pays = session.review is None or session.review.analysis.verdict.expect_gain
        for each, look in ((self.approve, MAIN if pays else ASIDE), (self.skip, ASIDE if pays else MAIN)):
            if each.styleSheet() != look:
                each.setStyleSheet(look)
