"""The session without a window: jobs run in place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest
from jobs_here import run_jobs_here

from napari_autostructn2v._napari.review.layer_data import from_side_by_side, side_by_side
from napari_autostructn2v._napari.session.jobs import Cancelled, Examined, Job, drive
from napari_autostructn2v._napari.session.run_files import open_run
from napari_autostructn2v._napari.session.session import Session
from napari_autostructn2v._napari.session.state import Phase, Settings, Source
from napari_autostructn2v.disk.lock import Hold
from napari_autostructn2v.errors import BusyError, DiskFullError, RunFolderError
from napari_autostructn2v.events import Event, SliceDone, SliceSeen, Step, finish
from napari_autostructn2v.io import write_stack
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.noise.review import Mark, Review
from napari_autostructn2v.pipeline import resume
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.stage_spec import StageSpec
from napari_autostructn2v.runs.store import RunStore
from napari_autostructn2v.stack import as_stack


@pytest.fixture
def session() -> Session:
    session = Session()
    session.choice.configure(preset="fast")
    session.configure_training(steps=2)
    return session


@pytest.fixture
def reviewed(session: Session, noisy: np.ndarray) -> Session:
    """A session that waits for its review."""
    run_jobs_here(session)
    session.choice.choose(Source("tiny", noisy))
    session.start_stage1()
    assert session.phase is Phase.REVIEW, session.messages.error
    return session


def review_of(session: Session) -> Review:
    assert session.review is not None
    return session.review


def test_the_whole_way(reviewed: Session, noisy: np.ndarray) -> None:
    assert reviewed.run is not None and reviewed.run.denoised is not None
    first = reviewed.run.denoised
    assert first.shape == noisy.shape
    assert [
        len(reviewed.monitor.losses["stage1"].training),
        len(reviewed.monitor.losses["stage1"].validation),
    ] == [2, 1]
    reviewed.approve()
    assert reviewed.phase is Phase.RESULT
    assert reviewed.run.stage2 is not None
    assert reviewed.run.denoised is not first
    np.testing.assert_array_equal(reviewed.run.stage2.model.kernel, review_of(reviewed).analysis.kernel)
    assert reviewed.run.stage2.model.provenance["input"] == "tiny"


def test_25d(session: Session, noisy: np.ndarray) -> None:
    run_jobs_here(session)
    session.choice.configure(mode="2.5d")
    session.choice.choose(Source("tiny", noisy))
    assert "20" in session.choice.hint  # four slices are few
    session.start_stage1()
    grid = review_of(session).kernel_grid
    assert grid.ndim == 3 and grid.shape[0] == 3
    session.approve()
    assert session.run is not None and session.run.model is not None and session.run.model.mode == "2.5d"


def test_skip_and_unattended(session: Session, noisy: np.ndarray) -> None:
    run_jobs_here(session)
    session.choice.choose(Source("tiny", noisy))
    session.start_stage1()
    session.skip()
    assert session.phase is Phase.RESULT and session.run is not None and session.run.skipped
    session.choice.configure(unattended=True)
    session.start_stage1()
    assert session.phase is Phase.RESULT
    assert session.run.skipped is not review_of(session).analysis.verdict.expect_gain


def test_peaks_drive_the_kernel_and_hand_painted_pixels_win(reviewed: Session) -> None:
    told = []
    reviewed.reviewed.connect(lambda: told.append(1))
    found = review_of(reviewed)

    reviewed.mark_peaks(np.where(found.peaks, Mark.ERASED, Mark.NONE))
    assert review_of(reviewed).analysis.kernel.sum() == 1  # no peak, no neighbour

    grid = review_of(reviewed).kernel_grid.copy()
    middle = grid.shape[0] // 2
    grid[middle + 2, middle] = grid[middle - 2, middle] = True
    reviewed.edit_kernel(grid)
    reviewed.mark_peaks(found.peak_marks)
    assert review_of(reviewed).kernel_grid[middle + 2, middle]
    assert review_of(reviewed).analysis.kernel.sum() > found.analysis.kernel.sum()

    reviewed.reset_kernel_edits()
    np.testing.assert_array_equal(review_of(reviewed).analysis.kernel, found.analysis.kernel)
    assert not review_of(reviewed).edited
    reviewed.reset_peak_edits()
    assert len(told) == 4, "nothing was left to drop"


def test_another_mode_keeps_stage_1_and_the_edits(reviewed: Session) -> None:
    assert reviewed.run is not None
    first, marks = reviewed.run.stage1, review_of(reviewed).peak_marks.copy()
    marks[5, 40] = marks[-6, -41] = Mark.ADDED
    reviewed.mark_peaks(marks)
    grid = review_of(reviewed).kernel_grid.copy()
    middle = len(grid) // 2
    grid[middle + 2, middle] = grid[middle - 2, middle] = True
    reviewed.edit_kernel(grid)

    reviewed.analyse_again("2.5d")
    assert reviewed.run.mode == reviewed.choice.settings.mode == "2.5d" and reviewed.run.stage1 is first
    stacked = review_of(reviewed).kernel_grid
    assert stacked[:, middle + 2, middle].tolist() == [False, True, False]
    assert review_of(reviewed).peak_marks[5, 40] == Mark.ADDED
    stacked = stacked.copy()
    stacked[0, middle, middle + 5] = stacked[2, middle, middle - 5] = True
    reviewed.edit_kernel(stacked)

    reviewed.analyse_again("2d")
    np.testing.assert_array_equal(review_of(reviewed).kernel_grid, grid)
    assert reviewed.run.mode == "2d"
    reviewed.analyse_again("2.5d")
    reviewed.approve()
    assert reviewed.run is not None and reviewed.run.model is not None and reviewed.run.model.mode == "2.5d"


def test_edits_survive_sensitivity_another_analysis_and_another_stage_1(reviewed: Session) -> None:
    marks = review_of(reviewed).peak_marks.copy()
    corner = (5, 40)
    mirrored = tuple(n - 1 - i for n, i in zip(marks.shape, corner, strict=True))
    assert not marks[corner]
    marks[corner] = marks[mirrored] = Mark.ADDED
    reviewed.mark_peaks(marks)
    automatic = review_of(reviewed).automatic.peaks.sum()

    reviewed.choice.configure(sensitivity=60.0)
    assert review_of(reviewed).automatic.peaks.sum() <= automatic
    assert review_of(reviewed).peaks[corner] and review_of(reviewed).peaks[mirrored]
    reviewed.analyse_again()
    assert review_of(reviewed).peaks[corner]
    reviewed.start_stage1()
    assert review_of(reviewed).peaks[corner]
    reviewed.approve()
    assert reviewed.run is not None and reviewed.run.model is not None
    assert len(reviewed.run.model.provenance["edits"]["peaks"]["added"]) == 2


def test_cancelled_job_is_dropped_at_once(session: Session, noisy: np.ndarray) -> None:
    jobs: list[Job] = []
    session.runner.started.connect(jobs.append)
    session.choice.choose(Source("tiny", noisy))
    session.start_stage1()
    events = drive(jobs[0])
    session.runner.receive(jobs[0], next(events))
    session.cancel()
    assert session.runner.job is None and session.phase is Phase.DATA and session.run is None
    with pytest.raises(StopIteration) as end:
        next(events)
    assert isinstance(end.value.value, Cancelled)
    assert jobs[0].stream.gi_frame is None  # type: ignore[attr-defined]  # its clean-up has run
    session.runner.complete(jobs[0], "too late")
    session.runner.receive(jobs[0], Step(step=1, steps=2, loss=1.0))
    assert session.phase is Phase.DATA and session.monitor.progress is None


def test_stop_early_keeps_what_is_learned(session: Session, noisy: np.ndarray) -> None:
    session.configure_training(steps=1000)
    run_jobs_here(
        session, lambda job, event: session.runner.stop_early() if isinstance(event, Step) else None
    )
    session.choice.choose(Source("tiny", noisy))
    session.runner.stop_early()  # nothing runs: nothing to stop
    session.start_stage1()
    assert session.phase is Phase.REVIEW
    assert len(session.monitor.losses["stage1"].training) < 5


def test_a_stop_asked_for_before_the_training_waits_for_it(session: Session, noisy: np.ndarray) -> None:
    session.configure_training(steps=1000)
    run_jobs_here(session, lambda job, event: session.runner.stop_early())
    session.choice.choose(Source("tiny", noisy))
    session.start_stage1()
    assert session.phase is Phase.REVIEW, session.messages.error


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((0, 32, 32)), "empty"),
        (np.zeros((8, 8, 8)), "too small"),
        (np.zeros((4, 32, 32), complex), "complex"),
        (np.zeros((64, 64, 3), np.uint8), "RGB"),
        (np.zeros((2, 4, 32, 32)), "4 axes"),
    ],
)
def test_data_that_cannot_be_denoised(session: Session, array: np.ndarray, words: str) -> None:
    session.choice.choose(Source("bad", array))
    assert words in session.choice.problem
    assert not session.ready


def test_one_slice_refuses_25d_only(session: Session) -> None:
    session.choice.choose(Source("one", np.random.default_rng(0).normal(size=(64, 64))))
    assert session.ready
    session.choice.configure(mode="2.5d")
    assert "three" in session.choice.problem
    session.choice.configure(mode="2d")
    assert session.ready


def test_errors_of_the_engine_are_shown(session: Session, noisy: np.ndarray) -> None:
    run_jobs_here(session)
    session.choice.choose(Source("bad", np.ones_like(noisy)))
    session.start_stage1()
    session.start_stage1()  # that nothing was measured is asked about first
    assert "same" in session.messages.error
    assert session.phase is Phase.DATA


def test_whether_most_of_the_data_is_meant_to_be_left_out_is_asked_once(
    session: Session, noisy: np.ndarray
) -> None:
    run_jobs_here(session)
    framed = noisy.copy()
    framed[:, :, :56] = 0
    source = Source("framed", framed)
    session.choice.choose(source)
    session.start_stage1()
    assert session.phase is Phase.DATA and session.run is None
    assert "70 % of the stack is blank" in session.messages.error
    assert "press Run stage 1 once more" in session.messages.error
    assert "--" not in session.messages.error and session.messages.cause is None, "it is a question"
    session.choice.choose(replace(source, name="another name"))
    assert session.choice.mostly_blank
    for other in (
        lambda: session.choice.choose(Source("other", framed.copy())),
        lambda: session.choice.leave_out(framed[0] == 0),
    ):
        other()
        assert not session.choice.mostly_blank, "the answer was for other data, or for less of them"
        session.start_stage1()
        assert session.choice.mostly_blank
    session.choice.leave_out(framed[0] == 0)
    session.start_stage1()
    assert session.phase is Phase.REVIEW, session.messages.error
    assert session.run is not None and session.run.survey is not None
    assert "70 %" in session.run.survey.message and session.run.survey.pixels


class Lazy:
    """An array that can be read by slices only, as one that does not fit into memory."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index: int) -> np.ndarray:
        assert isinstance(index, int)
        return self._array[index]

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise AssertionError("the stack was read whole")


