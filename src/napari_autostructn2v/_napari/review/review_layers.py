"""Spectrum, peaks, autocorrelation and kernel as layers, to be reviewed and edited."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.canvas.layer_names import (
    KERNEL,
    KERNEL_GRID,
    LAGS,
    PEAK_OUTLINES,
    PEAKS,
    SPECTRUM,
)
from napari_autostructn2v._napari.canvas.placement import Arrange, Placement
from napari_autostructn2v._napari.napari_private import add_to_status, forget_history
from napari_autostructn2v._napari.review import peak_marks
from napari_autostructn2v._napari.review.layer_data import (
    _centre,
    _fixed,
    _reach,
    _span,
    from_side_by_side,
    grid_lines,
    layer_data,
    side_by_side,
)
from napari_autostructn2v._napari.review.mirror import Mirror
from napari_autostructn2v._napari.review.spectrum_status import FrequencyText, edges_in_nm
from napari_autostructn2v.noise.review import Mark, Review

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_autostructn2v._napari.canvas.voxel_sizes import LayerData
    from napari_autostructn2v._napari.review.spectrum_choice import SpectrumChoice
    from napari_autostructn2v._napari.session.session import Session

SMALLEST_CELL = 8.0
"""Pixels of the screen between the lines of the kernel's grid: nearer ones are not drawn alike."""


