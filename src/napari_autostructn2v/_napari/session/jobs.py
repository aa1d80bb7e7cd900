"""The engine's work as jobs. Each is one stream of events, run in a thread and steered from outside."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_autostructn2v._napari.session.messages import About
from napari_autostructn2v._napari.session.run_files import SavedRun, members_of, result_bytes, write_record
from napari_autostructn2v._napari.session.state import Run
from napari_autostructn2v.box import Box
from napari_autostructn2v.config import QUICK_LOOK
from napari_autostructn2v.disk.atomic import check_room
from napari_autostructn2v.disk.waiting import retry_when_full
from napari_autostructn2v.error_report import log_and_explain
from napari_autostructn2v.errors import FileError, MostlyBlankError, RunFolderError, StackError
from napari_autostructn2v.events import Event, Notice, SliceDone, StackStarted, StageStarted, Step, Surveyed
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.noise.patterns import Notch, notched
from napari_autostructn2v.noise.review import Review
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.output import StageOutput
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.runs.stage_folder import TrainingStage
from napari_autostructn2v.runs.stage_spec import StageSpec
from napari_autostructn2v.stack import Stack

if TYPE_CHECKING:
    from napari_autostructn2v.learning.model import Model
    from napari_autostructn2v.noise.analysis import NoiseAnalysis
    from napari_autostructn2v.together import Member

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
    from napari_autostructn2v.runs.stages import first_stage

    members = members_of(run, request)
    yield from _looked_through(members)
    if run.folder is not None:
        members = yield from _begun(members, run.folder)
    output = yield from _trained(members, "stage1", first_stage(request))
    review = yield from _examined(members, output)
    for member, analysis in zip(members, review.analyses, strict=True):
        if member.folder is not None:
            yield from retry_when_full(partial(member.folder.analysis.write, analysis), member.folder.path)
    return Examined(output, review)


def _looked_through(members: Sequence[Member]) -> Generator[Event, Any, None]:
    """Find what of each stack was never measured. What is shown over the image is of the first."""
    from napari_autostructn2v.runs.stages import look_through

    lead, *others = members
    yield from look_through(lead.stack, lead.request)
    for member in others:
        try:
            for event in look_through(member.stack, member.request):
                yield Notice(f"{member.name}: {event.message}") if isinstance(event, Surveyed) else event
        except MostlyBlankError as error:
            raise MostlyBlankError(f"{member.name}: {error.found}") from error


def _begun(members: Sequence[Member], folder: RunFolder) -> Generator[Event, Any, list[Member]]:
    """Begin the run in its folder; if it cannot be autosaved there, say so and keep nothing."""
    yield StageStarted("stage1")
    try:
        check_room(folder.path, AUTOSAVED_STACKS * result_bytes(members))
        for member in members:
            assert member.folder is not None
            write_record(member.folder, member.stack, member.request)
    except FileError as error:
        yield Notice(f"This run is not kept in case the program ends: {error}")
        return [replace(member, folder=None) for member in members]
    return list(members)


def _trained(
    members: Sequence[Member], stage: TrainingStage, spec: StageSpec
) -> Generator[Event, Any, StageOutput]:
    """Train a stage on all stacks of a run, and denoise each."""
    from napari_autostructn2v.runs.stages import run_stage
    from napari_autostructn2v.together import stage_together

    lead = members[0]
    if len(members) == 1:
        return (yield from run_stage(lead.stack, stage, spec, lead.request, folder=lead.folder, preview=0))
    first, *others = yield from stage_together(members, stage, spec, preview=0)
    return replace(first, others=tuple(others))


def _examined(
    members: Sequence[Member], stage1: StageOutput, peaks: Edits | None = None, kernel: Edits | None = None
) -> Generator[Event, Any, Review]:
    """Analyse the noise of all stacks of a run; a person's edits are those of all."""
    from napari_autostructn2v.runs.stages import examine_noise

    lead, *others = members
    review = yield from examine_noise(lead.stack, stage1.predicted, lead.request, peaks, kernel)
    found: list[NoiseAnalysis] = []
    for member, output in zip(others, stage1.others, strict=True):
        found.append((yield from examine_noise(member.stack, output.predicted, member.request)).automatic)
    if found:
        review = replace(review, others=tuple(found), names=tuple(member.name for member in members))
        review.analysis  # noqa: B018 - computed here, where edits that the engine refuses end the job
    return review


def examination(run: Run, request: RunRequest) -> Stream:
    """Look at the noise again, with other settings, in another region or in the other mode."""
    assert run.stage1 is not None
    return (yield from _examined(members_of(run, request), run.stage1))


def stage2(run: Run, request: RunRequest, spec: StageSpec) -> Stream:
    """Train with the reviewed kernel, on what the notch leaves, and denoise the stack."""
    members = members_of(run, request)
    for member in reversed(members):  # the first decides whether it was begun, should the program end here
        if member.folder is not None:
            yield from retry_when_full(partial(member.folder.approve, spec), member.folder.path)
    return (yield from _trained(members, "stage2", spec))


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
    from napari_autostructn2v.runs.stages import first_stage

    trained = saved.folder.stage("stage1").model.exists()
    together = len(saved.request.together)
    if together and len(run.companions) + 1 < together and not trained:
        raise RunFolderError(
            f"The run in {saved.folder.path} is one of {together} that are trained together, and Stage 1 is "
            "not done. Go on where it was begun: with the run command of then, or with the folder that "
            "napari keeps of all of them."
        )
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
    # whoever began the run has said that it is meant, if most of the stack is blank
    members = members_of(run, replace(saved.request, mostly_blank=True))
    if trained:
        found = saved.folder.read_survey()
        if found is not None and found.notice is not None:
            yield found.notice
        first = yield from _made_again(members, saved, "stage1")
    else:
        yield from _looked_through(members)
        first = yield from _trained(members, "stage1", first_stage(saved.request))
    second, approval = None, None if run.folder is None else saved.approval
    if together > len(members):  # it would be trained on this stack alone
        approval = None
    if saved.folder.stage("stage2").model.exists():
        second = yield from _made_again(members, saved, "stage2")
    review = yield from _examined(members, first, saved.peak_edits, saved.kernel_edits)
    return Reopened(saved, first, second, review, None if second else approval)


def _made_again(
    members: Sequence[Member], saved: SavedRun, stage: TrainingStage
) -> Generator[Event, Any, StageOutput]:
    """The result of a stage that is done. Slices that are not in the folders are denoised again."""
    from napari_autostructn2v.learning.model import load_model

    model = load_model(saved.folder.stage(stage).model)
    made = list[StageOutput]()
    for member, kept in zip(members, (saved, *saved.companions), strict=True):
        if len(members) > 1:
            yield StackStarted(member.name, member.number, len(members))
        yield StageStarted(stage)
        made.append((yield from _made_again_of(member, kept.folder, stage, model)))
    return replace(made[0], others=tuple(made[1:]))


def _made_again_of(
    member: Member, folder: RunFolder, stage: TrainingStage, model: Model
) -> Generator[Event, Any, StageOutput]:
    from napari_autostructn2v.runs.stages import apply_stage

    of_stage = folder.stage(stage)
    if member.folder is not None:
        yield from retry_when_full(partial(of_stage.share, model), member.folder.path)
    elif of_stage.model.exists():
        predicted = of_stage.read_made("predicted", member.stack)
        detail = of_stage.read_made("detail", member.stack)
        if predicted is not None and detail is not None:
            return StageOutput(model, predicted, detail)
    voxel_size = member.request.voxel_size
    return (yield from apply_stage(member.stack, stage, model, folder=member.folder, voxel_size=voxel_size))


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