def test_a_lazy_array_is_never_computed_whole(session: Session, noisy: np.ndarray) -> None:
    run_jobs_here(session)
    session.choice.choose(Source("lazy", Lazy(noisy)))
    session.start_stage1()
    assert session.phase is Phase.REVIEW, session.messages.error
    session.approve()
    assert session.phase is Phase.RESULT, session.messages.error


def test_dask(session: Session, noisy: np.ndarray) -> None:
    run_jobs_here(session)
    session.choice.choose(Source("dask", da.from_array(noisy, chunks=(1, -1, -1))))
    session.start_stage1()
    assert session.phase is Phase.REVIEW, session.messages.error


def test_settings_reach_the_engine() -> None:
    session = Session()
    session.choice.configure(preset="high", sensitivity=3.5)
    session.configure_training(steps=7)
    config = session.choice.settings.config()
    assert config.stage1.steps == config.stage2.steps == 7
    assert config.stage1.features == 48
    assert config.analysis.sensitivity == 3.5


def test_a_training_setting_that_cannot_be_is_told_and_changes_nothing() -> None:
    session = Session()
    session.configure_training(patch_size=30)
    assert "multiple of 4" in session.messages.error
    assert session.choice.settings == Settings()
    session.configure_training(patch_size=32)
    assert not session.messages.error


