"""Original minus denoised."""

from __future__ import annotations

import numpy as np

from napari_autostructn2v.computed import DerivedArray
from napari_autostructn2v.stack import Stack, as_stack


def residual_of(original: Stack, denoised: Stack) -> Stack:
    """Original minus denoised, computed slice by slice as it is read.

    Parameters
    ----------
    original, denoised
        Of one shape.
    """
    denoised = as_stack(denoised, like=original)

    def plane(z: int) -> np.ndarray:
        residual = original.plane(z)
        residual -= denoised.plane(z)
        return residual

    return Stack(DerivedArray(original, plane, difference=True))
