"""Random sequences of what can be asked of a session, at any moment; its promises are checked each time."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from napari_autostructn2v import synthetic
from napari_autostructn2v._napari.session.jobs import Failure, Job, drive
from napari_autostructn2v._napari.session.run_files import open_run
from napari_autostructn2v._napari.session.session import Session
from napari_autostructn2v._napari.session.state import Phase, Source
from napari_autostructn2v.errors import AutoStructN2VError
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.noise.review import Mark
from napari_autostructn2v.runs.store import RunStore

NOISY = synthetic.sample("scan_lines", shape=(3, 48, 48), seed=1).noisy
WITH_NAN = NOISY.copy()
WITH_NAN[1, 2, 3] = np.nan
STACKS = {
    "good": NOISY,
    "another": NOISY[::-1].copy(),
    "deeper": np.concatenate([NOISY, NOISY]),
    "slice": NOISY[0],
    "nan": WITH_NAN,
    "flat": np.ones_like(NOISY),
    "rgb": np.zeros((48, 48, 3), np.uint8),
    "tiny": np.zeros((8, 8, 8)),
    "4d": np.zeros((2, 4, 48, 48)),
    "empty": np.zeros((0, 48, 48)),
}
NEVER = {"rgb", "tiny", "4d", "empty"}
DEPTHS = [
    "data", "stage 1", "review", "edits", "analysis", "other mode", "stage 2", "result", "attempts",
    "reopened",
]  # fmt: skip
"""Where sequences begin."""
BUTTONS = ["start_stage1", "pause", "proceed", "stop_early", "cancel", "approve", "skip"]
REACHED: Counter[str] = Counter()
"""How often the sequences of a test came somewhere."""
THREADS = 8
"""More than these a sequence does not add: pools of torch, not one a job."""


class SessionMachine(RuleBasedStateMachine):
    """A session without a window, whose jobs go on only when they are pumped."""

    depth = "data"
    """One of :data:`DEPTHS`."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="session-machine-")
        self.session = Session(RunStore(Path(self._folder.name) / "runs"))
        self.session.choice.configure(preset="fast")
        self.session.configure_training(
            steps=2, features=8, batch_size=2, patch_size=32, validation_patches=4
        )
        self.events: Generator[Any, None, Any] | None = None
        self.job: Job | None = None
        self.dropped: list[tuple[Job, Generator[Any, None, Any]]] = []
        self.failures: list[BaseException | None] = []
        self.edits = Edits(), Edits()
        self.edited: tuple[Any, str] | None = None
        """The array and the mode that the edits are of."""
        self.session.runner.started.connect(self._take)
        self.saved: list[Path] = []
        self.threads = threading.active_count()

    def _reach(self, what: str) -> None:
        """Note for the statistics that this was done."""
        REACHED[what] += 1
        event(what)

    def _take(self, job: Job) -> None:
        if self.job is not None and self.events is not None and self.job.control.cancelled.is_set():
            self.dropped.append((self.job, self.events))
        self.job, self.events = job, drive(job)

    def _pump(self, events: int) -> None:
        """Let the job say so many things more, as its thread would."""
        for _ in range(events):
            job, stream = self.session.runner.job, self.events
            if job is None or stream is None or self.session.runner.paused:
                return
            try:
                event = next(stream)
            except StopIteration as end:
                if isinstance(end.value, Failure):
                    self.failures.append(end.value.error)
                self.session.runner.complete(job, end.value)
                continue
            self.session.runner.receive(job, event)

    def teardown(self) -> None:
        self.session.cancel()
        for _, stream in [*self.dropped, (self.job, self.events)]:
            if stream is not None:
                stream.close()
        write = self.session.autosave()
        if write is not None:
            write()
        self.session.disk.release(self.session.run)
        try:
            if write is not None:
                self._resume()
        finally:
            self._folder.cleanup()

    def _resume(self) -> None:
        """The next window goes on with the run as it is kept: all that was edited is there again."""
        run, review = self.session.run, self.session.review
        self.session = Session()
        self.session.runner.started.connect(self._take)
        saved = open_run(run.folder.path)
        self.session.reopen(saved, Source(saved.image.name, saved.image.array, path=saved.image.path))
        while self.session.runner.job is not None and self.session.review is None:
            self._pump(1)
        again = self.session.review
        assert not self.session.messages.error and again is not None, self.session.messages.error
        assert self.session.run.mode == self.session.choice.settings.mode == run.mode
        assert (again.peak_edits, again.kernel_edits) == (review.peak_edits, review.kernel_edits)
        np.testing.assert_array_equal(again.analysis.kernel, review.analysis.kernel)
        self._reach(f"resumed in {run.mode}{', edited' if again.edited else ''}")
        self.session.cancel()
        self.session.disk.release(self.session.run)
        self.events.close()

    def _note_edits(self) -> None:
        review = self.session.review
        if review is not None:
            self.edits = review.peak_edits, review.kernel_edits

    # ------------------------------------------------------------------ what a person does

    @initialize()
    def begin(self) -> None:
        """Go straight to where it becomes interesting: random steps alone seldom get there."""
        depth = self.depth
        self.session.choice.choose(Source("good", NOISY))
        if depth == "data":
            return
        self.session.start_stage1()
        self._pump(3 if depth == "stage 1" else 1000)
        if depth in ("edits", "analysis", "other mode", "stage 2", "attempts", "reopened"):
            self._paint(0, 3)
        if depth == "other mode":
            self.session.analyse_again("2.5d")
            self._pump(1000)
            self._paint(2, 1)
        if depth == "analysis":
            self.session.analyse_again()
        if depth in ("stage 2", "result", "attempts", "reopened"):
            self.session.approve()
            self._pump(3 if depth == "stage 2" else 1000)
        if depth == "attempts":
            self._paint(2, 2)
            self.session.approve()
            self._pump(1000)
        if depth == "reopened":
            self.save_and_open()
            self._pump(1000)

    @rule(name=st.sampled_from([None, *sorted(STACKS)]))
    def choose(self, name: str | None) -> None:
        if name is None:
            self.session.choice.choose(None)
        else:
            self.session.choice.choose(Source(name, STACKS[name]), "It has colours." if name == "rgb" else "")

    @precondition(lambda self: self.session.runner.job is None)  # greyed out else
    @rule(mode=st.sampled_from(["2d", "2.5d"]))
    def set_mode(self, mode: Any) -> None:
        self.session.choice.configure(mode=mode)

    @rule(sensitivity=st.floats(2, 60), notch=st.sampled_from(["auto", "all", "off"]))
    def set_analysis(self, sensitivity: float, notch: Any) -> None:
        self.session.choice.configure(sensitivity=sensitivity, notch=notch)

    @rule(recovery=st.floats(0, 1))
    def bring_detail_back(self, recovery: float) -> None:
        self.session.choice.configure(recovery=recovery)
        run = self.session.run
        assert run is None or run.recovery == recovery

    @rule(patch=st.sampled_from([30, 32, 48, 64, 0, -4]))
    def set_patch(self, patch: int) -> None:
        before = self.session.choice.settings
        self.session.configure_training(patch_size=patch)
        assert self.session.choice.settings == before or not self.session.messages.error

    @rule(z=st.integers(0, 7))
    def move_slider(self, z: int) -> None:
        self.session.look_at(z)

    @rule(
        button=st.sampled_from(
            ["start_stage1", "pause", "proceed", "stop_early", "cancel", "approve", "skip"]
        )
    )
    def press_what_is_greyed_out(self, button: str) -> None:
        """Nothing comes of what is not possible at the moment."""
        session = self.session
        possible = {
            "start_stage1": session.ready,
            "approve": session.review is not None and session.runner.job is None,
            "skip": session.review is not None and session.runner.job is None,
        }.get(button, session.runner.job is not None)
        if possible:
            return
        before = session.phase, session.run, session.review, session.runner.job, session.monitor.progress
        of_job = button in ("pause", "proceed", "stop_early")
        getattr(session.runner if of_job else session, button)()
        assert before == (
            session.phase,
            session.run,
            session.review,
            session.runner.job,
            session.monitor.progress,
        )

    @precondition(lambda self: self.session.ready)
    @rule(to_the_end=st.booleans())
    def start(self, to_the_end: bool) -> None:
        session, source = self.session, self.session.choice.source
        session.start_stage1()
        assert session.run is not None and session.run.source is source
        assert session.runner.job is not None or session.messages.error
        if to_the_end:
            self._pump(1000)

    @precondition(lambda self: self.session.runner.job is not None)
    @rule(events=st.integers(1, 6))
    def let_it_work(self, events: int) -> None:
        self._pump(events)

    @precondition(lambda self: self.session.runner.job is not None)
    @rule()
    def let_it_end(self) -> None:
        self._pump(1000)
        assert self.session.runner.job is None or self.session.runner.paused

    @precondition(lambda self: self.session.runner.job is not None)
    @rule()
    def pause(self) -> None:
        self.session.runner.pause()
        self._reach(f"paused {self.session.runner.job.kind}")

    @precondition(lambda self: self.session.runner.paused)
    @rule()
    def proceed(self) -> None:
        self.session.runner.proceed()
        assert not self.session.runner.paused

    @precondition(lambda self: self.session.runner.job is not None)
    @rule()
    def stop_early(self) -> None:
        self.session.runner.stop_early()

    @precondition(lambda self: self.session.runner.job is not None)
    @rule()
    def cancel(self) -> None:
        running = self.session.runner.job
        edited = self.session.review is not None and self.session.review.edited
        self._reach(f"cancelled {running.kind}{' with edits' if edited else ''}")
        self.session.cancel()
        assert self.session.runner.job is None
        assert running.control.cancelled.is_set() and running.control.resumed.is_set()

    @precondition(lambda self: self.session.runner.job is None and self.job is not None)
    @rule()
    def hear_a_dropped_job(self) -> None:
        session, before = self.session, (self.session.phase, self.session.run, self.session.review)
        assert self.job is not None
        session.runner.complete(self.job, Failure("too late"))
        session.runner.crash(self.job, RuntimeError("too late"))
        assert (
            session.phase,
            session.run,
            session.review,
        ) == before and "too late" not in session.messages.error

    @precondition(lambda self: self.session.review is not None)
    @rule(y=st.integers(0, 20), x=st.integers(0, 20), mark=st.sampled_from(list(Mark)))
    def mark_a_peak(self, y: int, x: int, mark: Mark) -> None:
        marks = self.session.review.peak_marks.copy()
        marks[y, x] = marks[-1 - y, -1 - x] = mark
        self.session.mark_peaks(marks)
        self._note_edits()

    @precondition(lambda self: self.session.review is not None)
    @rule(y=st.integers(-4, 4), x=st.integers(-4, 4))
    def paint_the_kernel(self, y: int, x: int) -> None:
        self._paint(y, x)

    def _paint(self, y: int, x: int) -> None:
        grid = self.session.review.kernel_grid.copy()
        middle = grid.shape[-1] // 2
        for sign in (1, -1):
            grid[..., middle + sign * y, middle + sign * x] ^= (y, x) != (0, 0)
        self.session.edit_kernel(grid)
        self._note_edits()

    @precondition(lambda self: self.session.review is not None and self.session.review.edited)
    @rule(which=st.sampled_from(["reset_peak_edits", "reset_kernel_edits"]))
    def reset(self, which: str) -> None:
        getattr(self.session, which)()
        self._note_edits()

    @precondition(lambda self: self.session.review is not None and self.session.runner.job is None)
    @rule(mode=st.sampled_from([None, "2d", "2.5d"]))
    def analyse_again(self, mode: Any) -> None:
        self.session.analyse_again(mode)
        assert self.session.runner.job is not None or self.session.messages.error

    @precondition(lambda self: self.session.review is not None and self.session.runner.job is None)
    @rule(to_the_end=st.booleans())
    def approve(self, to_the_end: bool) -> None:
        self.session.approve()
        assert self.session.phase is Phase.STAGE2 or self.session.messages.error
        if to_the_end:
            self._pump(1000)

    @precondition(lambda self: self.session.review is not None and self.session.runner.job is None)
    @rule()
    def skip(self) -> None:
        self.session.skip()
        assert self.session.phase is Phase.RESULT

    @precondition(lambda self: self.session.attempts)
    @rule(which=st.integers(0, 5), keep=st.booleans())
    def another_attempt(self, which: int, keep: bool) -> None:
        attempts = self.session.attempts
        self._reach(f"{'took' if keep else 'forgot'} one of {min(len(attempts), 2)} attempts")
        attempt = attempts[which % len(attempts)]
        (self.session.take if keep else self.session.forget)(attempt)

    @precondition(lambda self: self.session.runner.job is None and self.session.review is not None)
    @rule()
    def save_and_open(self) -> None:
        review, path = self.session.review, Path(self._folder.name) / f"saved {len(self.saved)}"
        self.saved.append(path)
        write = self.session.save_to(path)
        write()
        self.session.disk.note_saved(path, self.session.run, review)
        assert not self.session.disk.unsaved(self.session.review)
        saved = open_run(path)
        self._reach(f"opened a run of {len(self.session.attempts)} attempts")
        self.session.reopen(saved, Source(saved.image.name, saved.image.array, path=saved.image.path))

    # ------------------------------------------------------------------ what always holds

    @invariant()
    def phase_has_what_it_shows(self) -> None:
        session, run = self.session, self.session.run
        if session.phase is Phase.DATA:
            assert run is None and session.review is None and not session.attempts
        else:
            assert run is not None
        if session.phase is Phase.STAGE1:
            assert session.runner.job is not None and session.runner.job.kind in ("stage1", "reopen")
        if session.phase >= Phase.REVIEW:
            assert run.stage1 is not None and session.review is not None
            assert run.denoised.shape == np.shape(run.source.array) and np.isfinite(run.denoised).all()
        if session.phase is Phase.STAGE2:
            assert session.runner.job is not None and session.runner.job.kind == "stage2"
        if session.phase is Phase.RESULT:
            assert run.stage2 is not None or run.skipped
        if run is not None and run.stage2 is not None:
            assert not run.skipped and any(each.output is run.stage2 for each in session.attempts)

    @invariant()
    def what_was_reached_is_counted(self) -> None:
        session = self.session
        job = "" if session.runner.job is None else f", {session.runner.job.kind} at work"
        edits = ", edited" if session.review is not None and session.review.edited else ""
        self._reach(f"{session.phase.name}{edits}{job}")

    @invariant()
    def job_and_progress_go_together(self) -> None:
        assert (self.session.runner.job is None) == (self.session.monitor.progress is None)
        assert not self.session.runner.paused or self.session.runner.job is not None

    @invariant()
    def what_cannot_start_says_why(self) -> None:
        session, source = self.session, self.session.choice.source
        assert not (session.ready and (session.choice.problem or session.runner.job or source is None))
        if source is None:
            return
        flat = source.name == "slice" and session.choice.settings.mode == "2.5d"
        assert bool(session.choice.problem) == (source.name in NEVER or flat), source.name
        assert source.name != "rgb" or session.choice.problem == "It has colours."

    @invariant()
    def review_can_be_decided(self) -> None:
        review = self.session.review
        if review is not None:
            assert review.analysis.kernel[tuple(n // 2 for n in review.analysis.kernel.shape)]
            assert review.analysis.mode == self.session.run.mode

    @invariant()
    def edits_are_kept(self) -> None:
        review, run = self.session.review, self.session.run
        if review is None or run is None:
            return
        array = run.source.array
        if self.edited is not None and self.edited[0] is array and self.edited[1] == review.automatic.mode:
            assert (review.peak_edits, review.kernel_edits) == self.edits
        self.edited = array, review.automatic.mode
        self.edits = review.peak_edits, review.kernel_edits

    @invariant()
    def errors_are_our_own(self) -> None:
        assert all(isinstance(error, AutoStructN2VError) for error in self.failures), self.failures

    @invariant()
    def threads_are_few(self) -> None:
        assert threading.active_count() <= self.threads + THREADS


def drive_sessions(examples: int, steps: int, *, the_same_each_time: bool) -> None:
    """So many sequences from each depth; what they reached is counted, and printed."""
    REACHED.clear()
    for depth in DEPTHS:
        run_state_machine_as_test(
            type("SessionMachine", (SessionMachine,), {"depth": depth}),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=the_same_each_time,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    print(*(f"{count:5} {what}" for what, count in REACHED.most_common()), sep="\n")


EVERYWHERE = {
    "DATA", "STAGE1, stage1 at work", "REVIEW", "REVIEW, edited", "REVIEW, edited, analysis at work",
    "STAGE2, stage2 at work", "STAGE2, edited, stage2 at work", "RESULT", "RESULT, edited",
    "STAGE1, reopen at work", "RESULT, analysis at work", "paused stage1", "paused stage2",
    "cancelled stage1", "cancelled analysis with edits", "cancelled stage2", "cancelled stage2 with edits",
    "cancelled reopen", "took one of 1 attempts", "took one of 2 attempts", "forgot one of 1 attempts",
    "forgot one of 2 attempts", "opened a run of 1 attempts", "opened a run of 2 attempts",
    "resumed in 2d", "resumed in 2d, edited", "resumed in 2.5d, edited",
}  # fmt: skip


SOON = {
    "DATA", "STAGE1, stage1 at work", "REVIEW", "REVIEW, edited", "RESULT", "STAGE1, reopen at work",
    "resumed in 2d",
}  # fmt: skip
"""Where short sequences come as well, whichever they are; it takes long ones to come everywhere."""


def test_no_sequence_of_actions_breaks_a_session() -> None:
    drive_sessions(4, 10, the_same_each_time=True)
    assert set(REACHED) >= SOON, SOON - set(REACHED)
    states = {what: n for what, n in REACHED.items() if what.startswith(tuple(p.name for p in Phase))}
    deep = sum(n for what, n in states.items() if what.startswith(("REVIEW", "STAGE2", "RESULT")))
    assert deep > sum(states.values()) / 2


@pytest.mark.long
def test_no_long_sequence_of_actions_breaks_a_session() -> None:
    drive_sessions(50, 40, the_same_each_time=False)
    assert set(REACHED) >= EVERYWHERE, EVERYWHERE - set(REACHED)
