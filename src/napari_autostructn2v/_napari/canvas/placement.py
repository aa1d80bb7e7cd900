"""Where layers go: what is made of an image lies where the image lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from napari.utils.transforms import Affine

from napari_autostructn2v._napari.canvas.voxel_sizes import heading_metadata, heading_of

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_autostructn2v.io import Heading

DERIVED_LAYER = {"napari_autostructn2v": "view"}
"""Metadata of layers that show something about the data and are no data to denoise."""

Arrange = Callable[[Sequence[tuple[int, ...]]], list[dict[str, Any]]]
"""Layer arguments that lay out pictures of such shapes."""

HEIGHT = 100.0
"""Of each picture in a row, in units of its canvas."""

GAP = 16.0
"""Between two of them, in the same units: the frequencies at the edge of a spectrum are told there."""

MARGIN = 0.05
"""Beside a row of pictures that stands within an image, as a share of its size."""


def in_a_row(shapes: Sequence[tuple[int, ...]]) -> list[dict[str, Any]]:
    """Layer arguments for pictures of one height, one beside the other; see :data:`Arrange`."""
    places, left = list[dict[str, Any]](), 0.0
    for rows, columns in shapes:
        pixel = HEIGHT / rows
        places.append({"scale": (pixel, pixel), "translate": (pixel / 2, left + pixel / 2)})
        left += columns * pixel + GAP
    return places


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

    def on_grid(self, ndim: int, first: int = 0) -> dict[str, Any]:
        """Layer arguments for an array on the image's grid.

        Parameters
        ----------
        ndim
            Of the array. One with fewer axes than the image, as a single slice, takes the last ones, and lies
            as napari shows the image: without what would turn it out of the slice.
        first
            Slice of the image that the first slice of the array is.
        """
        units, scale, affine = self.units[-ndim:], self.scale[-ndim:], self.affine
        start = np.zeros(ndim)
        start[-3:-2] = first
        if ndim == len(self.scale):
            own = {"rotate": self.rotate, "shear": self.shear}
            translate = self.translate + Affine(scale=scale, **own).linear_matrix @ start
            return {"scale": scale, "translate": translate, "units": units, **own, "affine": affine}
        every = Affine(scale=self.scale, rotate=self.rotate, shear=self.shear, translate=self.translate)
        world = (Affine(affine_matrix=affine).compose(every)).set_slice(list(range(-ndim, 0)))
        affine = np.eye(ndim + 1)
        affine[:-1, :-1] = world.linear_matrix / scale
        translate = np.linalg.solve(affine[:-1, :-1], world.translate) + scale * start
        return {"scale": scale, "translate": translate, "units": units, "affine": affine}

    def result(self, ndim: int) -> dict[str, Any]:
        """As :meth:`on_grid`, for data that may be saved: with what the file of the image says."""
        return {**self.on_grid(ndim), "metadata": heading_metadata(self.heading)}

    def inside(self, shapes: Sequence[tuple[int, ...]]) -> list[dict[str, Any]]:
        """Layer arguments for a row of pictures within the field of the image; see :data:`Arrange`.

        Elsewhere they would make the sliders and the field of the whole scene larger, in every direction in
        which a stack is cut. They get the image's unit although their axes are no lengths: napari shows no
        common scale bar for layers of different units.
        """
        row = in_a_row(shapes)
        last = row[-1]["translate"][1] + (shapes[-1][1] - 0.5) * row[-1]["scale"][1]
        larger = float(np.min(self.size / (HEIGHT, last))) * (1 - 2 * MARGIN)
        corner = self.low + MARGIN * self.size
        return [
            {
                "scale": tuple(larger * np.array(place["scale"])),
                "translate": tuple(corner + larger * np.array(place["translate"])),
                "units": self.units[-2:],
            }
            for place in row
        ]


def lies_with(layer: Layer, other: Layer) -> bool:
    """Whether each pixel of a layer lies where that of the other lies."""
    if layer.ndim != other.ndim:
        return False
    corners = np.eye(layer.ndim + 1, layer.ndim, -1)  # the first pixel, and its neighbours along each axis
    return bool(
        np.allclose([layer.data_to_world(at) for at in corners], [other.data_to_world(at) for at in corners])
    )


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
