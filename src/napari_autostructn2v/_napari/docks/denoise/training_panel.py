"""What of a training can be set beyond the preset: its length and size, and the part it learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import FloatSpinBox, SpinBox
from napari.layers import Shapes
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QSpinBox, QWidget

from napari_autostructn2v._napari.docks.denoise.companion_list import CompanionList
from napari_autostructn2v._napari.docks.denoise.start_combo import StartCombo
from napari_autostructn2v._napari.widgets.layer_combo import LayerCombo
from napari_autostructn2v.stack import as_stack

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace


class TrainingPanel(QWidget):
    """Both stages train with these; another preset sets them anew."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace, self._session = workspace, workspace.session
        self.fields: dict[str, Any] = {
            "batch_size": SpinBox(
                min=1, max=4096,
                tooltip="Patches in a training step. Lower it where memory is short, raise it on a large GPU",
            ),
            "patch_size": SpinBox(
                min=16, max=1024, step=16,
                tooltip="Side of a training patch in pixels. It should be larger than the kernel is wide; "
                "larger patches hardly help and cost time",
            ),
            "features": SpinBox(
                min=8, max=512, step=8,
                tooltip="Width of the network. More takes longer and may keep more detail; 16 is fast, "
                "48 for publication",
            ),
            "learning_rate": FloatSpinBox(
                min=1e-5, max=1.0, step=5e-4,
                tooltip="Size of the steps at their largest. Lower it if the loss jumps up or becomes NaN",
            ),
            "masked_share": FloatSpinBox(
                min=0.01, max=0.5, step=0.05,
                tooltip="Share of the pixels hidden in a step. Touch it only if you know why: large kernels "
                "hide more with each site anyway",
            ),
        }  # fmt: skip
        self.field = LayerCombo(workspace.viewer, Shapes, nothing="whole slices")
        self.field.setToolTip(
            "Learn from the box that you have drawn in a Shapes layer, and denoise everything all the same: "
            "for a large stack, or one with an empty or a broken part"
        )
        self.field.choose(workspace.training_outline)
        self.field.chosen.connect(workspace.train_in)
        self.some_slices = QCheckBox("only slices")
        self.some_slices.setToolTip("Learn from some of the slices only; all of them are denoised")
        self.first = _slice_box("First slice to learn from")
        self.last = _slice_box("Last slice to learn from")

        form = QFormLayout(self)
        form.setContentsMargins(2, 4, 2, 4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        names = ("Batch", "Patch", "Features", "Learning rate", "Hidden share")
        for name, (key, widget) in zip(names, self.fields.items(), strict=True):
            form.addRow(name, widget.native)
            widget.changed.connect(lambda value, key=key: self._session.configure_training(**{key: value}))
        self.start = StartCombo(workspace)
        form.addRow("Start from", self.start)
        self.companions = CompanionList(workspace)
        form.addRow(self.companions)
        form.addRow("Train on", self.field)
        row = QHBoxLayout()
        for part in (self.some_slices, self.first, self.last):
            row.addWidget(part)
        form.addRow(row)
        self.some_slices.toggled.connect(self._choose_slices)
        self.first.valueChanged.connect(self._choose_slices)
        self.last.valueChanged.connect(self._choose_slices)

    def refresh(self) -> None:
        """Show the session."""
        session, free = self._session, self._session.runner.job is None
        for key, widget in self.fields.items():
            with widget.changed.blocked():
                widget.value = getattr(session.choice.settings.training, key)
            widget.enabled = free
        self.field.choose(self._workspace.training_outline)
        self.field.setEnabled(free)
        self.companions.refresh()
        usable = session.choice.source is not None and not session.choice.problem
        depth = (
            as_stack(session.choice.source.array).shape[0]
            if session.choice.source is not None and usable
            else 1
        )
        first, end = session.choice.settings.slices or (0, depth)
        for widget, value in ((self.first, first), (self.last, end - 1)):
            with QSignalBlocker(widget):
                widget.setRange(0, max(depth - 1, 0))
                widget.setValue(value)
            widget.setEnabled(free and session.choice.settings.slices is not None)
        with QSignalBlocker(self.some_slices):
            self.some_slices.setChecked(session.choice.settings.slices is not None)
        self.some_slices.setEnabled(free and depth > 1)

    def _choose_slices(self) -> None:
        if not self.some_slices.isChecked():
            self._session.choice.configure(slices=None)
            return
        first, last = sorted((self.first.value(), self.last.value()))
        self._session.choice.configure(slices=(first, last + 1))


def _slice_box(tooltip: str) -> QSpinBox:
    box = QSpinBox()
    box.setToolTip(tooltip)
    box.setKeyboardTracking(False)
    return box
