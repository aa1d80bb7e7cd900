"""Image layers held against one another: in a row, in a column, under a divider, in turn.

All other layers are hidden meanwhile, and what a comparison changes of a layer is given back at its end. Only
for a layer that lies elsewhere than the first a copy stands in, in the place of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_autostructn2v._napari.canvas.layer_names import COMPARED
from napari_autostructn2v._napari.canvas.placement import DERIVED_LAYER, Placement, is_derived, lies_with
from napari_autostructn2v._napari.canvas.slices import full_shape, own_limits, shows_slices
from napari_autostructn2v._napari.canvas.spotlight import Panes, Spotlight
from napari_autostructn2v._napari.docks.compare.swipe import Swipe
from napari_autostructn2v._napari.widgets.bindings import Connections
from napari_autostructn2v.errors import StackError

if TYPE_CHECKING:
    from napari.layers import Image, Layer
    from napari.viewer import Viewer

    from napari_autostructn2v._napari.canvas.views import Views

Way = Literal["row", "column", "swipe", "blink"]

PANES: dict[Way, Panes] = {"row": "row", "column": "column"}
"""Ways in which each layer has a pane of its own."""

LINKED = ("contrast_limits", "gamma")

KEYS = {",": -1, ".": 1}
"""Keys that move the divider to the left and to the right, or show the layer before and after."""

GIVEN_BACK = ("contrast_limits", "gamma", "opacity")
"""What a comparison may change of a layer."""

SATURATED = 0.005
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

    def __init__(self, viewer: Viewer, views: Views) -> None:
        self._viewer, self._views = viewer, views
        self._spotlight = Spotlight(viewer)
        self.way: Way | None = None
        self.layers: tuple[Image, ...] = ()
        """What is compared, in order."""
        self.seen: tuple[Image, ...] = ()
        """The same layers, or what stands in for them."""
        self.kept: set[Layer] = set()
        """Layers that stay visible where there are no panes, as the line of a profile."""
        self.same_contrast = True
        self._swipe: Swipe | None = None
        self._looks: dict[Image, dict[str, Any]] = {}
        """What the layers had before, of :data:`GIVEN_BACK`."""
        self._active: Layer | None = None
        self._connections = Connections()
        self._blink = QTimer()
        self._blink.timeout.connect(self._next)
        self.blinks_per_second = 2.0
        self.in_sight = 0
        """Index of the layer that blinking shows."""
        self._spotlight.left.connect(self.leave)

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
        if self.way is None:
            self._views.hold_back()
            self._active = self._viewer.layers.selection.active
        else:
            self._end_way()
        self.way = way
        self.layers = tuple(layers[:2] if way == "swipe" else layers)
        self._looks = {layer: {name: getattr(layer, name) for name in GIVEN_BACK} for layer in self.layers}
        self.seen = self._make_seen()
        kept = [] if way in PANES else [layer for layer in self._viewer.layers if layer in self.kept]
        divider = [] if self._swipe is None else [self._swipe.divider]
        for line in kept:
            self._viewer.layers.move(self._viewer.layers.index(line), len(self._viewer.layers))
        self._spotlight.show([*self.seen, *divider, *kept], PANES.get(way))
        self.match_contrast(self.same_contrast)
        self._viewer.layers.selection.active = self.seen[0]
        self._watch()
        self.in_sight = 0
        if way == "blink":
            self._show_one()
            self.blink_at(self.blinks_per_second)
        for key, by in KEYS.items():
            self._viewer.bind_key(key, lambda viewer, by=by: self.step(by), overwrite=True)
        self.changed.emit()

    def step(self, by: int) -> None:
        """Move the divider a little, or show the next layer in place of blinking: back if ``by`` is -1."""
        if self._swipe is not None:
            self._swipe.step(by)
        elif self.way == "blink":
            self._blink.stop()
            self._next(by)

    def leave(self) -> None:
        """Compare nothing: the layers are seen as before."""
        if self.way is None:
            return
        self._end_way()
        self._spotlight.close()
        layers = self._viewer.layers
        layers.selection.active = self._active if self._active in layers else None
        self._views.go_on()
        self.changed.emit()

    def _end_way(self) -> None:
        self.way = None  # first: what follows removes layers, which would lead back here
        self._connections.release()
        self._blink.stop()
        for key in KEYS:
            self._viewer.bind_key(key, None)
        layers = self._viewer.layers
        layers.unlink_layers([layer for layer in self.seen if layer in layers], LINKED)
        for layer, look in self._looks.items():
            for name, value in look.items():
                setattr(layer, name, value)
        if self._swipe is not None:
            self._swipe.close()
            self._swipe = None
        for layer in self.seen:
            if layer not in self.layers and layer in layers:
                layers.remove(layer)
        self.layers = self.seen = ()
        self._looks = {}

    def _make_seen(self) -> tuple[Image, ...]:
        first, *others = self.layers
        if self.way == "swipe":
            self._swipe = Swipe(self._viewer, first, others[0])
            return first, self._swipe.top
        return first, *(each if lies_with(each, first) else self._stand_in(each) for each in others)

    def _stand_in(self, layer: Image) -> Image:
        """A copy in the place of the first layer, which shares the data."""
        return self._viewer.add_image(
            layer.data,
            name=COMPARED.format(layer.name),
            multiscale=layer.multiscale,
            colormap=layer.colormap,
            gamma=layer.gamma,
            interpolation2d=layer.interpolation2d,
            contrast_limits=tuple(layer.contrast_limits),
            metadata=dict(DERIVED_LAYER),
            **Placement.of(self.layers[0]).on_grid(layer.ndim),
        )

    def _watch(self) -> None:
        self._connections.connect(self._viewer.layers.events.removed, self._on_removed)
        self._connections.connect(self._viewer.layers.events.inserted, self._on_inserted)
        self._connections.connect(self._views.wanted, self.leave)
        for layer, seen in zip(self.layers, self.seen, strict=True):
            if seen is not layer:
                self._connections.connect(layer.events.data, self._follow(layer, seen))

    def _follow(self, layer: Image, seen: Image) -> Callable[[Any], None]:
        def take_in(event: Any = None) -> None:
            if self._swipe is not None and seen is self._swipe.top:
                self._swipe.draw()
            else:
                seen.data = layer.data

        return take_in

    def _on_removed(self, event: Any) -> None:
        if event.value in (*self.layers, *self.seen):
            self.leave()

    def _on_inserted(self, event: Any) -> None:
        """Let what is drawn on the pictures be seen over one of them, and not in a pane of its own."""
        if event.value.visible and self.way in PANES:
            self.leave()
            self._views.let_be_seen(event.value)

    # ------------------------------------------------------------------ contrast

    def match_contrast(self, same: bool) -> None:
        """Show all layers in the grey scale of the last one, or each in its own.

        Either way the limits are percentiles at first, and follow one another only if they are the same.
        Layers of both signs around zero, as what was removed, always have their own.
        """
        self.same_contrast = same
        if self.way is None:
            return
        self._viewer.layers.unlink_layers(self.seen, LINKED)
        for seen, limits in zip(self.seen, matched_limits(self.layers, same), strict=True):
            seen.contrast_limits = limits
        if same:
            pairs = zip(self.layers, self.seen, strict=True)
            self._viewer.layers.link_layers([seen for layer, seen in pairs if not is_derived(layer)], LINKED)

    def limits(self, layers: Sequence[Image]) -> list[tuple[float, float]]:
        """Contrast limits of these layers: as seen, if they are being compared."""
        seen = {layer: shown.contrast_limits for layer, shown in zip(self.layers, self.seen, strict=True)}
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

    def _next(self, by: int = 1) -> None:
        self.in_sight = (self.in_sight + by) % len(self.seen)
        self._show_one()
        self.changed.emit()

    def _show_one(self) -> None:
        # by opacity: napari changes a layer's mode with its visibility
        for index, layer in enumerate(self.seen):
            layer.opacity = float(index == self.in_sight)
