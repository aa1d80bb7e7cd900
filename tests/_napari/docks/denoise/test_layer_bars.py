"""A layer of several stacks, and one that lacks the voxel size of its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hands import Hand, open_dock, through_stage1

from napari_autostructn2v._napari.canvas.slices import stack_at, stacks_in
from napari_autostructn2v.io import VoxelSize, write_stack


@pytest.mark.parametrize("kind", [np.asarray, zarr.array])
def test_one_of_several_stacks(viewer: Any, hand: Hand, noisy: np.ndarray, kind: Any) -> None:
    movie = np.stack([noisy, noisy + 100, noisy + 200])
    layer = viewer.add_image(kind(movie), name="movie", scale=(1, 2, 1.5, 1.5), translate=(0, 0, 3, 4))
    dock = open_dock(viewer, steps=2)
    bar = dock.data.several
    assert "3 stacks of 4 × 80 × 80" in dock.data.message.text()
    assert not dock.stage1.run.isEnabled() and bar.isVisibleTo(dock)
    viewer.dims.set_current_step(0, 1)
    assert bar.take.text() == "Take number 1"
    hand.click(bar.take)
    taken = viewer.layers["movie [1]"]
    assert dock.data.layer.layer() is taken and not layer.visible and not bar.isVisibleTo(dock)
    np.testing.assert_array_equal(np.asarray(taken.data), noisy + 100)
    np.testing.assert_array_equal(taken.extent.world, layer.extent.world[:, 1:])
    through_stage1(hand, dock)
    assert np.asarray(dock.workspace.images.results["stage1"].data).mean() > 50


def test_all_of_several_stacks_are_queued(viewer: Any, hand: Hand, noisy: np.ndarray) -> None:
    """Of times and channels each."""
    viewer.add_image(np.broadcast_to(noisy, (2, 3, *noisy.shape)), name="movie", channel_axis=None)
    dock = open_dock(viewer)
    hand.click(dock.data.several.queue)
    batch = dock.workspace.batch
    assert [entry.name for entry in batch.entries] == [f"movie [{t}, {c}]" for t in (0, 1) for c in (0, 1, 2)]
    assert "Apply trained model" in "".join(viewer.window.dock_widgets), "the queue is in sight"
    opened = batch.entries[-1].opened()
    assert opened.name == "movie [1, 2]" and opened.array.shape == noisy.shape
    hand.click(dock.data.several.queue)
    assert len(batch.entries) == 6, "not twice"


def test_axes_of_one_entry_before_and_after(viewer: Any, noisy: np.ndarray) -> None:
    layer = viewer.add_image(np.broadcast_to(noisy, (1, 3, 1, *noisy.shape)))
    viewer.dims.set_current_step(1, 2)
    assert stacks_in(layer) == (3, 1) and stack_at(viewer, layer) == (2, 0)


SIZE = VoxelSize(2, 1.5, 1.5)


@pytest.fixture
def file(tmp_path: Path, noisy: np.ndarray) -> Path:
    return write_stack(tmp_path / "tomo.tif", noisy, voxel_size=SIZE)


def test_the_voxel_size_of_the_file(viewer: Any, hand: Hand, file: Path) -> None:
    """napari's own reader leaves it out of a TIFF."""
    (layer,) = viewer.open(file, plugin="napari")
    dock = open_dock(viewer, steps=2)
    bar = dock.data.voxel_size
    hand.wait(lambda: bar.isVisibleTo(dock))
    assert bar.text.text() == "The file says a voxel of 2 × 1.5 × 1.5 nm."
    assert dock.session.choice.source.voxel_size is None
    hand.click(bar.change)
    assert dock.session.choice.source.voxel_size == SIZE
    assert tuple(layer.scale) == (2, 1.5, 1.5) and bar.text.text().endswith("as the file says.")
    assert "voxel 2 × 1.5 × 1.5 nm (file)" in dock.data.header.facts.text()
    layer.scale = (3, 3, 3)
    assert "voxel 3 nm (typed)" in dock.data.header.facts.text(), "the file does not say so"
    layer.scale = (2, 1.5, 1.5)
    hand.click(bar.change)
    assert tuple(layer.scale) == (1, 1, 1) and dock.session.choice.source.voxel_size is None
    hand.click(bar.change)
    through_stage1(hand, dock)
    assert tuple(dock.workspace.images.results["stage1"].scale) == (2, 1.5, 1.5)
    assert not bar.isVisibleTo(dock), "there are results that lie as the image did"


@pytest.mark.parametrize("why", ["it has one", "another size", "no file", "gone"])
def test_nothing_is_offered(viewer: Any, hand: Hand, file: Path, noisy: np.ndarray, why: str) -> None:
    if why == "no file":
        layer = viewer.add_image(noisy)
    else:
        (layer,) = viewer.open(file, plugin="napari")
    if why == "it has one":
        layer.units, layer.scale = ("nm",) * 3, (3, 3, 3)
    if why == "another size":
        layer.data = layer.data[:, ::2, ::2]
    if why == "gone":
        file.unlink()
    dock = open_dock(viewer)
    hand.rest(0.2)
    assert not dock.data.voxel_size.isVisibleTo(dock)
