"""The preview and the results of a run as layers beside its image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_autostructn2v._napari.canvas.layer_names import KEPT_RESULT, PATTERN, PREVIEW, RESULTS
from napari_autostructn2v._napari.canvas.placement import DERIVED_LAYER, Placement
from napari_autostructn2v._napari.canvas.slices import by_slices, contrast_limits, middle_slice
from napari_autostructn2v.events import Preview
from napari_autostructn2v.runs.output import StageOutput

if TYPE_CHECKING:
    from napari.layers import Image, Layer
    from napari.viewer import Viewer

    from napari_autostructn2v._napari.session.session import Session
    from napari_autostructn2v.computed import ComputedArray

COLUMN = {"stage1": 1, "stage2": 2}


class ImageLayers:
    """Shows what a session's stages make of the image, next to it."""

    appeared = Signal()
    """There is a first preview, or a result."""

    def __init__(self, viewer: Viewer, session: Session) -> None:
        self._viewer = viewer
        self._session = session
        self.placement: Placement | None = None
        self.preview: Image | None = None
        self.results: dict[str, Image] = {}
        self._pattern: Image | None = None
        self._recovery = session.choice.settings.recovery
        session.previewed.connect(self._on_preview)
        session.stage_finished.connect(self._on_stage_finished)
        session.changed.connect(self._on_changed)

    def start(self, source: Layer) -> None:
        """Place what follows beside ``source``; the results of a run before it stay as ordinary layers."""
        self.placement = Placement.of(source)
        self.results = {}
        self.show_pattern(None)
        # on top of others in its place, or one of them would stand beside its results
        layers = self._viewer.layers
        layers.move(layers.index(source), len(layers))

    @property
    def pattern(self) -> Image | None:
        """The layer of what the notch takes away, while it is there."""
        return self._pattern if self._pattern in self._viewer.layers else None

    def show_pattern(self, array: ComputedArray | None) -> None:
        """Show what a notch takes away, an array like the image, computed slice by slice; None removes it."""
        shown = self.pattern
        if array is None or self.placement is None:
            if shown is not None:
                self._viewer.layers.remove(shown)
            self._pattern = None
            return
        lazy = by_slices(array)
        if shown is not None:
            shown.data = lazy
            return
        spread = float(np.abs(middle_slice(array)).max()) or 1.0
        active = self._viewer.layers.selection.active
        self._pattern = self._viewer.add_image(
            lazy,
            name=PATTERN.format(self.placement.name),
            contrast_limits=(-spread, spread),
            metadata=dict(DERIVED_LAYER),
            **self._place_of_pattern(self.placement, array.ndim),
        )
        self._viewer.layers.selection.active = active

    def _place_of_pattern(self, placement: Placement, ndim: int) -> dict[str, Any]:
        """Last in the row: after the second stage, once that shows something."""
        job = self._session.runner.job
        second = "stage2" in self.results or (job is not None and job.kind == "stage2")
        return placement.beside(COLUMN["stage2"] + second, ndim)

    def _make_room(self) -> None:
        if self.pattern is not None and self.placement is not None:
            self.pattern.translate = self._place_of_pattern(self.placement, self.pattern.ndim)["translate"]

    def _on_preview(self, event: Preview) -> None:
        job = self._session.runner.job
        if self.placement is None or job is None:
            return
        limits = contrast_limits(event.denoised)
        if self.preview is None:
            active = self._viewer.layers.selection.active
            self.preview = self._viewer.add_image(
                event.denoised.copy(),
                name=PREVIEW.format(self.placement.name),
                contrast_limits=limits,
                metadata=dict(DERIVED_LAYER),
                **self.placement.beside(COLUMN["stage1" if job.kind == "reopen" else job.kind], 2),
            )
            self._viewer.layers.selection.active = active
            self.appeared.emit()
        elif self.preview in self._viewer.layers:  # a preview that the person deleted stays deleted
            self.preview.data[...] = event.denoised
            self.preview.contrast_limits = limits
            self.preview.refresh(thumbnail=False, extent=False, highlight=False)

    def _on_changed(self) -> None:
        if self._session.runner.job is None:
            self._drop_preview()
        self._make_room()
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
        self._drop_preview()
        if self.placement is None:
            return
        old = self.results.pop(kind, None)
        if old is not None and old in self._viewer.layers:
            self._viewer.layers.remove(old)
        self._recovery = self._session.choice.settings.recovery
        denoised = output.denoised(self._recovery)
        self.results[kind] = self._viewer.add_image(
            by_slices(denoised),
            name=RESULTS[kind].format(self.placement.name),
            contrast_limits=contrast_limits(denoised),
            **self.placement.result(COLUMN[kind], denoised.ndim),
        )
        self.appeared.emit()

    def keep_result(self, number: int) -> None:
        """Add the result of this attempt, which is shown, once more, hidden: later ones leave it as it is."""
        result = self.results.get("stage2")
        if result is None or self.placement is None:
            return
        active = self._viewer.layers.selection.active
        self._viewer.add_image(
            result.data,
            name=KEPT_RESULT.format(self.placement.name, number),
            contrast_limits=result.contrast_limits,
            visible=False,
            **self.placement.result(COLUMN["stage2"], result.ndim),
        )
        self._viewer.layers.selection.active = active

    def _drop_preview(self) -> None:
        preview, self.preview = self.preview, None
        if preview is not None and preview in self._viewer.layers:
            self._viewer.layers.remove(preview)
