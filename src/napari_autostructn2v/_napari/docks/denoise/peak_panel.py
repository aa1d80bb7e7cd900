"""The "Peaks" part of the review: colours, which spectrum, and a table that is linked with the layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QSize,
    Qt,
)
from qtpy.QtGui import QColor, QKeyEvent, QPainter, QPixmap, QStandardItemModel
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.review.peak_marks import NAMES
from napari_autostructn2v._napari.review.spectrum_choice import SpectrumOf
from napari_autostructn2v._napari.widgets.bindings import Bindings
from napari_autostructn2v._napari.widgets.panel_parts import button
from napari_autostructn2v.noise.peak_list import Peak
from napari_autostructn2v.noise.review import Mark, Review

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace

ROWS_SHOWN = 6
SWATCH = 14
SPECTRA: dict[SpectrumOf, str] = {
    "background": "background as it is",
    "residual": "residual of stage 1",
    "stage1": "result of stage 1",
    "stage2": "result of stage 2",
}
Index = QModelIndex | QPersistentModelIndex
ORIGINS = {Mark.FOUND: "found", Mark.ADDED: "hand", Mark.NONE: "both"}


@dataclass(frozen=True)
class Column:
    """A column of the table: its title and what that means."""

    title: str
    tooltip: str


COLUMNS = (
    Column("px", "Period in pixels"),
    Column("nm", "Period in nanometres, if the voxel size is known"),
    Column("angle", "Direction in which it repeats, in degrees from X upwards"),
    Column("1/px", "Frequency in cycles per pixel"),
    Column("dB", "Power over that of its ring, in decibels; negative for a gap"),
    Column("from", "Found by the analysis, painted by hand, or partly each"),
)


def swatch(mark: Mark) -> QPixmap:
    """A small square as the mark looks on the spectrum, framed so that it shows in any theme."""
    picture = QPixmap(SWATCH, SWATCH)
    picture.fill(QColor(colours.UNDER_SWATCH))
    painter = QPainter(picture)
    painter.setPen(QColor(colours.SWATCH_FRAME))
    painter.drawRect(0, 0, SWATCH - 1, SWATCH - 1)
    line = QColor.fromRgbF(*colours.PEAK_MARKS[mark])
    fill = QColor.fromRgbF(*colours.PEAK_MARKS[mark][:3], colours.PEAK_FILL[mark])
    painter.fillRect(3, 3, SWATCH - 6, SWATCH - 6, fill)
    painter.setPen(line)
    low, high = 3, SWATCH - 4
    painter.drawRect(low, low, high - low, high - low)
    if mark is Mark.ERASED:
        painter.drawLine(low, low, high, high)
        painter.drawLine(low, high, high, low)
    painter.end()
    return picture


def origin(peak: Peak, review: Review) -> str:
    """Where a peak comes from."""
    found = review.automatic.peaks[peak.mask]
    return ORIGINS[Mark.FOUND if found.all() else Mark.NONE if found.any() else Mark.ADDED]


class PeakTable(QAbstractTableModel):
    """A row for each peak."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows: list[tuple[str, ...]] = []

    def show(self, peaks: list[Peak], review: Review | None) -> None:
        """Take these peaks of a review."""
        self.beginResetModel()
        self._rows = [] if review is None else [_texts(peak, review) for peak in peaks]
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:  # noqa: N802
        """One for each peak."""
        return len(self._rows)

    def columnCount(self, parent: Index | None = None) -> int:  # noqa: N802
        """As many as there are :data:`COLUMNS`."""
        return len(COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text and alignment of a cell."""
        if role == Qt.ItemDataRole.DisplayRole:
            return self._rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Title of a column and what it means."""
        if orientation == Qt.Orientation.Vertical:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section].title
        return COLUMNS[section].tooltip if role == Qt.ItemDataRole.ToolTipRole else None


def _texts(peak: Peak, review: Review) -> tuple[str, ...]:
    frequency = 1 / peak.period_px
    nanometres = "" if peak.period_nm is None else f"{peak.period_nm:.3g}"
    angle, strength = f"{peak.angle_deg:.0f}°", f"{peak.strength_db:+.1f}"
    return f"{peak.period_px:.3g}", nanometres, angle, f"{frequency:.3f}", strength, origin(peak, review)


class _Table(QTableView):
    """As high as its first rows; the Delete key is for the row picked."""

    def __init__(self, on_delete: Callable[[], None]) -> None:
        super().__init__()
        self._on_delete = on_delete

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if event.key() == Qt.Key.Key_Delete:
            self._on_delete()
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(200, self._height(ROWS_SHOWN))

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return QSize(100, self._height(ROWS_SHOWN))

    def _height(self, rows: int) -> int:
        return (
            self.horizontalHeader().sizeHint().height()
            + rows * self.verticalHeader().defaultSectionSize()
            + 4
        )


