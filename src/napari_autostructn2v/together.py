"""Several stacks of one noise: one network for all, one kernel that suits them, and a result of each.

Each stack has a run folder of its own, with the models that all share, so that each opens like any other run.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_autostructn2v.disk.waiting import retry_when_full
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.events import Event, Notice, StackStarted, StageStarted
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.noise.agreement import Agreement, agree
from napari_autostructn2v.noise.analysis import NoiseAnalysis
from napari_autostructn2v.runs.checks import checked
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.input import slices_digest
from napari_autostructn2v.runs.output import StageOutput
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.runs.result import Result
from napari_autostructn2v.runs.stage_folder import TrainingStage
from napari_autostructn2v.runs.stage_spec import StageSpec
from napari_autostructn2v.runs.stages import (
    apply_stage,
    examine_noise,
    first_stage,
    look_through,
    train_stage,
)
from napari_autostructn2v.stack import Stack


@dataclass(eq=False, repr=False)
class Together:
    """What was made of several stacks.

    Attributes
    ----------
    results
        Of each, in their order.
    model
        That all share, of the last stage that ran.
    agreement
        What their noise has in common, and which of them differ.
    """

    results: list[Result]
    model: Model
    agreement: Agreement

    def __repr__(self) -> str:
        return f"<Together, {len(self.results)} stacks: {' '.join(self.agreement.sentences)}>"


@dataclass(frozen=True, eq=False)
class Member:
    """One of the stacks, with what belongs to it.

    Attributes
    ----------
    stack
        Its values.
    request
        What is asked of it.
    folder
        Where its run is kept, held by the caller; None if nowhere.
    number
        Its place among the others, from 1.
    """

    stack: Stack
    request: RunRequest
    folder: RunFolder | None
    number: int

    @property
    def name(self) -> str:
        """Of the stack, for a person."""
        return self.request.name or f"stack {self.number}"


def run_together(
    stacks: Sequence[Any],
    requests: Sequence[RunRequest],
    *,
    device: str = "auto",
    folders: Sequence[Path] | None = None,
) -> Generator[Event, Any, Together]:
    """Both stages on several stacks, as a stream of events.

    Parameters
    ----------
    stacks
        Each as for :func:`~napari_autostructn2v.pipeline.denoise`; of any sizes.
    requests
        What is asked of each: with one mode, one configuration, one kernel and one seed.
    device
        As for :func:`~napari_autostructn2v.pipeline.denoise`.
    folders
        Where the run of each is kept, from which it goes on; None keeps nothing.

    Yields
    ------
    Event
        ``StackStarted`` before what belongs to one stack, and else as
        :func:`~napari_autostructn2v.pipeline.run`.

    Returns
    -------
    Together

    Raises
    ------
    AutoStructN2VError
        As of :func:`~napari_autostructn2v.pipeline.run`, told before anything is written where that can be
        known.
    """
    if not stacks:
        raise StackError("There is no stack to train on. Give one, or several.")
    pairs = [checked(stack, request, device) for stack, request in zip(stacks, requests, strict=True)]
    digests = tuple(slices_digest(stack) for stack, _ in pairs)
    members = [
        Member(
            stack,
            replace(request, together=digests),
            None if folders is None else RunFolder(folders[number - 1]),
            number,
        )
        for number, (stack, request) in enumerate(pairs, start=1)
    ]
    for member in members:
        yield StackStarted(member.name, member.number, len(members))
        yield from look_through(member.stack, member.request)
    with ExitStack() as held:
        for member in members:
            if member.folder is not None:
                held.enter_context(member.folder.hold())
                begin = partial(member.folder.open, member.stack, member.request)
                yield from retry_when_full(begin, member.folder.path)
        return (yield from _both_stages(members, device))


def _both_stages(members: Sequence[Member], device: str) -> Generator[Event, Any, Together]:
    first = members[0].request
    outputs = yield from stage_together(members, "stage1", first_stage(first), device=device)
    analyses: list[NoiseAnalysis] = []
    for member, output in zip(members, outputs, strict=True):
        review = yield from examine_noise(
            member.stack, output.predicted, replace(member.request, kernel=None)
        )
        analyses.append(review.analysis)
    agreement = agree(analyses, [member.name for member in members])
    if first.kernel is not None:
        agreement = replace(agreement, kernel=first.kernel, expect_gain=True)
    if any(stack.differs for stack in agreement.stacks):
        yield from map(Notice, agreement.sentences)
    analyses = [_with_common_kernel(each, agreement.kernel, first) for each in analyses]
    denoised = yield from _denoised(members, "stage1", outputs)
    for member, analysis in zip(members, analyses, strict=True):
        if member.folder is not None:
            yield from retry_when_full(partial(member.folder.analysis.write, analysis), member.folder.path)
    stage1 = denoised
    if agreement.expect_gain:
        spec = StageSpec(agreement.kernel, agreement.notch, first.config.stage2, first.box)
        for member in members:
            if member.folder is not None and not member.folder.stage("stage2").model.exists():
                yield from retry_when_full(partial(member.folder.approve, spec), member.folder.path)
        outputs = yield from stage_together(members, "stage2", spec, device=device)
        denoised = yield from _denoised(members, "stage2", outputs)
    results = [
        Result(denoised=made, stage1=before, analysis=analysis, model=output.model)
        for made, before, analysis, output in zip(denoised, stage1, analyses, outputs, strict=True)
    ]
    return Together(results, outputs[0].model, agreement)


def _with_common_kernel(analysis: NoiseAnalysis, kernel: np.ndarray, request: RunRequest) -> NoiseAnalysis:
    if request.kernel is not None:
        return analysis.with_kernel(kernel)
    return analysis.with_common_kernel(kernel)


def stage_together(
    members: Sequence[Member],
    stage: TrainingStage,
    spec: StageSpec,
    *,
    device: str = "auto",
    preview: int | None = None,
) -> Generator[Event, Any, list[StageOutput]]:
    """Train one network on all stacks, or go on with it, and let it denoise each.

    Parameters
    ----------
    members
        The stacks. The folder of the first keeps what all share while it is under way.
    stage
        Which of the two.
    spec
        What to train with.
    device
        As for :func:`~napari_autostructn2v.pipeline.denoise`.
    preview
        Slice of the first stack to show while it is trained; None shows none.

    Yields
    ------
    Event
        ``StageStarted``, the training's, and for each stack ``StackStarted`` and what denoising it yields.

    Returns
    -------
    list of StageOutput
        Of each stack.

    Raises
    ------
    RunFolderError
        If a folder holds another training.
    """
    lead = members[0]
    yield StageStarted(stage)
    model = yield from train_stage(
        [member.stack for member in members],
        stage,
        spec,
        device=device,
        seed=lead.request.seed,
        folder=lead.folder,
        name=", ".join(member.name for member in members),
        preview=preview,
        start=lead.request.start,
    )
    outputs = []
    for member in members:
        yield StackStarted(member.name, member.number, len(members))
        yield StageStarted(stage)
        if member.folder is not None and member is not lead:
            share = partial(member.folder.stage(stage).share, model)
            yield from retry_when_full(share, member.folder.path)
        outputs.append(
            (
                yield from apply_stage(
                    member.stack,
                    stage,
                    model,
                    device=device,
                    folder=member.folder,
                    voxel_size=member.request.voxel_size,
                    recovery=member.request.config.recovery > 0,
                )
            )
        )
    return outputs


def _denoised(
    members: Sequence[Member], stage: TrainingStage, outputs: Sequence[StageOutput]
) -> Generator[Event, Any, list[np.ndarray]]:
    """Each stack with its detail back: a memory map of the file in its folder, if it has one."""
    made = []
    for member, output in zip(members, outputs, strict=True):
        denoised = output.denoised(member.request.config.recovery)
        if member.folder is None:
            made.append(np.asarray(denoised))
            continue
        of_stage = member.folder.stage(stage)
        write = partial(of_stage.write_denoised, denoised, member.request.voxel_size)
        yield from retry_when_full(write, member.folder.path)
        made.append(of_stage.read_denoised(member.stack.input_shape))
    return made
