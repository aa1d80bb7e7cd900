"""What a review ends with, always in sight below what scrolls: go on, look again, or leave it at that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v._napari.widgets.panel_parts import button

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace
    from napari_autostructn2v.noise.verdict import Advice

MAIN = f"""
QPushButton:enabled {{
    background-color: {colours.MAIN_BUTTON}; color: {colours.MAIN_BUTTON_TEXT};
}}
QPushButton:enabled:hover {{ background-color: {colours.MAIN_BUTTON_UNDER_POINTER}; }}
QPushButton:enabled:pressed {{ background-color: {colours.MAIN_BUTTON_PRESSED}; }}
"""

HEIGHT = 28
"""Of a button, filled or not: the two looks would else differ by pixels, and move the others."""

ADVICE: dict[Advice, tuple[str, str]] = {
    "2.5d": (
        "Try 2.5D", "Look at the noise again in three slices at a time. Stage 1 need not run again; your "
        "edits stay on top, as those of the middle slice",
    ),
    "all_patterns": (
        "All patterns", "Set Notch to all patterns, those as well that look like a lattice of the "
        "sample; Show pattern then says what that takes away",
    ),
    "outline": (
        "Outline …", "Draw around empty background on the image: noise is measured anew inside",
    ),
    "quick_look": (
        "Quick look", "Train for some seconds with this kernel, to see whether it takes image away",
    ),
}  # fmt: skip
"""What a verdict advises, as a button and what that does."""


class DecisionBar(QWidget):
    """Approve, Keep Stage 1, what else the verdict advises, Analyse again. What it advises is filled.

    Every button has its place, whatever the verdict is.
    """

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace, self._session = workspace, workspace.session
        self.approve = button(
            "Approve and run stage 2", "Train again with this kernel and denoise the stack", workspace.approve
        )
        self.skip = button("Keep Stage 1", "Take the result of stage 1 as it is", self._session.skip)
        self.advice = button("", "Do what the verdict advises", self._take_advice)
        policy = self.advice.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.advice.setSizePolicy(policy)
        self.analyse_again = button(
            "Analyse again",
            "Look at the noise once more, without any training; your edits are put on top",
            workspace.analyse_again,
        )
        for each in (self.approve, self.skip, self.analyse_again, self.advice):
            each.setMinimumHeight(HEIGHT)
        row = QHBoxLayout()
        for each in (self.skip, self.analyse_again, self.advice):
            row.addWidget(each, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(self.approve)
        layout.addLayout(row)
        self.refresh(False)

    def refresh(self, opened: bool) -> None:
        """Show the session; once there is a result, only while the review is ``opened``."""
        session, review = self._session, self._session.review
        reviewing = session.phase is Phase.REVIEW or (session.phase is Phase.RESULT and opened)
        self.setVisible(review is not None and reviewing)
        for each in (self.approve, self.analyse_again, self.skip, self.advice):
            each.setEnabled(self._workspace.decidable)
        again = session.run is not None and session.run.stage2 is not None
        self.approve.setText("Run stage 2 again" if again else "Approve and run stage 2")
        verdict = None if review is None else review.analysis.verdict
        advice = None if verdict is None else verdict.advice
        self.advice.setVisible(advice is not None)
        if advice is not None:
            text, tooltip = ADVICE[advice]
            self.advice.setText(text)
            self.advice.setToolTip(tooltip)
        step = "approve" if verdict is None else verdict.next_step
        if review is not None and review.others and review.expect_gain:
            step = "approve"  # though it may not help the stack whose verdict is shown
        main = {"approve": self.approve, "keep_stage1": self.skip}.get(step, self.advice)
        for each in (self.approve, self.skip, self.advice):
            look = MAIN if each is main else ""
            if each.styleSheet() != look:
                each.setStyleSheet(look)

    def _take_advice(self) -> None:
        """Do what the verdict advises."""
        review, look = self._session.review, self._workspace.quick_look.look
        match review and review.analysis.verdict.advice:
            case "2.5d":
                self._workspace.analyse_again("2.5d")
            case "all_patterns":
                self._session.choice.configure(notch="all")
            case "outline":
                self._workspace.outline_background()
            case "quick_look" if look.possible and not look.on:
                self._workspace.toggle_quick_look()
