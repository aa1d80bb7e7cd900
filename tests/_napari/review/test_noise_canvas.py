"""The canvas of the noise: seen with the image, painted with tools of its own, no reason to crash."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hands import Hand, live, open_dock, small_screen, through_stage1
from qtpy.QtCore import Qt

from napari_autostructn2v._napari.canvas.layer_names import KERNEL, KERNEL_GRID, PEAKS, SPECTRUM
from napari_autostructn2v.noise.review import Mark


@pytest.fixture
def viewer(make_napari_viewer: Any) -> Any:
    return small_screen(make_napari_viewer)


@pytest.fixture
def dock(viewer: Any, hand: Hand, noisy: np.ndarray) -> Any:
    """In review."""
    viewer.add_image(noisy, name="tiny", scale=(2, 1.5, 1.5), units=("nm",) * 3)
    dock = open_dock(viewer, 2)
    live()
    through_stage1(hand, dock)
    return dock


def picture(canvas: Any) -> np.ndarray:
    """What is drawn on a canvas, grey."""
    live()
    return canvas.screenshot(flash=False)[..., :3].mean(axis=2)


def test_it_is_seen_with_the_image_in_a_small_window(hand: Hand, viewer: Any, dock: Any) -> None:
    noise, window = dock.workspace.noise, viewer.window._qt_window
    assert noise.dock is None and not dock.strip.noise.isChecked(), "who never looks at it pays nothing"
    hand.click(dock.strip.noise)
    hand.wait(hand.noise_rests)
    assert window.width() == 1280 and dock.strip.noise.isChecked()
    for tool in (*noise.dock.tools.values(), noise.dock.undo, noise.dock.fit, noise.dock.to_list):
        assert tool.visibleRegion().boundingRect() == tool.rect(), f"{tool.text()} is cut off"
    found = int((dock.session.review.peak_marks == Mark.FOUND).sum())
    counts = noise.dock.legend.counts
    assert [count.text() for count in counts.values()] == [f"{found} found", "0 added", "0 erased"]
    for count in counts.values():
        assert count.visibleRegion().boundingRect() == count.rect(), f"{count.text()} is cut off"
        assert count.width() >= count.sizeHint().width(), f"{count.text()} is cut off"
    assert dock.height() > 600, "the dock beside the image keeps its height"
    assert viewer.window._qt_viewer.canvas.native.height() > 300 and noise.dock.canvas.height() > 150
    for layer in noise.model.layers:
        low, high = layer.extent.world[:, -2:]
        for corner in (low, high):
            x, y = hand_pixel(hand, layer, corner)
            size = noise.dock.canvas.canvas.native.size()
            assert 0 <= x <= size.width() and 0 <= y <= size.height(), f"{layer.name} is out of sight"
    hand.click(dock.strip.noise)
    hand.wait(lambda: not noise.shown and not dock.strip.noise.isChecked())


def hand_pixel(hand: Hand, layer: Any, world: np.ndarray) -> tuple[int, int]:
    pixel = hand.at(layer, tuple(layer.world_to_data(world)))
    return pixel.x(), pixel.y()


def test_its_tools_paint_erase_and_undo(hand: Hand, dock: Any) -> None:
    hand.click(dock.strip.noise)
    hand.over_noise()
    bar, review = dock.workspace.noise.dock, dock.workspace.review
    kernel, peaks = review.labels(KERNEL), review.labels(PEAKS)
    before = kernel.data.copy()
    hand.click(bar.tools["paint"])
    hand.stroke(kernel, (1, 2))
    assert kernel.data[1, 2] and dock.session.review.kernel_grid[1, 2]
    hand.stroke(peaks, (3, 5))
    assert peaks.data[3, 5], "one click takes the brush to either picture"
    assert bar.legend.counts[Mark.ADDED].text() == "2 added", "the bin and its mirror image"
    hand.click(bar.undo)
    assert not peaks.data[3, 5] and kernel.data[1, 2]
    hand.click(bar.redo)
    assert peaks.data[3, 5]
    hand.key(Qt.Key.Key_1)
    assert bar.tools["erase"].isChecked(), "a key is seen on the buttons"
    hand.stroke(kernel, (1, 2))
    np.testing.assert_array_equal(kernel.data, before)
    bar.size_of_brush.setValue(3)
    assert kernel.brush_size == peaks.brush_size == 3


def test_it_tells_what_is_under_the_pointer(hand: Hand, viewer: Any, dock: Any) -> None:
    hand.over_noise()
    review = dock.workspace.review
    rows, columns = review.layers[SPECTRUM].data.shape
    hand._move(hand.at(review.layers[SPECTRUM], (rows // 2, columns // 2 + 9)), Qt.MouseButton.NoButton)
    hand._move(hand.at(review.layers[SPECTRUM], (rows // 2, columns // 2 + 10)), Qt.MouseButton.NoButton)
    assert "period 6.3 px = 9.45 nm" in str(viewer.status)


def test_it_has_the_look_of_the_window(hand: Hand, viewer: Any, dock: Any) -> None:
    hand.over_noise()
    noise = dock.workspace.noise
    edge = picture(noise.dock.canvas)[:4].mean()
    viewer.theme = "light"
    assert picture(noise.dock.canvas)[:4].mean() > edge + 100


def test_it_is_torn_off_put_back_and_closed_without_a_loss(hand: Hand, viewer: Any, dock: Any) -> None:
    hand.over_noise()
    noise, kernel = dock.workspace.noise, dock.workspace.review.labels(KERNEL)
    hand.click(dock.review.to_kernel)
    hand.wait(hand.noise_rests)
    hand.stroke(kernel, (1, 2))
    frame = noise._frame

    def seen_again() -> bool:
        return hand.noise_rests() and noise.dock.canvas.isVisible()

    for change in (
        lambda: frame.setFloating(True),
        lambda: frame.setFloating(False),
        lambda: (frame.hide(), live(), noise.show()),
        lambda: (viewer.window.remove_dock_widget(frame), live(), noise.show()),
    ):
        change()
        live()
        hand.wait(seen_again)
        hand.rest(0.2)
        assert picture(noise.dock.canvas).std() > 5, "something is drawn"
        assert kernel.data[1, 2] and kernel in noise.model.layers and kernel.mode == "paint"
        hand.stroke(kernel, (1, 4))
        assert dock.session.review.kernel_grid[1, 4]
        hand.undo()
        assert not dock.session.review.kernel_grid[1, 4] and kernel.data[1, 2]


def test_the_layer_list_has_it_too_if_wished(hand: Hand, viewer: Any, dock: Any) -> None:
    hand.click(dock.strip.noise)
    hand.over_noise()
    noise, review = dock.workspace.noise, dock.workspace.review
    hand.click(noise.dock.to_list)
    listed = viewer.layers["kernel"]
    assert listed is not review.labels(KERNEL) and listed.visible
    image = viewer.layers["tiny"]
    for name in ("spectrum", "kernel"):
        inside = viewer.layers[name].extent.world[:, -2:]
        assert (inside[0] >= image.extent.world[0, -2:]).all()
        assert (inside[1] <= image.extent.world[1, -2:]).all(), "the sliders end where the image does"
    listed.mode = "paint"
    viewer.layers.selection.active = listed
    hand.stroke(listed, (1, 2))
    assert dock.session.review.kernel_grid[1, 2] and review.labels(KERNEL).data[1, 2]
    hand.undo()
    assert not review.labels(KERNEL).data[1, 2]
    hand.click(noise.dock.tools["paint"])
    hand.stroke(review.labels(KERNEL), (1, 3))
    assert listed.data[1, 3]
    viewer.layers.remove("spectrum")
    hand.stroke(review.labels(KERNEL), (1, 4))
    assert "spectrum" not in viewer.layers, "what a person has deleted stays away"
    hand.click(noise.dock.to_list)
    assert "spectrum" in viewer.layers and viewer.layers["kernel"].data[1, 4]


def test_another_mode_and_another_run_take_over_the_painted_layers(
    hand: Hand, viewer: Any, dock: Any
) -> None:
    """napari crashes as it draws the circle of a brush whose layer is gone."""
    review, noise = dock.workspace.review, dock.workspace.noise
    hand.click(dock.review.to_kernel)
    painted = review.labels(PEAKS), review.labels(KERNEL)
    for mode in ("2.5d", "2d", "2.5d"):
        for layer in painted:
            hand.stroke(layer, (1, 2))
        dock.workspace.analyse_again(mode)
        hand.wait(lambda: dock.session.runner.job is None)
    assert dock.session.review.kernel_grid.ndim == 3
    assert (review.labels(PEAKS), review.labels(KERNEL)) == painted
    assert all(layer in noise.model.layers for layer in painted)
    review.labels(KERNEL).undo()
    assert review.labels(KERNEL).data.shape[1] == 3 * review.labels(KERNEL).data.shape[0] + 2
    hand.click(dock.stage1.run)
    hand.wait(lambda: dock.session.runner.job is None)
    assert not dock.session.messages.error
    assert (review.labels(PEAKS), review.labels(KERNEL)) == painted and painted[1].visible


def test_all_slices_of_a_kernel_are_seen_and_its_lines_only_where_they_are_told_apart(
    hand: Hand, viewer: Any, dock: Any
) -> None:
    noise, review = dock.workspace.noise, dock.workspace.review
    hand.click(dock.review.to_kernel)
    hand.wait(hand.noise_rests)
    lines = review.layers[KERNEL_GRID]
    every = len(lines.data)
    assert every > 60 and not dock.kernel.blocks.isVisibleTo(dock.kernel)
    noise.model.scene.camera.zoom /= 8
    assert len(lines.data) == 4, "lines as dense as pixels flicker: a frame is left"
    hand.click(dock.review.to_kernel)
    hand.wait(hand.noise_rests)
    assert len(lines.data) == every
    dock.workspace.analyse_again("2.5d")
    hand.wait(lambda: dock.session.runner.job is None)
    hand.click(dock.review.to_kernel)
    hand.wait(hand.noise_rests)
    kernel = review.labels(KERNEL)
    rows, columns = kernel.data.shape
    for place in ((0, 0), (rows - 1, columns - 1)):
        pixel = hand.at(kernel, place)
        assert noise.dock.canvas.canvas.native.rect().contains(pixel), "no slice is out of sight"
    assert "block z" in dock.kernel.blocks.text()
    dock.kernel.slices.value = "all"
    assert "all blocks" in dock.kernel.blocks.text()
