"""What a person has outlined on an image, as a region of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels, Shapes

from napari_autostructn2v._napari.canvas.slices import grey_values, without_leading
from napari_autostructn2v.errors import StackError

if TYPE_CHECKING:
    from napari.layers import Image


def outlined_region(layer: Labels | Shapes, image: Image) -> np.ndarray:
    """Pixels of an image inside the shapes, or under any label.

    Shapes hold for all slices, whichever they were drawn in.

    Parameters
    ----------
    layer
        Drawn over the image.
    image
        A stack (Z, Y, X) or a slice (Y, X).

    Returns
    -------
    numpy.ndarray
        bool (Y, X), or (Z, Y, X) from labels of all slices.

    Raises
    ------
    StackError
        If the labels are not on the image's grid, or nothing lies over the image.
    """
    array = grey_values(image)
    size = tuple(int(n) for n in array.shape[-2:])
    if isinstance(layer, Labels):
        labels = without_leading(np.asarray(layer.data))
        if labels.shape not in (tuple(array.shape), size):
            raise StackError(
                f"The labels {layer.name} have shape {labels.shape}, the image {tuple(array.shape)}. "
                "Make a labels layer while only the image is there, and paint on that."
            )
    else:
        # napari rasterises shapes only on a layer's own grid: one on the image's
        labels = Shapes(_corners(layer, image), shape_type=layer.shape_type).to_labels(size)
    if not labels.any():
        raise StackError(f"Nothing in {layer.name} lies over {image.name}. Draw on the image.")
    return np.asarray(labels > 0)


def outlined_field(layer: Shapes, image: Image) -> tuple[tuple[int, int], tuple[int, int]]:
    """The smallest box of an image's slices that holds every shape: its rows and its columns.

    Raises
    ------
    StackError
        If there is no shape, or none over the image.
    """
    array = grey_values(image)
    corners = np.concatenate(_corners(layer, image))
    # the centre of the first pixel is 0, its upper edge -0.5
    low = np.clip(np.rint(corners.min(axis=0) + 0.5), 0, array.shape[-2:]).astype(int)
    high = np.clip(np.rint(corners.max(axis=0) + 0.5), 0, array.shape[-2:]).astype(int)
    if (high <= low).any():
        raise StackError(f"The shapes in {layer.name} do not lie over {image.name}. Draw one on it.")
    return (int(low[0]), int(high[0])), (int(low[1]), int(high[1]))


def _corners(layer: Shapes, image: Image) -> list[np.ndarray]:
    """Corners of each shape in pixels of the image's slices, (n, 2)."""
    corners = [
        np.array([image.world_to_data(layer.data_to_world(corner))[-2:] for corner in shape])
        for shape in layer.data
    ]
    if not corners:
        raise StackError(f"There is no shape in {layer.name}. Draw one on the image.")
    return corners
