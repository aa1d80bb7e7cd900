"""Spectrum, peaks, autocorrelation and kernel as layers below the image, to be reviewed and edited."""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer
from napari.utils.colormaps import Colormap, DirectLabelColormap

from napari_autostructn2v._napari.canvas.placement import NOT_A_SOURCE, Placement
from napari_autostructn2v._napari.review import peak_marks
from napari_autostructn2v._napari.review.mirror import Mirror
from napari_autostructn2v._napari.review.spectrum_status import FrequencyText
from napari_autostructn2v.noise.review import Mark, Review

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_autostructn2v._napari.review.spectrum_choice import SpectrumChoice
    from napari_autostructn2v._napari.session.session import Session

LayerData = tuple[Any, dict[str, Any], str]

SPECTRUM, PEAKS, LAGS, KERNEL, GRID = "spectrum", "peaks", "autocorrelation", "kernel", "kernel grid"
OUTLINES, SLICES = "peak outlines", "kernel slices"

# Blue against orange is told apart by every kind of colour vision; no correlation is black.
SIGNED = Colormap([[0.25, 0.65, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0], [1.0, 0.6, 0.15, 1.0]], name="correlation")
PLAIN = Colormap([[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]], name="plain")
KERNEL_COLOUR = (1.0, 1.0, 1.0, 0.85)
GRID_COLOUR = "#50505c"
GRID_WIDTH = 0.2
SLICE_COLOUR = "#c46a00"
"""Seen on the dark and on the light canvas."""


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
        "color": SLICE_COLOUR,
        "size": 11,
        "anchor": "lower_left",
    }
    points = {"size": 0.01, "face_color": "transparent", "border_color": "transparent", "text": text}
    return np.array(places, dtype=float), {"name": SLICES, **points}, "points"


def mark_lines(marks: np.ndarray, **meta: Any) -> LayerData:
    """Outlines of the marked peaks, (T, T)."""
    drawn, colours = peak_marks.lines(marks)
    width = peak_marks.LINE_WIDTH
    meta |= {"name": OUTLINES, "edge_width": width, "edge_color": colours, "vector_style": "line"}
    return drawn, {"opacity": 1.0, **meta}, "vectors"


def layer_data(
    spectrum: np.ndarray,
    peaks: np.ndarray,
    autocorrelation: np.ndarray,
    kernel: np.ndarray,
    placement: Placement,
) -> dict[str, LayerData]:
    """What an analysis found, as layer data below an image; the kernel on the grid of the autocorrelation."""
    lags = side_by_side(autocorrelation, np.nan)
    span = 2 if autocorrelation.ndim == 3 else 1  # three slices side by side need the room
    left, right = (
        {"metadata": dict(NOT_A_SOURCE), **place}
        for place in (placement.below(0, spectrum.shape), placement.below(1, lags.shape, span))
    )

    def image(data: np.ndarray, **meta: Any) -> LayerData:
        return data, meta, "image"

    def labels(mask: np.ndarray, colours: DirectLabelColormap, **meta: Any) -> LayerData:
        return mask.astype(np.uint8), {"colormap": colours, "opacity": 1.0, **meta}, "labels"

    # whatever label the brush is set to, it means "yes"
    hidden = DirectLabelColormap(color_dict={None: KERNEL_COLOUR, 0: (0, 0, 0, 0)})
    lines = {"edge_width": GRID_WIDTH, "edge_color": GRID_COLOUR, "vector_style": "line", "opacity": 1.0}
    data = {
        SPECTRUM: image(spectrum, name=SPECTRUM, colormap="inferno", contrast_limits=_span(spectrum), **left),
        PEAKS: labels(peaks, peak_marks.colormap(), name=PEAKS, **left),
        OUTLINES: mark_lines(peaks, **left),
        LAGS: image(lags, name=LAGS, colormap=SIGNED, contrast_limits=_reach(lags), **right),
        KERNEL: labels(side_by_side(kernel, False), hidden, name=KERNEL, **right),
        GRID: (grid_lines(kernel.shape), {"name": GRID, **lines, **right}, "vectors"),
    }
    if kernel.ndim == 3:
        points, meta, kind = slice_names(kernel.shape)
        data[SLICES] = points, {**meta, **right}, kind
    return data


def _span(spectrum: np.ndarray) -> tuple[float, float]:
    """Contrast limits that a few extreme bins do not set."""
    low, high = np.percentile(spectrum, [1, 99])
    return float(low), float(high)


def _reach(lags: np.ndarray) -> tuple[float, float]:
    """Symmetric contrast limits that lag 0, which is always 1, does not set."""
    others = np.where(_centre(lags.shape), 0, np.nan_to_num(lags))
    reach = max(float(np.abs(others).max()) / 2, 0.02)
    return -reach, reach


