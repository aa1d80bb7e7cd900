"""The five sections of the main dock widget. Each shows the session and passes on what is clicked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, Slider, SpinBox
from napari.layers import Image, Labels, Shapes
from napari.utils.theme import get_theme
from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari.bindings import Bindings
from napari_autostructn2v._napari.layer_combo import LayerCombo
from napari_autostructn2v._napari.plot import LossPlot
from napari_autostructn2v._napari.review_layers import KERNEL, LAGS, PEAKS, SPECTRUM
from napari_autostructn2v._napari.session import Losses, Phase, Progress
from napari_autostructn2v._napari.training_panel import TrainingPanel
from napari_autostructn2v.config import PRESETS, NotchChoice

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_autostructn2v._napari.workspace import Workspace

MODE_NAMES = {"2d": "2D, slice by slice", "2.5d": "2.5D, with both neighbours"}
NOTCH_NAMES: dict[NotchChoice, str] = {"auto": "as proposed", "all": "all patterns", "off": "off"}
REDRAW_MS = 400
"""Time between two looks at a running training. Every redraw of a dock composes the whole window anew, canvas
included; done at each step, that takes the processor from the training where there is no graphics card."""
# on light and on dark; napari's own error red is too dark to read as text on its dark theme
COLOURS = {"error": ("#b00020", "#ff7b72"), "warning": ("#8a5a00", "#e8b44c"), "text": ("#3b3a39", "#f0f1f2")}


def message_label() -> QLabel:
    """A label for text of any length that can be selected and copied."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def button(text: str, tooltip: str, on_click: Any, *, main: bool = False) -> QPushButton:
    """A push button; the main one of a section stands out."""
    made = QPushButton(text)
    made.setToolTip(tooltip)
    made.clicked.connect(lambda: on_click())
    if main:
        font = made.font()
        font.setBold(True)
        made.setFont(font)
    return made


def show_message(label: QLabel, text: str, kind: str, theme: str) -> None:
    """Show a text as an ``"error"``, a ``"warning"`` or plain ``"text"``; hide the label if there is none."""
    label.setText(text)
    label.setVisible(bool(text))
    label.setStyleSheet(f"color: {COLOURS[kind][is_dark(theme)]};")


def is_dark(theme: str) -> bool:
    """Whether the window's background is dark."""
    return bool(sum(get_theme(theme).background.as_rgb_tuple()[:3]) < 3 * 128)


class Section(QWidget):
    """A panel under a title that opens and closes it.

    superqt's QCollapsible fixes the height of what it shows when it opens, which cuts off texts that grow.
    """

    def __init__(self, title: str, panel: QWidget) -> None:
        super().__init__()
        self._title, self._panel = title, panel
        self.button = QPushButton()
        self.button.setCheckable(True)
        self.button.setToolTip(f"Open or close {title}")
        self.button.setStyleSheet("text-align: left; padding: 4px 6px;")
        self.button.toggled.connect(self._show)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.button)
        layout.addWidget(panel)
        self._show(False)

    def _show(self, opened: bool) -> None:
        self._panel.setVisible(opened)
        self.button.setText(f"{'▾' if opened else '▸'}  {self._title}")


