"""Axes of one entry before a stack, as readers of OME-Zarr and OMERO give them, are no axes."""

from __future__ import annotations

from typing import Any

import dask.array
import numpy as np
import pytest
import zarr

from napari_autostructn2v._napari.batch.layers import source_of
from napari_autostructn2v._napari.canvas.outline import outlined_region
from napari_autostructn2v._napari.canvas.placement import Placement
from napari_autostructn2v._napari.canvas.slices import full_shape, shown_slice, slice_at, without_leading
from napari_autostructn2v._napari.workspace import workspace_of
from napari_autostructn2v.io import VoxelSize


@pytest.mark.parametrize("leading", [0, 1, 2, 3])
def test_only_leading_axes_of_one_entry_go(leading: int) -> None:
    stack = np.arange(2 * 4 * 5).reshape(2, 4, 5)
    np.testing.assert_array_equal(without_leading(stack[(None,) * leading]), stack)
    assert without_leading(stack[:1]).shape == (1, 4, 5), "a stack of one slice"
    assert without_leading(stack[:, None]).shape == (2, 1, 4, 5), "others are choices to be made"
    assert without_leading(stack[0]).shape == (4, 5)


def test_nothing_is_read_when_axes_go(monkeypatch: pytest.MonkeyPatch) -> None:
    array = zarr.array(np.ones((1, 2, 16, 16)), chunks=(1, 1, 16, 16))
    monkeypatch.setattr(type(array), "__getitem__", lambda *_: pytest.fail("it is read"))
    assert without_leading(array).shape == (2, 16, 16)


@pytest.mark.parametrize("leading", [1, 2])
@pytest.mark.parametrize("wrap", [np.asarray, dask.array.from_array])
@pytest.mark.parametrize("multiscale", [False, True])
def test_a_layer_with_such_axes_is_a_stack(viewer: Any, leading: int, wrap: Any, multiscale: bool) -> None:
    stack = np.random.default_rng(0).normal(size=(6, 64, 48)).astype(np.float32)
    data = wrap(stack[(None,) * leading])
    scale, units = (1,) * leading + (2, 1.5, 1.5), ("pixel",) * leading + ("nm",) * 3
    if multiscale:
        data = [data, data[..., ::2, ::2]]
    layer = viewer.add_image(data, multiscale=multiscale, scale=scale, units=units)
    workspace = workspace_of(viewer)
    workspace.choose(layer)
    assert workspace.session.choice.problem == ""
    source = source_of(layer)
    assert source.voxel_size == VoxelSize(2, 1.5, 1.5, "nm")
    np.testing.assert_array_equal(np.asarray(source.array), stack)
    assert full_shape(layer) == stack.shape
    viewer.dims.set_current_step(viewer.dims.ndim - 3, 4)
    assert slice_at(viewer, layer) == 4
    np.testing.assert_array_equal(shown_slice(layer, 4), stack[4])
    result = viewer.add_image(stack, **Placement.of(layer).result(3))
    np.testing.assert_allclose(result.extent.world, layer.extent.world[:, -3:])
    labels = np.zeros((1,) * leading + stack.shape, np.uint8)
    labels[..., 10:20, 10:20] = 1
    outlined = outlined_region(viewer.add_labels(labels, scale=scale), layer)
    assert outlined.shape == stack.shape and outlined.sum() == 6 * 100
