"""The peaks one by one, and the one picked among them: outlined, to be looked at or deleted."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from scipy import ndimage

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.canvas.layer_names import PEAKS, PICKED_PEAK
from napari_autostructn2v._napari.canvas.placement import DERIVED_LAYER
from napari_autostructn2v._napari.review.peak_marks import outline
from napari_autostructn2v.noise.peak_list import Peak, list_peaks

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Vectors

    from napari_autostructn2v._napari.review.noise_canvas import NoiseCanvas
    from napari_autostructn2v._napari.review.review_layers import ReviewLayers
    from napari_autostructn2v._napari.session.session import Session
    from napari_autostructn2v.noise.review import Review

OUTLINE_WIDTH = 0.3
AROUND = 6
"""Bins of the surroundings that are shown when zooming to a peak."""
STILL = 4
"""Canvas pixels that the pointer may move in a click: farther is a drag of the camera."""


class PickedPeak:
    """Lists the peaks of a session's review and keeps one of them picked through its edits."""

    changed = Signal()
    """There are other peaks, or another one is picked."""

    def __init__(self, canvas: NoiseCanvas, session: Session, review: ReviewLayers) -> None:
        self._canvas = canvas
        self._session = session
        self._review = review
        self._listed: Review | None = None
        self._outline: Vectors | None = None
        self._keyed: Labels | None = None
        self.peaks: list[Peak] = []
        """Those that stand out most first."""
        self.picked: Peak | None = None
        session.reviewed.connect(self._follow)
        canvas.changed.connect(self._mark)

    @property
    def row(self) -> int | None:
        """Place of the picked peak in the list."""
        return None if self.picked is None else self.peaks.index(self.picked)

    def pick(self, row: int | None) -> None:
        """Pick a peak of the list, or none."""
        picked = None if row is None else self.peaks[row]
        if picked is not self.picked:
            self.picked = picked
            self._draw()
            self.changed.emit()

    def delete(self) -> None:
        """Erase the picked peak in the layer, as a stroke would, and pick the next one."""
        self._review.ensure()
        row, layer = self.row, self._layer
        if row is None or layer is None:
            return
        layer.data_setitem(self.peaks[row].at, 0)
        if self.row is None and self.peaks:
            self.pick(min(row, len(self.peaks) - 1))

    def zoom(self) -> None:
        """Fly to the picked peak: to the half of it that the table is about."""
        self._review.ensure()
        layer = self._layer
        if self.picked is None or layer is None:
            return
        side, (fy, fx) = self.picked.side, self.picked.frequency
        groups, _ = ndimage.label(self.picked.mask, structure=np.ones((3, 3)))
        y, x = np.nonzero(groups == groups[round(fy * side) + side // 2, round(fx * side) + side // 2])
        low, high = (y.min() - AROUND, x.min() - AROUND), (y.max() + AROUND, x.max() + AROUND)
        corner, opposite = (np.array(layer.data_to_world(point))[-2:] for point in (low, high))
        self._canvas.fly_to_box(corner, opposite)

    @property
    def _viewer(self) -> ViewerModel:
        return self._canvas.model

    @property
    def _layer(self) -> Any:
        """The layer of the peaks, while it is there."""
        layer = self._review.layers.get(PEAKS)
        return layer if layer in self._viewer.layers else None

    def _follow(self) -> None:
        review = self._session.review
        if review is not self._listed:
            self._listed = review
            before = self.picked
            self.peaks = [] if review is None else self._peaks_of(review)
            self.picked = None if before is None else self._again(before)
        self._mark()
        self.changed.emit()

    def _mark(self) -> None:
        """Mark the picked peak on the spectrum, and let the Delete key there erase it."""
        layer = self._layer
        if layer is not None and layer is not self._keyed:
            self._keyed = layer
            layer.bind_key("Delete", lambda layer: self.delete())
        self._draw()

    @staticmethod
    def _peaks_of(review: Review) -> list[Peak]:
        return list_peaks(review.automatic, review.peaks, review.automatic.measured.voxel_size)

    def _again(self, before: Peak) -> Peak | None:
        """The peak at the same frequency after an edit."""
        if not self.peaks or self.peaks[0].side != before.side:
            return None
        mask = before.mask
        shared = [int(mask[peak.at].sum()) for peak in self.peaks]
        return self.peaks[int(np.argmax(shared))] if max(shared) else None

    def _draw(self) -> None:
        layer, viewer = self._layer, self._viewer
        if self.picked is None or layer is None:
            if self._outline is not None and self._outline in viewer.layers:
                viewer.layers.remove(self._outline)
            self._outline = None
            return
        lines = outline(ndimage.binary_dilation(self.picked.mask, np.ones((3, 3))))
        place = {"scale": layer.scale, "translate": layer.translate}
        shown = self._outline if self._outline in viewer.layers else None
        if shown is not None and np.array_equal(shown.translate, layer.translate):
            shown.data = lines
            return
        if shown is not None:  # of another image
            viewer.layers.remove(shown)
        active = viewer.layers.selection.active
        self._outline = viewer.add_vectors(
            lines,
            name=PICKED_PEAK,
            edge_width=OUTLINE_WIDTH,
            edge_color=colours.PICKED_PEAK,
            vector_style="line",
            opacity=1.0,
            metadata=dict(DERIVED_LAYER),
            **place,
        )
        viewer.layers.selection.active = active

    def on_press(self, viewer: ViewerModel, event: Any) -> Generator[None, None, None]:
        """Pick the peak that is clicked on while the mouse moves the camera.

        For the ``mouse_drag_callbacks`` of the viewer.
        """
        index = self._bin_at(event)
        if index is None or getattr(viewer.layers.selection.active, "mode", "pan_zoom") != "pan_zoom":
            return
        start = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.array(event.pos) - start).max() > STILL:
            return
        row = next((row for row, peak in enumerate(self.peaks) if peak.holds(*index)), None)
        self.pick(row)
        if row is not None:  # so that the Delete key is for it
            viewer.layers.selection.active = self._layer

    def _bin_at(self, event: Any) -> tuple[int, int] | None:
        layer = self._layer
        if layer is None or not layer.visible or self._viewer.dims.ndisplay != 2 or event.button != 1:
            return None
        y, x = np.round(np.asarray(layer.world_to_data(event.position))[-2:]).astype(int)
        inside = 0 <= y < layer.data.shape[0] and 0 <= x < layer.data.shape[1]
        return (int(y), int(x)) if inside else None
