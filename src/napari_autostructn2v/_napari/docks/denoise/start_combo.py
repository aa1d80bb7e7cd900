"""Which model a training goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QFileDialog

from napari_autostructn2v._napari import worker
from napari_autostructn2v._napari.batch.jobs import load
from napari_autostructn2v._napari.session.job_runner import JobRunner
from napari_autostructn2v._napari.session.jobs import Failure, Job
from napari_autostructn2v._napari.widgets.bindings import Bindings

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace

NOTHING, TRAINED_HERE, FROM_FILE = range(3)
ENTRIES = ("nothing", "the model trained here", "a model file …")


class StartCombo(QComboBox):
    """Nothing, the model of this session, or one in a file; then that model by its name."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._session = workspace.session
        self.addItems(ENTRIES)
        self.setMinimumContentsLength(8)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setToolTip(
            "Let both stages go on from the weights of a model, of a stack of the same microscope, in a "
            "quarter of the preset's steps. The noise is analysed anew, and the kernel with it"
        )
        self.activated.connect(self._choose)
        self._runner = JobRunner(lambda event: None, self._on_end)
        worker.serve(self._runner)
        self.destroyed.connect(lambda: self._runner.drop())
        Bindings(self).connect(self._session.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        start, free = self._session.choice.start, self._session.runner.job is None
        run = self._session.run
        self.setEnabled(free)
        with QSignalBlocker(self):
            while self.count() > len(ENTRIES):
                self.removeItem(len(ENTRIES))
            if start is not None:
                self.addItem(str(start.provenance.get("input") or "a model"))
            self.setCurrentIndex(NOTHING if start is None else len(ENTRIES))
        entries = self.model()
        assert isinstance(entries, QStandardItemModel)  # what a combo box has unless given another
        entries.item(TRAINED_HERE).setEnabled(run is not None and run.model is not None)

    def _choose(self, entry: int) -> None:
        run = self._session.run
        if entry == NOTHING:
            self._session.choice.start_from(None)
        elif entry == TRAINED_HERE and run is not None:
            self._session.choice.start_from(run.model)
        elif entry == FROM_FILE:
            self._ask()
        self.refresh()  # shows what is chosen, not what was clicked on

    def _ask(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Start from a model", "", "Model (*.zip)")
        if not chosen:
            return
        self._runner.drop()  # of two files the later one is meant
        self._runner.start("load", load(Path(chosen)))

    def _on_end(self, job: Job, outcome: Any) -> None:
        if isinstance(outcome, Failure):
            self._session.messages.fail(outcome.message, outcome.error)
        else:
            self._session.choice.start_from(outcome)