class ReviewLayers:
    """Views of a session's review. Strokes on them become its edits; it tells them what to show."""

    def __init__(
        self,
        viewer: Viewer,
        session: Session,
        placement: Callable[[], Placement | None],
        spectrum: SpectrumChoice,
    ) -> None:
        self._viewer = viewer
        self._session = session
        self._placement = placement
        self._spectrum = spectrum
        self.layers: dict[str, Layer] = {}
        self._mirrors: dict[str, Mirror] = {}
        self._mirrored = True
        self._shown: Any = None
        session.reviewed.connect(self.show)
        spectrum.changed.connect(self.show)
        viewer.mouse_drag_callbacks.append(self._activate_pressed)

    def close(self) -> None:
        """Let go of the viewer; the layers stay as any others."""
        if self._activate_pressed in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._activate_pressed)
        self._release()

    def show(self) -> None:
        """Make the layers show the session's review; without one there are none."""
        review, placement = self._session.review, self._placement()
        if review is None or placement is None:
            self._remove()
            return
        # layers of another image or another grid are of no use here
        grid = (placement, review.automatic.spectrum.shape, review.automatic.autocorrelation.shape)
        if grid != self._shown or any(layer not in self._viewer.layers for layer in self.layers.values()):
            active = self._viewer.layers.selection.active
            key = next((key for key, layer in self.layers.items() if layer is active), "")
            self._remove()
            self._add(review, placement)
            self._shown = grid
            if key:  # the person goes on with what takes its place
                self._viewer.layers.selection.active = self.layers.get(key)
        self._update(review)

    def _add(self, review: Review, placement: Placement) -> None:
        active = self._viewer.layers.selection.active
        self._grid = review.kernel_grid.shape
        found = layer_data(
            review.automatic.spectrum,
            review.peak_marks,
            self._autocorrelation(review),
            review.kernel_grid,
            placement,
        )
        self.layers = {key: self._viewer.add_layer(Layer.create(*data)) for key, data in found.items()}
        self._mirrors = {
            PEAKS: Mirror(
                self.labels(PEAKS), _centre(review.peaks.shape), self._on_peaks, self._meant_by_painting
            ),
            KERNEL: Mirror(self.labels(KERNEL), _fixed(self._grid), self._on_kernel),
        }
        self._mirrors[KERNEL].on = self._mirrored
        for key in (PEAKS, KERNEL):
            self.labels(key).brush_size = 1
        self.labels(PEAKS).selected_label = Mark.ADDED
        self.labels(PEAKS).events.selected_label.connect(self._never_paint_erased)
        frequency = FrequencyText(self.layers[SPECTRUM], placement)
        lag = partial(_lag, self.layers[LAGS])
        for key, text in ((SPECTRUM, frequency), (PEAKS, frequency), (LAGS, lag), (KERNEL, lag)):
            _explain(self.layers[key], text, placement, self._grid)
        self._viewer.layers.selection.active = active

    def _update(self, review: Review) -> None:
        lags: Any = self.layers[LAGS]
        picture = side_by_side(self._autocorrelation(review), np.nan)
        if not np.array_equal(lags.data, picture, equal_nan=True):
            lags.data[...] = picture
            lags.contrast_limits = _reach(picture)
            lags.refresh(highlight=False, extent=False)
        spectrum: Any = self.layers[SPECTRUM]
        shown = self._spectrum.picture(review)
        if spectrum.data is not shown:
            spectrum.data = shown
            spectrum.contrast_limits = _span(shown)
        self._mirrors[PEAKS].write(review.peak_marks)
        outlines: Any = self.layers[OUTLINES]
        drawn, colours = peak_marks.lines(review.peak_marks)
        if not (np.array_equal(outlines.data, drawn) and np.array_equal(outlines.edge_color, colours)):
            # they stay within the spectrum, so that the viewer's extent need not be found again, and a
            # thumbnail of them takes longer than all the rest
            told = outlines.events
            with told.data.blocker(), told.edge_color.blocker():
                outlines.data = drawn
                outlines.edge_color = colours
            outlines.refresh(thumbnail=False, highlight=False, extent=False)
        self._mirrors[KERNEL].write(side_by_side(review.kernel_grid, False).astype(np.uint8))

    @staticmethod
    def _autocorrelation(review: Review) -> np.ndarray:
        return review.from_peaks.autocorrelation

    def labels(self, key: str) -> Labels:
        """The editable layer ``peaks`` or ``kernel``."""
        return self.layers[key]

    def draw_kernel(self, grid: np.ndarray) -> None:
        """Make the kernel ``grid``, bool (L, L) or (3, L, L), as one stroke that Ctrl+Z takes back."""
        self._stroke(KERNEL, side_by_side(grid, False))

    def reset_peaks(self) -> None:
        """Make the peaks those that were found, as one stroke that Ctrl+Z takes back."""
        if self._session.review is not None:
            self._stroke(PEAKS, Review(self._session.review.automatic).peak_marks)
            self._session.reset_peak_edits()  # those that no layer shows

    def reset_kernel(self) -> None:
        """Make the kernel the one that follows from the peaks, as one stroke that Ctrl+Z takes back."""
        if self._session.review is not None:
            self.draw_kernel(self._session.review.grid_from_peaks)
            self._session.reset_kernel_edits()  # those that no layer shows

    def _stroke(self, key: str, wanted: np.ndarray) -> None:
        self.show()  # its layer may have been deleted
        layer = self.labels(key)
        index = np.nonzero(np.asarray(layer.data) != wanted)
        if index[0].size:
            with self._mirrors[key].exact():
                layer.data_setitem(index, wanted[index].astype(layer.data.dtype))
        self._viewer.layers.selection.active = layer  # which Ctrl+Z goes to

    @property
    def mirrored(self) -> bool:
        """Whether strokes on the kernel are mirrored through its centre; those on the peaks always are."""
        return self._mirrored

    @mirrored.setter
    def mirrored(self, on: bool) -> None:
        self._mirrored = on
        if KERNEL in self._mirrors:
            self._mirrors[KERNEL].on = on

    @property
    def heat(self) -> bool:
        """Whether the autocorrelation is seen below the kernel.

        If not, the ground is dark, not bare: on the light theme's canvas a white kernel would be lost.
        """
        lags: Any = self.layers.get(LAGS)
        return lags is not None and lags.visible and lags.colormap.name != PLAIN.name

    @heat.setter
    def heat(self, shown: bool) -> None:
        lags: Any = self.layers.get(LAGS)
        if lags is not None:
            lags.colormap = SIGNED if shown else PLAIN
            lags.visible = True

    def _remove(self) -> None:
        self._release()
        for layer in self.layers.values():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self.layers, self._shown = {}, None

    def _release(self) -> None:
        for mirror in self._mirrors.values():
            mirror.disconnect()
        self._mirrors = {}

    def _on_peaks(self) -> None:
        self._session.mark_peaks(np.array(self.labels(PEAKS).data))

    def _meant_by_painting(self, data: np.ndarray) -> np.ndarray:
        review = self._session.review
        return data if review is None else peak_marks.painted(data, review.automatic.peaks)

    def _never_paint_erased(self, event: Any) -> None:
        # whatever label the brush is set to means "add", but napari skips bins that have that label already
        if event.source.selected_label == Mark.ERASED:
            event.source.selected_label = Mark.ADDED

    def _on_kernel(self) -> None:
        picture = np.asarray(self.labels(KERNEL).data) > 0
        self._session.edit_kernel(from_side_by_side(picture, self._grid))

    def _activate_pressed(self, viewer: Viewer, event: Any) -> None:
        """Let a press on the peaks or the kernel paint there, whichever of the two is active."""
        editable = [self.layers[key] for key in (KERNEL, PEAKS) if key in self.layers]
        active = viewer.layers.selection.active
        if viewer.dims.ndisplay != 2 or active not in editable:
            return
        for layer in editable:
            position = np.asarray(layer.world_to_data(event.position))[-2:]
            if (
                layer.visible
                and (position >= -0.5).all()
                and (position <= np.array(layer.data.shape) - 0.5).all()
            ):
                if layer is not active:
                    layer.mode = active.mode
                    viewer.layers.selection.active = layer
                return


