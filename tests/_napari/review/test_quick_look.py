"""The quick look: a short training that follows the kernel, beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hands import Hand, open_dock, through_stage1

from napari_autostructn2v._napari.canvas.layer_names import KERNEL
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.review.quick_look_layer import visible_box
from napari_autostructn2v._napari.session import jobs
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v.config import TrainingConfig

BRIEF = TrainingConfig(steps=4, batch_size=2, patch_size=32, features=8, validation_interval=2)
FOR_LONG = BRIEF.model_copy(update={"steps": 100_000})


@pytest.fixture
def dock(viewer: Any, hand: Any, noisy: np.ndarray) -> StructuredDenoisingWidget:
    viewer.add_image(noisy, name="tiny", scale=(2.0, 1.5, 1.5), units=("nm",) * 3)
    dock = open_dock(viewer, 2)
    through_stage1(hand, dock)
    return dock


def test_it_stands_beside_the_kernel_and_begins_anew_after_a_stroke(
    hand: Any, viewer: Any, dock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "QUICK_LOOK", BRIEF)
    look = dock.workspace.quick_look.look
    started: list[Any] = []
    look.runner.started.connect(started.append)
    hand.click(dock.review.quick_look)
    hand.wait(lambda: look.picture is not None and look.runner.job is None)
    assert "stage 1 on the left" in dock.review.quick_status.text()
    noise = dock.workspace.noise.model
    layer, kernel = noise.layers["quick look"], dock.workspace.review.labels(KERNEL)
    assert layer.extent.world[0, -1] > kernel.extent.world[1, -1], "beside the kernel"
    hand.wait(hand.noise_rests)
    both = (kernel.extent.world[0, -1] + layer.extent.world[1, -1]) / 2
    assert abs(noise.scene.camera.center[-1] - both) < 1, "it came into sight when it was ready"
    width = layer.data.shape[1]
    stage1 = dock.session.run.stage1.predicted[viewer.dims.current_step[0]][look.box.field]
    np.testing.assert_array_equal(layer.data[:, : width // 2 - 1], stage1)
    assert np.isfinite(layer.data[:, width // 2 + 1 :]).all()

    hand.click(dock.review.to_kernel)
    hand.wait(hand.noise_rests)
    kernel.mode = "erase"
    middle = kernel.data.shape[0] // 2
    hand.stroke(kernel, next((y, x) for y, x in np.argwhere(kernel.data) if (y, x) != (middle, middle)))
    hand.wait(lambda: len(started) == 2)
    hand.wait(lambda: look.runner.job is None)

    hand.click(dock.review.quick_look)
    assert "quick look" not in [each.name for each in noise.layers]
    assert not look.on and not dock.review.quick_status.text()


def test_stage_2_takes_the_computer_for_itself(hand: Any, dock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "QUICK_LOOK", FOR_LONG)
    look = dock.workspace.quick_look.look
    hand.click(dock.review.quick_look)
    hand.wait(lambda: look.step > 0)
    job = look.runner.job
    hand.click(dock.review.approve)
    assert job.control.cancelled.is_set() and not look.on
    hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.messages.error)
    assert not dock.session.messages.error


def test_the_field_is_what_is_seen_and_never_large(make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer(show=True)
    hand = Hand(viewer)
    image = viewer.add_image(np.zeros((20, 600, 800), np.float32))
    hand.wait(lambda: visible_box(image.corner_pixels, 10, (20, 600, 800)).shape == (9, 160, 160))
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0, 100, 700), 8.0
    hand.wait(lambda: visible_box(image.corner_pixels, 0, (20, 600, 800)).x[0] > 400)
    box = visible_box(image.corner_pixels, 0, (20, 600, 800))
    assert box.z == (0, 5)
    assert box.y[0] <= 100 < box.y[1] and box.x[0] <= 700 < box.x[1]
    assert max(box.shape[1:]) <= 160
