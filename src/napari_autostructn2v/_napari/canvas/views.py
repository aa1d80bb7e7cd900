"""The ways to look at an image and what was made of it: one picture alone, or all side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_autostructn2v._napari.canvas.placement import is_derived
from napari_autostructn2v._napari.canvas.spotlight import Spotlight

if TYPE_CHECKING:
    from napari.layers import Image, Layer
    from napari.viewer import Viewer

Stage = Literal["original", "stage1", "denoised"]
PictureName = Literal[Stage, "preview", "pattern"]
View = Literal[Stage, "side"]
"""A picture alone, or all pictures side by side."""

STAGES: tuple[Stage, ...] = ("original", "stage1", "denoised")
"""The views of one picture, from the data to the result."""

BLINK_MS = 500
"""Time for which each of two pictures is seen in turn: long enough to look, short enough to see a change."""


class Views:
    """Shows the pictures of one image, which all lie in the same place, in the way that is chosen.

    Nothing is touched before there is something to compare the image with. The camera keeps the field that is
    looked at.
    """

    changed = Signal()
    """Another view, or other pictures."""
    wanted = Signal()
    """A view is asked for while they are held back: whoever does so should let go."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._spotlight = Spotlight(viewer)
        self.pictures: dict[PictureName, Image] = {}
        """In the order of their panes."""
        self.view: View | None = None
        self._looked: View | None = None
        """The view that was drawn last."""
        self._held_back = False
        self._captioned: tuple[Image, bool] | None = None
        """The picture whose name is shown while it is seen alone, and whether it was before."""
        self._blink = QTimer()
        self._blink.setInterval(BLINK_MS)
        self._blink.timeout.connect(self._turn)
        self._pair: tuple[Image, Image] | None = None
        """What blinks, as they lie over one another."""
        self._opacity = 1.0
        """Of the upper one."""
        self._spotlight.left.connect(self._leave_panes)
        viewer.layers.events.inserted.connect(self._on_inserted)

    # ------------------------------------------------------------------ what there is, and what is seen

    @property
    def best(self) -> Stage:
        """The picture that is made last."""
        return next((stage for stage in reversed(STAGES) if stage in self.pictures), "original")

    @property
    def pixels_seen(self) -> np.ndarray | None:
        """First and last pixel of the original that is seen."""
        original = self.pictures.get("original")
        return None if original is None else np.array(original.corner_pixels)

    def available(self, view: View) -> bool:
        """Whether there is something to see in this view."""
        if view == "side":
            return len(self.pictures) > 1
        return view in self.pictures

    def take(self, pictures: Mapping[PictureName, Image], view: View | None = None) -> None:
        """Show these pictures from now on, in this view, or in the present one.

        Where there is nothing to see in it, they are seen side by side.
        """
        self.blink(False)
        self.pictures = dict(pictures)
        self.view = view or self.view
        if self.view is not None and not self.available(self.view):
            self.view = "side" if self.available("side") else None
        self._draw()

    def rearrange(self) -> None:
        """Arrange the panes anew, as the canvas has another size."""
        if self.view == "side":
            self._draw()

    def drop(self, picture: Layer) -> None:
        """Go on without a picture, whose layer was removed."""
        self.take({name: layer for name, layer in self.pictures.items() if layer is not picture})

    def close(self) -> None:
        """The window closes."""
        self._blink.stop()

    def end(self) -> None:
        """Show nothing in a way of its own any more: the image and its results are layers as any others."""
        self.blink(False)
        self.view = None
        self._draw()

    def show(self, view: View) -> None:
        """Look in this way."""
        if not self.available(view):
            return
        self.blink(False)
        self.view = view
        if self._held_back:
            self.wanted.emit()
        else:
            self._draw()

    def hold_back(self) -> None:
        """Leave the viewer to others, as it was without a view."""
        self.blink(False)
        self._caption(None)
        self._spotlight.close()
        self._held_back = True

    def go_on(self) -> None:
        """Show again what is to be seen by now."""
        self._held_back = False
        self._draw()

    def _draw(self) -> None:
        if self._held_back:
            return
        self._caption(None)
        if self.view == "side":
            self._spotlight.show(list(self.pictures.values()), "best")
        elif self.view is not None:
            self._spotlight.close()
            self._show_alone(self.view)
        elif self._looked is not None:
            self._spotlight.close()
            for layer in self.pictures.values():
                layer.visible = True
        self._looked = self.view
        self.changed.emit()

    def _show_alone(self, view: View) -> None:
        for name, layer in self.pictures.items():
            if layer.visible != (name == view):
                layer.visible = name == view
            if name == view:
                self._caption(layer)

    def _caption(self, layer: Image | None) -> None:
        if self._captioned is not None:
            before, shown = self._captioned
            before.name_overlay.visible, self._captioned = shown, None
        if layer is not None:
            self._captioned = layer, layer.name_overlay.visible
            layer.name_overlay.visible = True

    # ------------------------------------------------------------------ blinking

    def blink(self, on: bool) -> None:
        """Show original and latest picture in turn, or end that."""
        if on == (self._pair is not None):
            return
        if on:
            if self._held_back or self.best == "original" or "original" not in self.pictures:
                return
            self._caption(None)
            layers = self._viewer.layers
            lower, upper = sorted((self.pictures["original"], self.pictures[self.best]), key=layers.index)
            self._pair, self._opacity = (lower, upper), upper.opacity
            self._spotlight.show(self._pair)
            seen = self.pictures[self.best if self.view == "original" else "original"]
            self._show_one(seen)  # at once: a short press is to show the other one
            self._blink.start()
        elif self._pair is not None:
            self._blink.stop()
            self._pair[1].opacity, self._pair = self._opacity, None
            self._draw()

    def _turn(self) -> None:
        if self._pair is not None:
            lower, upper = self._pair
            self._show_one(lower if upper.opacity else upper)

    def _show_one(self, layer: Image) -> None:
        # by opacity: a layer that becomes visible is sliced anew
        assert self._pair is not None
        self._pair[1].opacity = self._opacity if layer is self._pair[1] else 0.0
        self._caption(layer)

    # ------------------------------------------------------------------ what the person does

    def _leave_panes(self) -> None:
        if self.view == "side":
            self.show(self.best)

    def let_be_seen(self, layer: Layer) -> None:
        """Show what a person adds over one picture, on which it is drawn, and not in a pane of its own."""
        if self.view == "side":
            self.show("original" if is_derived(layer) else self.best)

    def _on_inserted(self, event: Any) -> None:
        if event.value.visible and not self._held_back:
            self.let_be_seen(event.value)
