"""Image layers held against one another: in a row, in a column, under a divider, in turn.

What is compared are copies of the layers, which share their data; all others are hidden meanwhile. So the
layers themselves stay as they are, whatever happens, and to end a comparison is to remove the copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_autostructn2v._napari.canvas.camera import Flight
from napari_autostructn2v._napari.canvas.layer_names import COMPARED
from napari_autostructn2v._napari.canvas.placement import DERIVED_LAYER, GAP, Placement, is_derived
from napari_autostructn2v._napari.canvas.slices import full_shape, own_limits, shows_slices
from napari_autostructn2v._napari.docks.compare.swipe import Swipe
from napari_autostructn2v._napari.widgets.bindings import Connections
from napari_autostructn2v.errors import StackError

if TYPE_CHECKING:
    from napari.layers import Image, Layer
    from napari.viewer import Viewer

Way = Literal["row", "column", "swipe", "blink"]

LINKED = ("contrast_limits", "gamma")

SATURATED = 0.05
"""Share of a noisy picture's pixels that may be black or white: image and noise can both be judged."""


def check_comparable(layers: Sequence[Image]) -> None:
    """Refuse layers that cannot be laid over one another.

    Raises
    ------
    StackError
        If one is a colour picture, or they differ in shape.
    """
    for layer in layers:
        if layer.rgb:
            raise StackError(f"{layer.name} is an RGB picture. Choose layers of grey values.")
    shapes = {full_shape(layer): layer.name for layer in layers}
    if len(shapes) > 1:
        raise StackError(
            "These layers cannot be laid over one another: "
            + ", ".join(f"{name} has the shape {shape}" for shape, name in shapes.items())
            + ". Choose layers of the same shape."
        )


def matched_limits(layers: Sequence[Image], same: bool) -> list[tuple[float, float]]:
    """Contrast limits by percentiles: one pair for all of the pictures, or each its own.

    Those of the second picture, as it is the denoised one, widened until of no other more than
    :data:`SATURATED` is black or white. Its own alone would turn noise into black and white; those of the
    noise would make the image flat.
    """
    pictures = [layer for layer in layers if not is_derived(layer)]
    if not same or not pictures:
        return [own_limits(layer) for layer in layers]
    low, high = own_limits(pictures[:2][-1])
    spans = [own_limits(layer, SATURATED) for layer in pictures]
    shared = min(low, *(span[0] for span in spans)), max(high, *(span[1] for span in spans))
    return [own_limits(layer) if is_derived(layer) else shared for layer in layers]


