"""What a person does with one stack: data, stage 1, review, stage 2, result. Knows no window and no layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from pydantic import ValidationError

from napari_autostructn2v._napari.session.choice import Choice
from napari_autostructn2v._napari.session.jobs import (
    Cancelled,
    Examined,
    Failure,
    Job,
    JobKind,
    Reopened,
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
from napari_autostructn2v.errors import AutoStructN2VError, BusyError
from napari_autostructn2v.events import Event, Notice, Preview, Waiting
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.noise.review import Review
from napari_autostructn2v.runs.output import StageOutput
from napari_autostructn2v.runs.stage_spec import StageSpec
from napari_autostructn2v.runs.store import RunStore
from napari_autostructn2v.stack import as_stack

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.run_files import SavedRun


class Session:
    """State of one viewer's denoising. Views listen to its signals and change it through its methods only.

    A job is started by emitting it; whoever runs it (a thread in napari, a loop in a test) hands each event
    to :meth:`receive` and the end to :meth:`complete` or :meth:`crash`. What a job says after it was
    cancelled is ignored, so that cancelling takes effect at once.

    Attributes
    ----------
    choice
        Data and settings as chosen.
    messages
        What the person is told.
    monitor
        Progress and losses of the running job.
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
    job_started = Signal(Job)
    stage_finished = Signal(str, StageOutput)

    def __init__(self, store: RunStore | None = None) -> None:
        self.choice = Choice()
        self.messages = Messages()
        self.monitor = Monitor()
        self.disk = RunOnDisk(store)
        self.phase = Phase.DATA
        self.run: Run | None = None
        self.review: Review | None = None
        self.job: Job | None = None
        self.attempts: list[Attempt] = []
        self._z: int | None = None
        self._approved: Review | None = None
        self._edited_before: tuple[Run, Review] | None = None
        """The run before this one, with its edited review: its edits are used again for the same data."""
        self.choice.changed.connect(self._on_choice)
        self.messages.changed.connect(self._on_messages)

    # ------------------------------------------------------------------ data and settings

    def _on_choice(self, before: Settings) -> None:
        """Let the present run follow the settings that need no new training."""
        settings = self.choice.settings
        if self.run is not None and settings.recovery != self.run.recovery:
            self.run = replace(self.run, recovery=settings.recovery)
        analysis = settings.config().analysis
        if analysis != before.config().analysis:
            self._edit(lambda review: review.with_config(analysis))
        self.changed.emit()

    def _on_messages(self) -> None:
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
        """Let the next previews show slice ``z``."""
        self._z = z
        if self.job is not None:
            self.job.control.preview_slice = self._slice_of_run

    @property
    def _slice_of_run(self) -> int | None:
        """The slice looked at, in the stack of the run: its layer may have more slices by now."""
        if self._z is None or self.run is None:
            return self._z
        return min(self._z, self.run.stack.shape[0] - 1)

    def know_device(self, name: str) -> None:
        """Take in which device will compute."""
        self.monitor.device = name
        self.changed.emit()

    @property
    def ready(self) -> bool:
        """Whether stage 1 can start."""
        return self.choice.usable and self.job is None

    # ------------------------------------------------------------------ the way through

    def start_stage1(self) -> None:
        """Train on single pixels, denoise, analyse what was taken out."""
        source, mode = self.choice.source, self.choice.settings.mode
        if not self.ready or source is None:
            return
        folder = self.disk.new_folder(source.name, self.run)
        recovery = self.choice.settings.recovery
        self._begin(Run(source, as_stack(source.array, mode), mode, recovery=recovery, folder=folder))
        assert self.run is not None
        request = self.choice.request(self.run)
        self._start("stage1", lambda run: stage1(run, request))

    def reopen(self, saved: SavedRun, source: Source) -> None:
        """Go on with a saved run: denoise again with its models, put its edits on the analysis."""
        request = saved.request
        self.choice.take_mode(request.mode)  # which decides whether the data can be used
        self.choice.choose(source)
        if not self.ready:
            return
        try:
            folder = self.disk.hold(saved.folder, self.run)
        except BusyError as error:
            self.messages.fail(str(error))
            return
        stack, recovery = as_stack(source.array, request.mode), request.config.recovery
        self.choice.take_request(request, stack)
        self._begin(Run(source, stack, request.mode, request.seed, recovery=recovery, folder=folder))
        self.monitor.losses = {"stage1": Losses.read(saved.folder.stage("stage1").losses)}
        self._start("reopen", lambda run: reopen(run, saved))

    def _begin(self, run: Run) -> None:
        """Make this the present run; the edits of the one before are remembered."""
        if self.run is not None and self.review is not None and self.review.edited:
            self._edited_before = self.run, self.review
        self.run, self.review, self.attempts = run, None, []
        self.monitor.losses = {}
        self.phase = Phase.STAGE1
        self.reviewed.emit()

    def approve(self) -> None:
        """Train again with the reviewed kernel, and denoise."""
        if self.review is None or self.run is None or self.job is not None:
            return
        self._approved = self.review  # which may be edited further while the stage runs
        analysis, training = self.review.analysis, self.choice.settings.config().stage2
        box = self.choice.box(self.run.stack)
        self._train_with(StageSpec(analysis.kernel, analysis.notch_rule, training, box))

    def _train_with(self, spec: StageSpec) -> None:
        assert self.run is not None
        self.phase = Phase.STAGE2
        self.monitor.losses.pop("stage2", None)
        request = self.choice.request(self.run)
        self._start("stage2", lambda run: stage2(run, request, spec))

    def skip(self) -> None:
        """Take the first stage's result as the result."""
        if self.review is None or self.run is None or self.job is not None:
            return
        self.run = replace(self.run, stage2=None, skipped=True)
        self.phase = Phase.RESULT
        self.changed.emit()

    def take(self, attempt: Attempt) -> None:
        """Make one of the results of the second stage the result."""
        if self.run is None or self.job is not None or attempt.output is self.run.stage2:
            return
        self.run = replace(self.run, stage2=attempt.output, skipped=False)
        self.phase = Phase.RESULT
        self.stage_finished.emit("stage2", attempt.output)
        self.changed.emit()

    def forget(self, attempt: Attempt) -> None:
        """Drop a result of the second stage that is not the present one."""
        if self.run is None or attempt.output is not self.run.stage2:
            self.attempts = [each for each in self.attempts if each is not attempt]
            attempt.output.forget(each.output for each in self.attempts)
            self.changed.emit()

    def regenerate(self, mode: Mode | None = None) -> None:
        """Analyse the noise again, in another mode if given; what the person edited is put on top again.

        The first stage is the same in both modes, so it need not run again.
        """
        if self.run is None or self.run.stage1 is None or self.job is not None:
            return
        # a region that does not suit the data is refused here, where the person has just asked for it
        request = replace(
            self.choice.request(self.run), mode=mode or self.run.mode, region=self.choice.region
        )
        self._start("analysis", lambda run: examination(run, request))

    def stop_early(self) -> None:
        """End the training, keep what it has learned, and go on with that."""
        if self.job is not None:
            self.job.control.stop_early.set()
            self.proceed()

    def pause(self) -> None:
        """Pause the running job."""
        if self.job is not None:
            self.job.control.resumed.clear()
            self.changed.emit()

    def proceed(self) -> None:
        """Let a paused job go on."""
        if self.job is not None and self.paused:
            self.monitor.restart_pace()
            self.job.control.resumed.set()
            self.changed.emit()

    @property
    def paused(self) -> bool:
        """Whether the job is paused."""
        return self.job is not None and not self.job.control.resumed.is_set()

    def cancel(self, reason: str = "") -> None:
        """Drop the running job and what it made."""
        if self.job is None:
            return
        self.job.control.cancelled.set()
        self.job.control.resumed.set()
        self._settle_back(self.job.kind)
        self.messages.notify(reason or "Cancelled.")

    # ------------------------------------------------------------------ to the disk

    def save_to(self, path: Path) -> Callable[[], None] | None:
        """A function that saves the run as it is now, to be called in any thread.

        None if there is nothing to save yet.
        """
        run, review = self.run, self.review
        if run is None or review is None:
            return None
        return partial(save_run, path, run, self.choice.request(run), review, dict(self.monitor.losses))

    def autosave(self) -> Callable[[], None] | None:
        """A function that writes edits and settings into the folder of the run, to be called in any thread.

        None if the run has no folder, or there is nothing to write yet.
        """
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
            self.messages.error, self.messages.cause = str(error), None
        self.reviewed.emit()

    def _with_edits_of_before(self, review: Review) -> Review:
        """What was painted before the same data went through stage 1 again is not lost."""
        if self._edited_before is None or self.run is None:
            return review
        run, old = self._edited_before
        self._edited_before = None
        if run.source.array is not self.run.source.array:
            return review
        return old.with_automatic(review.automatic)

    # ------------------------------------------------------------------ what a job says

    def _start(self, kind: JobKind, stream: Callable[[Run], Any]) -> None:
        assert self.run is not None
        self.messages.clear()
        try:
            self.job = Job(kind, stream(self.run))
        except AutoStructN2VError as error:
            self._settle_back(kind)
            self.messages.fail(str(error))
            return
        self.job.control.preview_slice = self._slice_of_run
        self.monitor.begin("stage1" if kind == "reopen" else kind)
        self.changed.emit()
        self.job_started.emit(self.job)

    def receive(self, job: Job, event: Event) -> None:
        """Take in an event of ``job``."""
        if job is not self.job:
            return
        self.monitor.receive(event)
        if not isinstance(event, Waiting):
            self.messages.go_on()
        match event:
            case Waiting():
                self.messages.wait(event.reason)
            case Notice():
                self.messages.notify(event.message)
            case Preview():
                self.previewed.emit(event)

    def complete(self, job: Job, outcome: object) -> None:
        """Take in what ``job`` ended with."""
        if job is not self.job or isinstance(outcome, Cancelled):
            return
        if isinstance(outcome, Failure):
            self._settle_back(job.kind)
            self.messages.error, self.messages.cause = outcome.message, outcome.error
            self.changed.emit()
            return
        self.job = None
        self.monitor.end()
        match outcome:
            case Review():
                self._take_in_analysis(outcome)
            case Examined():
                self._take_in_stage1(outcome.output, self._with_edits_of_before(outcome.review))
            case StageOutput():
                self._take_in_stage2(outcome)
            case Reopened():
                self._take_in_run(outcome)
        self.changed.emit()
        if isinstance(outcome, Reopened) and outcome.approval is not None:
            self._approved = self.review
            self._train_with(outcome.approval)
        if job.kind == "stage1" and self.choice.settings.unattended and self.review is not None:
            if self.review.analysis.verdict.expect_gain:
                self.approve()
            else:
                self.skip()

    def crash(self, job: Job, error: BaseException) -> None:
        """Take in that ``job`` broke in a way nobody foresaw."""
        self.complete(job, Failure.of(error))

    def _take_in_analysis(self, outcome: Review) -> None:
        assert self.run is not None
        mode = outcome.automatic.mode
        if mode != self.run.mode:
            self.run = replace(self.run, mode=mode, stack=as_stack(self.run.source.array, mode))
            self.choice.take_mode(mode)
        self.review = (self.review or outcome).with_automatic(outcome.automatic)
        self.reviewed.emit()

    def _take_in_stage1(self, output: StageOutput, review: Review) -> None:
        assert self.run is not None
        folder = self.run.folder if output.kept else None
        self.run = replace(self.run, stage1=output, stage2=None, skipped=False, folder=folder)
        self.attempts = []
        self.review, self.phase = review, Phase.REVIEW
        self.stage_finished.emit("stage1", output)
        self.reviewed.emit()

    def _take_in_stage2(self, output: StageOutput) -> None:
        assert self.run is not None
        if self._approved is not None:
            output.model.provenance["edits"] = {
                "peaks": self._approved.peak_edits.to_json(),
                "kernel": self._approved.kernel_edits.to_json(),
            }
        self.run = replace(self.run, stage2=output, skipped=False)
        number = self.attempts[-1].number + 1 if self.attempts else 1
        self.attempts = [*self.attempts, Attempt(number, output)]
        self.phase = Phase.RESULT
        self.stage_finished.emit("stage2", output)

    def _take_in_run(self, outcome: Reopened) -> None:
        self._edited_before = None
        self._take_in_stage1(outcome.stage1, outcome.review)
        if outcome.stage2 is not None:
            losses = outcome.saved.folder.stage("stage2").losses
            self.monitor.losses["stage2"] = Losses.read(losses)
            self._approved = None
            self._take_in_stage2(outcome.stage2)
        assert self.run is not None
        self.disk.note_opened(outcome.saved, self.run)

    def _settle_back(self, kind: JobKind) -> None:
        self.job = None
        self.monitor.end()
        self.monitor.losses.pop(kind, None)
        if kind in ("stage1", "reopen"):
            self.phase, self.run = Phase.DATA, None
        elif kind == "stage2" and self.run is not None:
            self.phase = Phase.RESULT if self.run.done else Phase.REVIEW
