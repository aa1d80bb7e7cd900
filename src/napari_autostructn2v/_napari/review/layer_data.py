"""What the layers of the review show: spectrum, peaks, lags, kernel and its grid."""

from __future__ import annotations

from collections.abc import Sequence
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
    PERIODS,
    SPECTRUM,
)
from napari_autostructn2v._napari.canvas.placement import DERIVED_LAYER, Arrange
from napari_autostructn2v._napari.canvas.voxel_sizes import LayerData
from napari_autostructn2v._napari.review import peak_marks

GRID_WIDTH = 0.2

BESIDE = 0.06
"""Distance of a text from the edge of its picture, as a share of its side."""

TICKS = (-0.5, -0.25, 0.25, 0.5)
"""Cycles per pixel whose periods are told beside a spectrum."""

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


def grid_lines(shape: tuple[int, ...], *, pixels: bool = True) -> np.ndarray:
    """Lines around every pixel of :func:`side_by_side`, so that each is seen as a square of its own.

    Parameters
    ----------
    shape
        Of the kernel's grid.
    pixels
        Around every pixel; else around each slice alone.

    Returns
    -------
    numpy.ndarray
        (n, 2, 2): start and direction of each line, in pixels.
    """
    rows, columns = shape[-2:]
    down, across = (1, 1) if pixels else (rows, columns)
    lines = []
    for left in (0, columns + 1, 2 * columns + 2) if len(shape) == 3 else (0,):
        lines += [((y - 0.5, left - 0.5), (0, columns)) for y in range(0, rows + 1, down)]
        lines += [((-0.5, left + x - 0.5), (rows, 0)) for x in range(0, columns + 1, across)]
    return np.array(lines, dtype=float)


def slice_names(shape: tuple[int, ...]) -> LayerData:
    """Names of the blocks of :func:`side_by_side`, in their middle, below them."""
    rows, columns = shape[-2:]
    below = rows - 0.5 + BESIDE * rows
    places = [(below, block * (columns + 1) + (columns - 1) / 2) for block in range(3)]
    return texts(places, ["z-1", "z", "z+1"], KERNEL_SLICES)


def periods(shape: tuple[int, int], edges_nm: np.ndarray | None) -> LayerData:
    """What the axes of a spectrum are, below it and on its left: the periods at some frequencies.

    Parameters
    ----------
    shape
        Of the spectrum, (T, T).
    edges_nm
        Height and width of a pixel of the image, for periods in nanometres; None for periods in pixels.
    """
    edges, unit = (np.ones(2), "px") if edges_nm is None else (edges_nm, "nm")
    rows, columns = shape
    below, left = rows - 0.5 + BESIDE * rows, -0.5 - 2 * BESIDE * columns
    places: list[tuple[float, float]] = [(below, columns // 2)]
    said = [f"period, {unit}"]
    for cycles in TICKS[:-1]:  # in the lower corner stands the other axis
        places.append((rows // 2 + cycles * rows, left))
        said.append(f"{edges[0] / abs(cycles):.3g}")
    for cycles in (TICKS[0], TICKS[-1]):  # what the axes are stands between
        places.append((below, columns // 2 + cycles * columns))
        said.append(f"{edges[1] / abs(cycles):.3g}")
    return texts(places, said, PERIODS)


def texts(places: Sequence[tuple[float, float]], said: Sequence[str], name: str) -> LayerData:
    """Texts centred at some places, in pixels of what they belong to: a layer of points that are not seen."""
    text = {"string": list(said), "color": colours.PICTURE_TEXT, "size": 9, "anchor": "center"}
    hidden = {"size": 0.01, "face_color": colours.TRANSPARENT, "border_color": colours.TRANSPARENT}
    return np.array(places, dtype=float), {"name": name, "text": text, **hidden}, "points"


def mark_lines(marks: np.ndarray, **meta: Any) -> LayerData:
    """Outlines of the marked peaks, (T, T)."""
    drawn, each_colour = peak_marks.lines(marks)
    width = peak_marks.LINE_WIDTH
    meta |= {"name": PEAK_OUTLINES, "edge_width": width, "edge_color": each_colour, "vector_style": "line"}
    return drawn, {"opacity": 1.0, **meta}, "vectors"


def layer_data(
    spectrum: np.ndarray,
    peaks: np.ndarray,
    autocorrelation: np.ndarray,
    kernel: np.ndarray,
    arrange: Arrange,
    edges_nm: np.ndarray | None,
) -> dict[str, LayerData]:
    """What an analysis found, as layer data; the kernel on the grid of the autocorrelation."""
    lags = side_by_side(autocorrelation, np.nan)
    left, right = (
        {"metadata": dict(DERIVED_LAYER), **place} for place in arrange([spectrum.shape, lags.shape])
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
    words = {PERIODS: (periods(spectrum.shape, edges_nm), left)}
    if kernel.ndim == 3:
        words[KERNEL_SLICES] = slice_names(kernel.shape), right
    for key, ((points, meta, kind), place) in words.items():
        data[key] = points, {**meta, **place}, kind
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
