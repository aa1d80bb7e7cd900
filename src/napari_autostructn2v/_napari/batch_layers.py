"""The layers that a queue takes its stacks from and adds its results to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_autostructn2v._napari.batch import Batch, Entry
from napari_autostructn2v._napari.batch_jobs import Applied
from napari_autostructn2v._napari.files import image_layer, voxel_size
from napari_autostructn2v._napari.image_layers import contrast_limits
from napari_autostructn2v._napari.placement import Placement, is_view
from napari_autostructn2v._napari.slices import colour_problem, grey_values
from napari_autostructn2v._napari.state import Source
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.io import ImageFile

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer


class BatchLayers:
    """Puts layers on a viewer's queue, and shows beside them what comes of it."""

    def __init__(self, viewer: Viewer, batch: Batch) -> None:
        self._viewer = viewer
        self._batch = batch
        self._layers: dict[Entry, Image] = {}
        self._shown: dict[Entry, Image] = {}  # sources that were files, beside the results made of them
        batch.finished.connect(self._on_finished)
        viewer.layers.events.removed.connect(self._on_layer_removed)

    def add(self, layers: Iterable[Layer]) -> list[Layer]:
        """Queue image layers, but those that are queued already; return the layers that are no images."""
        entries, refused = [], []
        for layer in layers:
            if not isinstance(layer, Image) or is_view(layer):
                refused.append(layer)
            elif not any(self._layers.get(entry) is layer for entry in self._batch.entries):
                entry = Entry(layer.name, lambda layer=layer: source_of(layer))  # type: ignore[misc]
                self._layers[entry] = layer
                entries.append(entry)
        self._batch.add(*entries)
        return refused

    def _on_finished(self, entry: Entry, applied: Applied) -> None:
        if applied.denoised is None:
            return
        active = self._viewer.layers.selection.active
        layer = self._layers.get(entry) or self._shown.get(entry)
        if layer is None:
            layer = self._shown[entry] = self._show_source(applied.source)
        placement = Placement.of(layer)
        self._viewer.add_image(
            applied.denoised,
            name=f"{placement.name} denoised",
            contrast_limits=contrast_limits(applied.denoised),
            **placement.beside(self._column(layer, placement), applied.denoised.ndim),
        )
        self._viewer.layers.selection.active = active

    def _column(self, layer: Image, placement: Placement) -> int:
        """The first place to the right of all that bears the layer's name: the results of its runs."""
        row = (each for each in self._viewer.layers if each.name.startswith(f"{layer.name} "))
        step = placement.beside(1, 2)["translate"][-1] - placement.translate[-1]
        offsets = ((each.translate[-1] - placement.translate[-1]) / step for each in row)
        return 1 + max((round(float(offset)) for offset in offsets), default=0)

    def _show_source(self, source: Any) -> Image:
        assert isinstance(source, ImageFile)
        data, meta, _ = image_layer(source)
        return self._viewer.add_image(data, **meta)

    def _on_layer_removed(self, event: Any) -> None:
        self._shown = {entry: layer for entry, layer in self._shown.items() if layer is not event.value}
        gone = [entry for entry, layer in self._layers.items() if layer is event.value]
        for entry in gone:
            del self._layers[entry]
        if gone:
            self._batch.remove(gone)


def source_of(layer: Image) -> Source:
    """The data of an image layer as they are now.

    Raises
    ------
    StackError
        If they are colours.
    """
    if problem := colour_problem(layer):
        raise StackError(problem)
    return Source(layer.name, grey_values(layer), voxel_size(layer))
