"""The engine's work as jobs. Each is one stream of events, run in a thread and steered from outside."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from napari_autostructn2v._napari.session.messages import About
from napari_autostructn2v._napari.session.run_files import SavedRun, write_record
from napari_autostructn2v._napari.session.state import Run
from napari_autostructn2v.box import Box
from napari_autostructn2v.config import QUICK_LOOK
from napari_autostructn2v.disk.atomic import check_room
from napari_autostructn2v.disk.waiting import retry_when_full
from napari_autostructn2v.error_report import log_and_explain
from napari_autostructn2v.errors import FileError, RunFolderError, StackError
from napari_autostructn2v.events import Event, Notice, SliceDone, StageStarted, Step
from napari_autostructn2v.noise.patterns import Notch, notched
from napari_autostructn2v.noise.review import Review
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.output import StageOutput
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.runs.stage_folder import TrainingStage
from napari_autostructn2v.runs.stage_spec import StageSpec
from napari_autostructn2v.stack import Stack

JobKind = Literal[
    "stage1",
    "analysis",
    "stage2",
    "reopen",
    "quick_look",
    "load",
    "apply",
    "appraisal",
    "score",
    "export",
    "estimate",
]
AUTOSAVED_STACKS = 4
"""For each of the two stages: what the network made, and the detail that is brought back."""

Stream = Generator[Event, Any, Any]  # the slice to preview is sent in, or None


@dataclass
class Control:
    """What the window asks of a running job. It is set in the GUI thread, and read in the job's thread."""

    cancelled: threading.Event = field(default_factory=threading.Event)
    stop_early: threading.Event = field(default_factory=threading.Event)
    resumed: threading.Event = field(default_factory=threading.Event)
    """Cleared while the job is paused."""
    preview_slice: int | None = None
    """The slice that the person looks at; the next previews show it."""

    def __post_init__(self) -> None:
        self.resumed.set()


@dataclass(eq=False)
class Job:
    """One long operation: its stream of events, and what steers it."""

    kind: JobKind
    stream: Stream
    control: Control = field(default_factory=Control)


@dataclass(frozen=True)
class Failure:
    """A job ended in an error."""

    message: str
    error: BaseException | None = None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that an error means, in words. The error is logged as well."""
        return cls(log_and_explain(error), error)

    def about(self, kind: JobKind) -> About:
        """The control that it is about, after a job of this kind."""
        # of all that is asked of an analysis, only the outline can be refused
        return "background" if kind == "analysis" and isinstance(self.error, StackError) else ""


@dataclass(frozen=True)
class Cancelled:
    """A job ended because it was cancelled."""


# torch takes seconds to import. So the jobs import what needs it themselves: they run in their own threads,
# and the window stays responsive.


@dataclass(frozen=True, eq=False)
class Examined:
    """Stage 1 with its review."""

    output: StageOutput
    review: Review


def stage1(run: Run, request: RunRequest) -> Stream:
    """Train with a single blind pixel, denoise the stack, and look at the noise."""
    from napari_autostructn2v.runs.stages import examine_noise, first_stage, look_through, run_stage

    yield from look_through(run.stack, request)
    folder = run.folder
    if folder is not None:
        folder = yield from _begun(folder, run.stack, request)
    output = yield from run_stage(
        run.stack, "stage1", first_stage(request), request, folder=folder, preview=0
    )
    review = yield from examine_noise(run.stack, output.predicted, request)
    if folder is not None:
        yield from retry_when_full(partial(folder.analysis.write, review.analysis), folder.path)
    return Examined(output, review)


def _begun(folder: RunFolder, stack: Stack, request: RunRequest) -> Generator[Event, Any, RunFolder | None]:
    """Begin the run in its folder. Returns None, after a notice, if it cannot be autosaved there."""
    yield StageStarted("stage1")
    try:
        needed = AUTOSAVED_STACKS * stack.scale.dtype.itemsize * math.prod(stack.input_shape)
        check_room(folder.path, needed)
        write_record(folder, stack, request)
    except FileError as error:
        yield Notice(f"This run is not kept in case the program ends: {error}")
        return None
    return folder


def examination(run: Run, request: RunRequest) -> Stream:
    """Look at the noise again, with other settings, in another region or in the other mode."""
    from napari_autostructn2v.runs.stages import examine_noise

    assert run.stage1 is not None
    return (yield from examine_noise(run.stack, run.stage1.predicted, request))


def stage2(run: Run, request: RunRequest, spec: StageSpec) -> Stream:
    """Train with the reviewed kernel, on what the notch leaves, and denoise the stack."""
    from napari_autostructn2v.runs.stages import run_stage

    if run.folder is not None:
        yield from retry_when_full(partial(run.folder.approve, spec), run.folder.path)
    return (yield from run_stage(run.stack, "stage2", spec, request, folder=run.folder, preview=0))


@dataclass(frozen=True, eq=False)
class Reopened:
    """The stages of a saved run, and its review with the person's edits."""

    saved: SavedRun
    stage1: StageOutput
    stage2: StageOutput | None
    review: Review
    approval: StageSpec | None
    """What to train a second stage with that was begun and is not done; None if there is none."""


