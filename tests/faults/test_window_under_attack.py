"""Layers that go or change, mashed buttons, slow disks, fifty trainings, fifty brushes."""

from __future__ import annotations

import gc
import os
import random
from typing import Any

import dask.array as da
import numpy as np
import psutil
import pytest
import zarr
from hands import Gate, Hand, open_dock, threads_at_work, through_stage1
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton

from napari_autostructn2v._napari.canvas.layer_names import KERNEL, PEAKS
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.session.state import Phase


def begin(hand: Hand, dock: StructuredDenoisingWidget) -> None:
    """Start a first stage that would take for ever."""
    dock.data.steps.value = 100_000
    hand.click(dock.stage1.run)
    hand.wait(lambda: dock.session.monitor.progress is not None and dock.session.monitor.progress.done > 1)


def ends(hand: Hand, job: Any) -> None:
    """The job is told to stop, and its thread ends."""
    hand.wait(lambda: job.control.cancelled.is_set() and not threads_at_work())


def test_the_layer_is_renamed_while_it_trains(hand: Hand, viewer: Any, noisy: np.ndarray) -> None:
    layer = viewer.add_image(noisy, name="tiny")
    dock = open_dock(viewer, 2)
    hand.click(dock.stage1.run)
    layer.name = "renamed"
    assert dock.data.layer.currentText() == "renamed"
    hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.messages.error)
    assert not dock.session.messages.error and dock.workspace.source_layer is layer
    hand.click(dock.stage1.run)
    assert dock.session.run.source.name == "renamed"
    dock.session.cancel()


def test_the_data_of_the_layer_are_replaced(hand: Hand, viewer: Any, noisy: np.ndarray) -> None:
    layer = viewer.add_image(noisy, name="tiny")
    dock = open_dock(viewer, 2)
    begin(hand, dock)
    first, job = dock.session.run.source.array, dock.session.runner.job
    deeper = np.concatenate([noisy, noisy, noisy])
    layer.data = deeper
    viewer.dims.set_current_step(0, 11)
    shown: list[int] = []
    dock.session.previewed.connect(lambda event: shown.append(event.z))
    hand.wait(lambda: shown)
    assert dock.session.runner.job is job and not dock.session.messages.error, (
        "it goes on with what it was given"
    )
    assert max(shown) < len(noisy)
    assert dock.session.run.source.array is first
    hand.click(dock.stage1.cancel)
    ends(hand, job)
    dock.data.steps.value = 2
    hand.click(dock.stage1.run)
    assert dock.session.run.source.array is deeper, "from now on with what is there"
    hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.messages.error)
    assert dock.session.run.denoised.shape == deeper.shape


def test_data_that_no_longer_suit_are_told_at_once(hand: Hand, viewer: Any, noisy: np.ndarray) -> None:
    layer = viewer.add_image(noisy)
    dock = open_dock(viewer, 2)
    layer.data = noisy[:, :8, :8]
    assert "too small" in dock.data.message.text() and not dock.stage1.run.isEnabled()
    layer.data = noisy
    assert dock.stage1.run.isEnabled()


def test_a_removed_layer_is_replaced_by_its_like(hand: Hand, viewer: Any, noisy: np.ndarray) -> None:
    viewer.add_image(noisy, name="tiny")
    dock = open_dock(viewer, 2)
    begin(hand, dock)
    job = dock.session.runner.job
    viewer.layers.remove("tiny")
    viewer.add_image(noisy + 1, name="tiny")
    ends(hand, job)
    dock.data.steps.value = 2
    through_stage1(hand, dock)
    assert dock.session.run.source.array is viewer.layers["tiny"].data


def test_a_colour_picture_stays_refused_in_the_other_mode(viewer: Any) -> None:
    viewer.add_image(np.zeros((64, 64, 3), np.uint8), name="photo")
    dock = open_dock(viewer, 2)
    before = dock.data.message.text()
    dock.data.mode.value = "2.5d"
    assert dock.data.message.text() == before and "photo is an RGB picture" in before


