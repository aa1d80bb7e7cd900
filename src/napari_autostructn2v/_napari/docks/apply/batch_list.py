"""The list of a queue's entries, on which files can be dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QMimeData, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QPainter
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.batch.queue import Entry, State
from napari_autostructn2v._napari.widgets.panel_parts import is_dark

EMPTY = "Drop files here, or add layers"


class BatchList(QTreeWidget):
    """Names and states, one entry a row."""

    dropped = Signal(list)
    """Paths that were dropped on it."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[Entry, QTreeWidgetItem] = {}
        self.setColumnCount(2)
        self.setHeaderLabels(["Stack", "State"])
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAcceptDrops(True)
        self.setMinimumHeight(110)
        self.setStyleSheet("QTreeWidget::item { padding: 2px 0px; }")
        self.setToolTip(
            "The stacks to denoise, one after another. Drop files or folders of TIFF slices here; select "
            "some to remove or cancel them. A click on one that is done shows its result"
        )
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        header.resizeSection(1, header.fontMetrics().horizontalAdvance("running 100 %") + 24)

    def show_entries(self, entries: list[Entry], theme: str) -> None:
        """Show these entries; rows of entries that stay keep their selection."""
        for entry in [each for each in self._rows if each not in entries]:
            self.takeTopLevelItem(self.indexOfTopLevelItem(self._rows.pop(entry)))
        for entry in entries:
            if entry not in self._rows:
                self._rows[entry] = QTreeWidgetItem(self)
            row = self._rows[entry]
            row.setText(0, entry.name)
            row.setText(1, state_text(entry))
            for column in (0, 1):
                row.setToolTip(column, _tooltip(entry))
            failed = entry.state is State.FAILED
            colour = colours.MESSAGES["error" if failed else "text"][is_dark(theme)]
            row.setForeground(1, QBrush(QColor(colour)))
        self.viewport().update()

    def chosen(self) -> list[Entry]:
        """The entries of the selected rows."""
        return [entry for entry, row in self._rows.items() if row.isSelected()]

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Say in an empty list what it is for."""
        super().paintEvent(event)
        if not self._rows:
            area = self.viewport()
            painter = QPainter(area)
            painter.setPen(self.palette().placeholderText().color())
            painter.drawText(area.rect(), Qt.AlignmentFlag.AlignCenter, EMPTY)
            painter.end()

    def dragEnterEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Take files. What is not taken here goes on to the window, which would open it."""
        event.setAccepted(bool(_files(event.mimeData())))
        if event.isAccepted():
            event.setDropAction(Qt.DropAction.CopyAction)

    dragMoveEvent = dragEnterEvent  # noqa: N815 - Qt's name

    def dropEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Hand on what was dropped."""
        self.dragEnterEvent(event)
        if event.isAccepted():
            self.dropped.emit(_files(event.mimeData()))


def state_text(entry: Entry) -> str:
    """The state in a word, with what is done of an entry that runs."""
    if entry.state is not State.RUNNING:
        return entry.state.value
    return f"running {100 * entry.share:.0f} %" if entry.share < 1 else "writing"


def _tooltip(entry: Entry) -> str:
    if entry.reason:
        return entry.reason
    if entry.written is not None:
        return "\n".join([f"Written: {entry.written}", *entry.notices])
    return str(entry.path or f"The layer {entry.name}")


def _files(data: QMimeData) -> list[Path]:
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
