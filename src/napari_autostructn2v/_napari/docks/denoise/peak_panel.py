"""The "Peaks" part of the review: which spectrum, and a table that is linked with the layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import (
    QSignalBlocker,
    QSize,
    Qt,
)
from qtpy.QtGui import QKeyEvent, QStandardItemModel
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari.review.spectrum_choice import SpectrumOf
from napari_autostructn2v._napari.widgets.bindings import Bindings
from napari_autostructn2v._napari.widgets.panel_parts import button
from napari_autostructn2v.noise.peak_list import Peak
from napari_autostructn2v.noise.review import Mark, Review

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace

ROWS_SHOWN = 6
SPECTRA: dict[SpectrumOf, str] = {
    "background": "background as it is",
    "residual": "residual of stage 1",
    "stage1": "result of stage 1",
    "stage2": "result of stage 2",
}
ORIGINS = {Mark.FOUND: "found", Mark.ADDED: "hand", Mark.NONE: "both"}


COLUMNS = {
    "px": "Period in pixels",
    "nm": "Period in nanometres, if the voxel size is known",
    "angle": "Direction in which it repeats, in degrees from X upwards",
    "1/px": "Frequency in cycles per pixel",
    "dB": "Power over that of its ring, in decibels; negative for a gap",
    "from": "Found by the analysis, painted by hand, or partly each",
}
WIDEST = ("dB", "from")
"""Columns of the widest texts, which must not be cut beside a scroll bar."""


def origin(peak: Peak, review: Review) -> str:
    """Where a peak comes from."""
    found = review.automatic.peaks[peak.at]
    return ORIGINS[Mark.FOUND if found.all() else Mark.NONE if found.any() else Mark.ADDED]


def _texts(peak: Peak, review: Review) -> tuple[str, ...]:
    frequency = 1 / peak.period_px
    nanometres = "" if peak.period_nm is None else f"{peak.period_nm:.3g}"
    angle, strength = f"{peak.angle_deg:.0f}°", f"{peak.strength_db:+.1f}"
    return f"{peak.period_px:.3g}", nanometres, angle, f"{frequency:.3f}", strength, origin(peak, review)


class PeakTable(QTableWidget):
    """A row for each peak, as high as its first rows; the Delete key is for the row picked."""

    def __init__(self, on_delete: Callable[[], None]) -> None:
        super().__init__(0, len(COLUMNS))
        self._on_delete = on_delete
        self.setToolTip(
            "Peaks by strength; a region of many bins is listed in parts. A click outlines one on the "
            "spectrum; a click on one there, in pan/zoom mode, picks its row"
        )
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setWordWrap(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(20)
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        for column, (title, tooltip) in enumerate(COLUMNS.items()):
            head = QTableWidgetItem(title)
            head.setToolTip(tooltip)
            self.setHorizontalHeaderItem(column, head)
            if title in WIDEST:
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)

    def show_rows(self, rows: list[tuple[str, ...]]) -> None:
        """Show these texts of peaks; none of them is selected."""
        self.setRowCount(0)
        self.setRowCount(len(rows))
        for row, texts in enumerate(rows):
            for column, text in enumerate(texts):
                cell = QTableWidgetItem(text)
                cell.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(row, column, cell)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Erase the peak of the selected row."""
        if event.key() == Qt.Key.Key_Delete:
            self._on_delete()
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Of the usual width."""
        return QSize(200, self._height(ROWS_SHOWN))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Of the least width."""
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
        self.spectrum = QComboBox()
        self.spectrum.setToolTip(
            "What the spectrum under the peaks is of: the background as it is, the residual of stage 1, or "
            "what is left in the result of either stage. Measured in the same places: peaks can be compared"
        )
        for choice, text in SPECTRA.items():
            self.spectrum.addItem(text, choice)
        self.spectrum.activated.connect(lambda row: self._spectrum.choose(self.spectrum.itemData(row)))
        self.table = PeakTable(self._picked.delete)
        self.table.itemSelectionChanged.connect(lambda: self._picked.pick(self._selected_row()))
        self.zoom = button("Zoom to", "Fly to the picked peak on the spectrum", self._picked.zoom)
        self.delete = button(
            "Delete", "Erase the picked peak (Delete key); Ctrl+Z on the picture brings it back",
            self._picked.delete,
        )  # fmt: skip
        self._lay_out()
        bindings = Bindings(self)
        bindings.connect(self._picked.changed, self.refresh)
        bindings.connect(self._spectrum.changed, self.refresh)

    def _lay_out(self) -> None:
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
        rows = [] if review is None else [_texts(peak, review) for peak in self._picked.peaks]
        with QSignalBlocker(self.table):
            self.table.show_rows(rows)

    def _show_pick(self) -> None:
        row = self._picked.row
        picked = row is not None
        self.zoom.setEnabled(picked)
        self.delete.setEnabled(picked)
        bins = 0 if self._picked.picked is None else self._picked.picked.bins
        self.delete.setText(f"Delete {bins} bins" if picked else "Delete")
        if row == self._selected_row():
            return
        with QSignalBlocker(self.table):
            if row is None:
                self.table.selectionModel().clear()
            else:
                self.table.selectRow(row)
                self.table.scrollTo(self.table.model().index(row, 0))  # rows just shown are not by themselves

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