@pytest.mark.parametrize("kind", ["dask", "zarr", "multiscale", "slice"])
def test_all_kinds_of_layers(hand: Hand, viewer: Any, noisy: np.ndarray, kind: str, tmp_path: Any) -> None:
    geometry: dict[str, Any] = {"scale": (5.0, 0.5, 0.5), "translate": (-3, 20, 400)}
    if kind == "dask":
        data: Any = da.from_array(noisy, chunks=(1, 40, 40))
    elif kind == "zarr":
        data = zarr.open_array(
            tmp_path / "a.zarr", mode="w", shape=noisy.shape, chunks=(1, 40, 40), dtype="f4"
        )
        data[:] = noisy
    elif kind == "multiscale":
        data = [noisy, noisy[:, ::2, ::2]]
    else:
        data, geometry = noisy[0], {"scale": (0.5, 0.5), "translate": (20, 400)}
    layer = viewer.add_image(data, name="tiny", **geometry)
    dock = open_dock(viewer, 2)
    through_stage1(hand, dock)
    hand.click(dock.review.approve)
    hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.messages.error)
    assert not dock.session.messages.error
    result = dock.workspace.images.results["stage2"]
    assert result.data.shape == (noisy[0].shape if kind == "slice" else noisy.shape)
    np.testing.assert_allclose(result.scale, layer.scale)
    np.testing.assert_allclose(result.translate, layer.translate)


@pytest.mark.parametrize("shape", [(2, 3, 40, 40), (3, 4, 4, 40, 40)])
def test_axes_that_are_not_space_are_refused_in_words(viewer: Any, shape: tuple[int, ...]) -> None:
    viewer.add_image(np.zeros(shape, np.float32))
    dock = open_dock(viewer, 2)
    assert "stacks of" in dock.data.message.text() and not dock.stage1.run.isEnabled()


def test_two_viewers_train_at_once_and_know_nothing_of_each_other(
    make_napari_viewer: Any, noisy: np.ndarray
) -> None:
    viewers = [make_napari_viewer(), make_napari_viewer()]
    docks = []
    for viewer in viewers:
        viewer.add_image(noisy, name="tiny")
        docks.append(open_dock(viewer, 2))
    hands = [Hand(viewer) for viewer in viewers]
    begin(hands[0], docks[0])
    begin(hands[1], docks[1])
    kept, dropped = docks[0].session.runner.job, docks[1].session.runner.job
    viewers[1].close()
    hands[0].wait(dropped.control.cancelled.is_set)
    done = docks[0].session.monitor.progress.done
    hands[0].wait(lambda: docks[0].session.monitor.progress.done > done)
    assert docks[0].session.runner.job is kept
    docks[0].session.cancel()
    ends(hands[0], kept)


@pytest.mark.parametrize("seed", range(3))
def test_mashed_buttons(hand: Hand, viewer: Any, noisy: np.ndarray, seed: int) -> None:
    viewer.add_image(noisy, name="tiny")
    dock = open_dock(viewer, 2)
    dice = random.Random(seed)
    stages = [dock.stage1, dock.stage2]
    mashed: list[QPushButton] = [
        button for stage in stages for button in (stage.run, stage.pause, stage.stop, stage.cancel)
    ]
    mashed += [dock.review.approve, dock.review.quick_look]
    errors: list[str] = []
    dock.session.changed.connect(lambda: errors.append(dock.session.messages.error))
    for _ in range(60):
        button = dice.choice(mashed)
        if button.isEnabled() and button.isVisibleTo(dock):
            QTest.mouseDClick(button, hand_button())
            QTest.mouseClick(button, hand_button())
        hand.rest(dice.choice([0, 0, 0.02]))
    assert not any(errors)
    if dock.session.runner.job is not None:
        dock.session.cancel()
    dock.workspace.quick_look.look.stop()
    through_stage1(hand, dock)


def hand_button() -> Any:
    from qtpy.QtCore import Qt

    return Qt.MouseButton.LeftButton


