"""A dock widget that uses a trained model on other stacks, many in a row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, ComboBox, FileEdit, LineEdit
from qtpy.QtCore import QSignalBlocker, QTimer
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari.batch.queue import State
from napari_autostructn2v._napari.docks.apply.batch_list import BatchList
from napari_autostructn2v._napari.docks.view_strip import ViewStrip
from napari_autostructn2v._napari.widgets.bindings import Bindings
from napari_autostructn2v._napari.widgets.dock_title import DockTitle
from napari_autostructn2v._napari.widgets.panel_parts import (
    REDRAW_MS,
    button,
    message_label,
    show_message,
    time_left_text,
)
from napari_autostructn2v._napari.widgets.stack_files import FILES, STACK_FILES
from napari_autostructn2v._napari.workspace import workspace_of

if TYPE_CHECKING:
    import napari.viewer


class ApplyModelWidget(QWidget):
    """Model, stacks, where the results go: a view of the viewer's queue, which outlives it."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        DockTitle(self, "Apply trained model", tab="Apply model")
        self._workspace = workspace_of(napari_viewer)
        self._batch = self._workspace.batch
        self._note = ""
        self._make_model_controls()
        self._make_result_controls()
        self.entries = BatchList()
        self.add_layers = button(
            "Add layers", "Queue the image layers that are selected in the layer list", self._add_layers
        )
        self.add_files = button(
            "Add files …",
            f"Queue files: {', '.join(known.name for known in FILES)}. Folders of TIFF slices and "
            "OME-Zarr: drop them on the list",
            self._ask_files,
        )
        self.remove = button(
            "Remove", "Take the selected stacks off the list; files and layers stay", self._remove
        )
        self.cancel = button(
            "Cancel selected", "Leave out the selected stacks; the others go on", self._cancel
        )
        self.run = button(
            "Denoise", "Denoise the stacks of the list that are not done, one after another",
            self._start, main=True,
        )  # fmt: skip
        self.cancel_all = button(
            "Cancel all", "Stop after the slice in work. What is done stays", self._batch.cancel_all
        )
        self.bar = QProgressBar()
        self.bar.setToolTip("What is done of all stacks, and the time left")
        self.message = message_label()
        self.message.setToolTip("What is missing or went wrong")
        self._lay_out()
        self._connect()
        self._refresh()

    def _make_model_controls(self) -> None:
        self.model = ComboBox(
            choices=[("from a file", False), ("of this session", True)],
            tooltip="A model saved by this plugin or by autostructn2v run, or the one that Structured "
            "denoising has just trained in this window",
        )
        self.path = FileEdit(
            filter="Model (*.zip)",
            nullable=True,
            tooltip="A model saved with Save model … or by autostructn2v run",
        )

    def _make_result_controls(self) -> None:
        self.output = ComboBox(
            choices=[("layers", False), ("files in a folder", True)],
            tooltip="Add each result as a layer in the place of its source, all of them in memory. Or write "
            "each to a file in the format it came in, a layer as TIFF, for more than fits in memory",
        )
        self.folder = FileEdit(
            mode=FileDialogMode.EXISTING_DIRECTORY,
            nullable=True,
            tooltip="The folder that the results are written to",
        )
        self.ending = LineEdit(tooltip="What is put behind the name of the source: a.mrc → a_denoised.mrc")
        self.replace = CheckBox(
            text="Replace files that are there",
            tooltip="If not, a stack whose result exists already fails and the file stays as it is. "
            "A source is never replaced",
        )
        for edit in (self.path, self.folder):
            edit.choose_btn.text = "…"
            edit.choose_btn.max_width = 40

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        self._forms = []
        rows = (
            (("Model", self.model), ("File", self.path)),
            (("Results", self.output), ("Folder", self.folder), ("Ending", self.ending), ("", self.replace)),
        )
        for content in rows:
            form = QFormLayout()
            form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
            for label, control in content:
                form.addRow(label, control.native)
            self._forms.append(form)
        grid = QGridLayout()
        grid.addWidget(self.add_layers, 0, 0)
        grid.addWidget(self.add_files, 0, 1)
        grid.addWidget(self.entries, 1, 0, 1, 2)
        grid.addWidget(self.remove, 2, 0)
        grid.addWidget(self.cancel, 2, 1)
        self.strip = ViewStrip(self._workspace)
        layout.addWidget(self.strip)
        layout.addLayout(self._forms[0])
        layout.addLayout(grid, stretch=1)
        layout.addLayout(self._forms[1])
        for widget in (self.run, self.bar, self.cancel_all, self.message):
            layout.addWidget(widget)
        self.setMinimumWidth(300)

    def _connect(self) -> None:
        configure = self._batch.configure
        self.model.changed.connect(lambda chosen: configure(from_session=chosen))
        self.path.changed.connect(lambda path: configure(model=path))
        self.output.changed.connect(lambda chosen: configure(to_folder=chosen))
        self.folder.changed.connect(lambda path: configure(folder=path))
        self.ending.changed.connect(lambda text: configure(ending=text))
        self.replace.changed.connect(lambda on: configure(replace=on))
        self.entries.dropped.connect(self._add_files)
        self.entries.itemSelectionChanged.connect(lambda: self._refresh())
        self.entries.itemClicked.connect(lambda: self._workspace.batch_layers.show(self.entries.chosen()))
        bindings = Bindings(self)
        bindings.connect(self._batch.changed, self._refresh)
        bindings.connect(self._workspace.session.changed, self._refresh)
        bindings.connect(self._workspace.viewer.events.theme, self._refresh)
        bindings.connect(self._workspace.viewer.layers.selection.events.changed, self._refresh)
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self._show_progress)

    # ------------------------------------------------------------------ what is clicked

    def _add_layers(self) -> None:
        viewer = self._workspace.viewer
        selected = [layer for layer in viewer.layers if layer in viewer.layers.selection]
        refused = self._workspace.batch_layers.add(selected)
        names = ", ".join(layer.name for layer in refused)
        self._note = f"Not added, as they are no image data: {names}." if refused else ""
        self._refresh()

    def _ask_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Stacks to denoise", "", STACK_FILES)
        self._add_files([Path(path) for path in chosen])

    def _add_files(self, paths: list[Path]) -> None:
        self._note = ""
        self._batch.add_files(paths)

    def _remove(self) -> None:
        self._batch.remove(self.entries.chosen())

    def _cancel(self) -> None:
        self._batch.cancel(self.entries.chosen())

    def _start(self) -> None:
        self._note = ""
        self._batch.start()

    # ------------------------------------------------------------------ what is shown

    def _refresh(self, event: Any = None) -> None:
        batch, settings, going = self._batch, self._batch.settings, self._batch.going
        for widget, value in (
            (self.model, batch.uses_session),
            (self.path, settings.model),
            (self.output, settings.to_folder),
            (self.folder, settings.folder),
            (self.ending, settings.ending),
            (self.replace, settings.replace),
        ):
            if widget.value != value:  # or the cursor of a text that is being typed would jump
                with widget.changed.blocked():
                    widget.value = value
            widget.enabled = not going
        self._forms[0].setRowVisible(1, not batch.uses_session)
        for row in (1, 2, 3):
            self._forms[1].setRowVisible(row, settings.to_folder)
        chosen = self.entries.chosen()
        self.add_layers.setEnabled(bool(self._workspace.viewer.layers.selection))
        self.remove.setEnabled(bool(chosen))
        self.cancel.setEnabled(any(e.state in (State.WAITING, State.RUNNING) for e in chosen) and going)
        self.run.setText("Denoise again" if batch.again else "Denoise")
        self.run.setEnabled(not batch.missing)
        self.run.setVisible(not going)
        self.cancel_all.setVisible(going)
        self.bar.setVisible(going)
        if going:
            self._timer.start()
        else:
            self._timer.stop()
        self._show_message()
        self._show_progress()

    def _show_message(self) -> None:
        batch = self._batch
        failed = [entry for entry in batch.entries if entry.state is State.FAILED]
        about = [entry for entry in failed if entry in self.entries.chosen()] or failed[-1:]
        reasons = "\n".join(
            entry.reason if entry.name in entry.reason else f"{entry.name}: {entry.reason}" for entry in about
        )
        text, kind = batch.error or reasons, "error"
        if self._note:
            text, kind = self._note, "warning"
        elif not text:
            text, kind = batch.missing, "text"
        show_message(self.message, text, kind, self._workspace.viewer.theme)

    def _show_progress(self) -> None:
        batch = self._batch
        with QSignalBlocker(self.entries):
            self.entries.show_entries(batch.entries, self._workspace.viewer.theme)
        self.bar.setRange(0, 100)
        self.bar.setValue(round(100 * batch.share))
        over = sum(entry.state not in (State.WAITING, State.RUNNING) for entry in batch.entries)
        self.bar.setFormat(
            f"{over} of {len(batch.entries)} · {batch.share:.0%}" + time_left_text(batch.seconds_left)
        )
