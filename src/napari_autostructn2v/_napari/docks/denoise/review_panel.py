"""What was found in the noise, and what to do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, ComboBox
from napari.layers import Labels, Shapes
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari.canvas.layer_names import KERNEL, LAGS, PEAKS, SPECTRUM
from napari_autostructn2v._napari.docks.denoise.decision_bar import DecisionBar
from napari_autostructn2v._napari.docks.denoise.verdict_card import VerdictCard
from napari_autostructn2v._napari.widgets.bindings import Bindings
from napari_autostructn2v._napari.widgets.layer_combo import LayerCombo
from napari_autostructn2v._napari.widgets.panel_parts import (
    Section,
    button,
    message_label,
    show_message,
)
from napari_autostructn2v.config import NotchChoice
from napari_autostructn2v.kernel import Edits

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace

NARROWEST = 80
"""Pixels of a combo box that shares its line; it says its entry as far as there is room."""

NOTCH_NAMES: dict[NotchChoice, str] = {"auto": "as proposed", "all": "all patterns", "off": "off"}


class ReviewPanel(QWidget):
    """What was found in the noise, and what to do with it.

    Parameters
    ----------
    workspace
        Whose review.
    parts
        Sections of its own, closed at first, whose panels are shown after what is always needed.
    """

    def __init__(self, workspace: Workspace, *parts: Section) -> None:
        super().__init__()
        self._workspace, self._session = workspace, workspace.session
        session = self._session
        self.card = VerdictCard(workspace)
        self.to_spectrum = button(
            "Edit peaks", "Paint or erase peaks on the spectrum, below the image (brush 2, eraser 1, Ctrl+Z)",
            lambda: workspace.paint_in(PEAKS, SPECTRUM),
        )  # fmt: skip
        self.to_kernel = button(
            "Edit kernel", "Paint or erase pixels of the kernel, below the image (brush 2, eraser 1, Ctrl+Z)",
            lambda: workspace.paint_in(KERNEL, LAGS),
        )  # fmt: skip
        self.quick_look = button(
            "Quick look", "Train for some seconds with this kernel on what you see of the image, and again "
            "after each edit: stage 1 on the left, the kernel's work on the right. Or end that",
            workspace.toggle_quick_look,
        )  # fmt: skip
        self.quick_look.setCheckable(True)
        self.quick_status = message_label()
        self.quick_status.setToolTip("How far the quick look is")
        self.pattern = button(
            "Show pattern", "Show beside the pictures what the notch takes away, or look as before",
            workspace.toggle_pattern,
        )  # fmt: skip
        self.notch = ComboBox(
            choices=[(text, key) for key, text in NOTCH_NAMES.items()],
            tooltip="Which patterns that reach across the field are taken away before stage 2: those that "
            "are surely the detector's, those that look like a lattice of the sample as well, or none",
        )
        self.notch.changed.connect(lambda choice: session.choice.configure(notch=choice))
        self.find_kernel = CheckBox(
            text="Hide neighbours that share noise",
            tooltip="Let the peaks make a kernel; if not, a single pixel is blind, and what you paint",
        )
        self.find_kernel.changed.connect(lambda on: session.choice.configure(find_kernel=on))
        self.background = LayerCombo(workspace.viewer, Shapes, Labels, nothing="flat parts")
        self.background.setToolTip(
            "Where noise is measured: in the flattest parts of the stack, or inside what you have outlined "
            "in a Shapes or Labels layer, where there is nothing but background"
        )
        self.background.setMinimumWidth(NARROWEST)
        self.background.choose(workspace.background.layer)
        self.background.chosen.connect(workspace.background.measure_in)
        self.outline = button(
            "Outline …",
            "Draw around empty background on the image: click from corner to corner, and twice at the last. "
            "Noise is measured again inside all shapes when one is finished",
            workspace.outline_background,
        )
        self.outline_message = message_label()
        self.outline_message.setToolTip("What the outline of the background needs")
        self.reset_peaks = button(
            "Reset peaks", "Back to the peaks as found (Ctrl+Z brings your edits back)",
            workspace.review.reset_peaks,
        )  # fmt: skip
        self.reset_kernel = button(
            "Reset kernel", "Let the kernel follow from the peaks again (Ctrl+Z brings your edits back)",
            workspace.review.reset_kernel,
        )  # fmt: skip
        self.decision = DecisionBar(workspace)
        """Stands below what scrolls."""
        self.approve, self.skip, self.advice, self.analyse_again = (
            self.decision.approve, self.decision.skip, self.decision.advice, self.decision.analyse_again
        )  # fmt: skip

        grid = QGridLayout(self)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        grid.addWidget(self.card, 0, 0, 1, 2)
        grid.addWidget(self.to_spectrum, 2, 0)
        grid.addWidget(self.to_kernel, 2, 1)
        grid.addWidget(self.quick_look, 3, 0)
        grid.addWidget(self.pattern, 3, 1)
        grid.addWidget(self.quick_status, 4, 0, 1, 2)
        Bindings(self).connect(workspace.quick_look.look.changed, self._show_quick_look)
        inner = QVBoxLayout()
        inner.setSpacing(2)
        for part in parts:
            inner.addWidget(part)
        grid.addLayout(inner, 12, 0, 1, 2)
        grid.addWidget(QLabel("Notch"), 5, 0)
        grid.addWidget(self.notch.native, 5, 1)
        grid.addWidget(self.find_kernel.native, 6, 0, 1, 2)
        background = QHBoxLayout()
        background.setSpacing(2)  # beside a scroll bar, too, "flat parts" is to be read
        background.addWidget(QLabel("Background"))
        background.addWidget(self.background, 1)
        background.addWidget(self.outline)
        grid.addLayout(background, 7, 0, 1, 2)
        grid.addWidget(self.outline_message, 8, 0, 1, 2)
        grid.addWidget(self.reset_peaks, 9, 0)
        grid.addWidget(self.reset_kernel, 9, 1)

    def refresh(self) -> None:
        """Show the session."""
        session, review = self._session, self._session.review
        free = review is not None and session.runner.job is None
        for widget in (self.to_spectrum, self.to_kernel):
            widget.setEnabled(review is not None)
        analysing = session.runner.job is not None and session.runner.job.kind == "analysis"
        for choice, value in (
            (self.notch, session.choice.settings.notch),
            (self.find_kernel, session.choice.settings.find_kernel),
        ):
            with choice.changed.blocked():
                choice.value = value
            choice.enabled = free or analysing
        self.background.choose(self._workspace.background.layer)
        self.background.setEnabled(free)
        self.outline.setEnabled(free and self._workspace.source_layer is not None)
        self._show_outline_message()
        shown = self._workspace.pattern is not None
        self.pattern.setEnabled(shown or (review is not None and bool(review.analysis.notch)))
        self.pattern.setText("Hide pattern" if shown else "Show pattern")
        self.card.refresh()
        self._show_quick_look()
        for reset, edits in (
            (self.reset_peaks, review and review.peak_edits),
            (self.reset_kernel, review and review.kernel_edits),
        ):
            reset.setEnabled(free and edits != Edits())

    def _show_outline_message(self) -> None:
        messages = self._session.messages
        text, kind = "", "text"
        if messages.about == "background":
            text, kind = messages.error, "error"
        elif self._workspace.background.empty:
            text = "Click around empty background on the image, and twice at the last corner."
        show_message(self.outline_message, text, kind, self._workspace.viewer.theme)

    def _show_quick_look(self) -> None:
        look = self._workspace.quick_look.look
        self.quick_look.setEnabled(look.on or look.possible)
        self.quick_look.setChecked(look.on)
        self.quick_status.setText(look.status)
        self.quick_status.setVisible(bool(look.status))
