"""The session without a window: jobs run in place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_autostructn2v._napari.jobs import Cancelled, Job, drive
from napari_autostructn2v._napari.review import Mark, Review
from napari_autostructn2v._napari.review_layers import from_side_by_side, side_by_side
from napari_autostructn2v._napari.session import Session
from napari_autostructn2v._napari.state import Phase, Settings, Source, StageOutput
from napari_autostructn2v.events import Event, Step, finish
from napari_autostructn2v.stack import as_stack


@pytest.fixture
def session() -> Session:
    session = Session()
    session.configure(preset="fast")
    session.configure_training(steps=2)
    return session


def run_jobs_here(session: Session, on_event: Callable[[Job, Event], Any] = lambda job, event: None) -> None:
    """Run each job as soon as it is started, to its end."""

    def run(job: Job) -> None:
        events = drive(job)
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                session.complete(job, end.value)
                return
            session.receive(job, event)
            on_event(job, event)

    session.job_started.connect(run)


@pytest.fixture
def reviewed(session: Session, noisy: np.ndarray) -> Session:
    """A session that waits for its review."""
    run_jobs_here(session)
    session.choose(Source("tiny", noisy))
    session.start_stage1()
    assert session.phase is Phase.REVIEW, session.error
    return session


def review_of(session: Session) -> Review:
    assert session.review is not None
    return session.review


def test_the_whole_way(reviewed: Session, noisy: np.ndarray) -> None:
    assert reviewed.run is not None and reviewed.run.denoised is not None
    first = reviewed.run.denoised
    assert first.shape == noisy.shape
    assert [len(reviewed.losses["stage1"].training), len(reviewed.losses["stage1"].validation)] == [2, 1]
    reviewed.approve()
    assert reviewed.phase is Phase.RESULT
    assert reviewed.run.stage2 is not None
    assert reviewed.run.denoised is not first
    np.testing.assert_array_equal(reviewed.run.stage2.model.kernel, review_of(reviewed).analysis.kernel)
    assert reviewed.run.stage2.model.provenance["input"] == "tiny"


def test_25d(session: Session, noisy: np.ndarray) -> None:
    run_jobs_here(session)
    session.configure(mode="2.5d")
    session.choose(Source("tiny", noisy))
    assert "20" in session.hint  # four slices are few
    session.start_stage1()
    grid = review_of(session).kernel_grid
    assert grid.ndim == 3 and grid.shape[0] == 3
    session.approve()
    assert session.run is not None and session.run.model is not None and session.run.model.mode == "2.5d"


def test_skip_and_unattended(session: Session, noisy: np.ndarray) -> None:
    run_jobs_here(session)
    session.choose(Source("tiny", noisy))
    session.start_stage1()
    session.skip()
    assert session.phase is Phase.RESULT and session.run is not None and session.run.skipped
    session.configure(unattended=True)
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

    reviewed.regenerate("2.5d")
    assert reviewed.run.mode == reviewed.settings.mode == "2.5d" and reviewed.run.stage1 is first
    stacked = review_of(reviewed).kernel_grid
    assert stacked[:, middle + 2, middle].tolist() == [False, True, False]
    assert review_of(reviewed).peak_marks[5, 40] == Mark.ADDED
    stacked = stacked.copy()
    stacked[0, middle, middle + 5] = stacked[2, middle, middle - 5] = True
    reviewed.edit_kernel(stacked)

    reviewed.regenerate("2d")
    np.testing.assert_array_equal(review_of(reviewed).kernel_grid, grid)
    assert reviewed.run.mode == "2d"
    reviewed.regenerate("2.5d")
    reviewed.approve()
    assert reviewed.run is not None and reviewed.run.model is not None and reviewed.run.model.mode == "2.5d"


def test_edits_survive_sensitivity_regenerate_and_another_stage_1(reviewed: Session) -> None:
    marks = review_of(reviewed).peak_marks.copy()
    corner = (5, 40)
    mirrored = tuple(n - 1 - i for n, i in zip(marks.shape, corner, strict=True))
    assert not marks[corner]
    marks[corner] = marks[mirrored] = Mark.ADDED
    reviewed.mark_peaks(marks)
    automatic = review_of(reviewed).automatic.peaks.sum()

    reviewed.configure(sensitivity=60.0)
    assert review_of(reviewed).automatic.peaks.sum() <= automatic
    assert review_of(reviewed).peaks[corner] and review_of(reviewed).peaks[mirrored]
    reviewed.regenerate()
    assert review_of(reviewed).peaks[corner]
    reviewed.start_stage1()
    assert review_of(reviewed).peaks[corner]
    reviewed.approve()
    assert reviewed.run is not None and reviewed.run.model is not None
    assert len(reviewed.run.model.provenance["edits"]["peaks"]["added"]) == 2


def test_cancelled_job_is_dropped_at_once(session: Session, noisy: np.ndarray) -> None:
    jobs: list[Job] = []
    session.job_started.connect(jobs.append)
    session.choose(Source("tiny", noisy))
    session.start_stage1()
    events = drive(jobs[0])
    session.receive(jobs[0], next(events))
    session.cancel()
    assert session.job is None and session.phase is Phase.DATA and session.run is None
    with pytest.raises(StopIteration) as end:
        next(events)
    assert isinstance(end.value.value, Cancelled)
    assert jobs[0].stream.gi_frame is None  # type: ignore[attr-defined]  # its clean-up has run
    session.complete(jobs[0], "too late")
    session.receive(jobs[0], Step(step=1, steps=2, loss=1.0))
    assert session.phase is Phase.DATA and session.progress is None


def test_stop_early_keeps_what_is_learned(session: Session, noisy: np.ndarray) -> None:
    session.configure_training(steps=1000)
    run_jobs_here(session, lambda job, event: session.stop_early() if isinstance(event, Step) else None)
    session.choose(Source("tiny", noisy))
    session.stop_early()  # nothing runs: nothing to stop
    session.start_stage1()
    assert session.phase is Phase.REVIEW
    assert len(session.losses["stage1"].training) < 5


def test_a_stop_asked_for_before_the_training_waits_for_it(session: Session, noisy: np.ndarray) -> None:
    session.configure_training(steps=1000)
    run_jobs_here(session, lambda job, event: session.stop_early())
    session.choose(Source("tiny", noisy))
    session.start_stage1()
    assert session.phase is Phase.REVIEW, session.error


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
    session.choose(Source("bad", array))
    assert words in session.problem
    assert not session.ready


def test_one_slice_refuses_25d_only(session: Session) -> None:
    session.choose(Source("one", np.random.default_rng(0).normal(size=(64, 64))))
    assert session.ready
    session.configure(mode="2.5d")
    assert "three" in session.problem
    session.configure(mode="2d")
    assert session.ready


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (None, "same")])
def test_errors_of_the_engine_are_shown(
    session: Session, noisy: np.ndarray, value: float | None, words: str
) -> None:
    run_jobs_here(session)
    bad = noisy.copy() if value is not None else np.ones_like(noisy)
    if value is not None:
        bad[2, 3, 4] = value
    session.choose(Source("bad", bad))
    session.start_stage1()
    assert words in session.error
    assert session.phase is Phase.DATA


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
    session.choose(Source("lazy", Lazy(noisy)))
    session.start_stage1()
    assert session.phase is Phase.REVIEW, session.error
    session.approve()
    assert session.phase is Phase.RESULT, session.error


def test_dask(session: Session, noisy: np.ndarray) -> None:
    run_jobs_here(session)
    session.choose(Source("dask", da.from_array(noisy, chunks=(1, -1, -1))))
    session.start_stage1()
    assert session.phase is Phase.REVIEW, session.error


def test_settings_reach_the_engine() -> None:
    session = Session()
    session.configure(preset="high", sensitivity=3.5)
    session.configure_training(steps=7)
    config = session.settings.config()
    assert config.stage1.steps == config.stage2.steps == 7
    assert config.stage1.features == 48
    assert config.analysis.sensitivity == 3.5


def test_a_training_setting_that_cannot_be_is_told_and_changes_nothing() -> None:
    session = Session()
    session.configure_training(patch_size=30)
    assert "multiple of 4" in session.error
    assert session.settings == Settings()
    session.configure_training(patch_size=32)
    assert not session.error


def run_in_a_thread(job: Job) -> tuple[threading.Thread, list[Any]]:
    ended: list[Any] = []
    thread = threading.Thread(target=lambda: ended.append(finish(drive(job))))
    thread.start()
    return thread, ended


def test_a_paused_job_rests_until_it_may_go_on(session: Session, noisy: np.ndarray) -> None:
    jobs: list[Job] = []
    session.job_started.connect(jobs.append)
    session.choose(Source("tiny", noisy))
    session.start_stage1()
    session.pause()
    thread, ended = run_in_a_thread(jobs[0])
    thread.join(1.0)
    assert thread.is_alive() and session.paused
    session.proceed()
    thread.join(60)
    assert isinstance(ended[0], StageOutput) and not session.paused


def test_cancelling_ends_a_paused_job(session: Session, noisy: np.ndarray) -> None:
    jobs: list[Job] = []
    session.job_started.connect(jobs.append)
    session.choose(Source("tiny", noisy))
    session.start_stage1()
    session.pause()
    thread, ended = run_in_a_thread(jobs[0])
    session.cancel()
    thread.join(60)
    assert isinstance(ended[0], Cancelled)


def test_only_what_is_chosen_is_trained_on(session: Session, noisy: np.ndarray) -> None:
    run_jobs_here(session)
    session.choose(Source("tiny", noisy))
    session.configure(slices=(1, 3))
    session.train_in(((0, 40), (20, 80)))
    session.start_stage1()
    assert session.run is not None and session.run.stage1 is not None, session.error
    model = session.run.stage1.model
    assert model.provenance["trained_on"] == [(1, 3), (0, 40), (20, 80)]
    assert model.normalisation == as_stack(noisy[1:3, :40, 20:]).normalisation
    assert session.run.denoised is not None and session.run.denoised.shape == noisy.shape


def test_half_a_turn_of_the_row_of_slices_is_the_point_mirror() -> None:
    kernel = np.random.default_rng(0).random((3, 5, 7)) > 0.5
    picture = side_by_side(kernel, False)
    assert picture.shape == (5, 23)
    np.testing.assert_array_equal(np.rot90(picture, 2), side_by_side(np.flip(kernel), False))
    np.testing.assert_array_equal(from_side_by_side(picture, kernel.shape), kernel)
