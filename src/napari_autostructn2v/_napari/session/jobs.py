"""The engine's work as jobs: one stream of events each, driven in a thread and steered from outside."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np

from napari_autostructn2v._napari.session.run_files import SavedRun, write_record
from napari_autostructn2v._napari.session.state import Run, StageOutput
from napari_autostructn2v.config import QUICK_LOOK, AnalysisConfig, Config, Mode
from napari_autostructn2v.disk.atomic import room
from napari_autostructn2v.disk.waiting import when_there_is_room
from napari_autostructn2v.error_report import told
from napari_autostructn2v.errors import FileError, RunFolderError
from napari_autostructn2v.events import Event, Notice, SliceDone, StageStarted, Step
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.patterns import Notch, notched
from napari_autostructn2v.noise.review import Review
from napari_autostructn2v.runs.folder import RunFolder, TrainingStage
from napari_autostructn2v.runs.stage_spec import Approval
from napari_autostructn2v.stack import Box, Stack

JobKind = Literal[
    "stage1", "analysis", "stage2", "reopen", "quick_look", "load", "apply", "appraisal", "export"
]
KEPT_STACKS = 4
"""What the network made and the detail brought back, of both stages."""

Stream = Generator[Event, Any, Any]  # what is sent in is the slice to preview, or None


@dataclass
class Control:
    """What the window asks of a running job. Set in the GUI thread, read in the worker's."""

    cancelled: threading.Event = field(default_factory=threading.Event)
    stop_early: threading.Event = field(default_factory=threading.Event)
    going: threading.Event = field(default_factory=threading.Event)
    """Not set while the job is to rest."""
    z: int | None = None
    """Slice the person looks at: the next previews show it."""

    def __post_init__(self) -> None:
        self.going.set()


@dataclass(eq=False)
class Job:
    """One long operation: its stream of events, and the means to steer it."""

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
        """An error as it is told, and in the log."""
        return cls(told(error), error)


@dataclass(frozen=True)
class Cancelled:
    """A job ended because it was cancelled."""


class Named(Protocol):
    """Data that have a name and perhaps a voxel size."""

    @property
    def name(self) -> str: ...

    @property
    def voxel_size(self) -> VoxelSize | None: ...


def stage1(run: Run, config: Config, region: np.ndarray | None, box: Box | None) -> Stream:
    """Train with a single blind pixel, denoise the stack, and look at the noise.

    In 2.5D as well it sees one slice only: noise that neighbouring slices share would pass through them.
    """
    folder = run.folder
    if folder is not None:
        folder = yield from _kept(run, folder, config, region, box)
    order = Approval(POINT, None, config.stage1, box)
    output = yield from _stage(run.stack, "stage1", order, run.source, folder)
    analysis = yield from look_at_noise(
        run.stack, output.predicted, run.mode, config.analysis, region, run.source.voxel_size
    )
    if folder is not None:
        yield from when_there_is_room(partial(folder.write_analysis, analysis), folder.path)
    return replace(output, analysis=analysis)


def _kept(
    run: Run, folder: RunFolder, config: Config, region: np.ndarray | None, box: Box | None
) -> Generator[Event, Any, RunFolder | None]:
    """The folder with the record of the run, or None and a notice if it cannot be kept there."""
    yield StageStarted("stage1")
    try:
        needed = KEPT_STACKS * run.stack.scale.dtype.itemsize * math.prod(run.stack.input_shape)
        if room(folder.path) < needed:
            raise FileError(
                f"It takes up to {needed / 1e9:.1f} GB, and {folder.path.parent} has room for "
                f"{room(folder.path) / 1e9:.1f} GB."
            )
        write_record(folder, run, config, region, box)
    except FileError as error:
        yield Notice(f"This run is not kept in case the program ends: {error}")
        return None
    return folder


def stage2(run: Run, order: Approval) -> Stream:
    """Train with the reviewed kernel, on what the notch leaves, and denoise the stack."""
    folder = run.folder
    if folder is not None:
        yield from when_there_is_room(partial(folder.approve, order), folder.path)
    return (yield from _stage(run.stack, "stage2", order, run.source, folder))


@dataclass(frozen=True, eq=False)
class Reopened:
    """The stages of a saved run, made anew from their models, and its review with what was edited."""

    stage1: StageOutput
    stage2: StageOutput | None
    review: Review
    approval: Approval | None
    """What a second stage that was begun and is not done is trained with."""


