"""Stacks denoised in one piece each, by one process; what was cut off goes on with the next slice."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from napari_autostructn2v.apply.tasks import Task
from napari_autostructn2v.apply.work_folder import WorkFolder
from napari_autostructn2v.disk.lock import hold_output
from napari_autostructn2v.disk.waiting import retry_when_full
from napari_autostructn2v.events import Event, Notice, StackDone, StackStarted, StageStarted, finish
from napari_autostructn2v.io import write_stack
from napari_autostructn2v.io.slice_file import KeptStack, ScratchStack, delete_kept
from napari_autostructn2v.io.whole_numbers import in_type
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.noise.detail import recover, with_detail
from napari_autostructn2v.runs.stages import marked


def denoise_each(tasks: Sequence[Task]) -> Generator[Event, Any, list[Path]]:
    """Denoise stack after stack in this process.

    Parameters
    ----------
    tasks
        The stacks.

    Yields
    ------
    Event
        ``StackStarted`` and ``StackDone`` around what :func:`denoise_whole` yields; ``Notice`` of what was
        done before.

    Returns
    -------
    list of pathlib.Path
        The results.

    Raises
    ------
    AutoStructN2VError
        As of :func:`~napari_autostructn2v.apply.denoise_to_file`, before anything is written where that can
        be known.
    """
    folders = [WorkFolder(task.as_seen()) for task in tasks]
    missing = yield from begin_all(folders)
    for number, folder in enumerate(missing, start=len(folders) - len(missing) + 1):
        yield StackStarted(folder.task.source.name, number, len(folders))
        yield from denoise_whole(folder)
        yield StackDone(folder.task.source.name, folder.task.target)
    for folder in folders:
        folder.delete()
    return [task.target for task in tasks]


def begin_all(folders: Sequence[WorkFolder]) -> Generator[Notice, Any, list[WorkFolder]]:
    """Check all of some work before any of it is begun.

    Parameters
    ----------
    folders
        Of the tasks.

    Yields
    ------
    Notice
        How many stacks were done before, if any.

    Returns
    -------
    list of WorkFolder
        Those that are still to be done; their folders are there.

    Raises
    ------
    AutoStructN2VError
        As of :meth:`~napari_autostructn2v.apply.work_folder.WorkFolder.check`.
    """
    missing = [folder for folder in folders if not folder.check()]
    for folder in missing:
        folder.begin()
    if before := len(folders) - len(missing):
        yield Notice(f"{before} of {len(folders)} stacks were done before.")
    return missing


def denoise_whole(folder: WorkFolder) -> Generator[Event, Any, None]:
    """Denoise a stack into its file, from the slice on at which that was cut off.

    Parameters
    ----------
    folder
        Of the task; it is there.

    Yields
    ------
    Event
        ``SliceDone``; ``StageStarted`` before the recovery; ``Waiting`` while the disk is full.

    Raises
    ------
    AutoStructN2VError
        As of :func:`~napari_autostructn2v.apply.denoise_to_file`.
    """
    task = folder.task
    if task.threads is not None:
        torch.set_num_threads(task.threads)
    image, stack, model = task.open()
    shape, dtype = stack.input_shape, stack.scale.dtype
    with hold_output(task.target):
        place = partial(KeptStack, folder.predicted, shape, task.target.name, image.voxel_size, dtype)
        predicted = yield from retry_when_full(place, folder.path)
        events = predict(
            stack, model, device=task.device, out=predicted, first=predicted.done, average=task.average
        )
        yield from marked(events, predicted)
        with ScratchStack(shape, folder.predicted, dtype) as detail:
            denoised: Any = predicted
            if task.recovery > 0:
                yield StageStarted("recovery")
                yield from recover(stack, predicted, model.notch, out=detail)
                denoised = with_detail(predicted, detail, task.recovery)
            task.check_unchanged()
            saved, words = finish(in_type(denoised, task.dtype))
            if words:
                yield Notice(words)
            write = partial(
                write_stack,
                task.target,
                saved,
                voxel_size=image.voxel_size,
                heading=image.heading,
                how=model.in_brief,
                overwrite=task.overwrite,
            )
            yield from retry_when_full(write, task.target.parent)
        folder.mark_done()
        delete_kept(folder.predicted)  # of many stacks it would fill the disk
