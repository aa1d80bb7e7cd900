"""Where layers go: what is made of an image lies where the image lies."""

from __future__ import annotations

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

NOISE_LAYER = {**DERIVED_LAYER, "napari_autostructn2v_of": "noise"}
"""Metadata of layers that show the noise, and are seen in the view of it only."""

GAP = 0.05
"""Distance between what is reviewed, as a share of the image's size."""


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

    def inside(
        self, shape: tuple[int, ...], columns: tuple[float, float], above: tuple[int, ...] | None = None
    ) -> dict[str, Any]:
        """Layer arguments for a picture of its own grid, within the field of the image.

        It is seen instead of the image. Elsewhere it would make the sliders and the field of the whole scene
        larger, in every direction in which a stack is cut.

        It gets the image's unit although its axes are no lengths: napari shows no common scale bar for
        layers of different units.

        Parameters
        ----------
        shape
            Of the picture; its height is at most half of that of the image.
        columns
            Where it begins and ends, as shares of the image's width.
        above
            Shape of the picture that it stands below, in the same columns; None for the upper edge.
        """
        left, right = columns
        room = self.size * (0.5, right - left) * (1 - 2 * GAP)
        top = 0.0 if above is None else above[0] * _pixel_size(room, above) + GAP * self.size[0]
        pixel = _pixel_size(room, shape)
        corner = self.low + GAP / 2 * self.size + np.array([top, left * (1 - GAP) * self.size[1]])
        return {
            "scale": (pixel, pixel),
            "translate": tuple(corner + pixel / 2),
            "units": self.units[-2:],
        }


def _pixel_size(room: np.ndarray, shape: tuple[int, ...]) -> float:
    return float(np.min(room / np.array(shape)))


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
