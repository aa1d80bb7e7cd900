"""A window that was killed: the next one finds the run and goes on to the same result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import Hand, threads_at_work, through_stage1
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QMessageBox

from napari_autostructn2v._napari.batch.queue import Entry
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.session.state import Phase, Source
from napari_autostructn2v.disk.lock import Hold
from napari_autostructn2v.io import write_stack
from napari_autostructn2v.noise.review import Mark
from napari_autostructn2v.runs.store import RunStore

VICTIM = Path(__file__).parents[2] / "faults" / "window_victim.py"


@pytest.fixture
def file(noisy: np.ndarray, tmp_path: Path) -> Path:
    return write_stack(tmp_path / "tiny.mrc", noisy)


def victim(store: Path, file: Path, stage: str, step: int, *more: str) -> int:
    command = [sys.executable, str(VICTIM), str(store), str(file), stage, str(step), *more]
    ended = subprocess.run(command, timeout=600)
    return ended.returncode


def open_dock(viewer: Any, store: Path) -> StructuredDenoisingWidget:
    dock = StructuredDenoisingWidget(viewer)
    dock.session.disk.store = RunStore(store)
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
    hand.wait(
        lambda: (dock.session.phase is end and dock.session.runner.job is None) or dock.session.messages.error
    )
    assert not dock.session.messages.error and dock.session.review is not None
    assert dock.session.monitor.losses["stage1"].training
    assert dock.session.review.edited is (stage != "stage1")
    if stage == "stage1":
        grid = dock.session.review.kernel_grid.copy()
        middle = len(grid) // 2
        grid[middle, [middle - 2, middle + 2]] ^= True
        dock.session.edit_kernel(grid)
    if stage != "stage2":
        hand.click(dock.review.approve)
        hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.messages.error)
    assert not dock.session.messages.error and dock.session.run is not None
    np.testing.assert_array_equal(dock.session.run.denoised, whole)
    hand.wait(lambda: [run.stage for run in RunStore(store).runs()] == ["done"])
    assert list(store.rglob("predicted_*.tif"))
    viewer.close()
    assert len(list(store.rglob("predicted_*.tif"))) == 2, "a run that is done opens at once"


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
    hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.messages.error)
    assert dock.session.run is not None and dock.session.run.folder is not None
    folder = dock.session.run.folder
    assert dock.session.review is not None
    dock.session.mark_peaks(np.where(dock.session.review.peaks, Mark.ERASED, Mark.ADDED))
    hand.wait(lambda: folder.analysis.read_edits("2d")[0] == dock.session.review.peak_edits)  # type: ignore[union-attr]
    dock.session.choice.configure(recovery=0.25)
    hand.wait(lambda: folder.read_request().config.recovery == 0.25)
    np.testing.assert_array_equal(folder.read_input().array, noisy)


def test_a_run_that_does_not_fit_onto_the_disk_goes_on_in_memory(
    hand: Hand, viewer: Any, noisy: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_autostructn2v.disk.atomic.room", lambda folder: 16 * noisy.size - 1)
    viewer.add_image(noisy, name="from memory")
    dock = open_dock(viewer, tmp_path)
    dock.data.preset.value = "fast"
    dock.data.steps.value = 2
    hand.click(dock.stage1.run)
    hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.messages.error)
    assert "not kept" in dock.message.text() and "GB" in dock.message.text()
    hand.click(dock.review.approve)
    hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.messages.error)
    assert not dock.session.messages.error and isinstance(dock.session.run.stage2.predicted, np.ndarray)  # type: ignore[union-attr]
    assert not list(tmp_path.rglob("*.tif")) and not dock.session.run.autosaved


def test_edits_are_kept_while_stage_2_and_a_queue_rest(
    hand: Hand, viewer: Any, noisy: np.ndarray, tmp_path: Path
) -> None:
    """However few threads Qt's pool has: on a laptop of two cores the two jobs once took them all."""
    viewer.add_image(noisy, name="tiny")
    dock = open_dock(viewer, tmp_path)
    dock.data.preset.value = "fast"
    dock.data.steps.value = 2
    through_stage1(hand, dock)
    assert dock.session.run is not None and dock.session.run.folder is not None
    folder, session, batch = dock.session.run.folder, dock.session, dock.workspace.batch
    pool = QThreadPool.globalInstance()
    threads, go_on = pool.maxThreadCount(), threading.Event()

    def opened() -> Source:
        go_on.wait()
        return Source("tiny", noisy)

    pool.setMaxThreadCount(1)
    try:
        dock.data.steps.value = 100_000
        hand.click(dock.review.approve)
        hand.wait(lambda: session.monitor.progress is not None and session.monitor.progress.done > 1)
        hand.click(dock.stage2.pause)
        batch.add(Entry("tiny", opened))
        batch.start()
        hand.wait(lambda: len(threads_at_work()) == 2)
        assert session.runner.paused and batch.going and session.review is not None
        session.mark_peaks(np.where(session.review.peaks, Mark.ERASED, Mark.ADDED))
        hand.wait(lambda: folder.analysis.read_edits("2d")[0] == session.review.peak_edits)  # type: ignore[union-attr]
    finally:
        pool.setMaxThreadCount(threads)
        go_on.set()
        batch.cancel_all()
        session.cancel()
    hand.wait(lambda: not threads_at_work())