def run_in_a_thread(job: Job) -> tuple[threading.Thread, list[Any]]:
    ended: list[Any] = []
    thread = threading.Thread(target=lambda: ended.append(finish(drive(job))))
    thread.start()
    return thread, ended


def test_a_paused_job_rests_until_it_may_go_on(session: Session, noisy: np.ndarray) -> None:
    jobs: list[Job] = []
    session.runner.started.connect(jobs.append)
    session.choice.choose(Source("tiny", noisy))
    session.start_stage1()
    session.runner.pause()
    thread, ended = run_in_a_thread(jobs[0])
    thread.join(1.0)
    assert thread.is_alive() and session.runner.paused
    session.runner.proceed()
    thread.join(60)
    assert isinstance(ended[0], Examined) and not session.runner.paused


def test_cancelling_ends_a_paused_job(session: Session, noisy: np.ndarray) -> None:
    jobs: list[Job] = []
    session.runner.started.connect(jobs.append)
    session.choice.choose(Source("tiny", noisy))
    session.start_stage1()
    session.runner.pause()
    thread, ended = run_in_a_thread(jobs[0])
    session.cancel()
    thread.join(60)
    assert isinstance(ended[0], Cancelled)


def test_only_what_is_chosen_is_trained_on(session: Session, noisy: np.ndarray) -> None:
    run_jobs_here(session)
    session.choice.choose(Source("tiny", noisy))
    session.choice.configure(slices=(1, 3))
    session.choice.field = (0, 40), (20, 80)
    session.start_stage1()
    assert session.run is not None and session.run.stage1 is not None, session.messages.error
    model = session.run.stage1.model
    assert model.provenance["trained_on"] == [(1, 3), (0, 40), (20, 80)]
    assert model.normalisation == as_stack(noisy[1:3, :40, 20:]).normalisation
    assert session.run.denoised is not None and session.run.denoised.shape == noisy.shape


