"""The ways to look at an image and its results: one place for all, and nothing of the person's is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hands import Hand, live, open_dock, small_screen, through_stage1
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest

from napari_autostructn2v._napari.canvas.layer_names import KERNEL
from napari_autostructn2v._napari.canvas.placement import lies_with
from napari_autostructn2v._napari.session.state import Phase

CTRL_ALT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier


@pytest.fixture
def viewer(make_napari_viewer: Any) -> Any:
    return small_screen(make_napari_viewer)


@pytest.fixture
def dock(viewer: Any, hand: Hand, noisy: np.ndarray) -> Any:
    """In review."""
    viewer.add_image(noisy, name="tiny", scale=(2, 1.5, 1.5), translate=(4, 7, 3), units=("nm",) * 3)
    dock = open_dock(viewer, 2)
    live()
    through_stage1(hand, dock)
    return dock


def seen(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers if layer.visible]


def camera(viewer: Any) -> tuple[float, ...]:
    return (*viewer.scene.camera.center, viewer.scene.camera.zoom)


def panes(hand: Hand) -> list[Any]:
    """The rectangles of the panes in screen pixels."""
    hand.rest(0.1)  # panes get their sizes as they are drawn
    return [view.rect for view in hand.canvas.grid_views]


def world_at(hand: Hand, x: float, y: float) -> tuple[float, ...]:
    """The point of the world under a real pointer."""
    for away in (0, 1):  # a pointer that rests tells nothing
        hand._move(QPointF(x + 1 - away, y).toPoint(), Qt.MouseButton.NoButton)
    return tuple(hand.viewer.cursor.position)


def test_the_panes_show_one_place_and_the_grid_is_given_back(
    hand: Hand, viewer: Any, noisy: np.ndarray
) -> None:
    grid = viewer.canvas.grid
    grid.shape, grid.stride, grid.spacing = (2, 2), -2, 7  # as a person may have set it
    image = viewer.add_image(noisy, name="tiny", scale=(2, 1.5, 1.5), units=("nm",) * 3)
    other = viewer.add_image(noisy, name="other", scale=(2, 1.5, 1.5), units=("nm",) * 3)
    dock = open_dock(viewer, 2)
    dock.data.layer.choose(image)
    live()
    assert not dock.strip.isVisibleTo(dock)
    before = camera(viewer)
    through_stage1(hand, dock)
    stage1 = dock.workspace.images.results["stage1"]
    assert lies_with(stage1, image) and stage1.units == image.units
    assert seen(viewer) == ["tiny", "tiny stage 1"] and grid.enabled and grid.stride == 1
    assert image.name_overlay.visible and stage1.name_overlay.visible
    first, second = panes(hand)
    for x, y in ((0.5, 0.5), (0.3, 0.6)):
        points = [
            world_at(hand, each.left + x * each.width, each.bottom + y * each.height)
            for each in (first, second)
        ]
        np.testing.assert_allclose(points[0], points[1], atol=2.5)

    hand.click(dock.strip.buttons["stage1"])
    assert not grid.enabled and (grid.shape, grid.stride, grid.spacing) == ((2, 2), -2, 7)
    np.testing.assert_allclose(camera(viewer), before, rtol=1e-6)
    assert "tiny stage 1" in seen(viewer) and "tiny" not in seen(viewer) and other.visible
    hand.click(dock.strip.buttons["side"])
    viewer.canvas.grid.enabled = False  # napari's own button
    assert dock.workspace.views.view == "stage1" and dock.strip.buttons["stage1"].isChecked()


def test_points_picked_on_a_result_are_of_the_tomogram(hand: Hand, viewer: Any, dock: Any) -> None:
    points = viewer.add_points(ndim=3, scale=(2, 1.5, 1.5), units=("nm",) * 3)
    assert not viewer.canvas.grid.enabled, "it would have a pane of its own"
    assert seen(viewer) == ["tiny stage 1", "Points"]
    points.mode = "add"
    result = dock.workspace.images.results["stage1"]
    pixel = hand.at(result, (viewer.dims.current_step[0], 30, 50))
    hand._move(pixel, Qt.MouseButton.NoButton)
    QTest.mouseClick(hand.canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pixel)
    (picked,) = points.data
    index = viewer.layers["tiny"].world_to_data(points.data_to_world(picked))
    np.testing.assert_allclose(index[1:], (30, 50), atol=1)


def test_other_cuts_and_the_volume(hand: Hand, viewer: Any, dock: Any) -> None:
    image, result = viewer.layers["tiny"], dock.workspace.images.results["stage1"]
    alone = np.array(image.extent.world)
    for axis, (low, high) in enumerate(alone.T):
        start, stop, _ = viewer.dims.range[axis]
        assert (start, stop) == (low, high), "the sliders end where the image does"
    for order in ((1, 0, 2), (2, 0, 1), (0, 2, 1)):
        viewer.dims.order = order
        live()
        assert seen(viewer) == ["tiny", "tiny stage 1"] and len(panes(hand)) == 2
        np.testing.assert_array_equal(result.corner_pixels, image.corner_pixels)
    hand.click(dock.review.to_kernel)
    assert viewer.dims.order == (0, 2, 1), "the noise is no matter of cuts"
    viewer.dims.order = (0, 1, 2)
    viewer.dims.ndisplay = 3
    live()
    assert seen(viewer) == ["tiny", "tiny stage 1"] and len(panes(hand)) == 2


def test_the_camera_stays_with_the_person(hand: Hand, viewer: Any, dock: Any) -> None:
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 50, 60), 5.0
    before, review = camera(viewer), dock.workspace.review
    hand.click(dock.review.to_kernel)
    hand.wait(hand.noise_rests)
    kernel = review.labels(KERNEL)
    assert kernel.visible and kernel.mode == "paint"
    assert camera(viewer)[:3] == before[:3] and camera(viewer)[3] <= before[3], (
        "smaller panes, the same field"
    )
    assert seen(viewer) == ["tiny", "tiny stage 1"] and viewer.canvas.grid.enabled
    hand.click(dock.strip.noise)
    hand.wait(lambda: not dock.workspace.noise.shown)
    hand.rest(0.2)
    assert camera(viewer)[:3] == before[:3] and 0.8 < camera(viewer)[3] / before[3] <= 1
    before = camera(viewer)
    for view in ("stage1", "side", "original", "side"):
        hand.click(dock.strip.buttons[view])
    np.testing.assert_allclose(camera(viewer), before, rtol=0.01)


def test_blinking_while_held_and_by_keys(hand: Hand, viewer: Any, dock: Any) -> None:
    image, result = viewer.layers["tiny"], dock.workspace.images.results["stage1"]
    result.opacity = 0.9
    hand.key(Qt.Key.Key_2, CTRL_ALT)
    assert dock.workspace.views.view == "stage1" and result.name_overlay.visible
    for press, release in (
        (lambda: QTest.mousePress(dock.strip.blink, Qt.MouseButton.LeftButton),
         lambda: QTest.mouseRelease(dock.strip.blink, Qt.MouseButton.LeftButton)),
        (lambda: QTest.keyPress(hand.canvas.native, Qt.Key.Key_B, CTRL_ALT),
         lambda: QTest.keyRelease(hand.canvas.native, Qt.Key.Key_B, CTRL_ALT)),
    ):  # fmt: skip
        hand.canvas.native.setFocus()
        press()
        assert image.visible and result.opacity == 0, "the other one is seen at once"
        hand.wait(lambda: result.opacity == 0.9)
        hand.wait(lambda: result.opacity == 0)
        release()
        assert result.opacity == 0.9 and seen(viewer) == ["tiny stage 1"]
    hand.key(Qt.Key.Key_4, CTRL_ALT)
    assert viewer.canvas.grid.enabled
    hand.key(Qt.Key.Key_1, CTRL_ALT)
    assert seen(viewer) == ["tiny"]


def test_a_second_result_is_trained_beside_the_first(hand: Hand, viewer: Any, dock: Any) -> None:
    images, shown = dock.workspace.images, []
    images.previewed.connect(lambda: shown.append(seen(viewer)))
    for _ in range(2):
        hand.click(dock.review.approve)
        hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.messages.error)
        assert not dock.session.messages.error
    assert shown[0] == ["tiny", "tiny stage 1", "tiny preview"]
    assert sorted(shown[1]) == ["tiny", "tiny denoised", "tiny preview", "tiny stage 1"]
    assert seen(viewer) == ["tiny", "tiny stage 1", "tiny denoised"]
    viewer.layers.remove("tiny stage 1")
    assert seen(viewer) == ["tiny", "tiny denoised"] and not dock.strip.buttons["stage1"].isEnabled()