def _centre(shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(n // 2 for n in shape)] = True
    return mask


def _fixed(grid: tuple[int, ...]) -> np.ndarray:
    """Pixels of the kernel's picture that nobody may change: the centre, and the gaps between slices."""
    return side_by_side(_centre(grid), True)


def _explain(layer: Layer, text: Callable[..., str], placement: Placement, grid: tuple[int, ...]) -> None:
    """Say in the status bar what is under the cursor, in the units of the image."""
    original = layer.get_status

    def get_status(self: Layer, position: Any = None, **kwargs: Any) -> dict[str, Any]:
        # napari calls this in another thread: nothing but numbers is read here
        status: dict[str, Any] = original(position, **kwargs)
        if position is not None:
            index = np.round(np.asarray(self.world_to_data(position))[-2:]).astype(int)
            if (index >= 0).all() and (index < np.array(self.data.shape)).all():
                status["coordinates"] += "  " + text(index, self.data.shape, placement, grid)
        return status

    layer.get_status = types.MethodType(get_status, layer)


def _lag(
    lags: Layer, index: np.ndarray, shape: tuple[int, ...], placement: Placement, grid: tuple[int, ...]
) -> str:
    width = grid[-1]
    block, column = divmod(int(index[1]), width + 1) if len(grid) == 3 else (1, int(index[1]))
    if column == width:
        return "between two slices"
    dy, dx = int(index[0]) - grid[-2] // 2, column - width // 2
    depth = f"slice z{block - 1:+d}, " if len(grid) == 3 and block != 1 else ""
    return f"neighbour at {depth}dy {dy:+d}, dx {dx:+d} px: correlation {lags.data[tuple(index)]:+.3f}"
