"""How good the result is, in three lines with lights; it fills itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QFrame, QGridLayout, QHBoxLayout, QLabel, QProgressBar, QVBoxLayout

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.canvas.slices import full_shape, grey_values
from napari_autostructn2v._napari.widgets.bindings import Bindings
from napari_autostructn2v._napari.widgets.layer_combo import LayerCombo
from napari_autostructn2v._napari.widgets.panel_parts import (
    button,
    is_dark,
    message_label,
    progress_text,
    show_message,
)

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace
    from napari_autostructn2v.metrics import Grade, QualityReport

MARKS: dict[Grade, str] = {"good": "✔", "look": "▲", "poor": "✖"}
IN_WORDS: dict[Grade, str] = {"good": "Good", "look": "Have a look", "poor": "Not good"}

TITLES = ("Structured noise", "Image taken", "Pattern added")

TIPS = (
    "By how much the structured noise of the background is weaker, at the frequencies of its peaks",
    "Whether what was removed goes along with the image, beyond what it does in flat background",
    "Whether something stands out in the spectrum of the result that the original does not have: ripples",
)

TRIAL = "fast is a trial: run balanced before you measure."


class QualityCard(QFrame):
    """Structured noise removed, image taken, pattern added; and what a second recording says."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace, self._appraisal = workspace, workspace.appraisal
        self.bar = QProgressBar()
        self.bar.setToolTip("The result is being measured. You can go on meanwhile")
        self.cancel = button("Cancel", "Do not measure this result", self._appraisal.cancel)
        self.again = button("Measure", "Measure this result", self._appraisal.measure_again)
        self.message = message_label()
        self.message.setToolTip("Why there are no figures")
        self.lights = [QLabel() for _ in TITLES]
        self.lines = [message_label() for _ in TITLES]
        for line, light, tip in zip(self.lines, self.lights, TIPS, strict=True):
            line.setToolTip(tip)
            light.setFixedWidth(light.fontMetrics().horizontalAdvance("✖") + 6)
        self.advice = message_label()
        self.advice.setToolTip("What to do before you measure on this result")
        self.recording = LayerCombo(workspace.viewer, Image, nothing="none")
        self.recording.setToolTip(
            "Another recording of the same scene with noise of its own: it says how near the result is to "
            "the truth. The result must not have been made of it"
        )
        self.judged = message_label()
        self.judged.setToolTip("What the second recording says")

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        self._working = QHBoxLayout()
        self._working.addWidget(self.bar, 1)
        self._working.addWidget(self.cancel)
        layout.addLayout(self._working)
        row = QHBoxLayout()
        row.addWidget(self.message, 1)
        row.addWidget(self.again, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(row)
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        for row_number, (light, line) in enumerate(zip(self.lights, self.lines, strict=True)):
            grid.addWidget(light, row_number, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(line, row_number, 1)
        layout.addLayout(grid)
        layout.addWidget(self.advice)
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("Recorded again", self.recording)
        layout.addLayout(self._form)
        layout.addWidget(self.judged)
        self.recording.chosen.connect(self._judge)
        bindings = Bindings(self)
        bindings.connect(self._appraisal.changed, self.refresh)
        for event in ("inserted", "removed"):
            bindings.connect(getattr(workspace.viewer.layers.events, event), self.refresh)
        self.refresh()

    def refresh(self, event: Any = None) -> None:
        """Show what is known of the present result."""
        appraisal, theme = self._appraisal, self._workspace.viewer.theme
        self.setVisible(appraisal.possible)
        if not appraisal.possible:
            return
        working = appraisal.runner.job is not None
        for widget in (self.bar, self.cancel):
            widget.setVisible(working)
        if working:
            self.bar.setRange(0, appraisal.progress.total)
            self.bar.setValue(appraisal.progress.done)
            self.bar.setFormat(progress_text(appraisal.progress))
        show_message(self.message, appraisal.problem, "text", theme)
        self.again.setVisible(bool(appraisal.problem))
        found = appraisal.found
        self._show_lines(None if found is None else found.report)
        trial = found is not None and found.report.adds_pattern and appraisal.was_a_trial
        show_message(self.advice, TRIAL if trial else "", "warning", theme)
        if appraisal.second is None and self.recording.layer() is not None:
            self.recording.setCurrentIndex(0)  # it was of another run
        self._form.setRowVisible(0, self.recording.layer() is not None or self._may_be_judged())
        score = None if found is None else found.score
        show_message(self.judged, "" if score is None else score.sentences[0], "text", theme)

    def _show_lines(self, report: QualityReport | None) -> None:
        sentences = ("",) * 3 if report is None else _short(report)
        nothing: tuple[Grade, ...] = ("good",) * 3
        grades = nothing if report is None else report.grades
        dark = is_dark(self._workspace.viewer.theme)
        for light, line, title, grade, words in zip(
            self.lights, self.lines, TITLES, grades, sentences, strict=True
        ):
            light.setVisible(bool(words))
            light.setText(MARKS[grade])
            light.setToolTip(IN_WORDS[grade])
            look = f"color: {colours.LIGHTS[grade][dark]}; font-weight: bold;"
            if light.styleSheet() != look:  # Qt styles the dock anew each time
                light.setStyleSheet(look)
            line.setText(f"{title}: {words}")
            line.setVisible(bool(words))

    def _may_be_judged(self) -> bool:
        """Whether some layer, that did not come of this run, may be another recording of its scene."""
        source, results = self._workspace.source_layer, self._workspace.images.results.values()
        if source is None or not self._appraisal.possible:
            return False
        return any(self._suits(layer) for layer in self._workspace.viewer.layers if layer not in results)

    def _suits(self, layer: Any) -> bool:
        source = self._workspace.source_layer
        is_other = isinstance(layer, Image) and layer is not source and not layer.rgb
        return is_other and source is not None and full_shape(layer) == full_shape(source)

    def _judge(self, layer: Image | None) -> None:
        second = None if layer is None else grey_values(layer)
        if layer is not None and not self._suits(layer):
            self._workspace.session.messages.fail(
                f"{layer.name} cannot judge this result: choose another recording of the same scene, of the "
                "same shape as the image."
            )
            self.recording.setCurrentIndex(0)
            return
        if second is not self._appraisal.second:
            self._appraisal.judge_by(second)


def _short(report: QualityReport) -> tuple[str, str, str]:
    """A sentence on each figure, as short as a line of the card."""
    added = report.added
    db, at_least = report.structured_db, "at least " if report.at_least else ""
    return (
        "none was found in the original."
        if db is None
        else f"{at_least}{db:.0f} dB weaker."
        if db >= 0.5
        else "as strong as before."
        if db > -0.5
        else f"{-db:.0f} dB stronger.",
        f"at least {report.leaked:.0%} of what was removed goes along with the image."
        if report.holds_image
        else "none was measured in what was removed.",
        f"ripples of {added.period:.1f} px, {added.share:.1%} of the background."
        if report.adds_pattern
        else "none.",
    )
