"""What a viewer shows of image layers: arrays in full resolution, and their present slice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import dask.array
import numpy as np

from napari_autostructn2v._napari.canvas.placement import is_derived, slice_shown

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

    from napari_autostructn2v.computed import ComputedArray


def grey_values(layer: Image) -> Any:
    """The array of a layer in full resolution, never computed here."""
    return without_leading(layer.data[0] if layer.multiscale else layer.data)


def without_leading(array: Any) -> Any:
    """An array without its first axes as far as they have one entry and there are three others after them.

    Readers give a stack such axes for its time and its channel.
    """
    leading = 0
    while len(array.shape) - leading > 3 and array.shape[leading] == 1:
        leading += 1
    return _part(array, (0,) * leading) if leading else array


def _part(array: Any, index: tuple[int, ...]) -> Any:
    """An array at an index of its first axes, not read here."""
    if not isinstance(array, np.ndarray | dask.array.Array):  # others may read all of it at an index
        empty = np.empty((0,) * len(array.shape), array.dtype)
        array = dask.array.from_array(array, name=False, meta=empty)  # type: ignore[no-untyped-call]
    return array[index]


def stacks_in(layer: Image) -> tuple[int, ...]:
    """How many stacks a layer holds along each axis before the last three: times, channels.

    Nothing if it is a stack, a slice or a colour picture.
    """
    return () if layer.rgb else full_shape(layer)[:-3]


def one_stack(layer: Image, index: tuple[int, ...]) -> Any:
    """One of :func:`stacks_in`, (Z, Y, X), not read here; the only one at index ()."""
    return _part(grey_values(layer), index) if index else grey_values(layer)


def stack_at(viewer: Viewer, layer: Image) -> tuple[int, ...]:
    """Which of :func:`stacks_in` the viewer shows."""
    stacks = stacks_in(layer)
    world = np.asarray(viewer.dims.point)[-layer.ndim :]
    place = np.asarray(layer.world_to_data(world))[: layer.ndim - 3][layer.ndim - 3 - len(stacks) :]
    return tuple(int(np.clip(round(float(at)), 0, n - 1)) for at, n in zip(place, stacks, strict=True))


def problem_of(layer: Image) -> str:
    """Why a layer cannot be denoised if it is no grey stack; nothing if it is."""
    if layer.rgb:
        return f"{layer.name} is an RGB picture. Convert it to grey values, or split its channels."
    if stacks := stacks_in(layer):
        shape = " × ".join(map(str, full_shape(layer)[-3:]))
        return (
            f"{layer.name} holds {math.prod(stacks)} stacks of {shape} along the axes before the last three, "
            "such as times or channels. Move its slider to one and take that, or queue all of them for a "
            "trained model."
        )
    return ""


def full_shape(layer: Image) -> tuple[int, ...]:
    """Shape of :func:`grey_values`."""
    return tuple(int(n) for n in grey_values(layer).shape)


def shown_slice(layer: Image, z: int) -> np.ndarray:
    """Slice ``z`` of a layer, (Y, X)."""
    array = grey_values(layer)
    return np.asarray(array[z] if array.ndim == 3 else array)


def slice_at(viewer: Viewer, layer: Image) -> int:
    """Index of the slice of ``layer`` that the viewer shows."""
    return slice_shown(layer, tuple(np.asarray(viewer.dims.point)))


def shows_slices(viewer: Viewer) -> bool:
    """Whether the viewer shows slices along Y and X, and not a volume or another cut through it."""
    dims = viewer.dims
    return dims.ndisplay == 2 and tuple(dims.displayed) == (dims.ndim - 2, dims.ndim - 1)


def field_seen(viewer: Viewer, layer: Image) -> tuple[slice, slice]:
    """The rows and columns of a layer that are seen; all of them where no slice along Y and X is shown."""
    rows, columns = full_shape(layer)[-2:]
    low, high = np.asarray(layer.corner_pixels)[:, -2:]
    if not shows_slices(viewer) or layer.multiscale or (high <= low).any():
        return slice(0, rows), slice(0, columns)
    (y0, x0), (y1, x1) = low.tolist(), (high + 1).tolist()  # the last pixel is seen as well
    return slice(y0, y1), slice(x0, x1)


def own_limits(layer: Image, saturated: float = 0.01) -> tuple[float, float]:
    """Contrast limits by percentiles of the middle slice; a difference keeps its own, around zero.

    A share of ``saturated`` of the pixels lies beyond them.
    """
    if is_derived(layer):
        low, high = layer.contrast_limits
        return float(low), float(high)
    return _limits(shown_slice(layer, full_shape(layer)[0] // 2), saturated) or (0.0, 1.0)


def by_slices(array: ComputedArray) -> Any:
    """An array of slices that are computed as they are looked at, for a layer.

    napari asks for a slice in many ways; dask passes on plain ones.
    """
    chunks: Any = (1, *array.shape[1:]) if array.ndim == 3 else -1
    # named by chance: dask would else read the whole stack to make a name of it
    return dask.array.from_array(array, chunks=chunks, name=False)  # type: ignore[no-untyped-call]


def contrast_limits(denoised: Any, saturated: float = 0.01) -> tuple[float, float]:
    """Limits beyond which lies a share of the middle slice, so that a few extreme pixels do not move them.

    Of the slice nearest to the middle, if that is blank.
    """
    depth = denoised.shape[0] if denoised.ndim == 3 else 1
    for z in sorted(range(depth), key=lambda z: abs(z - depth // 2)):
        limits = _limits(np.asarray(denoised[z] if denoised.ndim == 3 else denoised[...]), saturated)
        if limits is not None:
            return limits
    return (0.0, 1.0)


def _limits(plane: np.ndarray, saturated: float) -> tuple[float, float] | None:
    """Of a slice; None if it has no two values."""
    finite = plane[np.isfinite(plane)].astype(np.float64)
    if not finite.size:
        return None
    low, high = np.percentile(finite, [50 * saturated, 100 - 50 * saturated])
    return (float(low), float(high)) if high > low else None


def middle_slice(array: Any) -> np.ndarray:
    """The slice (Y, X) in the middle of a stack (Z, Y, X), or the only one of (Y, X)."""
    return np.asarray(array[array.shape[0] // 2 if array.ndim == 3 else ...])
