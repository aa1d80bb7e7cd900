"""Where layers go: results in a row beside the image, what is reviewed in a row below it, never over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from napari.utils.transforms import Affine

from napari_autostructn2v._napari.canvas.voxel_sizes import heading_metadata, heading_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Layer
    from napari.viewer import Viewer

    from napari_autostructn2v.io import Heading

DERIVED_LAYER = {"napari_autostructn2v": "view"}
"""Metadata of layers that show something about the data and are no data to denoise."""

GAP = 0.05
"""Distance between neighbours as a share of the image's size."""


def is_derived(layer: Layer) -> bool:
    """Whether a layer shows something about the data, and is no data to denoise."""
    return bool(DERIVED_LAYER.items() <= layer.metadata.items())


@dataclass(frozen=True, eq=False)
class Placement:
    """The geometry of the image layer at the moment its run started."""

    name: str
    scale: np.ndarray
    translate: np.ndarray
    rotate: np.ndarray
    shear: np.ndarray
    affine: np.ndarray
    """What napari applies after the others, (n + 1, n + 1)."""
    units: tuple[Any, ...]
    low: np.ndarray
    """Upper left corner of what it covers in world coordinates (y, x)."""
    size: np.ndarray
    """Height and width of that."""
    heading: Heading | None = None
    """What the file of the image says beside its pixels, for results on its grid."""

    @classmethod
    def of(cls, layer: Layer) -> Placement:
        """Take the geometry of ``layer``."""
        low, high = _extent(layer)
        return cls(
            layer.name,
            np.array(layer.scale),
            np.array(layer.translate),
            np.array(layer.rotate),
            np.array(layer.shear),
            np.array(layer.affine),
            tuple(layer.units),
            low,
            high - low,
            heading_of(layer.metadata),
        )

    def on_grid(self, ndim: int, shift: Sequence[float] | np.ndarray = (0.0, 0.0)) -> dict[str, Any]:
        """Layer arguments for an array on the image's grid.

        Parameters
        ----------
        ndim
            Of the array. One with fewer axes than the image, as a single slice, takes the last ones, and lies
            as napari shows the image: without what would turn it out of the slice.
        shift
            How far it is moved in world coordinates (y, x).
        """
        units, scale, affine = self.units[-ndim:], self.scale[-ndim:], self.affine
        if ndim == len(self.scale):
            own = {"rotate": self.rotate, "shear": self.shear, "affine": affine}
            return {"scale": scale, "translate": _moved(self.translate, affine, shift), "units": units, **own}
        every = Affine(scale=self.scale, rotate=self.rotate, shear=self.shear, translate=self.translate)
        world = (Affine(affine_matrix=affine).compose(every)).set_slice(list(range(-ndim, 0)))
        affine = np.eye(ndim + 1)
        affine[:-1, :-1] = world.linear_matrix / scale
        translate = np.linalg.solve(affine[:-1, :-1], world.translate)
        return {
            "scale": scale,
            "translate": _moved(translate, affine, shift),
            "units": units,
            "affine": affine,
        }

    def beside(self, column: int, ndim: int) -> dict[str, Any]:
        """As :meth:`on_grid`, ``column`` places to the right of the image."""
        return self.on_grid(ndim, (0.0, column * self.size[1] * (1 + GAP)))

    def result(self, column: int, ndim: int) -> dict[str, Any]:
        """As :meth:`beside`, for data that may be saved: with what the file of the image says."""
        return {**self.beside(column, ndim), "metadata": heading_metadata(self.heading)}

    def below(self, column: int, shape: tuple[int, ...], span: int = 1, row: int = 1) -> dict[str, Any]:
        """Layer arguments for a picture of its own grid, fitted into ``span`` cells from ``column`` on.

        ``row`` 1 is the one below the image.

        It gets the image's unit although its axes are no lengths: napari shows no common scale bar for
        layers of different units.
        """
        room = self.size * np.array([1, span + GAP * (span - 1)])
        pixel = float(np.min(room / np.array(shape)))
        corner = self.low + self.size * (1 + GAP) * np.array([row, column])
        return {
            "scale": (pixel, pixel),
            "translate": tuple(corner + pixel / 2),
            "units": self.units[-2:],
        }


def _moved(translate: np.ndarray, affine: np.ndarray, shift: Sequence[float] | np.ndarray) -> np.ndarray:
    """The ``translate`` of a layer that is moved by (y, x) in world coordinates."""
    world = np.zeros(len(translate))
    world[-2:] = shift
    return np.asarray(translate + np.linalg.solve(affine[:-1, :-1], world))


def move(layer: Layer, shift: Sequence[float] | np.ndarray) -> None:
    """Move a layer by (y, x) in world coordinates, however it is turned."""
    layer.translate = _moved(np.array(layer.translate), np.array(layer.affine), shift)


def _extent(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.asarray(layer.extent.world)[:, -2:]
    # world extents end at the centres of the outer pixels
    centre, *steps = (np.array(layer.data_to_world(corner)[-2:]) for corner in _pixel(layer.ndim))
    half = np.abs(np.array(steps) - centre).sum(axis=0) / 2
    return low - half, high + half


def _pixel(ndim: int) -> np.ndarray:
    """The first pixel, and its neighbours along y and x."""
    return np.eye(ndim + 1, ndim, -1)[[0, -2, -1]]


def slice_shown(layer: Image, point: tuple[float, ...]) -> int:
    """Index of the slice of ``layer`` that a viewer at ``point`` shows."""
    if layer.ndim < 3:
        return 0
    world = np.asarray(point)[-layer.ndim :]
    return int(np.clip(round(float(layer.world_to_data(world)[-3])), 0, layer.data.shape[-3] - 1))


MARGIN = GAP / 2
"""Neighbours may reach so far into a place, as a share of its size: sizes are rounded."""


def stands_alone(viewer: Viewer, layer: Image) -> bool:
    """Whether no other image lies in the place of ``layer``; what is drawn over it does not count."""
    place = Placement.of(layer)
    others = (each for each in _images(viewer) if each is not layer and not is_derived(each))
    return not _is_taken(place.low, place.size, others)


def free_column(viewer: Viewer, placement: Placement) -> int:
    """The first place right of ``placement``, in its row, in which there is no image."""
    step = np.array([0, placement.size[1] * (1 + GAP)])
    return next(
        column
        for column in count(1)
        if not _is_taken(placement.low + column * step, placement.size, _images(viewer))
    )


def row_of_its_own(viewer: Viewer, layer: Image) -> tuple[float, float]:
    """How far ``layer`` has to be moved, in world coordinates (y, x), to lie below all images."""
    place = Placement.of(layer)
    others = (Placement.of(each) for each in _images(viewer) if each is not layer)
    lowest = max((float((each.low + each.size)[0]) for each in others), default=float(place.low[0]))
    return float(lowest + GAP * place.size[0] - place.low[0]), 0.0


def _images(viewer: Viewer) -> list[Image]:
    return [layer for layer in viewer.layers if isinstance(layer, Image)]


def _is_taken(low: np.ndarray, size: np.ndarray, layers: Iterable[Image]) -> bool:
    margin = MARGIN * size
    places = (Placement.of(layer) for layer in layers)
    return any(
        bool((low + margin < each.low + each.size).all() and (each.low < low + size - margin).all())
        for each in places
    )
