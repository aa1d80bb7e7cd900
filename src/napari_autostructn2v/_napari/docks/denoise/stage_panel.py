"""A stage that is running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari.session.progress import Activity, Losses
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v._napari.widgets.panel_parts import (
    REDRAW_MS,
    button,
    progress_text,
)
from napari_autostructn2v._napari.widgets.plot import LossPlot

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace


class StagePanel(QWidget):
    """A running stage: progress, curves, stop and cancel."""

    def __init__(self, workspace: Workspace, kind: str) -> None:
        super().__init__()
        self._session, self._kind = workspace.session, kind
        self.run = button(
            "Run stage 1",
            "Train a network on single hidden pixels, denoise the stack with it, and look at the noise",
            workspace.start_stage1,
            main=True,
        )
        self.run.setVisible(kind == "stage1")
        self.bar = QProgressBar()
        self.bar.setToolTip("What is being done, how far it is, and the time left")
        self.plot = LossPlot(workspace.viewer)
        self.stop = button(
            "Stop and keep",
            "End the training now, keep the best network so far, and go on with it",
            self._session.runner.stop_early,
        )
        self.pause = button(
            "Pause", "Pause the training, to have the computer for something else, or go on", self._pause
        )
        self.cancel = button("Cancel", "Drop this stage and go back", self._session.cancel)
        layout = QVBoxLayout(self)
        layout.addWidget(self.run)
        layout.addWidget(self.bar)
        layout.addWidget(self.plot)
        row = QHBoxLayout()
        row.addWidget(self.pause)
        row.addWidget(self.stop)
        row.addWidget(self.cancel)
        layout.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self._redraw)

    @property
    def _running(self) -> bool:
        job = self._session.runner.job
        kinds = ("stage1", "reopen") if self._kind == "stage1" else ("stage2",)
        return job is not None and job.kind in kinds

    def refresh(self) -> None:
        """Show the session."""
        session = self._session
        self.run.setEnabled(session.ready)
        self.run.setText("Run stage 1 again" if session.phase > Phase.STAGE1 else "Run stage 1")
        self.stop.setVisible(self._running)
        self.pause.setVisible(self._running)
        self.pause.setText("Continue" if session.runner.paused else "Pause")
        self.cancel.setVisible(self._running)
        self.bar.setVisible(self._running)
        if self._running:
            self._timer.start()
        else:
            self._timer.stop()
        self._redraw()

    def _redraw(self) -> None:
        losses = self._session.monitor.losses.get(self._kind)
        self.plot.setVisible(losses is not None)
        self.plot.show_losses(losses or Losses())
        progress = self._session.monitor.progress
        if not self._running or progress is None:
            return
        self.bar.setRange(0, max(progress.total, 1))  # 0 of 0 is a bar that moves and says nothing
        self.bar.setValue(progress.done)
        self.bar.setFormat("Paused · " * self._session.runner.paused + progress_text(progress))
        self.stop.setEnabled(progress.activity is Activity.TRAINING and progress.done < progress.total)

    def _pause(self) -> None:
        if self._session.runner.paused:
            self._session.runner.proceed()
        else:
            self._session.runner.pause()