# ---------------------------------------------------------------------- runs in folders


@pytest.fixture
def file(noisy: np.ndarray, tmp_path: Path) -> Path:
    return write_stack(tmp_path / "tiny.mrc", noisy)


def another_session(
    store: Path | None = None, on_event: Callable[[Job, Event], Any] = lambda job, event: None
) -> Session:
    """As a window has it; its jobs run in place."""
    session = Session(None if store is None else RunStore(store))
    session.choice.configure(preset="fast")
    session.configure_training(steps=4, features=8, batch_size=2, patch_size=32)
    run_jobs_here(session, on_event)
    return session


@pytest.fixture
def kept(file: Path, noisy: np.ndarray, tmp_path: Path) -> Session:
    """A session in review of a run that it keeps."""
    session = another_session(tmp_path / "runs")
    session.choice.choose(Source("tiny", noisy, path=file))
    session.start_stage1()
    assert session.phase is Phase.REVIEW, session.messages.error
    return session


def folder_of(session: Session) -> RunFolder:
    assert session.run is not None and session.run.folder is not None
    return session.run.folder


def note(session: Session) -> None:
    """What the window does a moment after each change."""
    write = session.autosave()
    assert write is not None
    write()


def opened(folder: Path, on_event: Callable[[Job, Event], Any] = lambda job, event: None) -> Session:
    """A session that goes on with the run in a folder."""
    session = another_session(on_event=on_event)
    saved = open_run(folder)
    session.reopen(saved, Source(saved.image.name, saved.image.array, path=saved.image.path))
    return session


