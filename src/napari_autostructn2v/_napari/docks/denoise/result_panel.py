"""What came out, and where it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import Slider
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari.widgets.elided import ElidedCombo
from napari_autostructn2v._napari.widgets.panel_parts import (
    button,
    explain_slider,
    message_label,
)
from napari_autostructn2v._napari.widgets.plugin_dock import show_dock
from napari_autostructn2v.io.formats import written

if TYPE_CHECKING:
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
        self.save_result = button(
            "Save result …",
            f"Write the denoised stack as {', '.join(known.name for known in written())} with its voxel size",
            save_result,
            main=True,
        )
        self.save_model = button(
            "Save model …", "Write the trained network as one .zip, to use it on other stacks", save_model
        )
        self.save_run = button(
            "Save run …",
            "Write all of it to a folder, networks, results, analysis and your edits, to go on another day",
            workspace.runs.save,
        )
        self.open_zoo = button(
            "Export for the Model Zoo …",
            "Share the trained network: write it as a package of the BioImage Model Zoo, for other programs "
            "to run",
            open_zoo,
        )
        self.attempts = ElidedCombo()
        self.attempts.setToolTip(
            "Every result of stage 2 of this run, by the size of its kernel, the number of hidden pixels if "
            "that is not full, and its training steps: choose the one to look at and to save"
        )
        self.attempts.activated.connect(lambda row: self._session.take(self._session.attempts[row]))
        self.keep = button(
            "Keep as layer",
            "Add this result as a layer of its own, hidden, to compare others with it",
            self._keep,
        )
        self.forget = button(
            "Forget others", "Drop the other results of stage 2, to have their room back", self._forget
        )
        self.compare = button(
            "Compare",
            "Hold original and result against one another: side by side, swipe, blink, line profile",
            lambda: show_dock(workspace.viewer, "Compare"),
        )
        layout = QVBoxLayout(self)
        layout.addWidget(self.summary)
        layout.addWidget(self.compare)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.attempts)  # the whole width: what tells them apart is long
        form.addRow(_in_a_row(self.keep, self.forget))
        form.addRow("Detail back, %", self.recovery.native)
        layout.addLayout(form)
        layout.addLayout(_in_a_row(self.save_result, self.save_model))
        layout.addWidget(self.save_run)
        layout.addWidget(self.open_zoo)

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
        self.attempts.setEnabled(free and len(attempts) > 1)
        self.keep.setEnabled(free and run is not None and run.stage2 is not None)
        self.forget.setEnabled(free and len(attempts) > 1)
        self.compare.setEnabled(there)
        self.save_result.setEnabled(there)
        self.save_model.setEnabled(there)
        self.save_run.setEnabled(there and self._session.review is not None)
        self.open_zoo.setEnabled(there)
        if run is None or not there:
            text = "Nothing is denoised yet."
        elif run.stage2 is not None:
            text = f"{run.source.name} is denoised by both stages. For another kernel open Review."
        elif run.skipped:
            text = f"{run.source.name} is denoised by stage 1; stage 2 was skipped."
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


def _in_a_row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row
