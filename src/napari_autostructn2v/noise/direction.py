"""The direction in which noise runs, and how far."""

from __future__ import annotations

import numpy as np

from napari_autostructn2v.kernel import centre


def extent(kernel: np.ndarray, weights: np.ndarray | None = None) -> tuple[float | None, int]:
    """Direction in degrees along which a (K, K) kernel mostly lies, and its length in pixels along that.

    The direction is the principal axis of its pixels.

    Parameters
    ----------
    kernel
        bool (K, K), at least its centre set.
    weights
        What each pixel counts, of the same shape; all alike if None.
    """
    offsets = np.argwhere(kernel) - centre(kernel.shape)
    counts = np.ones(len(offsets)) if weights is None or not weights[kernel].any() else weights[kernel]
    moments = (counts[:, None] * offsets).T @ offsets
    if not moments.any():
        return None, 1
    y, x = np.linalg.eigh(moments)[1][:, 1]
    # image rows run downwards; microscopists measure angles upwards from X
    direction = float(np.degrees(np.arctan2(-y, x)).round(9) % 180)
    return direction, int(2 * np.abs(offsets[along(offsets, direction)]).max(initial=0) + 1)


def along(offsets: np.ndarray, direction: float) -> np.ndarray:
    """Which offsets lie nearer to a direction than to the one across it.

    Parameters
    ----------
    offsets
        In y and x, (…, 2).
    direction
        In degrees, from X towards Y.
    """
    turn = np.radians(direction)
    lengthwise = offsets[..., 1] * np.cos(turn) - offsets[..., 0] * np.sin(turn)
    across = offsets[..., 1] * np.sin(turn) + offsets[..., 0] * np.cos(turn)
    return np.asarray(np.abs(lengthwise) >= np.abs(across))
