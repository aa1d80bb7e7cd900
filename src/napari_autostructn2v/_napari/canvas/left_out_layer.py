"""What of a run's image is left out, as a layer over it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.canvas.layer_names import LEFT_OUT
from napari_autostructn2v._napari.canvas.placement import DERIVED_LAYER, Placement
from napari_autostructn2v._napari.canvas.slices import by_slices
from napari_autostructn2v.computed import ComputedArray
from napari_autostructn2v.survey import unmeasured_labels
from napari_autostructn2v.unmeasured import BLANK, REPLACED

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_autostructn2v._napari.session.session import Session
    from napari_autostructn2v.stack import Stack

IN_WORDS = {BLANK: "blank, keeps its value", REPLACED: "replaced"}
"""What the status bar says of a pixel."""


class LeftOutLayer:
    """Shows which pixels of the present run's image are left out, until another run begins.

    Parameters
    ----------
    viewer, session
        Whose run is shown where.
    placement
        Where the image of the run is; None while there is none.
    """

    def __init__(self, viewer: Viewer, session: Session, placement: Callable[[], Placement | None]) -> None:
        self._viewer, self._session, self._placement = viewer, session, placement
        self._layer: Labels | None = None
        self._stack: Stack | None = None
        """The stack that is shown."""
        session.changed.connect(self._on_changed)

    @property
    def layer(self) -> Labels | None:
        """The layer, while it is there."""
        return self._layer if self._layer in self._viewer.layers else None

    @property
    def possible(self) -> bool:
        """Whether there is something to show."""
        survey = None if self._session.run is None else self._session.run.survey
        return survey is not None and survey.pixels and self._placement() is not None

    def toggle(self) -> None:
        """Show the pixels, or remove the layer that shows them."""
        if self.layer is not None:
            self._remove()
        elif self.possible and self._session.run is not None:
            self._show(self._session.run.stack)

    def _show(self, stack: Stack) -> None:
        placement = self._placement()
        assert placement is not None

        array = ComputedArray(stack.input_shape, partial(unmeasured_labels, stack), np.uint8)
        active = self._viewer.layers.selection.active
        self._stack = stack
        self._layer = self._viewer.add_labels(
            by_slices(array),
            name=LEFT_OUT,
            colormap=colours.of_left_out(),
            opacity=1.0,  # the colours let the image through
            features={"index": list(IN_WORDS), "left out": list(IN_WORDS.values())},
            metadata=dict(DERIVED_LAYER),
            **placement.on_grid(array.ndim),
        )
        self._layer.editable = False
        self._viewer.layers.selection.active = active

    def _on_changed(self) -> None:
        run = self._session.run
        if run is None or run.stack is not self._stack:
            self._remove()

    def _remove(self) -> None:
        layer, self._layer, self._stack = self.layer, None, None
        if layer is not None:
            self._viewer.layers.remove(layer)
