"""A combo box of the viewer's layers of some kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QWidget

from napari_autostructn2v._napari.canvas.placement import is_derived
from napari_autostructn2v._napari.widgets.bindings import Bindings
from napari_autostructn2v._napari.widgets.elided import ElidedCombo

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer


class LayerCombo(ElidedCombo):
    """Follows the layer list and keeps its choice while that layer exists.

    Parameters
    ----------
    viewer
        Whose layers.
    kinds
        Types of the layers to choose from.
    nothing
        An entry, the first one, for no layer; None if one has to be chosen.
    """

    chosen = Signal(object)
    """The layer chosen, or None when there is none left."""

    def __init__(
        self, viewer: Viewer, *kinds: type[Layer], nothing: str | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._kinds = kinds
        self._nothing = [] if nothing is None else [nothing]
        self._layers: list[Layer | None] = []
        self._told: Layer | None = None
        self._names = Bindings(self)
        self.currentIndexChanged.connect(self._tell)
        bindings = Bindings(self)
        for event in ("inserted", "removed", "reordered"):
            bindings.connect(getattr(viewer.layers.events, event), self._follow)
        self._follow()

    def layer(self) -> Any:
        """The layer chosen, or None."""
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def choose(self, layer: Layer | None) -> None:
        """Choose a layer of the list."""
        if layer in self._layers:
            self.setCurrentIndex(self._layers.index(layer))

    def _follow(self, event: Any = None) -> None:
        current = self.layer()
        found = [
            layer for layer in self._viewer.layers if isinstance(layer, self._kinds) and not is_derived(layer)
        ]
        self._layers = [*(None for _ in self._nothing), *found]
        self._names.release()
        for layer in found:
            self._names.connect(layer.events.name, self._follow)
        with QSignalBlocker(self):
            self.clear()
            self.addItems([*self._nothing, *(layer.name for layer in found)])
            if current in self._layers:
                self.setCurrentIndex(self._layers.index(current))
        self._tell()

    def _tell(self) -> None:
        layer = self.layer()
        if layer is not self._told:
            self._told = layer
            self.chosen.emit(layer)
