"""The runs that are kept on this computer: go on with one, or delete it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QMessageBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari.widgets.panel_parts import button, message_label
from napari_autostructn2v.errors import AutoStructN2VError, plural
from napari_autostructn2v.runs.store import KeptRun, RunStore

SIZE = 640, 380
COLUMNS = ("Image", "Started", "Came to", "Size")


class ResumeDialog(QDialog):
    """A table of the runs, the latest first.

    Parameters
    ----------
    parent
        The window it belongs to.
    store
        Whose runs.
    go_on
        Called with the folder of the run to go on with.
    """

    def __init__(self, parent: QWidget, store: RunStore, go_on: Callable[[Path], None]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Go on with a run")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*SIZE)
        self._store, self._go_on = store, go_on
        self._runs: list[KeptRun] = []
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setToolTip("Runs that were started in napari on this computer, the latest first")
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.message = message_label()
        self.message.setToolTip("Where the runs are kept, and how much of the disk they take")
        self.resume = button(
            "Resume",
            "Go on with the chosen run where it stopped: its training is finished, your edits are back",
            self._resume,
            main=True,
        )
        self.delete = button(
            "Delete …", "Delete the chosen runs for good, to have their room on the disk back", self._delete
        )
        self.cancel = button("Close", "Leave all as it is", self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table)
        layout.addWidget(self.message)
        row = QHBoxLayout()
        row.addWidget(self.delete)
        row.addStretch()
        row.addWidget(self.cancel)
        row.addWidget(self.resume)
        layout.addLayout(row)
        self.table.itemSelectionChanged.connect(self._on_selection)
        self.table.itemDoubleClicked.connect(lambda item: self._resume())
        self._list()

    def _list(self) -> None:
        self._runs = self._store.runs()
        self.table.setRowCount(len(self._runs))
        for row, run in enumerate(self._runs):
            started = "unknown" if run.started is None else f"{run.started:%Y-%m-%d %H:%M}"
            for column, text in enumerate((run.name, started, run.stage, size_text(run.bytes))):
                item = QTableWidgetItem(text)
                item.setToolTip(str(run.path))
                self.table.setItem(row, column, item)
        total = size_text(sum(run.bytes for run in self._runs))
        self.message.setText(
            f"{plural(len(self._runs), 'run')}, {total}, in {self._store.folder}"
            if self._runs
            else "No run is kept yet. Each one that starts in this window will be, until you delete it."
        )
        first = next((row for row, run in enumerate(self._runs) if not run.done), None)
        if first is not None:
            self.table.selectRow(first)
        self._on_selection()

    def _chosen(self) -> list[KeptRun]:
        return [self._runs[index.row()] for index in self.table.selectionModel().selectedRows()]

    def _on_selection(self) -> None:
        self.resume.setEnabled(len(self._chosen()) == 1)
        self.delete.setEnabled(bool(self._chosen()))

    def _resume(self) -> None:
        chosen = self._chosen()
        if len(chosen) == 1:
            self.accept()
            self._go_on(chosen[0].path)

    def _delete(self) -> None:
        chosen = self._chosen()
        what = f"the run of {chosen[0].name}" if len(chosen) == 1 else f"{len(chosen)} runs"
        answer = QMessageBox.question(
            self, "Delete runs", f"Delete {what} for good, with networks, results and edits?"
        )
        if answer != QMessageBox.StandardButton.Yes:
            return
        problem = ""
        for run in chosen:
            try:
                self._store.delete(run)
            except AutoStructN2VError as error:
                problem = str(error)
        self._list()
        if problem:
            self.message.setText(problem)


def size_text(size: float) -> str:
    """A number of bytes in the unit that suits it."""
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 1000:
            return f"{size:.{0 if size >= 10 else 1}f} {unit}"
    return f"{size / 1000:.1f} TB"
