"""What came out, and where it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import Slider
from qtpy.QtCore import QSignalBlocker
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QMenu, QVBoxLayout, QWidget

from napari_autostructn2v._napari.docks.denoise.decision_bar import MAIN
from napari_autostructn2v._napari.docks.denoise.quality_card import QualityCard
from napari_autostructn2v._napari.widgets.elided import ElidedCombo
from napari_autostructn2v._napari.widgets.panel_parts import (
    button,
    explain_slider,
    message_label,
)
from napari_autostructn2v._napari.widgets.plugin_dock import show_dock
from napari_autostructn2v.io.formats import written

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.state import Run
    from napari_autostructn2v._napari.workspace import Workspace


class ResultPanel(QWidget):
    """What came out, and where it goes."""

    def __init__(self, workspace: Workspace, save_result: Any, save_model: Any, open_zoo: Any) -> None:
        super().__init__()
        self._workspace, self._session = workspace, workspace.session
        self.summary = message_label()
        self.summary.setToolTip("What has been done so far")
        self.recovery = Slider(
            min=0, max=100, step=5,
            tooltip="How much of the detail that denoising has lost is brought back from the residual, in "
            "percent: where there is more in it than noise. 0 shows what the network made",
        )  # fmt: skip
        explain_slider(self.recovery)
        self.recovery.changed.connect(lambda percent: self._session.choice.configure(recovery=percent / 100))
        self.card = QualityCard(workspace)
        self.save_result = button(
            "Save result …",
            f"Write the denoised stack as {', '.join(known.name for known in written())} with its voxel "
            "size: its values as they are, or scaled to 16 or 8 bits",
            save_result,
            main=True,
        )
        self.save_result.setStyleSheet(MAIN)
        self.apply = button(
            "Apply to more …",
            "Denoise more stacks of the same noise with the model of this result",
            self._apply,
        )
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        self.save_model = self._entry(
            "Save model …", "Write the trained network as one .zip, to use it on other stacks", save_model
        )
        self.save_run = self._entry(
            "Save run …",
            "Write all of it to a folder, networks, results, analysis and your edits, to go on another day",
            workspace.runs.save,
        )
        self.open_zoo = self._entry(
            "Export for the Model Zoo …",
            "Share the trained network: write it as a package of the BioImage Model Zoo, for other programs "
            "to run",
            open_zoo,
        )
        self.keep = self._entry(
            "Keep as layer",
            "Add this result as a layer of its own, hidden, to compare others with it",
            self._keep,
        )
        self.forget = self._entry(
            "Forget others", "Drop the other results of stage 2, to have their room back", self._forget
        )
        self.more = button("More …", "Save the model or the whole run, share the model", self._open_menu)
        self.attempts = ElidedCombo()
        self.attempts.setToolTip(
            "Every result of stage 2 of this run, by the size of its kernel, the number of hidden pixels if "
            "that is not full, and its training steps: choose the one to look at and to save"
        )
        self.attempts.activated.connect(lambda row: self._session.take(self._session.attempts[row]))
        self.compare = button(
            "Compare",
            "Hold original and result against one another: side by side, swipe, blink, line profile",
            lambda: show_dock(workspace.viewer, "Compare"),
        )
        layout = QVBoxLayout(self)
        layout.addWidget(self.summary)
        layout.addWidget(self.card)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.attempts)  # the whole width: what tells them apart is long
        form.addRow("Detail back, %", self.recovery.native)
        layout.addLayout(form)
        layout.addWidget(self.save_result)
        layout.addLayout(_in_a_row(self.compare, self.apply))
        layout.addWidget(self.more)

    def _entry(self, text: str, tooltip: str, chosen: Any) -> QAction:
        entry = self.menu.addAction(text)
        entry.setToolTip(tooltip)
        entry.triggered.connect(lambda: chosen())
        return entry

    def _open_menu(self) -> None:
        self.menu.popup(self.more.mapToGlobal(self.more.rect().bottomLeft()))

    def _apply(self) -> None:
        self._workspace.batch.configure(from_session=True)
        show_dock(self._workspace.viewer, "Apply trained model")

    def refresh(self) -> None:
        """Show the session."""
        run = self._session.run
        there = run is not None and run.stage1 is not None
        with self.recovery.changed.blocked():
            self.recovery.value = round(100 * self._session.choice.settings.recovery)
        self.recovery.enabled = there
        attempts = self._session.attempts
        with QSignalBlocker(self.attempts):
            self.attempts.clear()
            self.attempts.addItems([attempt.words for attempt in attempts])
            present = [attempt.output for attempt in attempts]
            if run is not None and run.stage2 in present:
                self.attempts.setCurrentIndex(present.index(run.stage2))
        free = self._session.runner.job is None
        self.attempts.setEnabled(free)
        self.attempts.setVisible(len(attempts) > 1)
        for entry in (self.keep, self.forget):
            entry.setVisible(len(attempts) > 1)
            entry.setEnabled(free and run is not None and run.stage2 is not None)
        self.card.refresh()
        for widget in (self.compare, self.apply, self.more):
            widget.setEnabled(there)
        self.save_result.setEnabled(there)
        self.save_model.setEnabled(there)
        self.save_run.setEnabled(there and self._session.review is not None)
        self.open_zoo.setEnabled(there)
        if run is None or not there:
            text = "Nothing is denoised yet."
        elif run.stage2 is not None:
            text = f"{_who(run)} denoised by both stages. For another kernel open Review."
        elif run.skipped:
            text = f"{_who(run)} denoised by stage 1; stage 2 was skipped."
        else:
            text = "Stage 1 is done and can be saved as it is."
        self.summary.setText(text)

    def _keep(self) -> None:
        run = self._session.run
        attempt = next(
            (a for a in self._session.attempts if run is not None and a.output is run.stage2), None
        )
        if run is not None and attempt is not None:
            self._workspace.images.keep_result(attempt.number)

    def _forget(self) -> None:
        for attempt in self._session.attempts:
            self._session.forget(attempt)  # it keeps the present one


def _who(run: Run) -> str:
    """Whose results there are, with the verb."""
    others = [each.source.name for each in run.companions]
    if not others:
        return f"{run.source.name} is"
    return f"{run.source.name} and {others[0] if len(others) == 1 else f'{len(others)} more'} are"


def _in_a_row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row
