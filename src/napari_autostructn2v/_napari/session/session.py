"""The way of one stack from data to result: stage 1, review, stage 2. Knows no window and no layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from pydantic import ValidationError

from napari_autostructn2v._napari.session.choice import PART_OF_ONE, Choice
from napari_autostructn2v._napari.session.earlier_run import EarlierEdits, RunBefore
from napari_autostructn2v._napari.session.job_runner import JobRunner
from napari_autostructn2v._napari.session.jobs import (
    Examined,
    Failure,
    Job,
    JobKind,
    Reopened,
    Stream,
    examination,
    reopen,
    stage1,
    stage2,
)
from napari_autostructn2v._napari.session.messages import Messages
from napari_autostructn2v._napari.session.progress import Losses, Monitor
from napari_autostructn2v._napari.session.run_files import autosave, save_run
from napari_autostructn2v._napari.session.run_on_disk import RunOnDisk
from napari_autostructn2v._napari.session.state import Attempt, Phase, Run, Settings, Source
from napari_autostructn2v.config import Mode, TrainingConfig
from napari_autostructn2v.errors import AutoStructN2VError, BusyError, MostlyBlankError
from napari_autostructn2v.events import Event, Notice, Preview, Surveyed, Waiting
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.noise.review import Review
from napari_autostructn2v.runs.output import StageOutput
from napari_autostructn2v.runs.stage_spec import StageSpec
from napari_autostructn2v.runs.store import RunStore

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.run_files import SavedRun


class Session:
    """State of one viewer's denoising. Views listen to its signals and change it through its methods only.

    Attributes
    ----------
    choice
        Data and settings as chosen.
    messages
        What the person is told.
    monitor
        Progress and losses of the running job.
    runner
        The running job.
    disk
        The folder of the run, and what is saved.
    attempts
        All results of the second stage of this run, the latest last.
    """

    changed = Signal()
    """Anything a panel shows has changed: data, settings, phase, job, messages. Not emitted for the review,
    which has its own signal, nor for progress and losses: a running job changes these many times a second,
    and views look them up when they have the time."""
    reviewed = Signal()
    """The review is new or edited."""
    previewed = Signal(Preview)
    stage_finished = Signal(str, StageOutput)
    went_back = Signal()
    """A run was given up before its first stage was done: the run before it is the present one again."""

    def __init__(self, store: RunStore | None = None) -> None:
        self.choice = Choice()
        self.messages = Messages()
        self.monitor = Monitor()
        self.disk = RunOnDisk(store)
        self.phase = Phase.DATA
        self.run: Run | None = None
        self.review: Review | None = None
        self.runner = JobRunner(self._on_event, self._on_end)
        self.attempts: list[Attempt] = []
        self._approved: Review | None = None
        self._earlier_edits = EarlierEdits()
        self._before = RunBefore.none()
        self.choice.changed.connect(self._on_choice)
        self.messages.changed.connect(self.changed.emit)
        self.runner.steered.connect(self._on_steered)

    # ------------------------------------------------------------------ data and settings

    def _on_choice(self, before: Settings) -> None:
        """Apply settings to the present run where that needs no new training."""
        settings = self.choice.settings
        if self.run is not None and settings.recovery != self.run.recovery:
            self.run = replace(self.run, recovery=settings.recovery)
        analysis = settings.config().analysis
        if analysis != before.config().analysis:
            self._edit(lambda review: review.with_config(analysis))
        self.changed.emit()

    def configure_training(self, **changes: Any) -> None:
        """Change training settings by name. If they are not valid, that is shown and nothing changes."""
        try:
            training = TrainingConfig.model_validate(self.choice.settings.training.model_dump() | changes)
        except ValidationError as error:
            self.messages.fail("; ".join(problem["msg"] for problem in error.errors()))
            return
        self.messages.error = ""
        self.choice.configure(training=training)

    def look_at(self, z: int) -> None:
        """Let the next previews show slice ``z``; the layer may have more slices by now than the stack."""
        self.runner.look_at(z if self.run is None else min(z, self.run.stack.shape[0] - 1))

    @property
    def ready(self) -> bool:
        """Whether stage 1 can start."""
        return self.choice.usable and self.runner.job is None

    # ------------------------------------------------------------------ the way through

    def start_stage1(self) -> None:
        """Train on single pixels, denoise, analyse what was taken out."""
        source = self.choice.source
        if not self.ready or source is None:
            return
        run = self.choice.new_run(source, self.disk.new_folder(source.name, self.run))
        self._begin(run, self.choice.settings)
        self._start("stage1", stage1(run, self.choice.request(run)))

    def reopen(self, saved: SavedRun, source: Source) -> None:
        """Go on with a saved run: denoise again with its models, put its edits on the analysis."""
        request, settings = saved.request, self.choice.settings
        self.choice.take_mode(request.mode)  # the mode decides whether the data can be used
        self.choice.choose(source)
        if self.choice.problem or self.runner.job is not None:
            return
        try:
            folder = self.disk.hold(saved.folder, self.run)
        except BusyError as error:
            self.messages.fail(str(error))
            return
        run = self.choice.saved_run(request, source, folder)
        self._begin(run, settings)
        self.monitor.losses = {"stage1": Losses.read(saved.folder.stage("stage1").losses)}
        self._start("reopen", reopen(run, saved))

    def _begin(self, run: Run, settings: Settings) -> None:
        """Make this the present run, and remember the run before it, which had these settings."""
        self._earlier_edits.remember(self.run, self.review)
        self._before = RunBefore(
            self.phase, self.run, self.review, self.attempts, self.monitor.losses, settings
        )
        self.runner.preview_slice = None
        self.run, self.review, self.attempts = run, None, []
        self.monitor.losses = {}
        self.phase = Phase.STAGE1
        self.reviewed.emit()

    def approve(self) -> None:
        """Train again with the reviewed kernel, and denoise."""
        if self.review is None or self.run is None or self.runner.job is not None:
            return
        review, training = self.review, self.choice.settings.config().stage2
        box = self.choice.box(self.run.stack)
        if box is not None and self.run.companions:
            self.messages.fail(PART_OF_ONE)
            return
        self._approved = review  # which may be edited further while the stage runs
        self._train_with(StageSpec(review.analysis.kernel, review.notch_rule, training, box))

    def _train_with(self, spec: StageSpec) -> None:
        assert self.run is not None
        self.phase = Phase.STAGE2
        self.monitor.losses.pop("stage2", None)
        self._start("stage2", stage2(self.run, self.choice.request(self.run), spec))

    def skip(self) -> None:
        """Take the first stage's result as the result."""
        if self.review is None or self.run is None or self.runner.job is not None:
            return
        self.run = replace(self.run, stage2=None, skipped=True)
        self.phase = Phase.RESULT
        self.changed.emit()

    def take(self, attempt: Attempt) -> None:
        """Make one of the results of the second stage the result."""
        if self.run is None or self.runner.job is not None or attempt.output is self.run.stage2:
            return
        self.run = replace(self.run, stage2=attempt.output, skipped=False)
        self.phase = Phase.RESULT
        self.stage_finished.emit("stage2", attempt.output)
        self.changed.emit()

    def forget(self, attempt: Attempt) -> None:
        """Delete a result of the second stage, unless it is the present result."""
        if self.run is None or attempt.output is not self.run.stage2:
            self.attempts = [each for each in self.attempts if each is not attempt]
            attempt.output.forget(each.output for each in self.attempts)
            self.changed.emit()

    def analyse_again(self, mode: Mode | None = None) -> None:
        """Analyse the noise again, in another mode if given. The person's edits stay.

        The first stage is the same in both modes, so it need not run again.
        """
        if self.run is None or self.run.stage1 is None or self.runner.job is not None:
            return
        # the region as it was outlined, which was just asked for: if it does not fit, the job says so
        request = replace(
            self.choice.request(self.run), mode=mode or self.run.mode, region=self.choice.region
        )
        self._start("analysis", examination(self.run, request))

    def cancel(self, reason: str = "") -> None:
        """Cancel the running job, and drop what it made."""
        job = self.runner.job
        if job is None:
            return
        kept = job.kind == "stage1" and self.run is not None and self.run.autosaved
        told = f"Cancelled{self.monitor.at_step}{'; kept under Resume' if kept else ''}."
        self.runner.drop()
        self._settle_back(job.kind)
        self.messages.confirm(reason or told)

    # ------------------------------------------------------------------ to the disk

    def save_to(self, path: Path) -> Callable[[], None] | None:
        """A function that saves the run as it is now, in any thread; None if there is nothing to save yet."""
        run, review = self.run, self.review
        if run is None or review is None:
            return None
        return partial(save_run, path, run, self.choice.request(run), review, dict(self.monitor.losses))

    def autosave(self) -> Callable[[], None] | None:
        """A function that writes edits and settings into the run's folder, in any thread; None if not yet."""
        run, review = self.run, self.review
        if run is None or run.folder is None or run.stage1 is None or review is None:
            return None
        return partial(autosave, run, self.choice.request(run), review)

    # ------------------------------------------------------------------ the review

    def mark_peaks(self, marks: np.ndarray) -> None:
        """Record which peaks are added and erased by hand, marks as uint8 (T, T); the kernel follows."""
        self._edit(lambda review: review.with_peak_marks(marks))

    def edit_kernel(self, grid: np.ndarray) -> None:
        """Record that a stroke left the kernel grid as ``grid``, bool (L, L) or (3, L, L)."""
        self._edit(lambda review: review.with_kernel_grid(grid))

    def reset_kernel_edits(self) -> None:
        """Let the kernel follow from the peaks alone."""
        if self.review is not None and self.review.kernel_edits != Edits():
            self._edit(lambda review: replace(review, kernel_edits=Edits()))

    def reset_peak_edits(self) -> None:
        """Take the peaks as they were found."""
        if self.review is not None and self.review.peak_edits != Edits():
            self._edit(lambda review: replace(review, peak_edits=Edits()))

    def _edit(self, change: Callable[[Review], Review]) -> None:
        if self.review is None:
            return
        before = self.review
        self.review = change(before)
        try:
            self.review.analysis  # noqa: B018 - computed here, so that an edit the engine refuses changes nothing
            self.messages.error = ""
        except AutoStructN2VError as error:
            self.review = before
            self.messages.error, self.messages.cause, self.messages.about = str(error), None, ""
        self.reviewed.emit()

    # ------------------------------------------------------------------ what a job says

    def _start(self, kind: JobKind, stream: Stream) -> None:
        self.messages.clear()
        self.monitor.begin("stage1" if kind == "reopen" else kind)
        self.runner.start(kind, stream)
        self.changed.emit()

    def _on_steered(self) -> None:
        if not self.runner.paused:
            self.monitor.restart_pace()
        self.changed.emit()

    def _on_event(self, event: Event) -> None:
        self.monitor.receive(event)
        if not isinstance(event, Waiting):
            self.messages.go_on()
        match event:
            case Waiting():
                self.messages.wait(event.reason)
            case Surveyed() if self.run is not None:  # stays, where messages make room for others
                self.run = replace(self.run, survey=event)
                self.changed.emit()
            case Notice():
                self.messages.notify(event.message)
            case Preview():
                self.previewed.emit(event)

    def _on_end(self, job: Job, outcome: object) -> None:
        if isinstance(outcome, Failure):
            self._settle_back(job.kind)
            if isinstance(outcome.error, MostlyBlankError):
                self.messages.fail(self.choice.ask_about(outcome.error))
            else:
                self.messages.fail(outcome.message, outcome.error, outcome.about(job.kind))
            return
        self.monitor.end()
        assert self.run is not None
        match outcome:
            case Review():
                self._take_in_analysis(outcome)
            case Examined():
                self._take_in_stage1(outcome.output, self._earlier_edits.put_on(outcome.review, self.run))
            case StageOutput():
                self._take_in_stage2(outcome)
            case Reopened():
                self._take_in_run(outcome)
        self.changed.emit()
        if isinstance(outcome, Reopened) and outcome.approval is not None:
            self._approved = self.review
            self._train_with(outcome.approval)
        if job.kind == "stage1" and self.choice.settings.unattended and self.review is not None:
            if self.review.expect_gain:
                self.approve()
            else:
                self.skip()

    def _take_in_analysis(self, outcome: Review) -> None:
        assert self.run is not None
        mode = outcome.automatic.mode
        if mode != self.run.mode:
            self.run = self.run.in_mode(mode)
            self.choice.take_mode(mode)
        self.review = (self.review or outcome).with_automatic(outcome)
        self.reviewed.emit()

    def _take_in_stage1(self, output: StageOutput, review: Review) -> None:
        assert self.run is not None
        self.disk.settle()
        self._before = RunBefore.none()
        folder = self.run.folder if output.kept else None
        self.run = replace(self.run, stage1=output, stage2=None, skipped=False, folder=folder)
        self.attempts = []
        self.review, self.phase = review, Phase.REVIEW
        self.stage_finished.emit("stage1", output)
        self.reviewed.emit()

    def _take_in_stage2(self, output: StageOutput) -> None:
        assert self.run is not None
        if self._approved is not None:
            output.model.provenance["edits"] = self._approved.edits_record
        self.run = replace(self.run, stage2=output, skipped=False)
        number = self.attempts[-1].number + 1 if self.attempts else 1
        self.attempts = [*self.attempts, Attempt(number, output)]
        self.phase = Phase.RESULT
        self.stage_finished.emit("stage2", output)

    def _take_in_run(self, outcome: Reopened) -> None:
        self._earlier_edits.forget()
        self._take_in_stage1(outcome.stage1, outcome.review)
        if outcome.stage2 is not None:
            losses = outcome.saved.folder.stage("stage2").losses
            self.monitor.losses["stage2"] = Losses.read(losses)
            self._approved = None
            self._take_in_stage2(outcome.stage2)
        assert self.run is not None
        self.disk.note_opened(outcome.saved, self.run)

    def _settle_back(self, kind: JobKind) -> None:
        """Go back to where the job began."""
        self.monitor.end()
        self.monitor.losses.pop(kind, None)
        if kind in ("stage1", "reopen"):
            self._go_back()
        elif kind == "stage2" and self.run is not None:
            self.phase = Phase.RESULT if self.run.done else Phase.REVIEW

    def _go_back(self) -> None:
        """Go back to the run before, as it was, or to the data if there was none."""
        self.disk.go_back()
        self._earlier_edits.forget()
        before, self._before = self._before, RunBefore.none()
        self.phase, self.run, self.review, self.attempts, self.monitor.losses, settings = before
        self.went_back.emit()
        self.reviewed.emit()
        self._on_choice(settings)  # which may have been changed meanwhile
