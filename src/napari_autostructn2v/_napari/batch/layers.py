"""The layers that a queue takes its stacks from and adds its results to."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_autostructn2v._napari.batch.jobs import Applied
from napari_autostructn2v._napari.batch.queue import Batch, Entry
from napari_autostructn2v._napari.canvas.layer_names import ONE_OF_SEVERAL, RESULTS
from napari_autostructn2v._napari.canvas.placement import Placement, is_derived
from napari_autostructn2v._napari.canvas.slices import contrast_limits, one_stack, problem_of, stacks_in
from napari_autostructn2v._napari.canvas.voxel_sizes import heading_of, image_layer, voxel_size
from napari_autostructn2v._napari.session.state import Source
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.io import ImageFile

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

    from napari_autostructn2v._napari.canvas.views import PictureName, Views


class BatchLayers:
    """Puts layers on a viewer's queue, and shows in their places what comes of it."""

    def __init__(self, viewer: Viewer, batch: Batch, views: Views) -> None:
        self._viewer = viewer
        self._batch = batch
        self._views = views
        self._layers: dict[Entry, Image] = {}
        self._sources: dict[Entry, Image] = {}
        """What the results are of."""
        self._results: dict[Entry, Image] = {}
        self._fresh: list[Entry] = []
        batch.finished.connect(self._on_finished)
        batch.changed.connect(self._on_changed)
        viewer.layers.events.removed.connect(self._on_layer_removed)

    def add(self, layers: Iterable[Layer]) -> list[Layer]:
        """Queue image layers, but those that are queued already; return the layers that are no images.

        Of a layer that holds several stacks, each is queued.
        """
        entries, refused = [], []
        for layer in layers:
            if not isinstance(layer, Image) or is_derived(layer):
                refused.append(layer)
            elif not any(self._layers.get(entry) is layer for entry in self._batch.entries):
                for index in np.ndindex(stacks_in(layer)):
                    entry = Entry(name_of(layer, index), partial(source_of, layer, index))
                    self._layers[entry] = layer
                    entries.append(entry)
        self._batch.add(*entries)
        return refused

    def show(self, entries: Iterable[Entry]) -> None:
        """Show the source and the result of the last of these entries that is done side by side."""
        done = [entry for entry in entries if entry in self._results and entry in self._sources]
        if done:
            shown: dict[PictureName, Image] = {
                "original": self._sources[done[-1]],
                "denoised": self._results[done[-1]],
            }
            self._views.take(shown, "side")

    def _on_finished(self, entry: Entry, applied: Applied) -> None:
        if applied.denoised is None:
            return
        active = self._viewer.layers.selection.active
        if entry not in self._sources:
            self._sources[entry] = self._source_layer(entry, applied.source)
        self._results[entry] = self._viewer.add_image(
            applied.denoised,
            name=RESULTS["stage2"].format(applied.source.name),
            contrast_limits=contrast_limits(applied.denoised),
            visible=False,  # until it is shown
            **Placement.of(self._sources[entry]).result(applied.denoised.ndim),
        )
        self._fresh.append(entry)
        self._viewer.layers.selection.active = active

    def _on_changed(self) -> None:
        """Show what is new once all is done; before, the person may look at something else."""
        if not self._batch.going and self._fresh:
            fresh, self._fresh = self._fresh, []
            self.show(fresh)

    def _source_layer(self, entry: Entry, source: Any) -> Image:
        """The layer of an entry; of a file, a new one."""
        layer = self._layers.get(entry)
        if layer is not None:
            return layer
        assert isinstance(source, ImageFile)
        array, meta, _ = image_layer(source)
        return self._viewer.add_image(array, **meta)

    def _on_layer_removed(self, event: Any) -> None:
        for kept in (self._sources, self._results):
            for entry in [entry for entry, layer in kept.items() if layer is event.value]:
                del kept[entry]
        gone = [entry for entry, layer in self._layers.items() if layer is event.value]
        for entry in gone:
            del self._layers[entry]
        if gone:
            self._batch.remove(gone)


def name_of(layer: Image, index: tuple[int, ...]) -> str:
    """The name of one of the stacks in a layer; that of the layer at index ()."""
    return ONE_OF_SEVERAL.format(layer.name, ", ".join(map(str, index))) if index else layer.name


def source_of(layer: Image, index: tuple[int, ...] = ()) -> Source:
    """The data of an image layer as they are now, or of one of the stacks in it.

    Raises
    ------
    StackError
        If they are colours, or several stacks.
    """
    if not index and (problem := problem_of(layer)):
        raise StackError(problem)
    array = one_stack(layer, index)
    return Source(name_of(layer, index), array, voxel_size(layer), heading=heading_of(layer.metadata))


def show_stack(viewer: Viewer, layer: Image, index: tuple[int, ...]) -> Image:
    """Show one of the stacks in a layer as a layer of its own, in its place."""
    shown = viewer.add_image(
        one_stack(layer, index),
        name=name_of(layer, index),
        colormap=layer.colormap,
        gamma=layer.gamma,
        contrast_limits=tuple(layer.contrast_limits),
        **Placement.of(layer).result(3),
    )
    layer.visible = False
    return shown
