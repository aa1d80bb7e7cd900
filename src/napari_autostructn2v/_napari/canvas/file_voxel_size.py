"""Where the voxel size of a layer is from, and what its file says where whoever opened it has left it out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from psygnal import Signal
from superqt.utils import create_worker

from napari_autostructn2v._napari import PLUGIN
from napari_autostructn2v._napari.canvas.slices import full_shape
from napari_autostructn2v._napari.canvas.voxel_sizes import image_layer, voxel_size
from napari_autostructn2v.errors import AutoStructN2VError
from napari_autostructn2v.io import ImageFile, VoxelSize, read_stack

if TYPE_CHECKING:
    from napari.layers import Image


class FileVoxelSize:
    """Looks into the file of the layer chosen, if that has no voxel size, and takes it over when asked to."""

    changed = Signal()
    """There is something to offer or to undo, or not any more."""

    def __init__(self) -> None:
        self.layer: Image | None = None
        """The layer that was looked at last."""
        self.offer: ImageFile | None = None
        """Its file, if that says more than the layer."""
        self._before: dict[str, Any] = {}
        self._of_file: WeakKeyDictionary[Image, VoxelSize | None] = WeakKeyDictionary()
        """What each layer had from its file."""

    @property
    def origin(self) -> str:
        """In a word, who has said the voxel size that the layer has."""
        layer = self.layer
        if layer is None or layer.source.path is None:
            return "layer"
        return "file" if voxel_size(layer) == self._of_file.get(layer) else "typed"

    def look(self, layer: Image | None) -> None:
        """See what the file of a layer says; that takes a moment."""
        if layer is self.layer:
            return
        self.layer, self.offer, self._before = layer, None, {}
        if layer is not None:
            self._of_file.setdefault(layer, voxel_size(layer))
        self.changed.emit()
        if layer is None or layer.source.path is None or voxel_size(layer) is not None:
            return
        if layer.source.reader_plugin == PLUGIN:  # which has left out nothing
            return
        worker = create_worker(_read, Path(layer.source.path))
        worker.returned.connect(partial(self._on_read, layer))
        worker.start()

    def _on_read(self, layer: Image, file: ImageFile | None) -> None:
        if file is None or file.voxel_size is None or layer is not self.layer:
            return
        # of another shape it may be binned, and its voxels larger
        if file.array.shape == full_shape(layer) and voxel_size(layer) is None:
            self.offer = file
            self.changed.emit()

    def take(self) -> None:
        """Give the layer the voxel size of its file, and what else that says."""
        layer, file = self.layer, self.offer
        if layer is None or file is None:
            return
        self._before = {"units": layer.units, "scale": layer.scale, "metadata": layer.metadata}
        _, meta, _ = image_layer(file)
        self._of_file[layer] = file.voxel_size
        leading = layer.ndim - len(meta["scale"])  # axes of one entry
        self._set(
            units=(*layer.units[:leading], *meta["units"]),
            scale=(*layer.scale[:leading], *meta["scale"]),
            metadata={**layer.metadata, **meta["metadata"]},
        )

    @property
    def taken(self) -> bool:
        """Whether the layer has it by now."""
        return bool(self._before)

    def undo(self) -> None:
        """Give the layer back what it had before."""
        before, self._before = self._before, {}
        self._set(**before)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self.layer, name, value)
        self.changed.emit()


def _read(path: Path) -> ImageFile | None:
    try:
        return read_stack(path)
    except AutoStructN2VError:  # whoever opened the layer could read it
        return None
