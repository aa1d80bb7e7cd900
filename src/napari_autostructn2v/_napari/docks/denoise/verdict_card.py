"""The verdict at a glance: what it comes to, what is seen in the noise, how much of it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.docks.denoise.pictogram import Pictogram
from napari_autostructn2v._napari.widgets.panel_parts import Section, message_label, show_message
from napari_autostructn2v.errors import plural
from napari_autostructn2v.noise.verdict import CONCLUSIONS

if TYPE_CHECKING:
    import numpy as np

    from napari_autostructn2v._napari.workspace import Workspace
    from napari_autostructn2v.noise.analysis import NoiseAnalysis
    from napari_autostructn2v.noise.measurement import NoiseMeasurement
    from napari_autostructn2v.noise.review import Review

LINES = 3
"""Lines of the sentence for which there is always room: what stands below it keeps its place."""

PILL = """
QLabel {{ border-radius: 9px; padding: 3px 10px; font-weight: bold; }}
QLabel:enabled {{ background-color: {}; color: {}; }}
"""

NOTHING_YET = "Run stage 1 first: the noise is measured on what it takes out."


class VerdictCard(QWidget):
    """A coloured word, a sentence, a picture, two bars; the numbers are folded under Details."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace, self._session = workspace, workspace.session
        self.pill = QLabel()
        self.pill.setToolTip("Whether stage 2 is expected to help, by what was measured")
        self.whose = message_label()
        self.whose.setToolTip("The image whose noise this is, and the mode it was measured in")
        self.picture = Pictogram()
        self.picture.setToolTip(
            "A piece of the background, where the noise was measured, and in orange the neighbours that "
            "share it with the pixel in the centre, or the stripes that cover it"
        )
        self.sentence = message_label()
        self.sentence.setToolTip("What is seen in the noise")
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.sentence.setMinimumHeight(LINES * self.sentence.fontMetrics().lineSpacing())
        self.together = message_label()
        self.together.setToolTip(
            "Whether the stacks that are trained on together have one kind of noise, and which differ: by "
            "the kernel that each would have by itself, its direction and its strongest correlation"
        )
        self.hides = _share_bar(
            "kernel hides %p %", "How much of the correlation measured in the noise the kernel hides"
        )
        self.takes = _share_bar(
            "notch takes %p %", "How much of the variance of the background the notch takes away"
        )
        self.summary = message_label()
        self.summary.setToolTip("What the noise looks like and whether stage 2 is expected to help")
        self.numbers = message_label()
        self.numbers.setToolTip("Size of what was found")
        details = QWidget()
        column = QVBoxLayout(details)
        column.setContentsMargins(6, 2, 2, 4)
        column.addWidget(self.summary)
        column.addWidget(self.numbers)
        self.details = Section("Details", details)

        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        grid.addWidget(self.picture, 0, 0, 2, 1)
        grid.addWidget(self.pill, 0, 1, Qt.AlignmentFlag.AlignLeft)
        grid.addWidget(self.whose, 1, 1)
        grid.addWidget(self.sentence, 2, 0, 1, 2)
        bars = QHBoxLayout()
        bars.addWidget(self.hides)
        bars.addWidget(self.takes)
        grid.addLayout(bars, 3, 0, 1, 2)
        grid.addWidget(self.together, 4, 0, 1, 2)
        grid.addWidget(self.details, 5, 0, 1, 2)
        self._shown: NoiseAnalysis | None = None
        self._tile: tuple[NoiseMeasurement, np.ndarray] | None = None
        """The piece of background that is shown, and what it belongs to: an edit reads no data."""

    def refresh(self) -> None:
        """Show the session."""
        session, run, review = self._session, self._session.run, self._session.review
        there = review is not None and run is not None
        for part in (self.pill, self.whose, self.picture, self.details):
            part.setVisible(there)
        if review is None or run is None:
            self._shown = None
            self.hides.hide()
            self.takes.hide()
            self.sentence.setText(NOTHING_YET)
            self.together.hide()
            return
        analysing = session.runner.job is not None and session.runner.job.kind == "analysis"
        mode = "2.5D" if review.analysis.mode == "2.5d" else "2D"
        self.whose.setText(f"{run.source.name} · {mode}" + " · analysing …" * analysing)
        self.numbers.setText(_numbers(review))
        agreement = review.agreement
        said = () if agreement is None else agreement.sentences
        kind = "warning" if len(said) > 1 else "text"
        show_message(self.together, "\n".join(said), kind, self._workspace.viewer.theme)
        if review.analysis is self._shown:
            return
        self._shown = analysis = review.analysis
        verdict = analysis.verdict
        self.pill.setText(CONCLUSIONS[verdict.conclusion])
        self.pill.setStyleSheet(PILL.format(*colours.CONCLUSIONS[verdict.conclusion]))
        self.sentence.setText(" ".join(filter(None, (verdict.headline, verdict.caution))))
        self.hides.setValue(round(100 * verdict.covered))
        self.hides.setVisible(bool(analysis.kernel.sum() > 1))
        self.takes.setValue(round(100 * verdict.notched))
        self.takes.setVisible(bool(analysis.notch))
        each = () if agreement is None else agreement.stacks
        self.summary.setText("\n".join([verdict.summary, *(stack.sentence for stack in each)]))
        if self._tile is None or self._tile[0] is not analysis.measured:
            self._tile = analysis.measured, analysis.measured.example(run.stack)
        self.picture.show_analysis(analysis, self._tile[1])


def _share_bar(words: str, tooltip: str) -> QProgressBar:
    """A bar for a share, which keeps its room while it is hidden."""
    bar = QProgressBar()
    bar.setRange(0, 100)
    bar.setFormat(words)
    bar.setToolTip(tooltip)
    bar.setStyleSheet(f"QProgressBar::chunk {{ background-color: {colours.SHARE}; }}")
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    policy.setRetainSizeWhenHidden(True)
    bar.setSizePolicy(policy)
    return bar


def _numbers(review: Review) -> str:
    """Bins, residual, notch, kernel and their certainty."""
    analysis, confirmed = review.analysis, review.analysis.verdict.confirmed
    rows, columns = analysis.kernel.shape[-2:]
    slices = " in 3 slices (z-1 | z | z+1)" if analysis.kernel.ndim == 3 else ""
    notch = analysis.notch
    parts = len(notch.offsets) + len(notch.curtains) + len(notch.waves)
    return (
        f"{int(review.peaks.sum())} peak bins"
        + (f", {confirmed:.0%} of them in the residual too" if confirmed is not None else "")
        + (f"; notch of {plural(parts, 'part')}" if parts else "; no notch")
        + f"; kernel {rows} × {columns}, {plural(int(analysis.kernel.sum()), 'pixel')}{slices}. "
        f"Correlations are certain to ±{analysis.far_scatter:.3f}."
        + (" Edited by hand." if review.edited else "")
    )
