"""How near a result is to the truth, by a second recording of the same scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pyqtgraph as pg
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.docks.compare.panels import AtWork
from napari_autostructn2v._napari.widgets.layer_combo import LayerCombo
from napari_autostructn2v._napari.widgets.panel_parts import button, message_label
from napari_autostructn2v._napari.widgets.plot import Plot, dress
from napari_autostructn2v.judge.rings import THRESHOLDS

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_autostructn2v.judge import Score


class JudgePanel(QWidget):
    """A layer that is another recording, what it says in words, and the correlation by frequency.

    Parameters
    ----------
    viewer
        Whose layers.
    judge
        Starts the scoring by the layer that is chosen.
    failed
        Shows why it failed.
    """

    def __init__(self, viewer: Viewer, judge: Callable[[Image], None], failed: Callable[[str], None]) -> None:
        super().__init__()
        self._theme = viewer.theme
        self.recording = LayerCombo(viewer, Image, nothing="choose a layer")
        self.recording.setToolTip(
            "Another recording of the same scene with noise of its own: a repeated scan, or the half of a "
            "tomogram from the other tilts. The denoised layer must not have been made of it"
        )
        self.judge = button(
            "Judge",
            "Say how near the second layer is to the truth that nobody knows, in decibels, and at which "
            "frequencies it goes along with the other recording; takes seconds",
            lambda: judge(self.recording.layer()),
        )
        self.at_work = AtWork(self.show_score, failed)
        self.text = message_label()
        self.text.setToolTip("The first layer is the recording, the second the result that is judged")
        self.curve = Plot()
        self.curve.addLegend(offset=(-5, 2), labelTextSize="8pt")
        self.curve.setFixedHeight(190)
        self.curve.getAxis("bottom").enableAutoSIPrefix(False)
        self.curve.setYRange(-0.1, 1.05)
        self.curve.setToolTip(
            "Correlation with the other recording, ring by ring of the spectrum: 1 where all is image, "
            "0 where all is noise. The dotted lines are those at which a resolution is read"
        )
        self._raw, self._made = (
            self.curve.plot(name=name, pen=pg.mkPen(colour, width=1))
            for name, colour in zip(("recording", "result"), colours.PROFILES, strict=False)
        )
        for threshold in THRESHOLDS:
            pen = pg.mkPen(colours.PROFILES[2], style=Qt.PenStyle.DotLine)
            self.curve.addItem(pg.InfiniteLine(threshold, angle=0, pen=pen))
        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Recorded again", self.recording)
        for widget in (self.judge, self.at_work, self.text, self.curve):
            form.addRow(widget)
        self.forget()

    def forget(self) -> None:
        """Other layers are chosen: what was found is not of them."""
        self.text.hide()
        self.curve.hide()

    def show_score(self, score: Score) -> None:
        """Show what was found."""
        self.text.setText("\n".join(f"• {sentence}" for sentence in score.sentences))
        self.text.show()
        rings = score.rings
        self._raw.setData(rings.frequency, rings.raw)
        self._made.setData(rings.frequency, rings.denoised)
        self.curve.setXRange(0, rings.frequency[-1], padding=0.02)
        unit = "pixel" if rings.unit == "pixel" else rings.unit
        self.curve.setLabel("bottom", f"cycles per {unit}", **{"font-size": "8pt"})
        dress(self.curve, self._theme)  # the label as well
        self.curve.show()

    def refresh(self, comparable: bool, theme: str) -> None:
        """Show whether there is something to judge."""
        self.judge.setEnabled(comparable and self.recording.layer() is not None)
        self._theme = theme
        dress(self.curve, theme)
