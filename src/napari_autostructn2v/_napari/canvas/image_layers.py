"""The preview and the results of a run as layers in the place of its image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_autostructn2v._napari.canvas.layer_names import KEPT_RESULT, PATTERN, PREVIEW, RESULTS
from napari_autostructn2v._napari.canvas.placement import DERIVED_LAYER, Placement
from napari_autostructn2v._napari.canvas.slices import by_slices, contrast_limits, middle_slice
from napari_autostructn2v._napari.canvas.views import PictureName
from napari_autostructn2v.events import Preview
from napari_autostructn2v.runs.output import StageOutput

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

    from napari_autostructn2v._napari.session.jobs import JobKind
    from napari_autostructn2v._napari.session.session import Session
    from napari_autostructn2v._napari.session.state import Run
    from napari_autostructn2v.computed import ComputedArray

NAMES: dict[str, PictureName] = {"stage1": "stage1", "reopen": "stage1", "stage2": "denoised"}
"""The picture that comes of a job."""


class ImageLayers:
    """Shows what a session's stages make of the image. All of it lies where the image lies.

    The layers are added hidden: which of them is seen, and how, is for the views.
    """

    changed = Signal()
    """There are other pictures, as :attr:`pictures` says."""
    previewed = Signal()
    """There is the first preview of a stage."""
    finished = Signal()
    """There is a result."""

    def __init__(self, viewer: Viewer, session: Session) -> None:
        self._viewer = viewer
        self._session = session
        self.placement: Placement | None = None
        self._source: Image | None = None
        self.preview: Image | None = None
        self._previewed: JobKind = "stage1"
        """The job that :attr:`preview` is of."""
        self.results: dict[str, Image] = {}
        self._before: tuple[Placement | None, Image | None, dict[str, Image]] = None, None, {}
        """Place, image and results of the run before."""
        self._pattern: Image | None = None
        self._recovery = session.choice.settings.recovery
        session.previewed.connect(self._on_preview)
        session.stage_finished.connect(self._on_stage_finished)
        session.changed.connect(self._on_changed)

    def start(self, source: Image) -> None:
        """Place what follows where ``source`` lies; results of a run before it stay as ordinary layers."""
        self._before = self.placement, self._source, self.results
        self.placement, self._source = Placement.of(source), source
        self.results = {}
        self.show_pattern(None)
        # on top of others in its place, or one of them would pass for it
        layers = self._viewer.layers
        layers.move(layers.index(source), len(layers))

    def go_back(self) -> None:
        """Show what was made of the image before again: what was begun after it came to nothing."""
        self.placement, self._source, self.results = self._before
        layers = self._viewer.layers
        for layer in self.pictures.values():  # the image was put above what had been made of it
            layers.move(layers.index(layer), len(layers))

    @property
    def pictures(self) -> dict[PictureName, Image]:
        """The layers of the present run that show the sample, in the order in which they came to be."""
        found: dict[PictureName, Image | None] = {
            "original": self._source,
            "stage1": self.results.get("stage1"),
            "denoised": self.results.get("stage2"),
        }
        if self.preview is not None:
            name = NAMES[self._previewed]
            found[name if found[name] is None else "preview"] = self.preview
        found["pattern"] = self._pattern
        return {
            key: layer for key, layer in found.items() if layer is not None and layer in self._viewer.layers
        }

    @property
    def pattern(self) -> Image | None:
        """The layer of what the notch takes away, while it is there."""
        return self._pattern if self._pattern in self._viewer.layers else None

    def show_pattern(self, array: ComputedArray | None) -> None:
        """Add what a notch takes away, an array like the image, computed slice by slice; None removes it."""
        shown = self.pattern
        if array is None or self.placement is None:
            self._pattern = None
            if shown is not None:
                self._viewer.layers.remove(shown)
                self.changed.emit()
            return
        lazy = by_slices(array)
        if shown is not None:
            shown.data = lazy
            return
        spread = float(np.abs(middle_slice(array)).max()) or 1.0
        self._pattern = self._add(
            lazy,
            name=PATTERN.format(self.placement.name),
            contrast_limits=(-spread, spread),
            metadata=dict(DERIVED_LAYER),
            **self.placement.on_grid(array.ndim),
        )
        self.changed.emit()

    def _add(self, data: Any, **options: Any) -> Image:
        """A layer that is hidden; the person goes on with the layer that is active."""
        active = self._viewer.layers.selection.active
        layer = self._viewer.add_image(data, visible=False, **options)
        self._viewer.layers.selection.active = active
        return layer

    def _on_preview(self, event: Preview) -> None:
        job = self._session.runner.job
        if self.placement is None or self._source is None or job is None:
            return
        limits = contrast_limits(event.denoised)
        is_stack = self._session.run is not None and len(self._session.run.stack.input_shape) == 3
        plane = event.denoised[None] if is_stack else event.denoised
        place = self.placement.on_grid(plane.ndim, event.z)
        if self.preview is None:
            self._previewed = job.kind
            self.preview = self._add(
                plane.copy(),
                name=PREVIEW.format(self.placement.name),
                contrast_limits=limits,
                metadata=dict(DERIVED_LAYER),
                **place,
            )
            self.previewed.emit()
        elif self.preview in self._viewer.layers:  # a preview that the person deleted stays deleted
            self.preview.data[...] = plane
            self.preview.contrast_limits = limits
            if not np.array_equal(self.preview.translate, place["translate"]):
                self.preview.translate = place["translate"]  # the slider was moved
            self.preview.refresh(thumbnail=False, extent=False, highlight=False)

    def _on_changed(self) -> None:
        if self._session.runner.job is None:
            self._drop_preview()
        self._bring_detail_back()

    def _bring_detail_back(self) -> None:
        """Show the results with as much of their detail as is chosen."""
        run = self._session.run
        if run is None or run.recovery == self._recovery:
            return
        self._recovery = run.recovery
        for kind, output in (("stage1", run.stage1), ("stage2", run.stage2)):
            layer = self.results.get(kind)
            if output is not None and layer is not None and layer in self._viewer.layers:
                layer.data = by_slices(output.denoised(run.recovery))

    def _on_stage_finished(self, kind: str, output: StageOutput) -> None:
        if self.placement is None:
            return
        self._recovery = self._session.choice.settings.recovery
        denoised = output.denoised(self._recovery)
        limits, layer = contrast_limits(denoised), self.results.get(kind)
        name, place = RESULTS[kind].format(self.placement.name), self.placement.result(denoised.ndim)
        preview, self.preview = self.preview, None
        previewed = preview is not None and preview in self._viewer.layers
        if layer is not None and layer in self._viewer.layers:
            layer.data, layer.contrast_limits = by_slices(denoised), limits
        elif preview is not None and previewed:  # another layer would be drawn anew, which is felt
            preview.data, preview.contrast_limits = by_slices(denoised), limits
            preview.translate, preview.name, preview.metadata = place["translate"], name, place["metadata"]
            self.results[kind], previewed = preview, False
        else:
            self.results[kind] = self._add(by_slices(denoised), name=name, contrast_limits=limits, **place)
        self.finished.emit()  # before a preview is removed, which may be what is seen
        if previewed:
            self._viewer.layers.remove(preview)

    def add_again(self, run: Run) -> Image:
        """Add the image of a run, whose layer was removed, and what was made of it."""
        assert self.placement is not None, "a run without a place has no layer"
        array = run.source.array
        self._source = self._viewer.add_image(
            array, name=self.placement.name, **self.placement.result(len(array.shape))
        )
        for kind, output in (("stage1", run.stage1), ("stage2", run.stage2)):
            if output is not None:
                self._on_stage_finished(kind, output)
        return self._source

    def keep_result(self, number: int) -> None:
        """Add the result of this attempt once more: later ones leave it as it is."""
        result = self.results.get("stage2")
        if result is not None and self.placement is not None:
            self._add(
                result.data,
                name=KEPT_RESULT.format(self.placement.name, number),
                contrast_limits=result.contrast_limits,
                **self.placement.result(result.ndim),
            )

    def _drop_preview(self) -> None:
        preview, self.preview = self.preview, None
        if preview is not None and preview in self._viewer.layers:
            self._viewer.layers.remove(preview)
            self.changed.emit()