class DataPanel(QWidget):
    """Which layer, and how."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace, self._session = workspace, workspace.session
        self.layer = LayerCombo(workspace.viewer, Image)
        self.layer.setToolTip("The image layer to denoise: one stack (Z, Y, X) or one slice (Y, X)")
        self.mode = ComboBox(
            choices=[(name, key) for key, name in MODE_NAMES.items()],
            tooltip="2.5D looks at the slices above and below as well: better where noise or structure "
            "continues along z, about 20 slices or more",
        )
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

        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.layer)
        form.addRow("Mode", self.mode.native)
        form.addRow("Preset", self.preset.native)
        form.addRow("Steps", self.steps.native)
        form.addRow(self.unattended.native)
        self.training = TrainingPanel(workspace)
        form.addRow(Section("Advanced", self.training))
        form.addRow(self.open_run)
        form.addRow(self.device)
        form.addRow(self.message)

        if workspace.chosen is not None:
            self.layer.choose(workspace.chosen)
        self.layer.chosen.connect(workspace.choose)
        if self.layer.layer() is not workspace.chosen:
            workspace.choose(self.layer.layer())
        configure = self._session.configure
        self.mode.changed.connect(lambda mode: configure(mode=mode))
        self.preset.changed.connect(lambda preset: configure(preset=preset))
        self.steps.changed.connect(lambda steps: self._session.configure_training(steps=steps))
        self.unattended.changed.connect(lambda on: configure(unattended=on))

    def refresh(self) -> None:
        """Show the session."""
        session, settings = self._session, self._session.settings
        for widget, value in (
            (self.mode, settings.mode),
            (self.preset, settings.preset),
            (self.steps, settings.training.steps),
            (self.unattended, settings.unattended),
        ):
            with widget.changed.blocked():
                widget.value = value
            widget.enabled = session.job is None
        self.layer.setEnabled(session.job is None)
        self.open_run.setEnabled(session.job is None)
        self.training.refresh()
        if session.device:
            self.device.setText(f"Device: {session.device}")
        text, kind = (session.problem, "error") if session.problem else (session.hint, "warning")
        if session.source is None:
            text, kind = "Open a stack, or one of File ▸ Open Sample ▸ napari-autostructn2v.", "text"
        show_message(self.message, text, kind, self._workspace.viewer.theme)


class StagePanel(QWidget):
    """A stage at work: progress, curves, stop and cancel."""

    def __init__(self, workspace: Workspace, kind: str) -> None:
        super().__init__()
        self._session, self._kind = workspace.session, kind
        self.run = button(
            "Run stage 1",
            "Train a network on single hidden pixels, denoise the stack with it, and look at the noise",
            workspace.start_stage1,
            main=True,
        )
        self.run.setVisible(kind == "stage1")
        self.bar = QProgressBar()
        self.bar.setToolTip("What is being done, how far it is, and the time left")
        self.plot = LossPlot(workspace.viewer)
        self.stop = button(
            "Stop and keep",
            "End the training now, keep the best network so far, and go on with it",
            self._session.stop_early,
        )
        self.pause = button(
            "Pause", "Let the training rest, to have the computer for something else, or go on", self._pause
        )
        self.cancel = button("Cancel", "Drop this stage and go back", self._session.cancel)
        layout = QVBoxLayout(self)
        layout.addWidget(self.run)
        layout.addWidget(self.bar)
        layout.addWidget(self.plot)
        row = QHBoxLayout()
        row.addWidget(self.pause)
        row.addWidget(self.stop)
        row.addWidget(self.cancel)
        layout.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self._redraw)

    @property
    def _running(self) -> bool:
        job = self._session.job
        kinds = ("stage1", "reopen") if self._kind == "stage1" else ("stage2",)
        return job is not None and job.kind in kinds

    def refresh(self) -> None:
        """Show the session."""
        session = self._session
        self.run.setEnabled(session.ready)
        self.run.setText("Run stage 1 again" if session.phase > Phase.STAGE1 else "Run stage 1")
        self.stop.setVisible(self._running)
        self.pause.setVisible(self._running)
        self.pause.setText("Continue" if session.paused else "Pause")
        self.cancel.setVisible(self._running)
        self.bar.setVisible(self._running)
        if self._running:
            self._timer.start()
        else:
            self._timer.stop()
        self._redraw()

    def _redraw(self) -> None:
        losses = self._session.losses.get(self._kind)
        self.plot.setVisible(losses is not None)
        self.plot.show_losses(losses or Losses())
        progress = self._session.progress
        if not self._running or progress is None:
            return
        self.bar.setRange(0, progress.total)  # 0 of 0 is a bar that only says "busy"
        self.bar.setValue(progress.done)
        self.bar.setFormat("Paused · " * self._session.paused + progress_text(progress))
        self.stop.setEnabled(progress.activity == "Training" and progress.done < progress.total)

    def _pause(self) -> None:
        if self._session.paused:
            self._session.proceed()
        else:
            self._session.pause()


def progress_text(progress: Progress) -> str:
    """The activity, how much of it is done, and the time left."""
    if not progress.total:
        return f"{progress.activity} …"
    text = f"{progress.activity} {progress.done} / {progress.total}"
    return text + time_left_text(progress.seconds_left)


def time_left_text(left: float | None) -> str:
    """The time left in seconds as the end of a text, empty if nobody knows it."""
    if left is None:
        return ""
    minutes, seconds = divmod(round(left), 60)
    return f" · {minutes}:{seconds:02d} left"


class ReviewPanel(QWidget):
    """What was found in the noise, and what to do with it.

    Parameters
    ----------
    workspace
        Whose review.
    parts
        Sections of its own, closed at first, whose panels are shown after what is always needed.
    """

    def __init__(self, workspace: Workspace, *parts: Section) -> None:
        super().__init__()
        self._workspace, self._session = workspace, workspace.session
        session = self._session
        self.verdict = message_label()
        self.verdict.setToolTip("What the noise looks like and whether stage 2 is expected to help")
        self.numbers = message_label()
        self.numbers.setToolTip("Size of what was found")
        self.to_spectrum = button(
            "Edit peaks", "Fly to the spectrum and paint or erase peaks (brush 2, eraser 1, Ctrl+Z)",
            lambda: workspace.paint_in(PEAKS, SPECTRUM),
        )  # fmt: skip
        self.to_kernel = button(
            "Edit kernel", "Fly to the kernel and paint or erase its pixels (brush 2, eraser 1, Ctrl+Z)",
            lambda: workspace.paint_in(KERNEL, LAGS),
        )  # fmt: skip
        self.to_image = button(
            "Back to image", "Fly back to the image and its results", workspace.back_to_images
        )
        self.quick_look = button(
            "Quick look", "Train for some seconds with this kernel on what you see of the image, and again "
            "after each edit: stage 1 on the left, the kernel's work on the right. Or end that",
            workspace.toggle_quick_look,
        )  # fmt: skip
        self.quick_look.setCheckable(True)
        self.quick_status = message_label()
        self.quick_status.setToolTip("How far the quick look is")
        self.pattern = button(
            "Show pattern", "Show as a layer what the notch takes away, or remove that layer",
            workspace.toggle_pattern,
        )  # fmt: skip
        self.notch = ComboBox(
            choices=[(text, key) for key, text in NOTCH_NAMES.items()],
            tooltip="Which patterns that reach across the field are taken away before stage 2: those that "
            "are surely the detector's, those that look like a lattice of the sample as well, or none",
        )
        self.notch.changed.connect(lambda choice: session.configure(notch=choice))
        self.find_kernel = CheckBox(
            text="Hide neighbours that share noise",
            tooltip="Let the peaks make a kernel; if not, a single pixel is blind, and what you paint",
        )
        self.find_kernel.changed.connect(lambda on: session.configure(find_kernel=on))
        self.background = LayerCombo(workspace.viewer, Shapes, Labels, nothing="flattest parts")
        self.background.setToolTip(
            "Where noise is measured: in the flattest parts of the stack, or inside what you have outlined "
            "in a Shapes or Labels layer, where there is nothing but background"
        )
        self.background.choose(workspace.outline)
        self.background.chosen.connect(workspace.measure_in)
        self.reset_kernel = button(
            "Reset kernel edits", "Let the kernel follow from the peaks again", session.reset_kernel_edits
        )
        self.reset_all = button(
            "Reset all edits", "Back to the peaks and the kernel as found", session.reset_edits
        )
        self.regenerate = button(
            "Regenerate", "Analyse the noise again; your edits are put on top", workspace.regenerate
        )
        self.skip = button("Skip stage 2", "Take the result of stage 1 as it is", session.skip)
        self.approve = button(
            "Approve and run stage 2",
            "Train again with this kernel and denoise the stack",
            workspace.approve,
            main=True,
        )

        grid = QGridLayout(self)
        grid.addWidget(self.verdict, 0, 0, 1, 2)
        grid.addWidget(self.numbers, 1, 0, 1, 2)
        grid.addWidget(self.to_spectrum, 2, 0)
        grid.addWidget(self.to_kernel, 2, 1)
        grid.addWidget(self.to_image, 3, 0)
        grid.addWidget(self.pattern, 3, 1)
        grid.addWidget(self.quick_look, 4, 0)
        grid.addWidget(self.quick_status, 4, 1)
        Bindings(self).connect(workspace.quick_look.look.changed, self._show_quick_look)
        inner = QVBoxLayout()
        inner.setSpacing(2)
        for part in parts:
            inner.addWidget(part)
        grid.addLayout(inner, 12, 0, 1, 2)
        grid.addWidget(QLabel("Notch"), 5, 0)
        grid.addWidget(self.notch.native, 5, 1)
        grid.addWidget(self.find_kernel.native, 6, 0, 1, 2)
        grid.addWidget(QLabel("Background"), 7, 0)
        grid.addWidget(self.background, 7, 1)
        grid.addWidget(self.reset_kernel, 8, 0)
        grid.addWidget(self.reset_all, 8, 1)
        grid.addWidget(self.regenerate, 9, 0)
        grid.addWidget(self.skip, 9, 1)
        grid.addWidget(self.approve, 10, 0, 1, 2)

    def refresh(self) -> None:
        """Show the session."""
        session, review = self._session, self._session.review
        free = review is not None and session.job is None
        for widget in (self.to_spectrum, self.to_kernel):
            widget.setEnabled(review is not None)
        self.to_image.setEnabled(self._workspace.images.placement is not None)
        for widget in (self.regenerate, self.skip, self.approve):
            widget.setEnabled(free)
        analysing = session.job is not None and session.job.kind == "analysis"
        for choice, value in (
            (self.notch, session.settings.notch),
            (self.find_kernel, session.settings.find_kernel),
        ):
            with choice.changed.blocked():
                choice.value = value
            choice.enabled = free or analysing
        self.background.setEnabled(free)
        shown = self._workspace.pattern is not None
        self.pattern.setEnabled(shown or (review is not None and bool(review.analysis.notch)))
        self.pattern.setText("Hide pattern" if shown else "Show pattern")
        self.approve.setText(
            "Run stage 2 again"
            if session.run is not None and session.run.stage2
            else "Approve and run stage 2"
        )
        if review is None:
            self.verdict.setText("Run stage 1 first: the noise is measured on what it takes out.")
            self.numbers.setText("")
            self.numbers.hide()
        else:
            analysis = review.analysis
            self.verdict.setText(("Analysing …  " if analysing else "") + analysis.verdict.summary)
            rows, columns = analysis.kernel.shape[-2:]
            slices = " in 3 slices (z-1 | z | z+1)" if analysis.kernel.ndim == 3 else ""
            parts = len(analysis.notch.offsets) + len(analysis.notch.waves)
            pixels = int(analysis.kernel.sum())
            confirmed = analysis.verdict.confirmed
            self.numbers.setText(
                f"{int(review.peaks.sum())} peak bins"
                + (f", {confirmed:.0%} of them in the residual too" if confirmed is not None else "")
                + f"; notch of {parts} part{'s' * (parts != 1)}; "
                f"kernel {rows} × {columns}, {pixels} pixel{'s' * (pixels != 1)}{slices}. "
                f"Correlations are certain to ±{analysis.far_scatter:.3f}."
                + (" Edited by hand." if review.edited else "")
            )
            self.numbers.show()
        self._show_quick_look()
        self.reset_kernel.setEnabled(
            free and review is not None and bool(review.kernel_edits.added | review.kernel_edits.erased)
        )
        self.reset_all.setEnabled(free and review is not None and review.edited)

    def _show_quick_look(self) -> None:
        look = self._workspace.quick_look.look
        self.quick_look.setEnabled(look.on or look.possible)
        self.quick_look.setChecked(look.on)
        self.quick_status.setText(look.status)


class ResultPanel(QWidget):
    """What came out, and where it goes."""

    def __init__(self, workspace: Workspace, save_result: Any, save_model: Any, open_zoo: Any) -> None:
        super().__init__()
        self._workspace, self._session = workspace, workspace.session
        self.summary = message_label()
        self.recovery = Slider(
            min=0, max=100, step=5,
            tooltip="How much of the detail that denoising has lost is brought back from the residual, in "
            "percent: where there is more in it than noise. 0 shows what the network made",
        )  # fmt: skip
        for part in self.recovery.native.children():
            if isinstance(part, QWidget):  # magicgui gives the tooltip to the whole, not to its parts
                part.setToolTip(str(self.recovery.tooltip))
        self.recovery.changed.connect(lambda percent: self._session.configure(recovery=percent / 100))
        self.save_result = button(
            "Save result …",
            "Write the denoised stack as .tif, .mrc or .zarr with its voxel size",
            save_result,
            main=True,
        )
        self.save_model = button(
            "Save model …", "Write the trained network as one .zip, to use it on other stacks", save_model
        )
        self.save_run = button(
            "Save run …",
            "Write all of it to a folder, networks, results, analysis and your edits, to go on another day",
            workspace.runs.save,
        )
        self.open_zoo = button(
            "Export for the Model Zoo …",
            "Share the trained network: write it as a package of the BioImage Model Zoo, for other programs "
            "to run",
            open_zoo,
        )
        self.attempts = QComboBox()
        self.attempts.setToolTip(
            "Every result of stage 2 of this run, by the kernel it was made with: choose the one to look at "
            "and to save"
        )
        self.attempts.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.attempts.activated.connect(lambda row: self._session.take(self._session.attempts[row]))
        self.keep = button(
            "Keep as layer",
            "Add this result as a layer of its own, hidden, to compare others with it",
            self._keep,
        )
        self.forget = button(
            "Forget others", "Drop the other results of stage 2, to have their memory back", self._forget
        )
        self.compare = button(
            "Compare",
            "Hold original and result against one another: side by side, swipe, blink, line profile",
            lambda: _open_compare(workspace.viewer),
        )
        layout = QVBoxLayout(self)
        layout.addWidget(self.summary)
        layout.addWidget(self.compare)
        form = QFormLayout()
        form.addRow("Attempt", self.attempts)
        form.addRow(self.keep, self.forget)
        form.addRow("Detail back, %", self.recovery.native)
        layout.addLayout(form)
        row = QHBoxLayout()
        row.addWidget(self.save_result)
        row.addWidget(self.save_model)
        layout.addLayout(row)
        layout.addWidget(self.save_run)
        layout.addWidget(self.open_zoo)

    def refresh(self) -> None:
        """Show the session."""
        run = self._session.run
        there = run is not None and run.stage1 is not None
        with self.recovery.changed.blocked():
            self.recovery.value = round(100 * self._session.settings.recovery)
        self.recovery.enabled = there
        attempts = self._session.attempts
        with QSignalBlocker(self.attempts):
            self.attempts.clear()
            self.attempts.addItems([attempt.words for attempt in attempts])
            present = [attempt.output for attempt in attempts]
            if run is not None and run.stage2 in present:
                self.attempts.setCurrentIndex(present.index(run.stage2))
        free = self._session.job is None
        self.attempts.setEnabled(free and len(attempts) > 1)
        self.keep.setEnabled(free and run is not None and run.stage2 is not None)
        self.forget.setEnabled(free and len(attempts) > 1)
        self.compare.setEnabled(there)
        self.save_result.setEnabled(there)
        self.save_model.setEnabled(there)
        self.save_run.setEnabled(there and self._session.review is not None)
        self.open_zoo.setEnabled(there)
        if run is None or not there:
            text = "Nothing is denoised yet."
        elif run.stage2 is not None:
            text = f"{run.source.name} is denoised by both stages."
        elif run.skipped:
            text = f"{run.source.name} is denoised by stage 1; stage 2 was skipped."
        else:
            text = "Stage 1 is done and can be saved as it is."
        self.summary.setText(text)

    def _keep(self) -> None:
        run = self._session.run
        attempt = next(
            (a for a in self._session.attempts if run is not None and a.output is run.stage2), None
        )
        if run is not None and attempt is not None:
            self._workspace.images.keep_result(f"{run.source.name} denoised {attempt.number}")

    def _forget(self) -> None:
        for attempt in self._session.attempts:
            self._session.forget(attempt)  # it keeps the present one


def _open_compare(viewer: Viewer) -> None:
    # by its name in the manifest: the same dock as the one from the menu
    dock, _ = viewer.window.add_plugin_dock_widget("napari-autostructn2v", "Compare", tabify=True)
    dock.show()
    dock.raise_()