class PeakPanel(QWidget):
    """Peaks one by one, and the spectrum they are seen on."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._session, self._picked = workspace.session, workspace.picked
        self._spectrum = workspace.spectrum
        self._shown: Review | None = None
        self.counts = {mark: QLabel() for mark in colours.PEAK_MARKS}
        self.spectrum = QComboBox()
        self.spectrum.setToolTip(
            "What the spectrum under the peaks is of: the background as it is, the residual of stage 1, or "
            "what is left in the result of either stage. Measured in the same places: peaks can be compared"
        )
        for choice, text in SPECTRA.items():
            self.spectrum.addItem(text, choice)
        self.spectrum.activated.connect(lambda row: self._spectrum.choose(self.spectrum.itemData(row)))
        self.model = PeakTable(self)
        self.table = _Table(self._picked.delete)
        self.table.setModel(self.model)
        self._dress_table()
        self.zoom = button("Zoom to", "Fly to the picked peak on the spectrum", self._picked.zoom)
        self.delete = button(
            "Delete", "Erase the picked peak (Delete key); Ctrl+Z on the picture brings it back",
            self._picked.delete,
        )  # fmt: skip
        self._lay_out()
        bindings = Bindings(self)
        bindings.connect(self._picked.changed, self.refresh)
        bindings.connect(self._spectrum.changed, self.refresh)

    def _dress_table(self) -> None:
        table = self.table
        table.setToolTip(
            "Peaks by strength; a region of many bins is listed in parts. A click outlines one on the "
            "spectrum; a click on one there, in pan/zoom mode, picks its row"
        )
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setWordWrap(False)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + 6)
        header = table.horizontalHeader()
        header.setMinimumSectionSize(20)
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        for column, each in enumerate(COLUMNS):
            if each.title in ("dB", "from"):  # the widest texts, which must not be cut beside a scroll bar
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        table.selectionModel().selectionChanged.connect(self._pick)

    def _lay_out(self) -> None:
        legend = QHBoxLayout()
        legend.setSpacing(0)  # room for numbers of four digits in the narrowest dock
        for mark, count in self.counts.items():
            square = QLabel()
            square.setPixmap(swatch(mark))
            for label in (square, count):
                label.setToolTip(f"Peak bins {NAMES[mark]}" + " by hand" * (mark is not Mark.FOUND))
                legend.addWidget(label)
            count.setIndent(3)
            count.setMinimumWidth(1)  # large numbers must not widen the dock
            legend.addStretch()
        form = QGridLayout()
        form.addWidget(QLabel("Spectrum of"), 0, 0)
        form.addWidget(self.spectrum, 0, 1)
        form.setColumnStretch(1, 1)
        row = QHBoxLayout()
        row.addWidget(self.zoom)
        row.addWidget(self.delete)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 4, 2, 4)
        layout.addLayout(form)
        layout.addLayout(legend)
        layout.addWidget(self.table)
        layout.addLayout(row)

    def refresh(self) -> None:
        """Show the session, the peaks and the one picked."""
        review = self._session.review
        if review is not self._shown:
            self._shown = review
            self._show_review(review)
        self._show_pick()
        self._show_spectrum()

    def _show_review(self, review: Review | None) -> None:
        for mark, label in self.counts.items():
            number = 0 if review is None else int((review.peak_marks == mark).sum())
            label.setText(f"{number} {NAMES[mark]}")
        selection = self.table.selectionModel()
        selection.blockSignals(True)
        self.model.show(self._picked.peaks, review)
        selection.blockSignals(False)

    def _show_pick(self) -> None:
        row, selection = self._picked.row, self.table.selectionModel()
        picked = row is not None
        self.zoom.setEnabled(picked)
        self.delete.setEnabled(picked)
        bins = 0 if self._picked.picked is None else self._picked.picked.bins
        self.delete.setText(f"Delete {bins} bins" if picked else "Delete")
        if row == self._selected_row():
            return
        selection.blockSignals(True)
        if row is None:
            selection.clear()
        else:
            how = QItemSelectionModel.SelectionFlag
            selection.setCurrentIndex(self.model.index(row, 0), how.ClearAndSelect | how.Rows)
            self.table.scrollTo(self.model.index(row, 0))
        selection.blockSignals(False)
        self.table.viewport().update()

    def _show_spectrum(self) -> None:
        entries = self.spectrum.model()
        assert isinstance(entries, QStandardItemModel)  # what a combo box has unless given another
        for row, (choice, text) in enumerate(SPECTRA.items()):
            entries.item(row).setEnabled(self._spectrum.available(choice))
            waiting = choice == self._spectrum.choice and self._spectrum.waiting
            self.spectrum.setItemText(row, text + " …" * waiting)
        self.spectrum.setCurrentIndex(self.spectrum.findData(self._spectrum.choice))
        self.spectrum.setEnabled(self._session.review is not None)

    def _selected_row(self) -> int | None:
        rows = self.table.selectionModel().selectedRows()
        return rows[0].row() if rows else None

    def _pick(self, *_: Any) -> None:
        self._picked.pick(self._selected_row())