def paint_beside(session: Session) -> None:
    """Hide a pixel of the slice above, and its mirror image below; in 2D two of the slice itself."""
    grid = review_of(session).kernel_grid.copy()
    middle = grid.shape[-1] // 2
    grid[..., middle + 1, middle + 2] ^= True
    if grid.ndim == 3:
        grid[1:, middle + 1, middle + 2] ^= True
    session.edit_kernel(grid)


def test_edits_survive_an_opening_that_is_cancelled(kept: Session, noisy: np.ndarray, tmp_path: Path) -> None:
    paint_beside(kept)
    edits = review_of(kept).kernel_edits
    write = kept.save_to(tmp_path / "saved")
    assert write is not None
    write()
    saved = open_run(tmp_path / "saved")
    kept.runner.started.disconnect()  # the opening goes on until it is cancelled
    kept.reopen(saved, kept.choice.source)
    kept.cancel()
    run_jobs_here(kept)
    kept.start_stage1()
    assert review_of(kept).kernel_edits == edits


def test_a_run_taken_to_25d_in_the_review_resumes_to_the_same_result(kept: Session, tmp_path: Path) -> None:
    kept.analyse_again("2.5d")
    paint_beside(kept)
    note(kept)
    left = tmp_path / "left in the review", tmp_path / "left in Stage 2"
    shutil.copytree(folder_of(kept).path, left[0])
    kept.runner.started.disconnect()
    run_jobs_here(
        kept,
        lambda job, event: (
            shutil.copytree(folder_of(kept).path, left[1], dirs_exist_ok=True)
            if isinstance(event, Step) and event.step == 2
            else None
        ),
    )
    kept.approve()
    assert kept.run is not None and kept.run.stage2 is not None, kept.messages.error

    first = opened(left[0])
    assert first.phase is Phase.REVIEW and not first.messages.error
    assert first.run is not None and first.run.mode == first.choice.settings.mode == "2.5d"
    np.testing.assert_array_equal(review_of(first).kernel_grid, review_of(kept).kernel_grid)
    assert review_of(first).kernel_edits == review_of(kept).kernel_edits
    first.approve()
    again = shutil.copytree(left[1], tmp_path / "left in Stage 2 as well")
    second = opened(left[1])
    third = finish(resume(again))
    for run in (first.run, second.run):
        assert run is not None
        np.testing.assert_array_equal(run.denoised, kept.run.denoised)
    np.testing.assert_array_equal(third.denoised, kept.run.denoised)
    assert third.analysis.mode == "2.5d"
    np.testing.assert_array_equal(third.analysis.kernel, review_of(kept).analysis.kernel)


@pytest.mark.parametrize("where", ["kept", "saved", "saved in its own folder"])
def test_a_finished_run_opens_without_predicting_again(kept: Session, tmp_path: Path, where: str) -> None:
    paint_beside(kept)
    kept.approve()
    note(kept)
    kept.approve()  # of the first attempt nothing is left in the end
    assert kept.run is not None and kept.run.stage1 is not None and kept.run.stage2 is not None, (
        kept.messages.error
    )
    path = tmp_path / "saved" if where == "saved" else folder_of(kept).path
    if where != "kept":
        write = kept.save_to(path)
        assert write is not None
        write()
    kept.disk.release(kept.run)
    assert len(list(path.rglob("predicted_*.tif"))) == len(list(path.rglob("detail_*.tif"))) == 2
    events: list[Event] = []
    again = opened(path, lambda job, event: events.append(event))
    assert again.phase is Phase.RESULT and not again.messages.error
    assert not any(isinstance(event, SliceDone | SliceSeen | Step) for event in events), (
        "nothing is computed twice"
    )
    assert again.run is not None and again.run.stage1 is not None and again.run.stage2 is not None
    for recovery in (0.0, 0.5, 1.0):
        np.testing.assert_array_equal(again.run.stage1.denoised(recovery), kept.run.stage1.denoised(recovery))
        np.testing.assert_array_equal(again.run.stage2.denoised(recovery), kept.run.stage2.denoised(recovery))
    np.testing.assert_array_equal(review_of(again).kernel_grid, review_of(kept).kernel_grid)

    for made in [*path.rglob("predicted_*"), *path.rglob("detail_*")]:
        made.unlink()  # as earlier versions left a run that was done
    again.disk.release(again.run)
    older = opened(path)
    assert older.run is not None and not older.messages.error
    np.testing.assert_array_equal(older.run.denoised, kept.run.denoised)