class ReviewLayers:
    """Views of a session's review. Strokes on them become its edits; it tells them what to show.

    There are none before :meth:`ensure`, as many never look at them; from then on they follow the session.
    Layers that a person deletes do not come back by themselves either.

    Parameters
    ----------
    viewer
        Gives the viewer whose layers they are.
    session
        Whose review.
    placement
        The image that the review is of; its pixels give periods a length.
    spectrum
        Which spectrum is shown under the peaks.
    arrange
        Where pictures of such shapes go.
    """

    def __init__(
        self,
        viewer: Callable[[], ViewerModel],
        session: Session,
        placement: Callable[[], Placement | None],
        spectrum: SpectrumChoice,
        arrange: Arrange,
    ) -> None:
        self._viewer_now = viewer
        self._session = session
        self._placement = placement
        self._spectrum = spectrum
        self._arrange = arrange
        self.layers: dict[str, Layer] = {}
        self._texts: dict[str, Callable[[Any], str]] = {}
        """What is told of a position in the world, for each layer that has something to tell."""
        self._mirrors: dict[str, Mirror] = {}
        self._mirrored = True
        self._shown: Any = None
        session.reviewed.connect(self._show)
        spectrum.changed.connect(self._show)

    def close(self) -> None:
        """Follow the session no more; the layers stay as any others."""
        self._session.reviewed.disconnect(self._show)
        self._spectrum.changed.disconnect(self._show)
        self._release()

    @property
    def _viewer(self) -> ViewerModel:
        return self._viewer_now()

    def ensure(self) -> None:
        """Have layers for the session's review, if it has one."""
        review, placement = self._session.review, self._placement()
        if review is None or placement is None:
            return
        # layers of another image or another grid are of no use here
        grid = (placement, review.automatic.spectrum.shape, review.automatic.autocorrelation.shape)
        if grid != self._shown or not self.there:
            active = self._viewer.layers.selection.active
            key = next((key for key, layer in self.layers.items() if layer is active), "")
            self._release()
            self._add(review, placement)
            self._shown = grid
            if key:  # the person goes on with what takes its place
                self._viewer.layers.selection.active = self.layers.get(key)
        self._update(review)

    @property
    def there(self) -> bool:
        """Whether all the layers are there."""
        return bool(self.layers) and all(layer in self._viewer.layers for layer in self.layers.values())

    def _show(self) -> None:
        """Let the layers, if there are any, follow the review; without one they wait, hidden."""
        if self._session.review is not None and self._placement() is not None and self.there:
            self.ensure()
            return
        for layer in self.layers.values():
            layer.visible = False
        self._release()
        self._shown = None

    def _add(self, review: Review, placement: Placement) -> None:
        active = self._viewer.layers.selection.active
        self._grid = review.kernel_grid.shape
        found = layer_data(
            review.automatic.spectrum,
            review.peak_marks,
            self._autocorrelation(review),
            review.kernel_grid,
            self._arrange,
            edges_in_nm(placement),
        )
        before = self.layers
        self.layers = {key: self._layer(before.pop(key, None), data) for key, data in found.items()}
        for layer in before.values():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
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
            self._texts[key] = _text_of(self.layers[key], text, self._grid)
            add_to_status(self.layers[key], self._texts[key])
        self._viewer.layers.selection.active = active if active in self._viewer.layers else None

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
        outlines: Any = self.layers[PEAK_OUTLINES]
        drawn, each_colour = peak_marks.lines(review.peak_marks)
        if not (np.array_equal(outlines.data, drawn) and np.array_equal(outlines.edge_color, each_colour)):
            # they stay within the spectrum, so that the viewer's extent need not be found again, and a
            # thumbnail of them takes longer than all the rest
            told = outlines.events
            with told.data.blocker(), told.edge_color.blocker():
                outlines.data = drawn
                outlines.edge_color = each_colour
            outlines.refresh(thumbnail=False, highlight=False, extent=False)
        self._mirrors[KERNEL].write(side_by_side(review.kernel_grid, False).astype(np.uint8))

    @staticmethod
    def _autocorrelation(review: Review) -> np.ndarray:
        return review.from_peaks.autocorrelation

    def labels(self, key: str) -> Labels:
        """The editable layer ``peaks`` or ``kernel``, which is made if there is none yet."""
        if not self.there:
            self.ensure()
        return self.layers[key]

    @property
    def painted(self) -> list[Labels]:
        """The editable layers, while there are any; the one that a stroke would go to comes first."""
        active = self._viewer.layers.selection.active
        return sorted((self.layers[key] for key in self._mirrors), key=lambda layer: layer is not active)

    @property
    def marks(self) -> np.ndarray | None:
        """What each bin of the spectrum is, uint8 (T, T); None without a review."""
        review = self._session.review
        return None if review is None else review.peak_marks

    def show_grid(self, zoom: float) -> None:
        """Draw lines between the pixels of the kernel only where they are told apart, else around it alone.

        Parameters
        ----------
        zoom
            Pixels of the screen for a unit of the world.
        """
        if self._mirrors:
            grid: Any = self.layers[KERNEL_GRID]
            pixels = zoom * abs(float(grid.scale[-1])) >= SMALLEST_CELL
            lines = grid_lines(self._grid, pixels=pixels)
            if len(lines) != len(grid.data):
                grid.data = lines

    def undo(self) -> None:
        """Take back the last stroke on the layer that a stroke would go to."""
        for layer in self.painted[:1]:
            layer.undo()

    def redo(self) -> None:
        """Do again what was taken back."""
        for layer in self.painted[:1]:
            layer.redo()

    def text_at(self, position: Any) -> str:
        """What is under a position of the world, in words; nothing where no layer is."""
        texts = (text(position).strip() for text in self._texts.values())
        return next((text for text in texts if text), "")

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
        self.ensure()
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
        return lags is not None and lags.colormap.name != colours.NO_CORRELATION.name

    @heat.setter
    def heat(self, shown: bool) -> None:
        lags: Any = self.layers.get(LAGS)
        if lags is not None:
            lags.colormap = colours.CORRELATION if shown else colours.NO_CORRELATION

    def _layer(self, before: Layer | None, data: LayerData) -> Layer:
        """A layer on top of the others, the one before if it can be painted in.

        napari 0.9.2 crashes as it draws the circle of a brush whose layer was removed.
        """
        layers = self._viewer.layers
        array, meta, kind = data
        if before is None or before not in layers:
            return self._viewer.add_layer(Layer.create(array, meta, kind))
        if kind != "labels":
            layers.remove(before)
            return self._layer(None, data)
        before.data = array
        forget_history(before)
        for name in meta.keys() & {"scale", "translate", "units"}:
            setattr(before, name, meta[name])
        before.visible = True
        layers.move(layers.index(before), len(layers))
        return before

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

    def activate_pressed(self, viewer: ViewerModel, event: Any) -> None:
        """Let a press on the peaks or the kernel paint there, whichever of the two is active.

        For the ``mouse_drag_callbacks`` of the viewer.
        """
        editable = self.painted
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


def _text_of(layer: Layer, text: Callable[..., str], grid: tuple[int, ...]) -> Callable[[Any], str]:
    """What to say of a position in the world, from what is to be said of an index into the layer's data."""

    def of_place(position: Any) -> str:
        # another thread asks: nothing but numbers is read here
        index = np.round(np.asarray(layer.world_to_data(position))[-2:]).astype(int)
        if (index < 0).any() or (index >= np.array(layer.data.shape)).any():
            return ""
        return "  " + text(index, layer.data.shape, grid)

    return of_place


def _lag(lags: Layer, index: np.ndarray, shape: tuple[int, ...], grid: tuple[int, ...]) -> str:
    width = grid[-1]
    block, column = divmod(int(index[1]), width + 1) if len(grid) == 3 else (1, int(index[1]))
    if column == width:
        return "between two slices"
    dy, dx = int(index[0]) - grid[-2] // 2, column - width // 2
    depth = f"slice z{block - 1:+d}, " if len(grid) == 3 and block != 1 else ""
    return f"neighbour at {depth}dy {dy:+d}, dx {dx:+d} px: correlation {lags.data[tuple(index)]:+.3f}"