class Comparison:
    """What a viewer compares, and how. Nothing is compared while :attr:`way` is None."""

    changed = Signal()
    """Another way, or another layer is shown: what the dock says."""

    def __init__(self, viewer: Viewer, flight: Flight) -> None:
        self._viewer = viewer
        self._flight = flight
        self.way: Way | None = None
        self.layers: tuple[Image, ...] = ()
        """What is compared, in order."""
        self.copies: tuple[Image, ...] = ()
        """Of :attr:`layers`, in the same order."""
        self.kept: set[Layer] = set()
        """Layers that stay visible, as the line of a profile."""
        self.same_contrast = True
        self._swipe: Swipe | None = None
        self._hidden: list[Layer] = []
        self._active: Layer | None = None
        self._connections = Connections()
        self._blink = QTimer()
        self._blink.timeout.connect(self._next)
        self.blinks_per_second = 2.0
        self.in_sight = 0
        """Index of the layer that blinking shows."""

    # ------------------------------------------------------------------ entering and leaving

    def enter(self, way: Way, layers: Sequence[Image]) -> None:
        """Compare ``layers`` in this way, in place of what was compared before.

        Raises
        ------
        StackError
            If they cannot be laid over one another.
        """
        check_comparable(layers)
        if way == "swipe" and not shows_slices(self._viewer):
            raise StackError("The swipe works on slices along Y and X. Switch to 2D, or choose another way.")
        self.leave()
        self.way = way
        self.layers = tuple(layers[:2] if way == "swipe" else layers)
        self._active = self._viewer.layers.selection.active
        self._hidden = [layer for layer in self._viewer.layers if layer.visible and layer not in self.kept]
        for layer in self._hidden:
            layer.visible = False
        self._add_copies()
        for line in [layer for layer in self._viewer.layers if layer in self.kept]:
            self._viewer.layers.move(self._viewer.layers.index(line), len(self._viewer.layers))
        self.match_contrast(self.same_contrast)
        self._viewer.layers.selection.active = self.copies[0]
        self._watch()
        self.in_sight = 0
        if way == "blink":
            self._show_one()
            self.blink_at(self.blinks_per_second)
        self._flight.to(self.copies)
        self.changed.emit()

    def leave(self) -> None:
        """Compare nothing: the layers are seen as before."""
        if self.way is None:
            return
        self.way = None  # first: what follows removes layers, which would lead back here
        self._connections.release()
        self._blink.stop()
        if self._swipe is not None:
            self._swipe.close()
            self._swipe = None
        layers = self._viewer.layers
        present = [copy for copy in self.copies if copy in layers]
        layers.unlink_layers(present)
        for copy in present:
            layers.remove(copy)
        seen = [layer for layer in self._hidden if layer in layers]
        for layer in seen:
            layer.visible = True
        layers.selection.active = self._active if self._active in layers else None
        self.layers = self.copies = ()
        self._hidden = []
        self._flight.to(seen)
        self.changed.emit()

    def _add_copies(self) -> None:
        placement = Placement.of(self.layers[0])
        step = placement.size * (1 + GAP)
        copies = []
        for index, layer in enumerate(self.layers[:1] if self.way == "swipe" else self.layers):
            place = placement.on_grid(layer.ndim, index * step * (self.way == "column", self.way == "row"))
            copies.append(
                self._viewer.add_image(
                    layer.data,
                    name=COMPARED.format(layer.name),
                    multiscale=layer.multiscale,
                    colormap=layer.colormap,
                    gamma=layer.gamma,
                    interpolation2d=layer.interpolation2d,
                    contrast_limits=tuple(layer.contrast_limits),
                    metadata=dict(DERIVED_LAYER),
                    **place,
                )
            )
        if self.way == "swipe":
            self._swipe = Swipe(self._viewer, copies[0], self.layers[1])
            copies.append(self._swipe.top)
        self.copies = tuple(copies)

    def _watch(self) -> None:
        self._connections.connect(self._viewer.layers.events.removed, self._on_removed)
        for layer, copy in zip(self.layers, self.copies, strict=True):
            self._connections.connect(layer.events.data, self._follow(layer, copy))

    def _follow(self, layer: Image, copy: Image) -> Callable[[Any], None]:
        def take_in(event: Any = None) -> None:
            if self._swipe is not None and copy is self._swipe.top:
                self._swipe.draw()
            else:
                copy.data = layer.data

        return take_in

    def _on_removed(self, event: Any) -> None:
        if event.value in (*self.layers, *self.copies):
            self.leave()

    # ------------------------------------------------------------------ contrast

    def match_contrast(self, same: bool) -> None:
        """Show all layers in the grey scale of the last one, or each in its own.

        Either way the limits are percentiles at first, and follow one another only if they are the same.
        Layers of both signs around zero, as what was removed, always have their own.
        """
        self.same_contrast = same
        if self.way is None:
            return
        self._viewer.layers.unlink_layers(self.copies)
        for copy, limits in zip(self.copies, matched_limits(self.layers, same), strict=True):
            copy.contrast_limits = limits
        if same:
            pairs = zip(self.layers, self.copies, strict=True)
            self._viewer.layers.link_layers([c for layer, c in pairs if not is_derived(layer)], LINKED)

    def limits(self, layers: Sequence[Image]) -> list[tuple[float, float]]:
        """Contrast limits of these layers: as seen, if they are being compared."""
        seen = {layer: copy.contrast_limits for layer, copy in zip(self.layers, self.copies, strict=True)}
        matched = matched_limits(layers, self.same_contrast)
        return [
            (float(seen[layer][0]), float(seen[layer][1])) if layer in seen else limits
            for layer, limits in zip(layers, matched, strict=True)
        ]

    # ------------------------------------------------------------------ blinking

    def blink_at(self, per_second: float) -> None:
        """Show the next layer so many times a second."""
        self.blinks_per_second = per_second
        if self.way == "blink":
            self._blink.start(round(1000 / per_second))

    def _next(self) -> None:
        self.in_sight = (self.in_sight + 1) % len(self.copies)
        self._show_one()
        self.changed.emit()

    def _show_one(self) -> None:
        # by opacity: napari changes a layer's mode with its visibility
        for index, copy in enumerate(self.copies):
            copy.opacity = float(index == self.in_sight)