def reopen(run: Run, saved: SavedRun) -> Stream:
    """Read the results of a saved run, or finish its first stage, and analyse the noise again.

    If results are missing, the stack is denoised again with the saved model. If the folder cannot be written
    to, that happens in memory, and a stage that is not done is left as it is.
    """
    from napari_autostructn2v.runs.stages import examine_noise, first_stage, look_through, run_stage

    trained = saved.folder.stage("stage1").model.exists()
    if run.folder is None:
        if not trained:
            raise RunFolderError(
                f"Stage 1 of this run is not done, and {saved.folder.path} cannot be written to. Copy it to "
                "a folder of your own, and open that."
            )
        yield Notice(
            f"{saved.folder.path} cannot be written to: what you change or compute is not kept there. "
            "Save run … takes all of it to a folder of your own."
        )
    request = saved.request
    if trained:
        found = saved.folder.read_survey()
        if found is not None and found.notice is not None:
            yield found.notice
        first = yield from _made_again(run, saved, "stage1")
    else:
        # whoever began the run has said that it is meant, if most of the stack is blank
        yield from look_through(run.stack, replace(request, mostly_blank=True))
        first = yield from run_stage(
            run.stack, "stage1", first_stage(request), request, folder=run.folder, preview=0
        )
    second, approval = None, None if run.folder is None else saved.approval
    if saved.folder.stage("stage2").model.exists():
        second = yield from _made_again(run, saved, "stage2")
    review = yield from examine_noise(
        run.stack, first.predicted, request, saved.peak_edits, saved.kernel_edits
    )
    return Reopened(saved, first, second, review, None if second else approval)


def _made_again(run: Run, saved: SavedRun, stage: TrainingStage) -> Generator[Event, Any, StageOutput]:
    """The result of a stage that is done. Slices that are not in the folder are denoised again."""
    from napari_autostructn2v.learning.model import load_model
    from napari_autostructn2v.runs.stages import apply_stage

    yield StageStarted(stage)
    of_stage = saved.folder.stage(stage)
    model = load_model(of_stage.model)
    if run.folder is None:
        predicted = of_stage.read_made("predicted", run.stack)
        detail = of_stage.read_made("detail", run.stack)
        if predicted is not None and detail is not None:
            return StageOutput(model, predicted, detail)
    voxel_size = saved.request.voxel_size
    return (yield from apply_stage(run.stack, stage, model, folder=run.folder, voxel_size=voxel_size))


def quick_look(stack: Stack, kernel: np.ndarray, notch: Notch, box: Box, z: int) -> Stream:
    """Train briefly on a box of the stack, with previews of its slice ``z``."""
    from napari_autostructn2v.learning.training import train

    if notch:
        stack = notched(stack, notch)
    part = stack.cropped(box)
    return (yield from train(part, kernel, QUICK_LOOK, preview=z - box.z[0]))


def drive(job: Job) -> Generator[Event, None, object]:
    """Run a job's stream to its end, and look at its control after every event.

    Returns what the stream returns, or :class:`Failure` or :class:`Cancelled`. napari's ``worker.quit()``
    does not run a generator's ``finally``. So the control cancels the job, and the stream is closed here.
    """
    training = False  # a training can be stopped early between its first step and the first denoised slice
    try:
        event = next(job.stream)
        while True:
            yield event
            job.control.resumed.wait()
            if job.control.cancelled.is_set():
                return Cancelled()
            training = (training or isinstance(event, Step)) and not isinstance(event, SliceDone)
            if training and job.control.stop_early.is_set():
                from napari_autostructn2v.learning.training import StopTraining

                job.control.stop_early.clear()
                event = job.stream.throw(StopTraining())
            else:
                event = job.stream.send(job.control.preview_slice)
    except StopIteration as end:
        return Cancelled() if job.control.cancelled.is_set() else end.value
    except Exception as error:
        return Failure.of(error)
    finally:
        job.stream.close()
