"""The sections of the Compare dock: how to look, what was removed, what to export."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari import colours, worker
from napari_autostructn2v._napari.docks.compare.comparison import SATURATED, Comparison, Way
from napari_autostructn2v._napari.session.job_runner import JobRunner
from napari_autostructn2v._napari.session.jobs import Failure, Job, JobKind, Stream
from napari_autostructn2v._napari.session.progress import Activity, Progress
from napari_autostructn2v._napari.widgets.panel_parts import button, message_label, progress_text
from napari_autostructn2v._napari.widgets.plot import Plot, dress
from napari_autostructn2v.events import Event, SliceDone

if TYPE_CHECKING:
    from napari_autostructn2v.metrics import QualityReport

WAYS: dict[Way | None, tuple[str, str]] = {
    "row": ("Side by side", "Each layer in a pane with its name, moved and zoomed together"),
    "column": ("Below", "The layers one under the other: better for wide images"),
    "swipe": (
        "Swipe",
        "The first layer left, the second right of a divider: drag it, or press comma or full stop",
    ),
    "blink": ("Blink", "The layers in turn in the same place; comma and full stop step by hand"),
    None: ("As before", "End the comparison: every layer is seen as it was before"),
}


class WayPanel(QWidget):
    """How the layers are held against one another."""

    def __init__(self, comparison: Comparison, choose: Callable[[Way | None], None]) -> None:
        super().__init__()
        self._comparison = comparison
        self.ways = {way: button(text, tip, lambda way=way: choose(way)) for way, (text, tip) in WAYS.items()}
        grid = QGridLayout(self)
        for column in range(3):
            grid.setColumnStretch(column, 1)
        for index, made in enumerate(self.ways.values()):
            made.setCheckable(True)
            row, column = divmod(index, 3)
            grid.addWidget(made, row, column)
        self.same_contrast = QCheckBox("Same contrast for all")
        self.same_contrast.setToolTip(
            "One grey scale for all layers, changed together: the second layer's, widened until at most "
            f"{SATURATED:.0%} of a noisy one is black or white. If not, each has its own. Switch it off to "
            "see the denoised layer in full contrast, or where the layers differ in their scale of values"
        )
        self.same_contrast.toggled.connect(comparison.match_contrast)
        grid.addWidget(self.same_contrast, 2, 0, 1, 3)
        self.rate = QDoubleSpinBox()
        self.rate.setRange(0.2, 10)
        self.rate.setSingleStep(0.5)
        self.rate.setDecimals(1)
        self.rate.setKeyboardTracking(False)
        self.rate.setToolTip("Changes from layer to layer in a second: slower to look at detail")
        self.rate.valueChanged.connect(comparison.blink_at)
        self.rate_label = QLabel("Blinks per second")
        grid.addWidget(self.rate_label, 3, 0, 1, 2)
        grid.addWidget(self.rate, 3, 2)
        self.shown = message_label()
        self.shown.setToolTip("Which layer is seen where")
        grid.addWidget(self.shown, 4, 0, 1, 3)

    def refresh(self, comparable: bool) -> None:
        """Show the comparison."""
        comparison = self._comparison
        for way, made in self.ways.items():
            made.setChecked(way == comparison.way)
            made.setEnabled(comparable or way is None)
        for widget in (self.rate, self.rate_label):
            widget.setVisible(comparison.way == "blink")
        with QSignalBlocker(self.same_contrast):
            self.same_contrast.setChecked(comparison.same_contrast)
        with QSignalBlocker(self.rate):
            self.rate.setValue(comparison.blinks_per_second)
        self.shown.setText(self._what_is_where())
        self.shown.setVisible(comparable or comparison.way is not None)

    def _what_is_where(self) -> str:
        comparison = self._comparison
        if comparison.way in ("row", "column"):
            return "Each pane is captioned with its layer. Draw on one layer alone."
        names = [layer.name for layer in comparison.layers]
        if comparison.way is None:
            return "Choose a way to look. Swipe and Blink show most."
        if comparison.way == "swipe":
            return f"Left: {names[0]}. Right: {names[1]}. Comma and full stop move the divider."
        return f"Now: {names[comparison.in_sight]}. Comma and full stop step by hand."


class AtWork(QWidget):
    """One job at a time in a thread, its progress, and a button to cancel it."""

    def __init__(self, finished: Callable[[Any], None], failed: Callable[[str], None]) -> None:
        super().__init__()
        self._finished, self._failed = finished, failed
        self.runner = JobRunner(self._on_event, self._on_end)
        worker.serve(self.runner)
        self._progress = Progress(Activity.STARTING)
        self.bar = QProgressBar()
        self.bar.setToolTip("What is being done, how far it is, and the time left")
        self.cancel = button("Cancel", "Stop this and drop what is done", self.stop)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, stretch=1)
        row.addWidget(self.cancel)
        self.destroyed.connect(lambda: self.runner.drop())
        self.hide()

    def start(self, kind: JobKind, activity: Activity, stream: Stream) -> None:
        """Run this job, in place of the one that runs."""
        self._progress = Progress(activity)
        self._show_progress()
        self.show()
        self.runner.start(kind, stream)

    def stop(self) -> None:
        """Cancel the job."""
        self.runner.drop()
        self.hide()
        self._failed("Cancelled.")

    def _on_event(self, event: Event) -> None:
        if isinstance(event, SliceDone):
            self._progress.done, self._progress.total = event.done, event.total
            self._show_progress()

    def _on_end(self, job: Job, outcome: object) -> None:
        self.hide()
        if isinstance(outcome, Failure):
            self._failed(outcome.message)
        else:
            self._finished(outcome)

    def _show_progress(self) -> None:
        self.bar.setRange(0, self._progress.total)
        self.bar.setValue(self._progress.done)
        self.bar.setFormat(progress_text(self._progress))


class RemovedPanel(QWidget):
    """What was removed: a layer, what it means in words, and its power spectrum."""

    def __init__(
        self, toggle: Callable[[], None], measure: Callable[[], None], failed: Callable[[str], None]
    ) -> None:
        super().__init__()
        self.show_layer = button(
            "Show what was removed",
            "Add the first layer minus the second as a layer, to compare as well, or remove it: in it should "
            "be noise and nothing of the image",
            toggle,
        )
        self.measure = button(
            "Measure",
            "Say without knowing the truth how much weaker the structured noise is, and whether some of the "
            "image was removed; takes seconds",
            measure,
        )
        self.at_work = AtWork(self.show_appraisal, failed)
        self.text = message_label()
        self.text.setToolTip(
            "From the flattest parts of the slices, what was removed everywhere else, and its autocorrelation"
        )
        self.spectrum = Plot()
        self.spectrum.setAspectLocked(True)
        self.spectrum.invertY(True)
        for side, words in (("bottom", "cycles per pixel along X"), ("left", "along Y")):
            self.spectrum.setLabel(side, words, **{"font-size": "8pt"})
            self.spectrum.getAxis(side).enableAutoSIPrefix(False)
        self.spectrum.setFixedHeight(220)
        self.spectrum.setToolTip(
            "Averaged power spectrum of what was removed, logarithmic: lines and spots are structured noise, "
            "a bright centre is the image"
        )
        self._picture = pg.ImageItem(axisOrder="row-major")
        self._picture.setColorMap(pg.colormap.get(colours.SPECTRUM))
        self.spectrum.addItem(self._picture)
        layout = QVBoxLayout(self)
        row = QHBoxLayout()
        row.addWidget(self.show_layer)
        row.addWidget(self.measure)
        layout.addLayout(row)
        for widget in (self.at_work, self.text, self.spectrum):
            layout.addWidget(widget)
        self.forget()

    def forget(self) -> None:
        """Other layers are chosen: what was measured is not of them."""
        self.text.hide()
        self.spectrum.hide()

    def show_appraisal(self, appraisal: QualityReport) -> None:
        """Show what was measured."""
        points = [f"• {sentence}" for sentence in appraisal.sentences]
        self.text.setText("\n".join([*points, "Its power spectrum:"]))
        self.text.show()
        low, high = np.percentile(appraisal.spectrum, [1, 99.8])
        self._picture.setImage(appraisal.spectrum, levels=(low, high))
        self._picture.setRect(-0.5, -0.5, 1.0, 1.0)
        self.spectrum.setRange(xRange=(-0.5, 0.5), yRange=(-0.5, 0.5), padding=0.02)
        self.spectrum.show()

    def refresh(self, comparable: bool, shown: bool, theme: str) -> None:
        """Show whether there is something to show."""
        self.show_layer.setEnabled(comparable or shown)
        self.show_layer.setText("Hide what was removed" if shown else "Show what was removed")
        self.measure.setEnabled(comparable)
        dress(self.spectrum, theme)