def test_a_run_taken_back_to_2d_resumes_in_2d(kept: Session) -> None:
    kept.analyse_again("2.5d")
    paint_beside(kept)
    note(kept)
    kept.analyse_again("2d")
    paint_beside(kept)
    note(kept)
    kept.disk.release(kept.run)
    again = opened(folder_of(kept).path)
    assert again.run is not None and again.run.mode == "2d" and not again.messages.error
    np.testing.assert_array_equal(review_of(again).kernel_grid, review_of(kept).kernel_grid)


@pytest.mark.parametrize("modes", [("2d", "2.5d"), ("2.5d", "2d")])
def test_a_run_killed_while_its_mode_is_written_keeps_its_edits(
    kept: Session, monkeypatch: pytest.MonkeyPatch, modes: Any
) -> None:
    before, after = modes
    kept.analyse_again(before)
    paint_beside(kept)
    note(kept)
    kept.analyse_again(after)
    write, folder = Path.write_text, folder_of(kept)
    for spared in (0, 1):
        written: list[Path] = []

        def killed(path: Path, text: str, spared: int = spared, written: list[Path] = written) -> int:
            if len(written) == spared:
                raise KeyboardInterrupt
            written.append(path)
            return write(path, text)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_text", killed)
            with pytest.raises(KeyboardInterrupt):
                note(kept)
        mode = folder.read_request().mode
        assert folder.analysis.read_edits(mode)[1].in_mode(after) == review_of(kept).kernel_edits


def test_edits_that_have_no_place_in_the_mode_are_told_and_stay(kept: Session) -> None:
    """As an earlier version left them: the record said 2D, and the person had gone on in 2.5D."""
    kept.analyse_again("2.5d")
    paint_beside(kept)
    note(kept)
    kept.disk.release(kept.run)
    path = folder_of(kept).path
    record, edits = path / "run.json", path / "analysis" / "edits.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps(content | {"mode": "2d"}))
    before = edits.read_text()
    with pytest.raises(RunFolderError, match="in three slices, and the run is in 2D"):
        finish(resume(path))
    with pytest.raises(RunFolderError, match="in three slices, and the run is in 2D"):
        open_run(path)
    assert edits.read_text() == before
    record.write_text(json.dumps(content))
    np.testing.assert_array_equal(review_of(opened(path)).kernel_grid, review_of(kept).kernel_grid)


def test_edits_that_the_engine_refuses_end_the_opening_and_stay_in_the_folder(kept: Session) -> None:
    kept.disk.release(kept.run)
    folder = folder_of(kept)
    folder.analysis.write_edits(Edits(), Edits(erased=frozenset({(0, 0)})))
    again = opened(folder.path)
    assert "centre" in again.messages.error and again.phase is Phase.DATA
    assert again.autosave() is None and folder.analysis.read_edits("2d")[1] == Edits(
        erased=frozenset({(0, 0)})
    )
    again.start_stage1()
    assert again.phase is Phase.REVIEW and not again.messages.error


def test_a_kernel_given_for_the_other_mode_is_no_longer_asked_for(
    kept: Session, tmp_path: Path, noisy: np.ndarray
) -> None:
    path = folder_of(kept).path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"kernel": [[1, 1, 1]]}))
    note(kept)
    assert folder_of(kept).read_request().kernel is not None
    kept.analyse_again("2.5d")
    note(kept)
    kept.disk.release(kept.run)
    finish(resume(folder_of(kept).path))


