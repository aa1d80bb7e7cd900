"""A dock widget that uses a saved model on another stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import FileEdit
from napari.layers import Image
from qtpy.QtWidgets import (
    QFormLayout,
    QProgressBar,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari import worker
from napari_autostructn2v._napari.bindings import Bindings
from napari_autostructn2v._napari.image_layers import contrast_limits
from napari_autostructn2v._napari.jobs import Cancelled, Failure, Job, Stream
from napari_autostructn2v._napari.layer_combo import LayerCombo
from napari_autostructn2v._napari.panels import button, message_label, progress_text, show_message
from napari_autostructn2v._napari.placement import Placement
from napari_autostructn2v._napari.session import Progress
from napari_autostructn2v._napari.workspace import unwrapped, watch_closing
from napari_autostructn2v.events import Event, SliceDone
from napari_autostructn2v.stack import as_stack

if TYPE_CHECKING:
    import napari.viewer


def apply_model(path: Path, array: Any) -> Stream:
    """Load a model and denoise an array with it."""
    from napari_autostructn2v.bundle import load_model
    from napari_autostructn2v.pipeline import denoise_with

    model = load_model(path)
    return (yield from denoise_with(as_stack(array, model.mode), model))


class ApplyModelWidget(QWidget):
    """Model file, layer, run: the result appears beside the layer."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = unwrapped(napari_viewer)
        self._job: Job | None = None
        self._source: Image | None = None
        self._placement: Placement | None = None
        self._progress = Progress("Starting")
        self.path = FileEdit(
            filter="Model (*.zip)",
            nullable=True,
            tooltip="A model saved by this plugin or by autostructn2v run",
        )
        self.path.choose_btn.text = "…"
        self.path.choose_btn.max_width = 40
        self.layer = LayerCombo(self._viewer, Image)
        self.layer.setToolTip(
            "The image layer to denoise, of the same kind as the one the model was trained on"
        )
        self.run = button("Denoise", "Denoise the layer with the model", self.start, main=True)
        self.cancel = button("Cancel", "Stop and drop what is done", self.stop)
        self.bar = QProgressBar()
        self.bar.setToolTip("Slices done, and the time left")
        self.message = message_label()

        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Model", self.path.native)
        form.addRow("Image", self.layer)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        for widget in (self.run, self.bar, self.cancel, self.message):
            layout.addWidget(widget)
        layout.addStretch()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

        self.path.changed.connect(lambda: self._refresh())
        self.layer.chosen.connect(lambda: self._refresh())
        Bindings(self).connect(self._viewer.layers.events.removed, self._on_layer_removed)
        self.destroyed.connect(lambda: self._cancel_job())
        watch_closing(self._viewer, self._cancel_job)
        self._refresh()

    def start(self) -> None:
        """Denoise the chosen layer with the chosen model."""
        layer, path = self.layer.layer(), self.path.value
        if layer is None or not isinstance(path, Path) or self._job is not None:
            return
        if layer.rgb:
            self._refresh(
                f"{layer.name} is an RGB picture. Convert it to grey values, or split its channels."
            )
            return
        array = layer.data[0] if layer.multiscale else layer.data
        self._source, self._placement = layer, Placement.of(layer)
        self._progress = Progress("Denoising")
        self._job = Job("apply", apply_model(path, array))
        self._refresh()
        worker.start(self._job, self._receive, self._complete, self._crash)

    def stop(self) -> None:
        """Cancel."""
        self._cancel_job()
        self._refresh()

    def _cancel_job(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.control.cancelled.set()

    def _receive(self, job: Job, event: Event) -> None:
        if job is self._job and isinstance(event, SliceDone):
            self._progress.done, self._progress.total = event.done, event.total
            self._show_progress()

    def _complete(self, job: Job, outcome: Any) -> None:
        if job is not self._job or isinstance(outcome, Cancelled):
            return
        self._job = None
        if isinstance(outcome, Failure):
            self._refresh(outcome.message)
            return
        assert self._placement is not None
        self._viewer.add_image(
            outcome,
            name=f"{self._placement.name} denoised",
            contrast_limits=contrast_limits(outcome),
            **self._placement.beside(1, outcome.ndim),
        )
        self._refresh()

    def _crash(self, job: Job, error: BaseException) -> None:
        self._complete(job, Failure(f"{type(error).__name__}: {error}"))

    def _on_layer_removed(self, event: Any) -> None:
        if self._job is not None and event.value is self._source:
            self.stop()

    def _refresh(self, error: str = "") -> None:
        idle = self._job is None
        self.run.setEnabled(idle and self.path.value is not None and self.layer.layer() is not None)
        self.path.enabled = idle
        self.layer.setEnabled(idle)
        self.bar.setVisible(not idle)
        self.cancel.setVisible(not idle)
        show_message(self.message, error, "error", self._viewer.theme)
        self._show_progress()

    def _show_progress(self) -> None:
        self.bar.setRange(0, self._progress.total)
        self.bar.setValue(self._progress.done)
        self.bar.setFormat(progress_text(self._progress))
