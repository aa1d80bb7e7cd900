"""What a person says about a model before it is shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari.widgets.panel_parts import button, message_label
from napari_autostructn2v.config import SHARED_LICENSE
from napari_autostructn2v.errors import AutoStructN2VError
from napari_autostructn2v.model_zoo import DESCRIPTION, check_words, zoo_name
from napari_autostructn2v.model_zoo.card import notch_notice

if TYPE_CHECKING:
    from napari_autostructn2v.learning.model import Model

LICENSES = (SHARED_LICENSE, "CC0-1.0", "MIT", "BSD-3-Clause")
WIDTH = 420


class ZooDialog(QDialog):
    """Name, authors, description, licence, and whether a part of the image may be shown."""

    def __init__(self, parent: QWidget, source: str, model: Model, array: Any) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export for the BioImage Model Zoo")
        self.setMinimumWidth(WIDTH)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.model, self._array = model, array
        self.name = QLineEdit(zoo_name(f"{source} denoising"))
        self.name.setToolTip("What the model is called in the zoo: letters without accents, digits, _+-()")
        self.authors = QLineEdit()
        self.authors.setPlaceholderText("Ada Lovelace, Emmy Noether")
        self.authors.setToolTip("Who trained the model, with commas between the names")
        self.description = QTextEdit()
        self.description.setAcceptRichText(False)
        self.description.setPlainText(DESCRIPTION)
        self.description.setToolTip("What the model is for, in a sentence: say which microscope and sample")
        self.description.setFixedHeight(4 * self.fontMetrics().lineSpacing() + 10)
        self.license = QComboBox()
        self.license.addItems(LICENSES)
        self.license.setEditable(True)
        self.license.setToolTip("The terms others may use the model on: one of these or any SPDX identifier")
        self.example = QCheckBox("Publish a part of the image as the example")
        self.example.setToolTip(
            "The package holds a test image of 256 × 256 pixels at most: the middle of your image if this is "
            "ticked, a generated one if not. Leave it off where the data are not to be seen yet"
        )
        self.notice = message_label()
        self.notice.setToolTip("What other programs cannot do with this model, or what is still missing here")
        self.export = button(
            "Export …",
            "Choose a file; the package is tested by the zoo's own program, which takes seconds, and written",
            self.accept,
            main=True,
        )
        self.cancel = button("Cancel", "Share nothing", self.reject)

        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Name", self.name)
        form.addRow("Authors", self.authors)
        form.addRow("Description", self.description)
        form.addRow("Licence", self.license)
        form.addRow(self.example)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.notice)
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(self.cancel)
        row.addWidget(self.export)
        layout.addLayout(row)
        self.name.textChanged.connect(lambda: self._check())
        self.authors.textChanged.connect(lambda: self._check())
        self._check()

    def words(self) -> dict[str, Any]:
        """What is filled in, as arguments of ``export_model_zoo``."""
        return {
            "name": self.name.text(),
            "authors": self._names(),
            "description": self.description.toPlainText(),
            "license": self.license.currentText(),
            "example": self._array if self.example.isChecked() else None,
        }

    def _names(self) -> list[str]:
        return [name.strip() for name in self.authors.text().split(",") if name.strip()]

    def _check(self) -> None:
        missing = ""
        try:
            check_words(self.name.text(), self._names())
        except AutoStructN2VError as error:
            missing = str(error)
        self.export.setEnabled(not missing)
        self.notice.setText("\n\n".join(filter(None, [missing, notch_notice(self.model)])))
        self.notice.setVisible(bool(self.notice.text()))
