"""How a result is to be written: its values, and the voxel size if nobody knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QDialog,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari.widgets.panel_parts import button, message_label
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.io.whole_numbers import CLIPPED

if TYPE_CHECKING:
    from napari_autostructn2v.io.whole_numbers import WholeType

WIDTH = 400


class SaveDialog(QDialog):
    """Floats as they are, or whole numbers; and a voxel size in nanometres where there is none."""

    def __init__(self, parent: QWidget, voxel_size: VoxelSize | None, dtype: str) -> None:
        super().__init__(parent)
        self.setWindowTitle("Save result")
        self.setMinimumWidth(WIDTH)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._known = voxel_size
        self.floats = QRadioButton(f"{dtype}: the values as they are, to measure on")
        self.words = QRadioButton("16-bit: scaled from the lowest value to the highest, nothing is clipped")
        self.bytes = QRadioButton(
            f"8-bit: scaled, at most {CLIPPED['uint8']:.1%} of the values are clipped, to segment or show"
        )
        self._kinds = QButtonGroup(self)
        for kind, tip in (
            (self.floats, "Nothing is scaled or rounded"),
            (self.words, "Whole numbers from 0 to 65535; the answer says which values these are"),
            (self.bytes, "Whole numbers from 0 to 255; the answer says which values these are"),
        ):
            kind.setToolTip(tip)
            self._kinds.addButton(kind)
        self.floats.setChecked(True)
        self.edge = QDoubleSpinBox()
        self.edge.setRange(0, 1e6)
        self.edge.setDecimals(4)
        self.edge.setSuffix(" nm")
        self.edge.setSpecialValueText("unknown")
        self.edge.setToolTip("Edge of a voxel, written into the file. Leave it unknown to go on without")
        self.notice = message_label()
        self.notice.setText(
            "Nobody has said how large a voxel is. Without it, IMOD, ChimeraX or RELION show the result in a "
            "wrong size. Fill it in, or go on without."
        )
        self.notice.setToolTip("A voxel size that the image has is written by itself")
        self.save = button("Save as …", "Choose a file, and with it the format", self.accept, main=True)
        self.cancel = button("Cancel", "Save nothing", self.reject)

        layout = QVBoxLayout(self)
        for shown in self._kinds.buttons():
            layout.addWidget(shown)
        form = QFormLayout()
        form.addRow(self.notice)
        form.addRow("Voxel size", self.edge)
        layout.addLayout(form)
        for row in (0, 1):
            form.setRowVisible(row, voxel_size is None)
        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(self.cancel)
        buttons.addWidget(self.save)
        layout.addLayout(buttons)
        self.save.setDefault(True)

    @property
    def dtype(self) -> WholeType | None:
        """Of the whole numbers to write; None for the values as they are."""
        return "uint16" if self.words.isChecked() else "uint8" if self.bytes.isChecked() else None

    @property
    def voxel_size(self) -> VoxelSize | None:
        """What is known, or what was filled in, or None."""
        edge = self.edge.value()
        return self._known if self._known is not None or not edge else VoxelSize(edge, edge, edge)