def reopen(run: Run, saved: SavedRun) -> Stream:
    """Finish the first stage of a saved run or denoise again with its models, and look at the noise again.

    Where the folder cannot be written to, a stage that is done is denoised in memory, and one that is not
    is left as it is.
    """
    trained = saved.folder.model("stage1").exists()
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
    if trained:
        first = yield from _made_again(run, saved, "stage1")
    else:
        order = Approval(POINT, None, saved.config.stage1, saved.box)
        first = yield from _stage(run.stack, "stage1", order, saved.image, run.folder, saved.seed)
    second, approval = None, None if run.folder is None else saved.approval
    if saved.folder.model("stage2").exists():
        second = yield from _made_again(run, saved, "stage2")
    analysis = yield from look_at_noise(
        run.stack, first.predicted, saved.mode, saved.config.analysis, saved.region, saved.image.voxel_size
    )
    review = Review(analysis, saved.peak_edits, saved.kernel_edits)
    review.analysis  # noqa: B018 - edits that the engine refuses end it here, and stay in the folder
    return Reopened(replace(first, analysis=analysis), second, review, None if second else approval)


def _made_again(run: Run, saved: SavedRun, stage: TrainingStage) -> Generator[Event, Any, StageOutput]:
    """What the model of a stage that is done makes of the stack."""
    from napari_autostructn2v.learning.model import load_model
    from napari_autostructn2v.runs.stages import apply_stage

    yield StageStarted(stage)
    model = load_model(saved.folder.model(stage))
    made = yield from apply_stage(
        run.stack, stage, model, folder=run.folder, voxel_size=saved.image.voxel_size
    )
    return StageOutput(model, *made)


def quick_look(stack: Stack, kernel: np.ndarray, notch: Notch, box: Box, z: int) -> Stream:
    """Train for a moment on a box of the stack, with previews of its slice ``z``."""
    from napari_autostructn2v.learning.training import train

    if notch:
        stack = notched(stack, notch)
    part = stack.cropped(box)
    return (yield from train(part, kernel, QUICK_LOOK, preview=z - box.z[0]))


def _stage(
    stack: Stack,
    which: TrainingStage,
    order: Approval,
    source: Named,
    folder: RunFolder | None,
    seed: int = 0,
) -> Generator[Event, int | None, StageOutput]:
    # torch takes seconds to import: here that happens in the worker's thread, not in the window's.
    from napari_autostructn2v.runs.stages import apply_stage, train_stage

    yield StageStarted(which)
    model = yield from train_stage(stack, which, order, seed=seed, folder=folder, name=source.name, preview=0)
    made = yield from apply_stage(stack, which, model, folder=folder, voxel_size=source.voxel_size)
    return StageOutput(model, *made)


def look_at_noise(
    stack: Stack,
    denoised: Any,
    mode: Mode,
    config: AnalysisConfig,
    region: np.ndarray | None,
    voxel_size: VoxelSize | None,
) -> Stream:
    """Analyse the noise, in a region if one is given."""
    yield StageStarted("analysis")
    return analyze(stack, denoised, mode=mode, config=config, region=region, voxel_size=voxel_size)


def drive(job: Job) -> Generator[Event, None, object]:
    """Run a job's stream to its end, heeding its control at every event.

    Returns what the stream returns, or :class:`Failure` or :class:`Cancelled`. napari's ``worker.quit()``
    does not run a generator's ``finally``, so the control's event is what cancels, and the stream is closed
    here.
    """
    training = False  # only between the first step and the first slice is there something to stop early
    try:
        event = next(job.stream)
        while True:
            yield event
            job.control.going.wait()
            if job.control.cancelled.is_set():
                return Cancelled()
            training = (training or isinstance(event, Step)) and not isinstance(event, SliceDone)
            if training and job.control.stop_early.is_set():
                from napari_autostructn2v.learning.training import StopTraining

                job.control.stop_early.clear()
                event = job.stream.throw(StopTraining())
            else:
                event = job.stream.send(job.control.z)
    except StopIteration as end:
        return Cancelled() if job.control.cancelled.is_set() else end.value
    except Exception as error:
        return Failure.of(error)
    finally:
        job.stream.close()
