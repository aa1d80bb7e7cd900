"""A window that was killed: the next one finds the run and goes on to the same result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import Hand
from qtpy.QtWidgets import QMessageBox

from napari_autostructn2v._napari.main_widget import StructuredDenoisingWidget
from napari_autostructn2v._napari.review import Mark
from napari_autostructn2v._napari.state import Phase
from napari_autostructn2v.io import Hold, write_stack
from napari_autostructn2v.run_store import RunStore

VICTIM = Path(__file__).parents[1] / "faults" / "window_victim.py"


@pytest.fixture
def file(noisy: np.ndarray, tmp_path: Path) -> Path:
    return write_stack(tmp_path / "tiny.mrc", noisy)


def victim(store: Path, file: Path, stage: str, step: int, *more: str) -> int:
    command = [sys.executable, str(VICTIM), str(store), str(file), stage, str(step), *more]
    ended = subprocess.run(command, timeout=600)
    return ended.returncode


def open_dock(viewer: Any, store: Path) -> StructuredDenoisingWidget:
    dock = StructuredDenoisingWidget(viewer)
    dock.session.store = RunStore(store)
    viewer.window.add_dock_widget(dock, name="Structured denoising")
    return dock


@pytest.fixture(scope="module")
def whole(noisy: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The result that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    assert victim(folder / "runs", write_stack(folder / "tiny.mrc", noisy), "stage1", 0) == 0
    return np.asarray(np.load(folder / "runs" / "result.npy"))


@pytest.mark.parametrize(
    ("stage", "step", "more"),
    [
        ("stage1", 7, ()),
        ("stage1", 3, ("--slices",)),
        ("review", 1, ("--memory",)),
        ("stage2", 5, ()),
        ("stage2", 3, ("--slices",)),
    ],
)
def test_a_killed_window_resumes_to_the_same_result(
    hand: Hand, viewer: Any, file: Path, tmp_path: Path, whole: np.ndarray, stage: str, step: int, more: Any
) -> None:
    store = tmp_path / "runs"
    assert victim(store, file, stage, step, *more) == -signal.SIGKILL
    (run,) = RunStore(store).runs()
    assert run.name == "tiny" and not run.done
    title = stage.replace("stage", "stage ")
    if "--slices" in more:
        assert run.stage == f"{title}, denoising, slice 2 of 4", "the mark of the third is not written yet"
    else:
        assert run.stage == ("review" if stage == "review" else f"{title}, step 0 of 12")

    dock = open_dock(viewer, store)
    hand.click(dock.data.resume)
    dialog = dock.workspace.runs.dialog
    assert dialog is not None and dialog.table.item(0, 0).text() == "tiny"
    hand.click(dialog.resume)
    end = Phase.RESULT if stage == "stage2" else Phase.REVIEW
    hand.wait(lambda: (dock.session.phase is end and dock.session.job is None) or dock.session.error)
    assert not dock.session.error and dock.session.review is not None
    assert dock.session.losses["stage1"].training
    assert dock.session.review.edited is (stage != "stage1")
    if stage == "stage1":
        grid = dock.session.review.kernel_grid.copy()
        middle = len(grid) // 2
        grid[middle, [middle - 2, middle + 2]] ^= True
        dock.session.edit_kernel(grid)
    if stage != "stage2":
        hand.click(dock.review.approve)
        hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.error)
    assert not dock.session.error and dock.session.run is not None
    np.testing.assert_array_equal(dock.session.run.denoised, whole)
    hand.wait(lambda: [run.stage for run in RunStore(store).runs()] == ["done"])
    assert list(store.rglob("predicted_*.tif"))
    viewer.close()
    assert not list(store.rglob("predicted_*")), "of a run that is done there is no more than what it takes"


def test_a_run_in_use_is_neither_resumed_nor_deleted(
    hand: Hand, viewer: Any, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "runs"
    assert victim(store, file, "stage1", 3) == -signal.SIGKILL
    (run,) = RunStore(store).runs()
    monkeypatch.setattr(QMessageBox, "question", lambda *args: QMessageBox.StandardButton.Yes)
    dock = open_dock(viewer, store)
    with Hold(run.path):
        hand.click(dock.data.resume)
        dialog = dock.workspace.runs.dialog
        assert dialog is not None
        hand.click(dialog.delete)
        assert f"process {os.getpid()}" in dialog.message.text() and run.path.exists()
        hand.click(dialog.resume)
        assert f"process {os.getpid()}" in dock.message.text()
        assert dock.session.phase is Phase.DATA
    hand.click(dock.data.resume)
    dialog = dock.workspace.runs.dialog
    assert dialog is not None
    hand.click(dialog.delete)
    assert not run.path.exists() and "No run" in dialog.message.text()


def test_a_run_that_starts_in_the_window_is_kept_with_its_edits(
    hand: Hand, viewer: Any, noisy: np.ndarray, tmp_path: Path
) -> None:
    viewer.add_image(noisy, name="from memory")
    dock = open_dock(viewer, tmp_path)
    dock.data.preset.value = "fast"
    dock.data.steps.value = 2
    hand.click(dock.stage1.run)
    hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.error)
    assert dock.session.run is not None and dock.session.run.folder is not None
    folder = dock.session.run.folder
    assert dock.session.review is not None
    dock.session.mark_peaks(np.where(dock.session.review.peaks, Mark.ERASED, Mark.ADDED))
    hand.wait(lambda: folder.read_edits("2d")[0] == dock.session.review.peak_edits)  # type: ignore[union-attr]
    dock.session.configure(recovery=0.25)
    hand.wait(lambda: folder.read_settings().config.recovery == 0.25)
    np.testing.assert_array_equal(folder.read_input().array, noisy)


def test_a_run_that_does_not_fit_onto_the_disk_goes_on_in_memory(
    hand: Hand, viewer: Any, noisy: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_autostructn2v._napari.jobs.room", lambda folder: 16 * noisy.size - 1)
    viewer.add_image(noisy, name="from memory")
    dock = open_dock(viewer, tmp_path)
    dock.data.preset.value = "fast"
    dock.data.steps.value = 2
    hand.click(dock.stage1.run)
    hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.error)
    assert "not kept" in dock.message.text() and "GB" in dock.message.text()
    hand.click(dock.review.approve)
    hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.error)
    assert not dock.session.error and isinstance(dock.session.run.stage2.predicted, np.ndarray)  # type: ignore[union-attr]
    assert not list(tmp_path.rglob("*.tif")) and not dock.session.kept
