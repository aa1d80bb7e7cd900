"""What a person does with one stack: data, stage 1, review, stage 2, result. Knows no window and no layer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal
from pydantic import ValidationError

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
from napari_autostructn2v._napari.session.progress import Losses, Progress
from napari_autostructn2v._napari.session.run_files import save_run
from napari_autostructn2v._napari.session.state import (
    ANALYSIS_SETTINGS,
    Attempt,
    Field,
    Phase,
    Run,
    Settings,
    Source,
)
from napari_autostructn2v.config import Config, Mode, TrainingConfig
from napari_autostructn2v.disk.lock import Hold
from napari_autostructn2v.error_report import problem_report
from napari_autostructn2v.errors import (
    AutoStructN2VError,
    BusyError,
    FileError,
    StackError,
)
from napari_autostructn2v.events import (
    Event,
    Notice,
    Preview,
    SliceDone,
    StageStarted,
    Step,
    TrainingStarted,
    Validation,
    Waiting,
)
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.noise.review import Review
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.output import StageOutput
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.runs.stage_spec import StageSpec
from napari_autostructn2v.runs.store import RunStore
from napari_autostructn2v.stack import Box, Stack, as_stack, few_slices_notice

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.run_files import SavedRun

WAITING = "Waiting for room on the disk"


class Session:
    """State of one viewer's denoising. Views listen to its signals and change it through its methods only.

    A job is started by emitting it; whoever runs it (a thread in napari, a loop in a test) hands each event
    to :meth:`receive` and the end to :meth:`complete` or :meth:`crash`. What a job says after it was
    cancelled is ignored, so that cancelling takes effect at once.
    """

    changed = Signal()
    """Source, settings, phase, job, message: anything a panel shows, but for the following and what a running
    job adds many times a second, progress and losses: those a view looks up when it has the time."""
    reviewed = Signal()
    """The review is new or edited."""
    previewed = Signal(Preview)
    job_started = Signal(Job)
    stage_finished = Signal(str, StageOutput)

    def __init__(self, store: RunStore | None = None) -> None:
        self.store = store
        """Where each run is kept while it goes on; None keeps none."""
        self._hold: Hold | None = None
        self._held: RunFolder | None = None
        self.settings = Settings()
        self.source: Source | None = None
        self.problem = ""
        """Why the chosen data cannot be denoised as they are."""
        self.error = ""
        self.failed: BaseException | None = None
        """What :attr:`error` comes from, if a job ended in it."""
        self.notices: list[str] = []
        self.told = ""
        """The notice that answers a click and warns of nothing."""
        self.phase = Phase.DATA
        self.run: Run | None = None
        self.review: Review | None = None
        self.job: Job | None = None
        self.progress: Progress | None = None
        self.device = ""
        self.losses: dict[str, Losses] = {}
        self.attempts: list[Attempt] = []
        """All results of the second stage of this run, the latest last."""
        self._foreseen = ""
        """Why the window says that the data cannot be used."""
        self._z: int | None = None
        self._region: np.ndarray | None = None
        self._field: Field | None = None
        self._approved: Review | None = None
        self._reopening: SavedRun | None = None
        self._kept: tuple[Run, Review] | None = None
        self._waits_for = ""
        self._saved: tuple[Edits, Edits] = Edits(), Edits()
        self.folder: Path | None = None
        """Where this run was saved, if it was."""
        self._in_file: StageOutput | None = None

    # ------------------------------------------------------------------ data and settings

    def choose(self, source: Source | None, problem: str = "") -> None:
        """Take these data, or none. ``problem`` is why they cannot be used, where the window knows that."""
        if source is None or self.source is None or source.array.shape != self.source.array.shape:
            self.settings = replace(self.settings, slices=None)
        self.source, self._foreseen = source, problem
        self.problem = self._check()
        self.changed.emit()

    def configure(self, **changes: Any) -> None:
        """Change settings by name. Another preset brings its own training settings."""
        if changes.get("preset", self.settings.preset) != self.settings.preset:
            changes = {"training": Config.from_preset(changes["preset"]).stage1, **changes}
        before, self.settings = self.settings, replace(self.settings, **changes)
        if self.settings == before:
            return
        if self.source is not None and "mode" in changes:
            self.problem = self._check()
        if self.run is not None and self.settings.recovery != self.run.recovery:
            self.run = replace(self.run, recovery=self.settings.recovery)
        if self.settings.config().analysis != before.config().analysis:
            self._edit(lambda review: review.with_config(self.settings.config().analysis))
        self.changed.emit()

    def configure_training(self, **changes: Any) -> None:
        """Change training settings by name; what cannot be is told, and nothing changes."""
        try:
            training = TrainingConfig.model_validate(self.settings.training.model_dump() | changes)
        except ValidationError as error:
            self.tell("", "; ".join(problem["msg"] for problem in error.errors()))
            return
        self.error = ""
        self.configure(training=training)

    def train_in(self, field: Field | None) -> None:
        """Train on this part of each slice from now on; on all of it if None."""
        self._field = field

    def look_at(self, z: int) -> None:
        """Let the next previews show slice ``z``."""
        self._z = z
        if self.job is not None:
            self.job.control.preview_slice = self._slice_of_run

    @property
    def _slice_of_run(self) -> int | None:
        """The slice looked at, in the stack at work: its layer may hold more slices by now."""
        if self._z is None or self.run is None:
            return self._z
        return min(self._z, self.run.stack.shape[0] - 1)

    def know_device(self, name: str) -> None:
        """Take in which device will compute."""
        self.device = name
        self.changed.emit()

    def report(self) -> str:
        """What helps to find the cause of the error: versions, settings, where it happened; no data."""
        if self.failed is None:
            return ""
        settings: dict[str, Any] = {"mode": self.settings.mode, **self.settings.config().model_dump()}
        if self.source is not None:
            settings |= {"shape": list(self.source.array.shape), "dtype": str(self.source.array.dtype)}
        return problem_report(self.failed, settings)

    def tell(self, notice: str, error: str = "") -> None:
        """Show a notice in place of those before it, or an error."""
        self.error, self.failed, self.notices = error, None, [] if error else [notice]
        self.told = notice
        self.changed.emit()

    @property
    def ready(self) -> bool:
        """Whether stage 1 can start."""
        return self.source is not None and not self.problem and self.job is None

    @property
    def hint(self) -> str:
        """A warning about the chosen data in the chosen mode, or nothing."""
        if self.source is None or self.problem:
            return ""
        stack = as_stack(self.source.array)
        return few_slices_notice(stack, self.settings.mode) or ""

    # ------------------------------------------------------------------ the way through

    def start_stage1(self) -> None:
        """Train on single pixels, denoise, analyse what was taken out."""
        if not self.ready or self.source is None:
            return
        mode = self.settings.mode
        self._keep_edits()
        stack = as_stack(self.source.array, mode)
        folder = self._hold_folder(None if self.store is None else self.store.new(self.source.name))
        self.run = Run(self.source, stack, mode, recovery=self.settings.recovery, folder=folder)
        self.review = self.folder = None
        self.attempts = []
        self._saved = Edits(), Edits()
        self.losses = {}
        self.phase = Phase.STAGE1
        self.reviewed.emit()
        request = self._request(self.run)
        self._start("stage1", lambda run: stage1(run, request))

    def approve(self) -> None:
        """Train again with the reviewed kernel, and denoise."""
        if self.review is None or self.run is None or self.job is not None:
            return
        self._approved = self.review  # which may be edited further while the stage runs
        analysis, training = self.review.analysis, self.settings.config().stage2
        self._train_with(StageSpec(analysis.kernel, analysis.notch_rule, training, self._box(self.run.stack)))

    def _train_with(self, spec: StageSpec) -> None:
        self.phase = Phase.STAGE2
        self.losses.pop("stage2", None)
        assert self.run is not None
        request = self._request(self.run)
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
        request = replace(self._request(self.run), mode=mode or self.run.mode, region=self._region)
        self._start("analysis", lambda run: examination(run, request))

    def measure_in(self, region: np.ndarray | None) -> None:
        """Measure noise in a region, bool (Y, X) or (Z, Y, X), from now on; in the flattest parts if None."""
        self._region = region

    def _request(self, run: Run) -> RunRequest:
        """What is asked of the run with the present settings."""
        return RunRequest(
            run.mode,
            self.settings.config(),
            region=self._suitable_region(run.stack),
            box=self._box(run.stack),
            seed=run.seed,
            source=run.source,
        )

    def _suitable_region(self, stack: Stack) -> np.ndarray | None:
        """The region, if it is one of these data: that of others must not end a training in an error."""
        region = self._region
        return region if region is not None and region.shape in (stack.shape, stack.shape[1:]) else None

    def _box(self, stack: Stack) -> Box | None:
        """The part of the stack to train on, as chosen."""
        if self._field is None and self.settings.slices is None:
            return None
        depth, height, width = stack.shape
        y, x = self._field or ((0, height), (0, width))
        return Box(self.settings.slices or (0, depth), y, x)

    def stop_early(self) -> None:
        """End the training, keep what it has learned, and go on with that."""
        if self.job is not None:
            self.job.control.stop_early.set()
            self.proceed()

    def pause(self) -> None:
        """Let the running job rest where it is."""
        if self.job is not None:
            self.job.control.resumed.clear()
            self.changed.emit()

    def proceed(self) -> None:
        """Let a resting job go on."""
        if self.job is not None and self.paused:
            if self.progress is not None:  # the pace is measured anew: the rest was no work
                self.progress = replace(self.progress, first=self.progress.done, since=time.monotonic())
            self.job.control.resumed.set()
            self.changed.emit()

    @property
    def paused(self) -> bool:
        """Whether the job rests."""
        return self.job is not None and not self.job.control.resumed.is_set()

    def cancel(self, reason: str = "") -> None:
        """Drop the running job and what it made."""
        if self.job is None:
            return
        self.job.control.cancelled.set()
        self.job.control.resumed.set()
        kind = self.job.kind
        self._settle_back(kind)
        self.notices.append(reason or "Cancelled.")
        self.changed.emit()

    # ------------------------------------------------------------------ runs on disk

    @property
    def unsaved(self) -> bool:
        """Whether there are edits that no run folder holds."""
        review = self.review
        return review is not None and (review.peak_edits, review.kernel_edits) != self._saved

    @property
    def kept(self) -> bool:
        """Whether the run is on this computer's disk, to be gone on with should the program end now."""
        return self.run is not None and self.run.folder is not None and self.run.folder.begun

    @property
    def only_in_memory(self) -> bool:
        """Whether there is a result that the person has saved nowhere."""
        output = None if self.run is None else self.run.stage2 or self.run.stage1
        return output is not None and output is not self._in_file

    def saved_result(self, run: Run) -> None:
        """Take in that the result of the run, as it was then, is in a file."""
        self._in_file = run.stage2 or run.stage1

    def save_to(self, path: Path) -> Callable[[], None] | None:
        """What has to be called, in any thread, to write the run as it is now; None if there is none yet."""
        run, review = self.run, self.review
        if run is None or review is None:
            return None
        return partial(save_run, path, run, self._request(run), review, dict(self.losses))

    def keep(self) -> Callable[[], None] | None:
        """What has to be called, in any thread, to note edits and settings where the run is kept.

        None if it is kept nowhere, or there is nothing to note yet.
        """
        run, review = self.run, self.review
        if run is None or run.folder is None or run.stage1 is None or review is None:
            return None
        trained = run.stage1.model.config
        config = self.settings.config().model_copy(update={"stage1": trained})
        region, skipped = self._suitable_region(run.stack), run.skipped
        return partial(
            run.folder.write_review, run.mode, config, region, review.peak_edits, review.kernel_edits,
            skipped=skipped,
        )  # fmt: skip

    def let_go(self) -> None:
        """Leave the folder of the run to others; if the run is done, without what earlier attempts made."""
        if self._hold is None:
            return
        run = self.run
        if run is not None and run.folder is not None and (run.stage2 is not None or run.skipped):
            run.folder.forget_earlier()
        self._hold.release()
        self._hold = self._held = None

    def _hold_folder(self, folder: RunFolder | None) -> RunFolder | None:
        """The folder if it can be written to, held until another run begins; then the one before is let go.

        Raises
        ------
        BusyError
            If another process works in it. The one before stays held.
        """
        held = self._held
        if folder is not None and held is not None and folder.path.resolve() == held.path.resolve():
            return folder
        hold = None
        if folder is not None:
            try:
                hold = folder.hold()
            except FileError:
                folder = None
        self.let_go()
        self._hold, self._held = hold, folder
        return folder

    def saved(self, path: Path, run: Run, review: Review) -> None:
        """Take in that the run was written as it was then, with this review."""
        self.folder, self._saved = path, (review.peak_edits, review.kernel_edits)
        self.saved_result(run)
        self.tell(f"Saved the run in {path}.")

    def reopen(self, saved: SavedRun, source: Source) -> None:
        """Go on with a saved run: denoise again with its models, put its edits on the analysis."""
        self.settings = replace(self.settings, mode=saved.request.mode)  # which decides whether the data suit
        self.choose(source)
        if not self.ready:
            return
        try:
            folder = self._hold_folder(saved.folder)
        except BusyError as error:
            self.tell("", str(error))
            return
        self._keep_edits()  # should the opening be cancelled and the first stage be run instead
        request = saved.request
        stack, config, box = as_stack(source.array, request.mode), request.config, request.box
        depth, height, width = stack.shape
        self.settings = replace(
            self.settings,
            training=config.stage1,
            slices=None if box is None or box.z == (0, depth) else box.z,
            **{name: getattr(config.analysis, name) for name in ANALYSIS_SETTINGS},
            recovery=config.recovery,
        )
        self._field = None if box is None or (box.y, box.x) == ((0, height), (0, width)) else (box.y, box.x)
        self._region = request.region
        self.run = Run(source, stack, request.mode, request.seed, recovery=config.recovery, folder=folder)
        self.attempts = []
        self.review, self.losses = None, {"stage1": Losses.read(saved.folder.stage("stage1").losses)}
        self._reopening = saved
        self.phase = Phase.STAGE1
        self.reviewed.emit()
        self._start("reopen", lambda run: reopen(run, saved))

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
            self.error = ""
        except AutoStructN2VError as error:
            self.review, self.error, self.failed = before, str(error), None
        self.reviewed.emit()

    def _keep_edits(self) -> None:
        if self.run is not None and self.review is not None and self.review.edited:
            self._kept = self.run, self.review

    def _with_kept_edits(self, review: Review) -> Review:
        """What was painted before the same data went through stage 1 again is not lost."""
        if self._kept is None or self.run is None:
            return review
        run, old = self._kept
        self._kept = None
        if run.source.array is not self.run.source.array:
            return review
        return old.with_automatic(review.automatic)

    # ------------------------------------------------------------------ what a job says

    def receive(self, job: Job, event: Event) -> None:
        """Take in an event of ``job``."""
        if job is not self.job:
            return
        if self._waits_for and not isinstance(event, Waiting):
            self.notices, self._waits_for = [n for n in self.notices if n != self._waits_for], ""
            self.changed.emit()
        handler = self._HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def complete(self, job: Job, outcome: object) -> None:
        """Take in what ``job`` ended with."""
        if job is not self.job or isinstance(outcome, Cancelled):
            return
        if isinstance(outcome, Failure):
            self._settle_back(job.kind)
            self.error, self.failed = outcome.message, outcome.error
            self.changed.emit()
            return
        self.job = self.progress = None
        assert self.run is not None
        if isinstance(outcome, Review):
            self._take_in_mode(outcome.automatic.mode)
            self.review = (self.review or outcome).with_automatic(outcome.automatic)
            self.reviewed.emit()
        elif isinstance(outcome, Examined):
            self._take_in_stage1(outcome.output, self._with_kept_edits(outcome.review))
        elif isinstance(outcome, StageOutput):
            self._take_in_stage2(outcome)
        elif isinstance(outcome, Reopened):
            self._take_in_run(outcome)
        self.changed.emit()
        if isinstance(outcome, Reopened) and outcome.approval is not None and self.review is not None:
            self._approved = self.review
            self._train_with(outcome.approval)
        if job.kind == "stage1" and self.settings.unattended and self.review is not None:
            if self.review.analysis.verdict.expect_gain:
                self.approve()
            else:
                self.skip()

    def crash(self, job: Job, error: BaseException) -> None:
        """Take in that ``job`` broke in a way nobody foresaw."""
        self.complete(job, Failure.of(error))

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

    def _take_in_mode(self, mode: Mode) -> None:
        """Go on in the mode of a new analysis."""
        assert self.run is not None
        if mode != self.run.mode:
            self.run = replace(self.run, mode=mode, stack=as_stack(self.run.source.array, mode))
            self.settings = replace(self.settings, mode=mode)
            self.problem = self._check()

    def _take_in_run(self, outcome: Reopened) -> None:
        saved = self._reopening
        assert saved is not None
        self._kept = None
        self._saved = saved.peak_edits, saved.kernel_edits
        self._take_in_stage1(outcome.stage1, outcome.review)
        self.folder = None if self.run is None or self.run.folder is None else saved.folder.path
        if outcome.stage2 is not None:
            self.losses["stage2"] = Losses.read(saved.folder.stage("stage2").losses)
            self._approved = None
            self._take_in_stage2(outcome.stage2)
        self._in_file = outcome.stage2 or outcome.stage1

    def _start(self, kind: JobKind, stream: Callable[[Run], Any]) -> None:
        assert self.run is not None
        self.error, self.failed, self.notices = "", None, []
        try:
            self.job = Job(kind, stream(self.run))
        except AutoStructN2VError as error:
            self._settle_back(kind)
            self.error = str(error)
            self.changed.emit()
            return
        self.job.control.preview_slice = self._slice_of_run
        self.progress = Progress("Starting")
        self.changed.emit()
        self.job_started.emit(self.job)

    def _settle_back(self, kind: JobKind) -> None:
        self.job = self.progress = None
        self.losses.pop(kind, None)
        if kind in ("stage1", "reopen"):
            self.phase, self.run = Phase.DATA, None
        elif kind == "stage2" and self.run is not None:
            done = self.run.stage2 is not None or self.run.skipped
            self.phase = Phase.RESULT if done else Phase.REVIEW

    def _check(self) -> str:
        if self.source is None or self._foreseen:
            return self._foreseen
        try:
            as_stack(self.source.array, self.settings.mode)
        except StackError as error:
            return str(error)
        return ""

    # ------------------------------------------------------------------ one method an event

    def _on_stage_started(self, event: StageStarted) -> None:
        activities = {"analysis": "Analysing the noise", "recovery": "Bringing detail back"}
        self.progress = Progress(activities.get(event.stage, "Preparing"))

    def _on_training_started(self, event: TrainingStarted) -> None:
        self.device = event.device
        self.progress = Progress("Training", event.step, event.steps, first=event.step)

    def _on_step(self, event: Step) -> None:
        self._curves.training.append((event.step, event.loss))
        self._advance("Training", event.step, event.steps)

    def _on_validation(self, event: Validation) -> None:
        self._curves.validation.append((event.step, event.loss))
        if event.best:
            self._curves.best = (event.step, event.loss)

    def _on_slice_done(self, event: SliceDone) -> None:
        recovering = self.progress is not None and self.progress.activity == "Bringing detail back"
        self._advance("Bringing detail back" if recovering else "Denoising", event.done, event.total)

    def _on_notice(self, event: Notice) -> None:
        self.notices.append(event.message)
        self.changed.emit()

    def _on_waiting(self, event: Waiting) -> None:
        if self.progress is None or self.progress.activity != WAITING:
            self.progress = Progress(WAITING)
            self._waits_for = f"{event.reason} The run waits, and goes on by itself."
            self.notices.append(self._waits_for)
            self.changed.emit()

    def _on_preview(self, event: Preview) -> None:
        self.previewed.emit(event)

    _HANDLERS: ClassVar[dict[type, Callable[[Session, Any], None]]] = {
        StageStarted: _on_stage_started,
        TrainingStarted: _on_training_started,
        Step: _on_step,
        Validation: _on_validation,
        SliceDone: _on_slice_done,
        Notice: _on_notice,
        Preview: _on_preview,
        Waiting: _on_waiting,
    }

    @property
    def _curves(self) -> Losses:
        kind = self.job.kind if self.job is not None and self.job.kind != "reopen" else "stage1"
        return self.losses.setdefault(kind, Losses())

    def _advance(self, activity: str, done: int, total: int) -> None:
        if self.progress is None or self.progress.activity != activity:
            self.progress = Progress(activity, done, total, first=done)
            return
        self.progress.done, self.progress.total = done, total
