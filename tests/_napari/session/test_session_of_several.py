"""A session that trains on several stacks: cut off anywhere, opened again, to the same results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from jobs_here import run_jobs_here

from napari_autostructn2v import synthetic
from napari_autostructn2v._napari.session.choice import PART_OF_ONE
from napari_autostructn2v._napari.session.jobs import Job
from napari_autostructn2v._napari.session.run_files import open_run
from napari_autostructn2v._napari.session.session import Session
from napari_autostructn2v._napari.session.state import Phase, Source
from napari_autostructn2v._napari.widgets.panel_parts import progress_text
from napari_autostructn2v.errors import RunFolderError
from napari_autostructn2v.events import Event, SliceDone, Step, finish
from napari_autostructn2v.pipeline import resume
from napari_autostructn2v.runs.store import RunStore

Cut = Callable[[Job, Event], bool]


def session_in(store: Path, cut: Cut = lambda job, event: False) -> Session:
    """A session whose jobs run here, to their end or to the event at which the person cancels."""
    session = Session(RunStore(store))
    session.choice.configure(preset="fast")
    session.configure_training(steps=4, features=8, batch_size=4, patch_size=32)

    run_jobs_here(session, lambda job, event: session.cancel() if cut(job, event) else None)
    return session


def begin(session: Session) -> None:
    first, second = (synthetic.sample("scan_lines", shape=(4, 80, 80), seed=seed).noisy for seed in (1, 2))
    session.choice.choose(Source("first", first))
    session.choice.train_with([Source("second", second)])
    session.start_stage1()


def results_of(session: Session) -> list[np.ndarray]:
    assert session.run is not None and session.run.stage2 is not None, session.messages.error
    return [np.asarray(each.denoised(1)) for each in (session.run.stage2, *session.run.stage2.others)]


def in_stage(kind: str, kind_of_event: type[Event], number: int) -> Cut:
    """Whether the ``number``-th event of its kind, in a job of its kind, has come."""
    seen: list[Event] = []

    def cut(job: Job, event: Event) -> bool:
        if job.kind == kind and isinstance(event, kind_of_event):
            seen.append(event)
            return len(seen) == number
        return False

    return cut


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """The results that nobody interrupted."""
    session = session_in(tmp_path_factory.mktemp("whole"))
    begin(session)
    session.approve()
    return results_of(session)


@pytest.mark.parametrize(
    "cut",
    [
        in_stage("stage1", Step, 2),
        in_stage("stage1", SliceDone, 11),  # of two passes over the first stack, and one over the second
        in_stage("stage2", Step, 2),
        in_stage("stage2", SliceDone, 11),
    ],
    ids=["training 1", "denoising 1", "training 2", "denoising 2"],
)
def test_what_was_cut_off_goes_on_to_the_same_results(
    tmp_path: Path, whole: list[np.ndarray], cut: Cut
) -> None:
    session = session_in(tmp_path, cut)
    begin(session)
    session.approve()
    session.disk.release(session.run)
    (kept,) = RunStore(tmp_path).runs()
    assert kept.name == "first and 1 more" and not kept.done

    again = session_in(tmp_path)
    saved = open_run(kept.path)
    again.choice.train_with([Source(each.image.name, each.image.array) for each in saved.companions])
    again.reopen(saved, Source(saved.image.name, saved.image.array))
    assert again.run is not None and [each.source.name for each in again.run.companions] == ["second"]
    if again.phase is Phase.REVIEW:
        again.approve()
    for found, meant in zip(results_of(again), whole, strict=True):
        np.testing.assert_array_equal(found, meant)
    again.disk.release(again.run)
    assert RunStore(tmp_path).runs()[0].done


def test_one_of_them_alone(tmp_path: Path) -> None:
    """Its folder opens as any other run; but a first stage that is not done is not trained on it alone."""
    session = session_in(tmp_path, in_stage("stage2", Step, 1))
    begin(session)
    session.approve()
    session.disk.release(session.run)
    (kept,) = RunStore(tmp_path).runs()
    with pytest.raises(RunFolderError, match="one of 2 that are trained together"):
        finish(resume(kept.path))
    alone = session_in(tmp_path)
    saved = open_run(kept.path / "together" / "2")
    alone.reopen(saved, Source("second", saved.image.array))
    assert alone.phase is Phase.REVIEW and alone.review is not None and alone.review.agreement is None

    alone.disk.release(alone.run)
    (saved.folder.path / "stage1" / "model.zip").unlink()
    alone = session_in(tmp_path)
    alone.reopen(open_run(saved.folder.path), Source("second", saved.image.array))
    assert "one of 2 that are trained together" in alone.messages.error and alone.phase is Phase.DATA


def test_the_review_is_of_all(tmp_path: Path) -> None:
    shown = set[str]()

    def watch(job: Job, event: Event) -> bool:
        progress = session.monitor.progress
        if isinstance(event, Step | SliceDone) and progress is not None:
            shown.add(progress_text(progress).split(" 1 /")[0])
        return False

    session = session_in(tmp_path, watch)
    begin(session)
    assert {"Training", "1 of 2 · Denoising", "2 of 2 · Denoising"} <= shown
    review = session.review
    assert review is not None and review.agreement is not None
    assert [stack.name for stack in review.agreement.stacks] == ["first", "second"]
    assert len(review.analyses) == 2
    np.testing.assert_array_equal(review.analyses[1].kernel, review.analysis.kernel)

    # peaks that are erased are erased in both spectra
    marks = review.peak_marks.copy()
    marks[marks > 0] = 3
    session.mark_peaks(marks)
    assert session.review is not None and session.review.analysis.kernel.sum() < review.analysis.kernel.sum()
    session.reset_peak_edits()
    np.testing.assert_array_equal(session.review.analysis.kernel, review.analysis.kernel)
    session.choice.configure(find_kernel=False)
    assert session.review.analysis.kernel.sum() == 1
    session.choice.configure(find_kernel=True)

    session.analyse_again("2.5d")
    assert session.review.analysis.kernel.shape[0] == 3 and session.review.agreement is not None
    assert session.run is not None and session.run.mode == "2.5d"
    session.choice.field = (0, 40), (0, 40)
    session.approve()
    assert session.messages.error == PART_OF_ONE and session.run.stage2 is None
    session.choice.field = None
    session.approve()
    assert session.run.model is not None and session.run.model.kernel.ndim == 3
    session.disk.release(session.run)
