"""Where noise is measured: in the flattest parts of the stack, or where a person has outlined background."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from psygnal import Signal

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.canvas.layer_names import BACKGROUND
from napari_autostructn2v._napari.canvas.outline import outlined_region
from napari_autostructn2v.errors import AutoStructN2VError

if TYPE_CHECKING:
    from napari.layers import Image, Labels
    from napari.viewer import Viewer

    from napari_autostructn2v._napari.canvas.placement import Placement
    from napari_autostructn2v._napari.session.session import Session

LINE_WIDTH = 2
"""Of the outline, in pixels of the image."""


class Background:
    """The layer that outlines background, and a new look at the noise whenever a shape in it is finished.

    Parameters
    ----------
    viewer, session
        Whose noise is measured where.
    image
        The layer of the present run, while it is there.
    placement
        Where that layer lies.
    """

    asked = Signal()
    """Other background is outlined: the noise is to be analysed again."""

    def __init__(
        self,
        viewer: Viewer,
        session: Session,
        image: Callable[[], Image | None],
        placement: Callable[[], Placement | None],
    ) -> None:
        self._viewer, self._session, self._image, self._placement = viewer, session, image, placement
        self.layer: Labels | Shapes | None = None
        """The layer in which noise is measured; None for the flattest parts."""
        self._drawn_meanwhile = False
        """Whether a shape was finished while the noise was analysed for those before it."""
        session.changed.connect(self._on_changed)

    @property
    def empty(self) -> bool:
        """Whether the layer waits for its first shape."""
        return isinstance(self.layer, Shapes) and not self.layer.data

    def measure_in(self, layer: Labels | Shapes | None) -> None:
        """Measure noise where a layer outlines background, in the flattest parts if None, and look again."""
        if layer is self.layer:
            return
        self._take(layer)
        if self.empty:
            self._session.changed.emit()
        else:
            self.asked.emit()

    def draw(self) -> None:
        """Take the polygon tool in hand, in the layer of the outline; a new one over the image if needed."""
        placement = self._placement()
        if placement is None:
            return
        layer = self.layer
        if not isinstance(layer, Shapes) or layer not in self._viewer.layers:
            layer = self._viewer.add_shapes(
                ndim=2,
                name=BACKGROUND,
                edge_color=colours.BACKGROUND_OUTLINE,
                face_color=colours.TRANSPARENT,
                edge_width=LINE_WIDTH,
                **placement.on_grid(2),
            )
            self._take(layer)
        layer.visible = True
        self._viewer.layers.selection.active = layer
        layer.mode = "add_polygon"
        self._session.changed.emit()

    def hand_over(self) -> bool:
        """Give the session what is outlined by now; say so and return False if the layer does not suit."""
        layer, image = self.layer, self._image()
        region = None
        if layer is not None and image is not None and not self.empty:
            try:
                region = outlined_region(layer, image)
            except AutoStructN2VError as error:
                self._session.messages.fail(str(error), about="background")
                return False
        self._session.choice.region = region
        return True

    def _take(self, layer: Labels | Shapes | None) -> None:
        if isinstance(self.layer, Shapes):
            self.layer.events.data.disconnect(self._on_shapes)
        self.layer = layer
        if isinstance(layer, Shapes):
            layer.events.data.connect(self._on_shapes)

    def _on_shapes(self, event: Any) -> None:
        """A shape is finished, moved or removed."""
        if event.action.value not in ("added", "changed", "removed"):
            return
        job = self._session.runner.job
        if job is not None:
            self._drawn_meanwhile = job.kind == "analysis"
        elif self._session.review is not None and self._is_other():
            self.asked.emit()

    def _is_other(self) -> bool:
        """Whether other pixels are outlined than those that noise was measured in."""
        before = self._session.choice.region
        if not self.hand_over():
            return False
        now = self._session.choice.region
        return not (now is before or (now is not None and before is not None and np.array_equal(now, before)))

    def _on_changed(self) -> None:
        if self._drawn_meanwhile and self._session.runner.job is None:
            self._drawn_meanwhile = False
            self.asked.emit()
