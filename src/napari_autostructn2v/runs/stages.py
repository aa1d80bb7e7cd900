"""The steps of the method, each done by what there is of it in the folder of the run.

The command line and the window both take these steps: Stage 1 (:func:`run_stage` with :func:`first_stage`),
the noise analysis (:func:`examine_noise`), and Stage 2 (:func:`run_stage` with what was approved).
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from napari_autostructn2v.box import Box
from napari_autostructn2v.computed import ComputedArray
from napari_autostructn2v.disk.waiting import retry_when_full
from napari_autostructn2v.errors import DiskFullError, FileError, KernelError, MostlyBlankError
from napari_autostructn2v.events import Event, Notice, SliceDone, StageStarted
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.io.slice_file import KeptStack
from napari_autostructn2v.kernel import POINT, Edits
from napari_autostructn2v.learning.model import Model, load_model
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.learning.training import CHECKPOINT_SECONDS, StopTraining, train
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.detail import recover
from napari_autostructn2v.noise.review import Review
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.losses import Losses
from napari_autostructn2v.runs.output import StageOutput
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.runs.stage_folder import Made, TrainingStage
from napari_autostructn2v.runs.stage_spec import StageSpec
from napari_autostructn2v.stack import Stack
from napari_autostructn2v.survey import MOST, Survey, survey


def look_through(stack: Stack, request: RunRequest) -> Generator[Event, Any, Survey]:
    """Find what of the stack was never measured, before anything is computed with it.

    Parameters
    ----------
    stack
        The input of the run.
    request
        Of the run: whether it is known that most of the stack is left out.

    Yields
    ------
    Event
        ``StageStarted``, ``SliceSeen``, and ``Surveyed`` if anything was found.

    Returns
    -------
    Survey

    Raises
    ------
    MostlyBlankError
        If most of the stack is left out, and the request does not know of it.
    """
    yield StageStarted("survey")
    found = yield from survey(stack)
    if found.blank > MOST and not request.mostly_blank:
        raise MostlyBlankError(str(found))
    if found.notice is not None:
        yield found.notice
    return found


def first_stage(request: RunRequest) -> StageSpec:
    """What Stage 1 of a run is trained with: a single blind pixel, and no notch.

    It is 2D in 2.5D as well: with the neighbouring slices in sight, noise that they share would pass through.

    Parameters
    ----------
    request
        What the run is asked.
    """
    return StageSpec(POINT, None, request.config.stage1, request.box)


def run_stage(
    stack: Stack,
    stage: TrainingStage,
    spec: StageSpec,
    request: RunRequest,
    *,
    device: str = "auto",
    folder: RunFolder | None = None,
    recovery: bool = True,
    preview: int | None = None,
) -> Generator[Event, Any, StageOutput]:
    """Train a stage and denoise the stack with its model.

    Parameters
    ----------
    stack, stage, spec
        As for :func:`train_stage`.
    request
        Of the run: its seed, and the name and the voxel size of its input.
    device
        As for :func:`train_stage`.
    folder
        Of the run, held by the caller; None keeps what is made in memory.
    recovery
        Whether the detail that the network lost is wanted.
    preview
        As for :func:`train_stage`.

    Yields
    ------
    Event
        ``StageStarted``, then as :func:`train_stage` and :func:`apply_stage`.

    Returns
    -------
    StageOutput

    Raises
    ------
    RunFolderError
        If the folder holds another training.
    """
    yield StageStarted(stage)
    model = yield from train_stage(
        stack, stage, spec, device=device, seed=request.seed, folder=folder, name=request.name,
        preview=preview, start=request.start,
    )  # fmt: skip
    return (
        yield from apply_stage(
            stack, stage, model, device=device, folder=folder, voxel_size=request.voxel_size,
            recovery=recovery,
        )
    )  # fmt: skip


def examine_noise(
    stack: Stack, predicted: Any, request: RunRequest, peaks: Edits | None = None, kernel: Edits | None = None
) -> Generator[Event, Any, Review]:
    """Analyse the noise, and put a person's edits on what was found.

    Parameters
    ----------
    stack
        The input of the run.
    predicted
        What Stage 1 made of it, same shape, without its detail.
    request
        Of the run: its mode, the settings of the analysis, the region, and the kernel if one was given: it
        counts as an edit, on which others go on, unless it is too large to be painted.
    peaks, kernel
        Edits; None if there are none.

    Yields
    ------
    Event
        ``StageStarted``.

    Returns
    -------
    Review

    Raises
    ------
    StackError
        If the region does not suit the stack.
    KernelError
        If the edits make no kernel.
    """
    yield StageStarted("analysis")
    if request.box is not None and request.region is None:
        stack = _within(stack, request.box)
    automatic = analyze(
        stack, predicted, mode=request.mode, config=request.config.analysis, region=request.region,
        voxel_size=request.voxel_size,
    )  # fmt: skip
    review = Review(automatic, peaks or Edits(), kernel or Edits())
    if request.kernel is not None and review.kernel_edits == Edits():
        with suppress(KernelError):
            review = review.with_kernel_grid(review.on_grid(request.kernel))
    review.analysis  # noqa: B018 - computed here, where edits that the engine refuses end the step
    return review


def _within(stack: Stack, box: Box) -> Stack:
    """The same stack with all that lies outside of a box left out."""

    def outside(z: int) -> np.ndarray:
        mask = np.ones(stack.shape[1:], dtype=bool)
        if box.z[0] <= z < box.z[1]:
            mask[box.field] = False
        if stack.left_out is not None:
            mask |= stack.left_out if stack.left_out.ndim == 2 else stack.left_out[z]
        return mask

    return replace(stack, left_out=ComputedArray(stack.shape, outside, bool))


def train_stage(
    stack: Stack | list[Stack],
    stage: TrainingStage,
    spec: StageSpec,
    *,
    device: str = "auto",
    seed: int = 0,
    folder: RunFolder | None = None,
    name: str = "",
    preview: int | None = None,
    start: Model | None = None,
) -> Generator[Event, Any, Model]:
    """Train a stage, or go on with it, or take its model, by what there is of it in the folder.

    Parameters
    ----------
    stack
        The input of the run; those of all that are trained on together.
    stage
        Where in the folder it is kept.
    spec
        What to train with.
    device, seed
        As for :func:`~napari_autostructn2v.learning.training.train`.
    folder
        Of the run, held by the caller; None keeps nothing.
    name, preview
        As for :func:`~napari_autostructn2v.learning.training.train`.
    start
        Whose weights are gone on from, if its network sees as many slices as that of the stage.

    Yields
    ------
    Event
        As the training; ``Waiting`` while the disk is full.

    Returns
    -------
    Model

    Raises
    ------
    RunFolderError
        If the folder holds another training.
    """
    events = train(
        stack, spec.kernel, spec.config, device=device, seed=seed, preview=preview,
        checkpoint=None if folder is None else folder.stage(stage).checkpoint,
        name=name, notch=spec.notch, box=spec.box,
        start=start if start is not None and start.kernel.ndim == spec.kernel.ndim else None,
    )  # fmt: skip
    if folder is None:
        return (yield from events)
    of_stage = folder.stage(stage)
    if of_stage.model.exists():
        model = load_model(of_stage.model)
        if np.array_equal(model.kernel, spec.kernel) and model.notch == spec.notch:
            return model
    model = yield from _recorded(events, of_stage.losses)
    save = partial(model.save, of_stage.model, overwrite=True)
    yield from retry_when_full(save, folder.path)
    of_stage.forget_checkpoints()
    return model


def apply_stage(
    stack: Stack,
    stage: TrainingStage,
    model: Model,
    *,
    device: str = "auto",
    folder: RunFolder | None = None,
    voxel_size: VoxelSize | None = None,
    recovery: bool = True,
) -> Generator[Event, Any, StageOutput]:
    """Denoise the stack with the model of a stage, and find the detail that it lost.

    Parameters
    ----------
    stack
        The input of the run.
    stage
        Where in the folder the model is and what it makes is kept.
    model
        Of the stage.
    device
        As for :func:`~napari_autostructn2v.learning.prediction.predict`.
    folder
        Of the run, held by the caller. Slices that were done before it was cut off are not done again.
        None keeps what is made in memory.
    voxel_size
        For the files.
    recovery
        Whether the detail is wanted.

    Yields
    ------
    Event
        ``SliceDone``; ``StageStarted`` before the recovery; ``Waiting`` while the disk is full.

    Returns
    -------
    StageOutput
        Its stacks are arrays in memory, or else in files from which slices are read.

    Raises
    ------
    StackError, DeviceError
        As of :func:`~napari_autostructn2v.learning.prediction.predict`.
    FileError
        If what is made cannot be written.
    """

    def place(what: Made) -> Generator[Event, Any, tuple[Any, int]]:
        """What is to be filled, and from which slice on.

        Parameters
        ----------
        what
            The prediction, or the detail.
        """
        if folder is None:
            return np.empty(stack.input_shape, dtype=stack.scale.dtype), 0
        open_file = partial(folder.stage(stage).made, what, stack, voxel_size)
        file = yield from retry_when_full(open_file, folder.path)
        return file, file.done

    predicted, first = yield from place("predicted")
    yield from marked(predict(stack, model, device=device, out=predicted, first=first), predicted)
    if not recovery:
        return StageOutput(model, predicted, None)
    yield StageStarted("recovery")
    detail, first = yield from place("detail")
    yield from marked(recover(stack, predicted, model.notch, out=detail, first=first), detail)
    return StageOutput(model, predicted, detail)


def marked(events: Generator[SliceDone | Notice, Any, Any], out: Any) -> Generator[Event, Any, None]:
    """The same stream; in a file that outlives the program it is marked now and then how far it came.

    Parameters
    ----------
    events
        What fills slice after slice of ``out``.
    out
        Marked if it is a :class:`~napari_autostructn2v.io.slice_file.KeptStack`; any other array is not.
    """
    done, saved = 0, time.monotonic()
    try:
        for event in events:
            done = event.done if isinstance(event, SliceDone) else done
            yield event
            if isinstance(out, KeptStack) and time.monotonic() - saved > CHECKPOINT_SECONDS:
                yield from retry_when_full(partial(out.keep, done), out.path.parent)
                saved = time.monotonic()
    finally:
        events.close()
        if isinstance(out, KeptStack) and done > out.done:
            with suppress(FileError):  # then the mark before has to do
                out.keep(done)


def _recorded(events: Generator[Event, Any, Model], losses: Losses) -> Generator[Event, Any, Model]:
    """The same stream, taken note of."""
    try:
        event = next(events)
        while True:
            yield from retry_when_full(partial(losses.record, event), losses.path.parent)
            try:
                sent = yield event
            except StopTraining as stop:
                event = events.throw(stop)
            else:
                event = events.send(sent)
    except StopIteration as end:
        model: Model = end.value
        return model
    finally:
        with suppress(DiskFullError):  # then the checkpoint before has to do
            events.close()  # cancelled: the training writes its checkpoint
