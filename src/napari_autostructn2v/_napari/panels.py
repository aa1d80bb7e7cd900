"""The five sections of the main dock widget. Each shows the session and passes on what is clicked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, Slider, SpinBox
from napari.layers import Image, Labels, Shapes
from napari.utils.theme import get_theme
from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari.layer_combo import LayerCombo
from napari_autostructn2v._napari.plot import LossPlot
from napari_autostructn2v._napari.review_layers import KERNEL, LAGS, PEAKS, SPECTRUM
from napari_autostructn2v._napari.session import Losses, Phase, Progress
from napari_autostructn2v.config import PRESETS, Config, NotchChoice

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

        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.layer)
        form.addRow("Mode", self.mode.native)
        form.addRow("Preset", self.preset.native)
        form.addRow("Steps", self.steps.native)
        form.addRow(self.unattended.native)
        form.addRow(self.device)
        form.addRow(self.message)

        if workspace.chosen is not None:
            self.layer.choose(workspace.chosen)
        self.layer.chosen.connect(workspace.choose)
        if self.layer.layer() is not workspace.chosen:
            workspace.choose(self.layer.layer())
        configure = self._session.configure
        self.mode.changed.connect(lambda mode: configure(mode=mode))
        self.preset.changed.connect(lambda preset: configure(preset=preset, steps=None))
        self.steps.changed.connect(lambda steps: configure(steps=steps))
        self.unattended.changed.connect(lambda on: configure(unattended=on))

    def refresh(self) -> None:
        """Show the session."""
        session, settings = self._session, self._session.settings
        preset_steps = Config.from_preset(settings.preset).stage1.steps
        for widget, value in (
            (self.mode, settings.mode),
            (self.preset, settings.preset),
            (self.steps, settings.steps or preset_steps),
            (self.unattended, settings.unattended),
        ):
            with widget.changed.blocked():
                widget.value = value
            widget.enabled = session.job is None
        self.layer.setEnabled(session.job is None)
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
            self._session.start_stage1,
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
        self.cancel = button("Cancel", "Drop this stage and go back", self._session.cancel)
        layout = QVBoxLayout(self)
        layout.addWidget(self.run)
        layout.addWidget(self.bar)
        layout.addWidget(self.plot)
        row = QHBoxLayout()
        row.addWidget(self.stop)
        row.addWidget(self.cancel)
        layout.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self._redraw)

    @property
    def _running(self) -> bool:
        job = self._session.job
        return job is not None and job.kind == self._kind

    def refresh(self) -> None:
        """Show the session."""
        session = self._session
        self.run.setEnabled(session.ready)
        self.run.setText("Run stage 1 again" if session.phase > Phase.STAGE1 else "Run stage 1")
        self.stop.setVisible(self._running)
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
        self.bar.setFormat(progress_text(progress))
        self.stop.setEnabled(progress.activity == "Training" and progress.done < progress.total)


def progress_text(progress: Progress) -> str:
    """The activity, how much of it is done, and the time left."""
    if not progress.total:
        return f"{progress.activity} …"
    text = f"{progress.activity} {progress.done} / {progress.total}"
    left = progress.seconds_left
    if left is None:
        return text
    minutes, seconds = divmod(round(left), 60)
    return f"{text} · {minutes}:{seconds:02d} left"


class ReviewPanel(QWidget):
    """What was found in the noise, and what to do with it."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace, self._session = workspace, workspace.session
        session = self._session
        self.verdict = message_label()
        self.verdict.setToolTip("What the noise looks like and whether stage 2 is expected to help")
        self.numbers = message_label()
        self.numbers.setToolTip("Size of what was found")
        self.to_spectrum = button(
            "Edit peaks", "Fly to the spectrum and paint or erase peaks (brush 2, eraser 1, Ctrl+Z)",
            lambda: self._edit(PEAKS, SPECTRUM),
        )  # fmt: skip
        self.to_kernel = button(
            "Edit kernel", "Fly to the kernel and paint or erase its pixels (brush 2, eraser 1, Ctrl+Z)",
            lambda: self._edit(KERNEL, LAGS),
        )  # fmt: skip
        self.to_image = button("Back to image", "Fly back to the image and its results", self._to_image)
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
        self.sensitivity = QDoubleSpinBox()
        self.sensitivity.setRange(1.0, 100.0)
        self.sensitivity.setSingleStep(0.5)
        self.sensitivity.setDecimals(1)
        self.sensitivity.setKeyboardTracking(False)
        self.sensitivity.setToolTip(
            "How far a peak must stand out from its surroundings, in robust standard deviations: lower finds "
            "more peaks, and more by chance. Your edits are kept"
        )
        self.sensitivity.valueChanged.connect(lambda value: session.configure(sensitivity=value))
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
            session.approve,
            main=True,
        )

        grid = QGridLayout(self)
        grid.addWidget(self.verdict, 0, 0, 1, 2)
        grid.addWidget(self.numbers, 1, 0, 1, 2)
        grid.addWidget(self.to_spectrum, 2, 0)
        grid.addWidget(self.to_kernel, 2, 1)
        grid.addWidget(self.to_image, 3, 0)
        grid.addWidget(self.pattern, 3, 1)
        grid.addWidget(QLabel("Peak threshold"), 4, 0)
        grid.addWidget(self.sensitivity, 4, 1)
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
        self.sensitivity.setEnabled(free or analysing)
        with QSignalBlocker(self.sensitivity):
            self.sensitivity.setValue(session.settings.sensitivity)
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
        self.reset_kernel.setEnabled(
            free and review is not None and bool(review.kernel_edits.added | review.kernel_edits.erased)
        )
        self.reset_all.setEnabled(free and review is not None and review.edited)

    def _edit(self, key: str, under: str) -> None:
        self._workspace.review.show()
        layers = self._workspace.review.layers
        if key not in layers:
            return
        viewer = self._workspace.viewer
        viewer.layers.selection.active = layers[key]
        layers[key].mode = "paint"
        self._workspace.flight.to([layers[under], layers[key]])

    def _to_image(self) -> None:
        for layer in self._workspace.review.layers.values():
            layer.mode = "pan_zoom"
        self._workspace.fly_to_images()


