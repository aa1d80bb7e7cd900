"""A combo box of the viewer's image layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_autostructn2v._napari.bindings import Bindings
from napari_autostructn2v._napari.placement import NOT_A_SOURCE

if TYPE_CHECKING:
    from napari.viewer import Viewer


class ImageLayerCombo(QComboBox):
    """Follows the layer list and keeps its choice while that layer exists."""

    chosen = Signal(object)
    """The layer chosen, or None when there is none left."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[Image] = []
        self._told: Image | None = None
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.currentIndexChanged.connect(self._tell)
        bindings = Bindings(self)
        for event in ("inserted", "removed", "reordered"):
            bindings.connect(getattr(viewer.layers.events, event), self._follow)
        self._follow()

    def layer(self) -> Image | None:
        """The layer chosen."""
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def choose(self, layer: Image) -> None:
        """Choose a layer of the list."""
        if layer in self._layers:
            self.setCurrentIndex(self._layers.index(layer))

    def _follow(self, event: Any = None) -> None:
        current = self.layer()
        self._layers = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Image) and not NOT_A_SOURCE.items() <= layer.metadata.items()
        ]
        with QSignalBlocker(self):
            self.clear()
            self.addItems([layer.name for layer in self._layers])
            if current in self._layers:
                self.setCurrentIndex(self._layers.index(current))
        self._tell()

    def _tell(self) -> None:
        layer = self.layer()
        if layer is not self._told:
            self._told = layer
            self.chosen.emit(layer)