def test_saved_again_in_another_mode(kept: Session, tmp_path: Path) -> None:
    for mode in ("2d", "2.5d", "2d"):
        kept.analyse_again(mode)  # type: ignore[arg-type]
        write = kept.save_to(tmp_path / "saved")
        assert write is not None
        write()
        assert open_run(tmp_path / "saved").request.mode == mode


def test_saving_a_run_where_there_is_no_room_writes_nothing(
    kept: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = kept.save_to(tmp_path / "new" / "saved")
    assert write is not None
    size = 3 * np.asarray(kept.choice.source.array).size * 4
    usage = SimpleNamespace(free=size - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskFullError, match="room for"):
        write()
    assert not (tmp_path / "new").exists()
    usage.free = size
    write()
    assert open_run(tmp_path / "new" / "saved").request.mode == "2d"


def test_what_was_painted_in_one_mode_is_there_after_stage_1_in_the_other(kept: Session) -> None:
    paint_beside(kept)
    painted = review_of(kept).kernel_edits
    kept.choice.configure(mode="2.5d")
    kept.start_stage1()
    assert review_of(kept).kernel_edits == painted.in_mode("2.5d")


def test_a_single_slice_opens_while_25d_is_chosen(tmp_path: Path, noisy: np.ndarray) -> None:
    session = another_session(tmp_path / "runs")
    session.choice.choose(Source("one", noisy[0], path=write_stack(tmp_path / "one.tif", noisy[0])))
    session.start_stage1()
    session.disk.release(session.run)
    saved = open_run(folder_of(session).path)
    again = another_session()
    again.choice.configure(mode="2.5d")
    again.reopen(saved, Source("one", saved.image.array))
    assert again.phase is Phase.REVIEW and not again.choice.problem


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """A disk; what is called takes away the right to write to it."""
    place = tmp_path / "share"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root mounts a disk")

    def read_only() -> Path:
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        return place

    yield read_only
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_run_on_a_read_only_share_opens_with_all_that_is_in_it(
    kept: Session, share: Callable[[], Path], tmp_path: Path
) -> None:
    paint_beside(kept)
    kept.approve()
    write = kept.save_to(tmp_path / "share" / "run")
    assert write is not None
    write()
    folder = share() / "run"
    again = opened(folder)
    assert again.phase is Phase.RESULT and not again.messages.error
    assert "cannot be written to" in again.messages.notices[0]
    assert again.run is not None and kept.run is not None and again.run.folder is None
    np.testing.assert_array_equal(again.run.denoised, kept.run.denoised)
    assert review_of(again).kernel_edits == review_of(kept).kernel_edits
    assert (
        not again.run.autosaved
        and not again.disk.unsaved(again.review)
        and not again.disk.only_in_memory(again.run)
        and again.autosave() is None
    )

    paint_beside(again)
    again.approve()
    assert again.phase is Phase.RESULT and not again.messages.error
    assert again.disk.only_in_memory(again.run) and again.disk.unsaved(again.review), "closing would lose it"


def test_what_is_not_done_on_a_read_only_share_is_left_as_it_is(
    kept: Session, file: Path, noisy: np.ndarray, share: Callable[[], Path], tmp_path: Path
) -> None:
    kept.disk.release(kept.run)
    at_review = shutil.copytree(folder_of(kept).path, tmp_path / "share" / "Stage 2 begun")
    RunFolder(at_review).approve(
        StageSpec(review_of(kept).analysis.kernel, None, kept.choice.settings.config().stage2, None)
    )
    begun = shutil.copytree(folder_of(kept).path, tmp_path / "share" / "Stage 1 begun")
    (begun / "stage1" / "model.zip").unlink()
    share()
    again = opened(at_review)
    assert again.phase is Phase.REVIEW and not again.messages.error, "no training begins anew by itself"
    refused = opened(begun)
    assert refused.phase is Phase.DATA and "Copy it to a folder of your own" in refused.messages.error


def test_a_run_in_use_is_told_and_the_present_one_stays_ours(kept: Session, tmp_path: Path) -> None:
    other = shutil.copytree(folder_of(kept).path, tmp_path / "other")
    saved = open_run(other)
    with Hold(other):
        kept.reopen(saved, Source("other", saved.image.array))
    assert "in use" in kept.messages.error and kept.phase is Phase.REVIEW
    with pytest.raises(BusyError):
        folder_of(kept).hold()


def test_half_a_turn_of_the_row_of_slices_is_the_point_mirror() -> None:
    kernel = np.random.default_rng(0).random((3, 5, 7)) > 0.5
    picture = side_by_side(kernel, False)
    assert picture.shape == (5, 23)
    np.testing.assert_array_equal(np.rot90(picture, 2), side_by_side(np.flip(kernel), False))
    np.testing.assert_array_equal(from_side_by_side(picture, kernel.shape), kernel)


def begun(session: Session, jobs: list[Job]) -> None:
    """Begin stage 1, and see its first steps."""
    session.start_stage1()
    for event in drive(jobs[-1]):
        session.runner.receive(jobs[-1], event)
        if isinstance(event, Step) and event.step == 2:
            return


def test_cancelling_a_new_stage_1_goes_back_to_the_run_before(kept: Session, tmp_path: Path) -> None:
    kept.approve()
    paint_beside(kept)
    kept.approve()
    before = kept.run, kept.review, kept.attempts, kept.phase, dict(kept.monitor.losses)
    folder, result = folder_of(kept), np.asarray(kept.run.denoised) if kept.run else None
    unsaved = kept.disk.unsaved(kept.review)
    assert unsaved and len(before[2]) == 2
    jobs: list[Job] = []
    kept.runner.started.disconnect()
    kept.runner.started.connect(jobs.append)
    kept.configure_training(steps=1000)
    went_back: list[bool] = []
    kept.went_back.connect(lambda: went_back.append(True))

    begun(kept, jobs)
    begun_in = folder_of(kept)
    assert kept.review is None and begun_in.path != folder.path
    kept.cancel()
    assert went_back and kept.messages.notices == ["Cancelled at step 2; kept under Resume."]
    assert (kept.run, kept.review, kept.attempts, kept.phase, kept.monitor.losses) == before
    assert kept.disk.unsaved(kept.review)
    np.testing.assert_array_equal(kept.run.denoised, result)
    np.testing.assert_array_equal(
        kept.attempts[0].output.denoised(1.0)[0], before[2][0].output.denoised(1.0)[0]
    )
    with pytest.raises(BusyError):
        folder.hold()
    assert kept.disk.store is not None
    assert "of 1000" in next(run.stage for run in kept.disk.store.runs() if run.path == begun_in.path)

    kept.messages.take_back(kept.messages.confirmation)
    assert not kept.messages.notices
    # the next one is let through to its end, and only then takes the place of the run before
    run_jobs_here(kept)
    kept.configure_training(steps=2)
    kept.start_stage1()
    assert kept.phase is Phase.REVIEW and folder_of(kept).path not in (folder.path, begun_in.path)
    folder.hold().release()
    begun_in.hold().release()
    kept.disk.release(kept.run)


def test_a_new_stage_1_that_fails_goes_back_to_the_run_before(kept: Session) -> None:
    paint_beside(kept)
    before, edits = kept.run, review_of(kept).kernel_edits
    jobs: list[Job] = []
    kept.runner.started.disconnect()
    kept.runner.started.connect(jobs.append)
    begun(kept, jobs)
    kept.choice.configure(sensitivity=60.0, recovery=0.25)
    kept.runner.crash(jobs[0], RuntimeError("the card is gone"))
    assert kept.messages.error and kept.phase is Phase.REVIEW and kept.run is not None and before is not None
    assert kept.run.stage1 is before.stage1 and review_of(kept).kernel_edits == edits
    assert kept.run.recovery == 0.25 and review_of(kept).automatic.config.sensitivity == 60, (
        "what was chosen meanwhile holds"
    )
    kept.disk.release(kept.run)
