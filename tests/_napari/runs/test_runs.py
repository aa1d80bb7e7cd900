"""A run saved in a folder and opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import Hand, open_dock, through_stage1
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari.settings import get_settings
from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtWidgets import QFileDialog, QPushButton

from napari_autostructn2v._napari.canvas.layer_names import KERNEL
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v._napari.workspace import workspace_of
from napari_autostructn2v.box import Box
from napari_autostructn2v.config import Config
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import VoxelSize, read_stack, write_stack
from napari_autostructn2v.pipeline import run
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.request import RunRequest


def erase_a_kernel_pixel(hand: Hand, dock: StructuredDenoisingWidget) -> None:
    hand.click(dock.review.to_kernel)
    hand.wait(hand.noise_rests)
    kernel = dock.workspace.review.labels(KERNEL)
    kernel.mode = "erase"
    middle = kernel.data.shape[0] // 2
    hand.stroke(kernel, next((y, x) for y, x in np.argwhere(kernel.data) if (y, x) != (middle, middle)))
    assert dock.session.review is not None and dock.session.review.edited


def answer_dialogs(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(folder), ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args: str(folder))


@pytest.fixture
def folder(noisy: np.ndarray, tmp_path: Path) -> Path:
    """What the command line leaves of a run, beside the input ``tiny.mrc``."""
    short = Config.from_preset("fast").stage1.model_copy(update={"steps": 2})
    source = read_stack(write_stack(tmp_path / "tiny.mrc", noisy, voxel_size=VoxelSize(2, 1, 1)))
    folder = tmp_path / "run"
    finish(
        run(
            source.array,
            RunRequest("2d", Config(stage1=short, stage2=short), source=source),
            folder=folder,
        )
    )
    return folder


def test_a_saved_run_opens_with_its_edits_and_results(
    make_napari_viewer: Any, noisy: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kept"
    answer_dialogs(monkeypatch, folder)
    viewer = make_napari_viewer()
    hand = Hand(viewer)
    viewer.add_image(noisy, name="from memory", scale=(2.0, 1.5, 1.5), units=("nm",) * 3)
    dock = open_dock(viewer, 2)
    through_stage1(hand, dock)
    erase_a_kernel_pixel(hand, dock)
    hand.click(dock.review.approve)
    hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.messages.error)
    assert dock.session.disk.unsaved(dock.session.review)
    hand.choose(dock.result.more, dock.result.save_run)
    hand.wait(lambda: dock.session.disk.saved_in is not None or dock.session.messages.error)
    assert not dock.session.messages.error and not dock.session.disk.unsaved(dock.session.review)

    other = make_napari_viewer()
    again = open_dock(other)
    hand = Hand(other)
    hand.click(again.data.open_run)
    hand.wait(lambda: again.session.phase is Phase.RESULT or again.session.messages.error)
    assert not again.session.messages.error
    assert again.session.review is not None and dock.session.review is not None
    assert again.session.review.kernel_edits == dock.session.review.kernel_edits
    np.testing.assert_array_equal(again.session.review.analysis.kernel, dock.session.review.analysis.kernel)
    assert again.session.run is not None and dock.session.run is not None
    assert again.session.run.denoised is not None and dock.session.run.denoised is not None
    np.testing.assert_allclose(again.session.run.denoised, dock.session.run.denoised, rtol=1e-4, atol=1e-4)
    assert again.session.choice.settings.training.steps == 2 and not again.session.disk.unsaved(
        again.session.review
    )
    np.testing.assert_allclose(other.layers[0].scale, (2.0, 1.5, 1.5))
    assert "from memory" in other.layers, "its name is kept, though the copy in the folder has another"


def test_a_run_of_the_command_line_opens_for_review(
    hand: Hand, viewer: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_dialogs(monkeypatch, folder)
    dock = open_dock(viewer)
    hand.click(dock.data.open_run)
    hand.wait(lambda: dock.session.phase >= Phase.REVIEW or dock.session.messages.error)
    assert not dock.session.messages.error and dock.session.review is not None


def test_a_dropped_run_goes_on_in_one_click(
    make_napari_viewer: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_settings().application, "gui_notification_level", NotificationSeverity.INFO)
    viewer = make_napari_viewer(show=True)
    hand = Hand(viewer)
    viewer.open(folder, plugin="napari-autostructn2v")
    assert "tiny stage 1" in viewer.layers and "spectrum" in viewer.layers
    hand.wait(lambda: viewer.window._qt_window.findChildren(NapariQtNotification))
    (notification,) = viewer.window._qt_window.findChildren(NapariQtNotification)
    assert "To review this run" in notification.message.text()
    (go_on,) = (b for b in notification.findChildren(QPushButton) if b.text() == "Go on with this run")
    hand.click(go_on)
    session = workspace_of(viewer).session
    hand.wait(lambda: session.phase is Phase.RESULT or session.messages.error)
    assert not session.messages.error
    names = [layer.name for layer in viewer.layers]
    assert {"tiny", "tiny stage 1"} <= set(names) and "spectrum" not in names
    assert not any("[1]" in name for name in names), "what only showed the run has gone"
    hand.rest(0.5)


def test_a_run_without_its_input_is_only_shown(viewer: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.mrc").unlink()
    notification_manager.records.clear()
    viewer.open(folder, plugin="napari-autostructn2v")
    assert "tiny stage 1" in viewer.layers and not notification_manager.records


def test_saved_again_with_other_settings_it_takes_them(
    hand: Hand, viewer: Any, noisy: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kept"
    answer_dialogs(monkeypatch, folder)
    viewer.add_image(noisy, name="from memory")
    dock = open_dock(viewer, 2)
    through_stage1(hand, dock)
    for recovery, steps in ((100, 2), (40, 3)):
        dock.result.recovery.value = recovery
        dock.data.steps.value = steps
        hand.choose(dock.result.more, dock.result.save_run)
        hand.wait(lambda: "Saved the run" in dock.message.text() or dock.session.messages.error)
        assert not dock.session.messages.error
        dock.session.messages.confirm("")
        config = RunFolder(folder).read_request().config
        assert config.recovery == recovery / 100
        assert config.stage1.steps == 2, "what it was trained with, not what is chosen now"
    viewer.add_image(noisy + 1, name="another")
    dock.data.layer.choose(viewer.layers["another"])
    through_stage1(hand, dock)
    hand.choose(dock.result.more, dock.result.save_run)
    hand.wait(lambda: dock.session.messages.error)
    assert "belongs to another run" in dock.session.messages.error


def test_the_part_that_was_trained_on_comes_back(
    hand: Hand, viewer: Any, noisy: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Config.from_preset("fast").stage1.model_copy(update={"steps": 2})
    source = read_stack(write_stack(tmp_path / "tiny.mrc", noisy, voxel_size=VoxelSize(2, 1.5, 1.5)))
    folder, box = tmp_path / "run", Box((1, 3), (8, 72), (0, 64))
    config = Config(stage1=short, stage2=short)
    finish(run(source.array, RunRequest("2d", config, source=source, box=box), folder=folder))
    answer_dialogs(monkeypatch, folder)
    dock = open_dock(viewer)
    hand.click(dock.data.open_run)
    hand.wait(lambda: dock.session.phase >= Phase.REVIEW or dock.session.messages.error)
    assert not dock.session.messages.error
    panel = dock.data.training
    assert panel.some_slices.isChecked() and (panel.first.value(), panel.last.value()) == (1, 2)
    assert panel.field.layer() is viewer.layers["training field"]
    hand.click(dock.review.approve)
    hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.messages.error)
    assert (
        not dock.session.messages.error
        and dock.session.run is not None
        and dock.session.run.stage2 is not None
    )
    trained_on = dock.session.run.stage2.model.provenance["trained_on"]
    assert [tuple(span) for span in trained_on] == [box.z, box.y, box.x]


def test_a_folder_without_a_run_is_refused_in_words(
    hand: Hand, viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_dialogs(monkeypatch, tmp_path)
    dock = open_dock(viewer)
    hand.click(dock.data.open_run)
    assert "no run folder" in dock.message.text()
