"""Plots to look at, and one of them: the loss curves of a training, live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from napari.utils.theme import get_theme
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.widgets.bindings import Bindings

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_autostructn2v._napari.session.progress import Losses

SMOOTHING = 0.1
"""Weight of a new step in the running mean: single steps scatter too much to read."""


class Plot(pg.PlotWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """A plot to look at: no menu, no buttons, nothing to drag."""

    def __init__(self) -> None:
        super().__init__()
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.hideButtons()
        # pyqtgraph's menu is a window of its own that would outlive the dock
        self.destroyed.connect(self.getPlotItem().ctrlMenu.deleteLater)


class LossPlot(QWidget):
    """Training loss as a running mean, validation loss as it is."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.plot = Plot()
        self.plot.setLabel("bottom", "step", **{"font-size": "8pt"})
        self.plot.addLegend(offset=(-5, 2), labelTextSize="8pt")
        self._training = self.plot.plot(name="training")
        self._validation = self.plot.plot(
            name="validation", pen=pg.mkPen(colours.VALIDATION_LOSS, width=1), symbol="o", symbolSize=4,
            symbolBrush=colours.VALIDATION_LOSS, symbolPen=None,
        )  # fmt: skip
        self._best = self.plot.plot(
            name="kept", pen=None, symbol="star", symbolSize=12, symbolBrush=colours.VALIDATION_LOSS,
        )  # fmt: skip
        self.setToolTip(
            "Mean squared error on hidden pixels. The validation uses the same held-out pixels each time, "
            "so its points can be compared; noise keeps both well above 0. The star marks the network "
            "that is kept: the latest that is not clearly worse than another."
        )
        self.setFixedHeight(160)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        Bindings(self).connect(viewer.events.theme, self._take_theme)
        self._take_theme()

    def show_losses(self, losses: Losses) -> None:
        """Draw the curves as they are now."""
        steps, smooth = running_mean(losses.training)
        self._training.setData(steps, smooth)
        points = np.array(losses.validation, dtype=float).reshape(-1, 2)
        self._validation.setData(points[:, 0], points[:, 1])
        best = np.array([losses.best] if losses.best else [], dtype=float).reshape(-1, 2)
        self._best.setData(best[:, 0], best[:, 1])

    def _take_theme(self, event: Any = None) -> None:
        text = dress(self.plot, self._viewer.theme)
        self._training.setPen(pg.mkPen(text, width=1))
        self._best.setSymbolPen(pg.mkPen(text, width=1))


def dress(plot: pg.PlotWidget, theme_name: str) -> tuple[int, ...]:
    """Give a plot the colours of a theme; return that of its text."""
    theme = get_theme(theme_name)
    text: tuple[int, ...] = theme.text.as_rgb_tuple()
    plot.setBackground(theme.background.as_rgb_tuple())
    for side in ("left", "bottom"):
        plot.getAxis(side).setPen(theme.highlight.as_rgb_tuple())
        plot.getAxis(side).setTextPen(text)
    legend = plot.getPlotItem().legend
    if legend is not None:
        legend.setLabelTextColor(text)
        for _, label in legend.items:
            label.setText(label.text, color=text)
    return text


def running_mean(points: Sequence[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Steps and exponentially smoothed losses."""
    smooth: list[float] = []
    for index, (_, loss) in enumerate(points):
        weight = max(SMOOTHING, 1 / (index + 1))
        smooth.append(loss if index == 0 else smooth[-1] + weight * (loss - smooth[-1]))
    return np.array([step for step, _ in points], dtype=float), np.array(smooth)
