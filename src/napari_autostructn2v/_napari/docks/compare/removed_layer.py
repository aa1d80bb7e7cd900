"""What denoising took away, as a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_autostructn2v._napari.canvas.layer_names import REMOVED
from napari_autostructn2v._napari.canvas.placement import DERIVED_LAYER, Placement
from napari_autostructn2v._napari.canvas.slices import by_slices, grey_values
from napari_autostructn2v.residual import residual_of
from napari_autostructn2v.stack import as_stack

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer


def removed(original: Image, denoised: Image) -> Any:
    """Original minus denoised, computed slice by slice as it is looked at."""
    return by_slices(residual_of(as_stack(grey_values(original)), as_stack(grey_values(denoised))).array)


def add_removed(viewer: Viewer, original: Image, denoised: Image) -> Image:
    """Add what was removed as a layer in the place of the image, hidden."""
    array = removed(original, denoised)
    plane = np.asarray(array[array.shape[0] // 2] if array.ndim == 3 else array)
    spread = float(np.percentile(np.abs(plane), 99.5)) or 1.0
    active = viewer.layers.selection.active
    layer = viewer.add_image(
        array,
        name=REMOVED.format(original.name),
        contrast_limits=(-spread, spread),
        metadata=dict(DERIVED_LAYER),
        visible=False,
        **Placement.of(original).on_grid(array.ndim),
    )
    viewer.layers.selection.active = active
    return layer
