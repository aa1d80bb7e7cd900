"""A small picture of what was found: the noise as recorded, and over it what its pixels share."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QLineF, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QLabel

from napari_autostructn2v._napari import colours
from napari_autostructn2v.noise.analysis import NoiseAnalysis

SIDE = 48
"""Of the picture, in pixels of the screen."""

AROUND, SMALLEST = 6, 21
"""Pixels of noise that are seen around a kernel, and pixels of the whole picture at least."""

CLOSEST_LINES = 6.0
"""Screen pixels between the stripes of a pattern, at least."""

OPACITY = 0.75


class Pictogram(QLabel):
    """The kernel, or the stripes of a pattern, over a piece of the measured background."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(SIDE, SIDE)

    def show_analysis(self, analysis: NoiseAnalysis, tile: np.ndarray) -> None:
        """Draw the kernel or the pattern of an analysis over a ``tile`` of background, (T, T)."""
        side = min(max(*analysis.kernel.shape[-2:], SMALLEST - AROUND) + AROUND, len(tile))
        start = (len(tile) - side) // 2
        noise = tile[start : start + side, start : start + side]
        sharpness = self.devicePixelRatioF()
        picture = QPixmap(round(SIDE * sharpness), round(SIDE * sharpness))
        picture.setDevicePixelRatio(sharpness)
        painter = QPainter(picture)
        painter.drawImage(QRectF(0, 0, SIDE, SIDE), _grey(noise))
        painter.setOpacity(OPACITY)
        pixel = SIDE / len(noise)
        if analysis.kernel.sum() > 1:
            _draw_kernel(painter, _middle(analysis.kernel), pixel)
        elif analysis.notch:
            _draw_stripes(painter, analysis, pixel)
        painter.end()
        self.setPixmap(picture)


def _middle(kernel: np.ndarray) -> np.ndarray:
    """A kernel in its own slice."""
    return kernel if kernel.ndim == 2 else kernel[1]


def _grey(noise: np.ndarray) -> QImage:
    low, high = np.percentile(noise, (1, 99))
    values = np.clip((noise - low) / max(float(high - low), 1e-12), 0, 1)
    pixels = np.ascontiguousarray(255 * values, dtype=np.uint8)
    height, width = pixels.shape
    return QImage(pixels.tobytes(), width, height, width, QImage.Format.Format_Grayscale8).copy()


def _draw_kernel(painter: QPainter, kernel: np.ndarray, pixel: float) -> None:
    middle = np.array(kernel.shape) // 2
    for y, x in (np.argwhere(kernel) - middle) * pixel:
        corner = QPointF(SIDE / 2 + x - pixel / 2, SIDE / 2 + y - pixel / 2)
        painter.fillRect(QRectF(corner.x(), corner.y(), pixel, pixel), QColor(colours.PICTOGRAM_KERNEL))


def _draw_stripes(painter: QPainter, analysis: NoiseAnalysis, pixel: float) -> None:
    """Lines along the stripes of the strongest part of a notch, as far apart as they repeat."""
    verdict, notch = analysis.verdict, analysis.notch
    period = CLOSEST_LINES * 2
    if verdict.direction_deg is not None and verdict.period_px is not None:
        repeats = verdict.direction_deg
        period = max(verdict.period_px * pixel, CLOSEST_LINES)
    else:  # along the rows or the columns
        repeats = 90.0 if (notch.offsets or notch.curtains)[0].axis == 0 else 0.0
    turn = np.radians(repeats)
    step = np.array([np.cos(turn), -np.sin(turn)])  # rows run downwards
    along = np.array([-step[1], step[0]]) * SIDE
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(colours.PICTOGRAM_KERNEL), 1.5, Qt.PenStyle.SolidLine))
    for number in range(-SIDE, SIDE + 1):
        place = SIDE / 2 + number * period * step
        if np.abs(place - SIDE / 2).max() <= SIDE:
            painter.drawLine(QLineF(*(place - along), *(place + along)))
