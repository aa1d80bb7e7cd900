"""Where in a viewer there is room for a layer more."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_autostructn2v._napari.canvas.placement import GAP, Placement, is_view

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.viewer import Viewer

MARGIN = GAP / 2
"""Neighbours may reach so far into a place, as a share of its size: sizes are rounded."""


def stands_alone(viewer: Viewer, layer: Image) -> bool:
    """Whether no other image lies in the place of ``layer``; what is drawn over it does not count."""
    place = Placement.of(layer)
    others = (each for each in _images(viewer) if each is not layer and not is_view(each))
    return not _is_taken(place.low, place.size, others)


def free_column(viewer: Viewer, placement: Placement) -> int:
    """The first place right of ``placement``, in its row, in which there is no image."""
    step = np.array([0, placement.size[1] * (1 + GAP)])
    return next(
        column
        for column in count(1)
        if not _is_taken(placement.low + column * step, placement.size, _images(viewer))
    )


def row_of_its_own(viewer: Viewer, layer: Image) -> np.ndarray:
    """The ``translate`` that brings ``layer`` below all images."""
    place = Placement.of(layer)
    others = (Placement.of(each) for each in _images(viewer) if each is not layer)
    lowest = max((float((each.low + each.size)[0]) for each in others), default=float(place.low[0]))
    translate = np.array(layer.translate, dtype=float)
    translate[-2] += lowest + GAP * place.size[0] - place.low[0]
    return translate


def _images(viewer: Viewer) -> list[Image]:
    return [layer for layer in viewer.layers if isinstance(layer, Image)]


def _is_taken(low: np.ndarray, size: np.ndarray, layers: Iterable[Image]) -> bool:
    margin = MARGIN * size
    places = (Placement.of(layer) for layer in layers)
    return any(
        bool((low + margin < each.low + each.size).all() and (each.low < low + size - margin).all())
        for each in places
    )