class SlowDisk:
    """An array whose slices do not come until the gate is opened."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self.gate = array, Gate()
        self.gate.open()
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index: Any) -> np.ndarray:
        self.gate.enter()
        return self._array[index]


def test_a_slow_disk_does_not_hold_up_the_window(hand: Hand, viewer: Any, noisy: np.ndarray) -> None:
    slow = SlowDisk(noisy)
    layer = da.from_array(slow, chunks=(1, 80, 80), name="slow", asarray=False)
    viewer.add_image(layer, name="slow", contrast_limits=(-3, 3))
    dock = open_dock(viewer, 2)
    dock.data.steps.value = 100_000
    slow.gate = Gate()  # from now on nothing comes
    hand.click(dock.stage1.run)
    job = dock.session.runner.job
    hand.wait(slow.gate.reached.is_set)
    hand.click(dock.stage1.cancel)
    assert dock.session.phase is Phase.DATA
    slow.gate.open()
    ends(hand, job)


def cycle(hand: Hand, dock: StructuredDenoisingWidget) -> None:
    """Train, cancel, train anew to the end, with a quick look, and compare the result."""
    begin(hand, dock)
    job = dock.session.runner.job
    hand.click(dock.stage1.cancel)
    ends(hand, job)
    dock.data.steps.value = 2
    through_stage1(hand, dock)
    look = dock.workspace.quick_look.look
    hand.click(dock.review.quick_look)
    hand.wait(lambda: look.runner.job is not None)
    hand.click(dock.review.quick_look)
    hand.click(dock.review.approve)
    hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.messages.error)
    assert not dock.session.messages.error
    hand.click(dock.result.compare)


def soak(hand: Hand, dock: StructuredDenoisingWidget, cycles: int, warm_up: int) -> list[Any]:
    """Threads, open files and MiB of memory after each cycle that follows those of warming up."""
    process, figures, keeper = psutil.Process(os.getpid()), [], dock.workspace.keeper
    for number in range(warm_up + cycles):
        cycle(hand, dock)
        for name in [each.name for each in hand.viewer.layers if each.name != "tiny"]:
            if name in hand.viewer.layers:
                hand.viewer.layers.remove(name)
        hand.wait(lambda: not keeper._timer.isActive() and not threads_at_work())
        gc.collect()
        if number >= warm_up:
            memory = process.memory_info().rss / 2**20
            figures.append((process.num_threads(), process.num_fds(), memory))
    return figures


def flat(figures: list[tuple[int, int, float]], mib: float) -> None:
    """Threads and files do not grow at all with the cycles, memory by no more than ``mib``."""
    (threads, files, memory), (last_threads, last_files, last_memory) = figures[0], figures[-1]
    print(
        f"threads {threads} -> {last_threads}, files {files} -> {last_files}, "
        f"memory {memory:.0f} -> {last_memory:.0f} MiB in {len(figures)} cycles"
    )
    assert last_threads <= threads + 2, figures
    assert last_files <= files + 2, figures
    assert last_memory - memory < mib, figures


def test_training_and_cancelling_leaves_nothing_behind(hand: Hand, viewer: Any, noisy: np.ndarray) -> None:
    viewer.add_image(noisy, name="tiny")
    flat(soak(hand, open_dock(viewer, 2), cycles=2, warm_up=1), mib=60)


@pytest.mark.long
def test_fifty_trainings_leave_nothing_behind(hand: Hand, viewer: Any, noisy: np.ndarray) -> None:
    viewer.add_image(noisy, name="tiny")
    flat(soak(hand, open_dock(viewer, 2), cycles=50, warm_up=5), mib=100)


def brush_and_new_image(hand: Hand, noisy: np.ndarray, rounds: int) -> None:
    """Paint, remove all layers with the brush in hand, move it where it was, go on with another image."""
    viewer = hand.viewer
    dock = open_dock(viewer, 2)
    for number in range(rounds):
        viewer.add_image(noisy, name=f"image {number}")
        hand.click(dock.stage1.run)
        hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.messages.error)
        assert not dock.session.messages.error
        marks, kernel = (dock.workspace.review.labels(key) for key in (PEAKS, KERNEL))
        for button, layer in ((dock.review.to_spectrum, marks), (dock.review.to_kernel, kernel)):
            hand.click(button)
            hand.wait(hand.noise_rests)
            hand.stroke(layer, (1, 2), (1, 4))
        assert dock.session.review.kernel_grid[1, 2:5].all()
        viewer.layers.select_all()
        viewer.layers.remove_selected()
        assert not viewer.layers and kernel in dock.workspace.noise.model.layers
        hand.stroke(kernel, (2, 2), (2, 4))


def test_a_brush_outlives_the_image(hand: Hand, noisy: np.ndarray) -> None:
    """napari crashes as it draws the circle of a brush whose layer is gone."""
    brush_and_new_image(hand, noisy, rounds=2)


@pytest.mark.long
def test_a_brush_outlives_fifty_images(hand: Hand, noisy: np.ndarray) -> None:
    brush_and_new_image(hand, noisy, rounds=50)
