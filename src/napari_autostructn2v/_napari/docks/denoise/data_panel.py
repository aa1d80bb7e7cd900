"""Which layer is denoised, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, ComboBox, SpinBox
from napari.layers import Image, Labels, Shapes
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QWidget,
)

from napari_autostructn2v._napari.docks.denoise.data_header import DataHeader
from napari_autostructn2v._napari.docks.denoise.layer_bars import SeveralStacksBar, VoxelSizeBar
from napari_autostructn2v._napari.docks.denoise.training_panel import TrainingPanel
from napari_autostructn2v._napari.widgets.layer_combo import LayerCombo
from napari_autostructn2v._napari.widgets.panel_parts import (
    Section,
    button,
    message_label,
    show_message,
)
from napari_autostructn2v.config import PRESETS

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace

MODE_NAMES = {"2d": "2D, slice by slice", "2.5d": "2.5D, with both neighbours"}


class DataPanel(QWidget):
    """Which layer, and how."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace, self._session = workspace, workspace.session
        self.layer = LayerCombo(workspace.viewer, Image)
        self.layer.setToolTip("The image layer to denoise: one stack (Z, Y, X) or one slice (Y, X)")
        self.several = SeveralStacksBar(workspace)
        self.voxel_size = VoxelSizeBar(workspace)
        self.header = DataHeader(workspace)
        self.left_out = LayerCombo(workspace.viewer, Shapes, Labels, nothing="what is found")
        self.left_out.setToolTip(
            "What is to be left out. Frames, blank slices, hot pixels and values that are no numbers are "
            "found. What else should be, such as a marker or torn resin, outline in a Shapes or Labels layer "
            "and choose it here: it keeps its values, and nothing is learned from it"
        )
        self.left_out.choose(workspace.left_out_outline)
        self.left_out.chosen.connect(workspace.leave_out)
        self.mode = ComboBox(
            choices=[(name, key) for key, name in MODE_NAMES.items()],
            tooltip="2.5D looks at the slices above and below as well: better where noise or structure "
            "continues along z, about 20 slices or more",
        )
        # its longest words would make the dock too narrow for all that is in it beside a scroll bar
        self.mode.native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.mode.native.setMinimumContentsLength(12)
        self.preset = ComboBox(
            choices=PRESETS, tooltip="fast to try things, balanced as the default, high to publish"
        )
        self.steps = SpinBox(
            min=1, max=1_000_000, step=50, tooltip="Training steps of each stage; the preset sets it"
        )
        self.unattended = CheckBox(
            text="Go on without review",
            tooltip="Run stage 2 right after stage 1 with the kernel as found, unless no gain is expected",
        )
        self.message = message_label()
        self.device = QLabel("Device: looking …")
        self.device.setToolTip("Where the training runs. A GPU is taken when there is one")

        self.message.setToolTip("Whether these data can be denoised as they are")
        self.open_run = button(
            "Open run …",
            "Go on with a run that was saved in a folder, here or by the command line: its networks, its "
            "results and your edits",
            workspace.runs.open,
        )
        self.resume = button(
            "Resume …",
            "Go on with a run of napari on this computer that was cut off or that you left: after a crash, "
            "a power failure, or another day",
            workspace.runs.resume,
        )

        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.layer)
        form.addRow(self.header)
        form.addRow(self.several)
        form.addRow(self.voxel_size)
        form.addRow("Leave out", self.left_out)
        form.addRow("Mode", self.mode.native)
        form.addRow("Preset", self.preset.native)
        form.addRow("Steps", self.steps.native)
        form.addRow(self.unattended.native)
        self.training = TrainingPanel(workspace)
        self.advanced = Section("Advanced", self.training)
        self.advanced.button.toggled.connect(self._show_message)
        form.addRow(self.advanced)
        row = QHBoxLayout()
        row.addWidget(self.resume)
        row.addWidget(self.open_run)
        form.addRow(row)
        form.addRow(self.device)
        form.addRow(self.message)

        if workspace.chosen is not None:
            self.layer.choose(workspace.chosen)
        self.layer.chosen.connect(workspace.choose)
        if self.layer.layer() is not workspace.chosen:
            workspace.choose(self.layer.layer())
        configure = self._session.choice.configure
        self.mode.changed.connect(lambda mode: configure(mode=mode))
        self.preset.changed.connect(lambda preset: configure(preset=preset))
        self.steps.changed.connect(lambda steps: self._session.configure_training(steps=steps))
        self.unattended.changed.connect(lambda on: configure(unattended=on))

    def refresh(self) -> None:
        """Show the session."""
        session, settings = self._session, self._session.choice.settings
        for widget, value in (
            (self.mode, settings.mode),
            (self.preset, settings.preset),
            (self.steps, settings.training.steps),
            (self.unattended, settings.unattended),
        ):
            with widget.changed.blocked():
                widget.value = value
            widget.enabled = session.runner.job is None
        self.layer.setEnabled(session.runner.job is None)
        self.layer.choose(self._workspace.chosen)
        self.header.refresh()
        self.several.refresh()
        self.voxel_size.refresh()
        self.left_out.choose(self._workspace.left_out_outline)
        self.left_out.setEnabled(session.runner.job is None)
        self.open_run.setEnabled(session.runner.job is None)
        self.resume.setEnabled(session.runner.job is None)
        self.training.refresh()
        if session.monitor.device:
            self.device.setText(f"Device: {session.monitor.device}")
        self._show_message()

    def _show_message(self) -> None:
        """Say whether the data can be used; of the others as well while their list is not seen."""
        choice = self._session.choice
        text, kind = (choice.problem, "error") if choice.problem else (choice.hint, "warning")
        if not text and choice.companions and not self.advanced.button.isChecked():
            together = f"Trained on together with {', '.join(each.name for each in choice.companions)}."
            problem = choice.problem_together
            text, kind = (problem, "error") if problem else (together, "text")
        if choice.source is None:
            text, kind = "Open a stack, or one of File ▸ Open Sample ▸ napari-autostructn2v.", "text"
        show_message(self.message, text, kind, self._workspace.viewer.theme)
