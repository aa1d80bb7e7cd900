"""What a person has outlined on an image, as a region of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels, Shapes

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
        If the labels are not on the image's grid.
    """
    array = image.data[0] if image.multiscale else image.data
    size = tuple(int(n) for n in array.shape[-2:])
    if isinstance(layer, Labels):
        labels = np.asarray(layer.data)
        if labels.shape not in (tuple(array.shape), size):
            raise StackError(
                f"The labels {layer.name} have shape {labels.shape}, the image {tuple(array.shape)}. "
                "Make a labels layer while only the image is there, and paint the background on it."
            )
        return np.asarray(labels > 0)
    onto_image = [
        np.array([image.world_to_data(layer.data_to_world(corner))[-2:] for corner in shape])
        for shape in layer.data
    ]
    if not onto_image:
        raise StackError(f"There is no shape in {layer.name}. Draw one around some background.")
    # napari rasterises shapes only on a layer's own grid: one on the image's
    return np.asarray(Shapes(onto_image, shape_type=layer.shape_type).to_labels(size) > 0)
