"""What the layers of the review show: spectrum, peaks, lags, kernel and its grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.canvas.layer_names import (
    KERNEL,
    KERNEL_GRID,
    KERNEL_SLICES,
    LAGS,
    PEAK_OUTLINES,
    PEAKS,
    SPECTRUM,
)
from napari_autostructn2v._napari.canvas.placement import DERIVED_LAYER, Placement
from napari_autostructn2v._napari.canvas.voxel_sizes import LayerData
from napari_autostructn2v._napari.review import peak_marks

GRID_WIDTH = 0.2

LEAST_REACH = 0.1
"""Correlation shown in full colour, at least: chance, mostly below 0.02, shall not look like structure."""


def side_by_side(slices: np.ndarray, gap: float) -> np.ndarray:
    """Slices z-1, z and z+1 in a row with a column of ``gap`` between: (3, L, L) to (L, 3 L + 2).

    Turning the whole picture by 180° mirrors each pixel through the centre in z, y and x, so that the
    mirrored editor needs no other rule here. (L, L) stays as it is.
    """
    if slices.ndim == 2:
        return slices
    column = np.full((slices.shape[1], 1), gap, dtype=slices.dtype)
    return np.hstack([slices[0], column, slices[1], column, slices[2]])


def from_side_by_side(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo :func:`side_by_side` for an array that had ``shape``."""
    if len(shape) == 2:
        return picture
    step = shape[2] + 1
    return np.stack([picture[:, start : start + shape[2]] for start in (0, step, 2 * step)])


def grid_lines(shape: tuple[int, ...]) -> np.ndarray:
    """Lines around every pixel of :func:`side_by_side`, so that each is seen as a square of its own.

    Returns
    -------
    numpy.ndarray
        (n, 2, 2): start and direction of each line, in pixels.
    """
    rows, columns = shape[-2:]
    lines = []
    for left in (0, columns + 1, 2 * columns + 2) if len(shape) == 3 else (0,):
        lines += [((y - 0.5, left - 0.5), (0, columns)) for y in range(rows + 1)]
        lines += [((-0.5, left + x - 0.5), (rows, 0)) for x in range(columns + 1)]
    return np.array(lines, dtype=float)


def slice_names(shape: tuple[int, ...]) -> LayerData:
    """Names of the blocks of :func:`side_by_side`, below them: a layer of texts without points.

    Those of the neighbours stand near the middle block, to be seen also when that alone fills the canvas.
    """
    rows, columns = shape[-2:]
    step, aside = columns + 1, columns // 5
    places = [(rows, columns - 1 - aside), (rows, step + columns // 2), (rows, 2 * step + aside)]
    text = {
        "string": ["z-1", "z", "z+1"],
        "color": colours.KERNEL_SLICE_NAMES,
        "size": 11,
        "anchor": "lower_left",
    }
    hidden = {"size": 0.01, "face_color": colours.TRANSPARENT, "border_color": colours.TRANSPARENT}
    return np.array(places, dtype=float), {"name": KERNEL_SLICES, "text": text, **hidden}, "points"


def mark_lines(marks: np.ndarray, **meta: Any) -> LayerData:
    """Outlines of the marked peaks, (T, T)."""
    drawn, each_colour = peak_marks.lines(marks)
    width = peak_marks.LINE_WIDTH
    meta |= {"name": PEAK_OUTLINES, "edge_width": width, "edge_color": each_colour, "vector_style": "line"}
    return drawn, {"opacity": 1.0, **meta}, "vectors"


def left_of_kernel(autocorrelation: np.ndarray) -> float:
    """Share of the width that the spectrum has: three slices of a kernel side by side need more room."""
    return 1 / 3 if autocorrelation.ndim == 3 else 1 / 2


def layer_data(
    spectrum: np.ndarray,
    peaks: np.ndarray,
    autocorrelation: np.ndarray,
    kernel: np.ndarray,
    placement: Placement,
) -> dict[str, LayerData]:
    """What an analysis found, as layer data; the kernel on the grid of the autocorrelation."""
    lags = side_by_side(autocorrelation, np.nan)
    middle = left_of_kernel(autocorrelation)
    left, right = (
        {"metadata": dict(DERIVED_LAYER), **place}
        for place in (
            placement.inside(spectrum.shape, (0.0, middle)),
            placement.inside(lags.shape, (middle, 1.0)),
        )
    )

    def image(data: np.ndarray, **meta: Any) -> LayerData:
        return data, meta, "image"

    def labels(mask: np.ndarray, colormap: DirectLabelColormap, **meta: Any) -> LayerData:
        return mask.astype(np.uint8), {"colormap": colormap, "opacity": 1.0, **meta}, "labels"

    lines = {"edge_width": GRID_WIDTH, "edge_color": colours.KERNEL_GRID, "vector_style": "line"}
    grid = {"name": KERNEL_GRID, "opacity": 1.0, **lines, **right}
    data = {
        SPECTRUM: image(
            spectrum, name=SPECTRUM, colormap=colours.SPECTRUM, contrast_limits=_span(spectrum), **left
        ),
        PEAKS: labels(peaks, colours.of_peaks(), name=PEAKS, **left),
        PEAK_OUTLINES: mark_lines(peaks, **left),
        LAGS: image(lags, name=LAGS, colormap=colours.CORRELATION, contrast_limits=_reach(lags), **right),
        KERNEL: labels(side_by_side(kernel, False), colours.of_kernel(), name=KERNEL, **right),
        KERNEL_GRID: (grid_lines(kernel.shape), grid, "vectors"),
    }
    if kernel.ndim == 3:
        points, meta, kind = slice_names(kernel.shape)
        data[KERNEL_SLICES] = points, {**meta, **right}, kind
    return data


def _span(spectrum: np.ndarray) -> tuple[float, float]:
    """Contrast limits that a few extreme bins do not set."""
    low, high = np.percentile(spectrum, [1, 99])
    return float(low), float(high)


def _reach(lags: np.ndarray) -> tuple[float, float]:
    """Symmetric contrast limits that lag 0, which is always 1, does not set."""
    others = np.where(_centre(lags.shape), 0, np.nan_to_num(lags))
    reach = max(float(np.abs(others).max()) / 2, LEAST_REACH)
    return -reach, reach


def _centre(shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(n // 2 for n in shape)] = True
    return mask


def _fixed(grid: tuple[int, ...]) -> np.ndarray:
    """Pixels of the kernel's picture that nobody may change: the centre, and the gaps between slices."""
    return side_by_side(_centre(grid), True)
