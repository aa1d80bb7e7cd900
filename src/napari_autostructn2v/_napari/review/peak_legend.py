"""What the marks on the spectrum mean, and how many bins bear each."""

from __future__ import annotations

import numpy as np
from qtpy.QtGui import QColor, QPainter, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.review.peak_marks import NAMES
from napari_autostructn2v.noise.review import Mark

SWATCH = 14


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


class PeakLegend(QWidget):
    """A line with a square for each kind of mark, and how many bins of the spectrum are so."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = {mark: QLabel() for mark in colours.PEAK_MARKS}
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 2, 4, 2)
        row.setSpacing(4)
        row.addWidget(QLabel("Bins of peaks:"))
        row.addSpacing(4)
        for mark, count in self.counts.items():
            square = QLabel()
            square.setPixmap(swatch(mark))
            for label in (square, count):
                label.setToolTip(f"Peak bins {NAMES[mark]}" + " by hand" * (mark is not Mark.FOUND))
                row.addWidget(label)
            row.addSpacing(8)
        row.addStretch()

    def show_marks(self, marks: np.ndarray | None) -> None:
        """Count the marks of each kind.

        Parameters
        ----------
        marks
            :class:`Mark` of each bin, uint8 (T, T); None if there is no spectrum.
        """
        for mark, label in self.counts.items():
            number = 0 if marks is None else int((marks == mark).sum())
            label.setText(f"{number} {NAMES[mark]}")