class ResultPanel(QWidget):
    """What came out, and where it goes."""

    def __init__(self, workspace: Workspace, save_result: Any, save_model: Any) -> None:
        super().__init__()
        self._session = workspace.session
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
        self.compare = button(
            "Compare",
            "Hold original and result against one another: side by side, swipe, blink, line profile",
            lambda: _open_compare(workspace.viewer),
        )
        layout = QVBoxLayout(self)
        layout.addWidget(self.summary)
        layout.addWidget(self.compare)
        form = QFormLayout()
        form.addRow("Detail back, %", self.recovery.native)
        layout.addLayout(form)
        row = QHBoxLayout()
        row.addWidget(self.save_result)
        row.addWidget(self.save_model)
        layout.addLayout(row)

    def refresh(self) -> None:
        """Show the session."""
        run = self._session.run
        there = run is not None and run.stage1 is not None
        with self.recovery.changed.blocked():
            self.recovery.value = round(100 * self._session.settings.recovery)
        self.recovery.enabled = there
        self.compare.setEnabled(there)
        self.save_result.setEnabled(there)
        self.save_model.setEnabled(there)
        if run is None or not there:
            text = "Nothing is denoised yet."
        elif run.stage2 is not None:
            text = f"{run.source.name} is denoised by both stages."
        elif run.skipped:
            text = f"{run.source.name} is denoised by stage 1; stage 2 was skipped."
        else:
            text = "Stage 1 is done and can be saved as it is."
        self.summary.setText(text)


def _open_compare(viewer: Viewer) -> None:
    # by its name in the manifest: the same dock as the one from the menu
    dock, _ = viewer.window.add_plugin_dock_widget("napari-autostructn2v", "Compare", tabify=True)
    dock.show()
    dock.raise_()
