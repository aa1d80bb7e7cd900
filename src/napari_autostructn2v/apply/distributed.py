"""A trained model on one huge stack or on many, by the workers of a Dask cluster.

Of many stacks each is a task of its own. A single one is divided into units and its result is OME-Zarr,
whose chunks the workers write. What is done is recorded on disk: a worker that dies, or a program that is
ended, loses what was under way and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import zarr

from napari_autostructn2v.apply.tasks import Task, denoise_unit, divide
from napari_autostructn2v.apply.whole import begin_all, denoise_whole
from napari_autostructn2v.apply.work_folder import WorkFolder
from napari_autostructn2v.box import Box
from napari_autostructn2v.computed import ComputedArray
from napari_autostructn2v.errors import ClusterError
from napari_autostructn2v.events import Event, Notice, SliceDone, finish
from napari_autostructn2v.noise.notch import find_notch
from napari_autostructn2v.noise.patterns import notched
from napari_autostructn2v.noise.recovery_measurement import find_recovery, recovery_slices
from napari_autostructn2v.stack import as_stack

Item = TypeVar("Item")

IN_FLIGHT = 4
"""Pieces of work given to each worker ahead: enough that none waits, few enough for a scheduler's memory."""

LISTEN_SECONDS = 1.0
"""How often the state is told again while nothing new is done, so that whoever listens can end it."""

ATTEMPTS = 3
"""How often a piece of work is given to another worker when one has died of it, or failed to write."""


def denoise_many(tasks: Sequence[Task], client: Any) -> Generator[Event, Any, list[Path]]:
    """Denoise stacks, each by one worker into its own file.

    Parameters
    ----------
    tasks
        The stacks.
    client
        Of a Dask cluster whose workers see the same disks; from :mod:`~napari_autostructn2v.apply.cluster`.

    Yields
    ------
    Event
        ``SliceDone``, which counts the slices of all stacks; ``Notice`` of what was done before.

    Returns
    -------
    list of pathlib.Path
        The results.

    Raises
    ------
    AutoStructN2VError
        As of :func:`~napari_autostructn2v.apply.denoise_to_file`; the other stacks can be gone on with.
    """
    folders = [WorkFolder(task.as_seen()) for task in tasks]
    missing = yield from begin_all(folders)
    slices = [folder.task.open()[1].shape[0] for folder in missing]
    yield from by_workers(client, _work_on_whole, missing, slices)
    for folder in folders:
        folder.delete()
    return [task.target for task in tasks]


def denoise_divided(task: Task, client: Any) -> Generator[Event, Any, Path]:
    """Denoise one stack by many workers into an OME-Zarr image.

    Parameters
    ----------
    task
        The stack; its target ends in ``.zarr``.
    client
        As for :func:`denoise_many`.

    Yields
    ------
    Event
        ``SliceDone``, which counts units as slices; ``Notice`` of what is measured and what was done before.

    Returns
    -------
    pathlib.Path
        The result, with the very bytes that one process gives with as many threads.

    Raises
    ------
    AutoStructN2VError
        As of :func:`~napari_autostructn2v.apply.denoise_to_file`; ``RunFolderError`` if the work that was
        begun is on something else.
    """
    task = task.as_seen()
    folder = WorkFolder(task)
    if not folder.check():
        folder.begin()
        yield from _measure(folder, client)
        folder.make_result()
        _, stack, _ = task.open()
        boxes = divide(stack.shape, whole_slices=folder.notch() is not None)
        missing = folder.missing(folder.result, boxes)
        if before := len(boxes) - len(missing):
            yield Notice(f"{before} of {len(boxes)} parts were done before.")
        yield from by_workers(
            client, _work_on_unit, [(folder, box) for box in missing], [_depth(b) for b in missing]
        )
        folder.put_into_place()
    folder.delete()
    return task.target


def _measure(folder: WorkFolder, client: Any) -> Generator[Event, Any, None]:
    """Find in the whole stack what each of its units has to know, as a single process would."""
    task = folder.task
    _, stack, model = task.open()
    if not folder.notch_file.exists():
        notch = None
        if model.notch is not None:
            yield Notice("Measuring long-range patterns.")
            notch, _ = model.notch.among(find_notch(stack))
        folder.save_notch(notch)
    if model.each_normalised and not folder.normalisation_file.exists():
        yield Notice("Measuring the brightness of the stack.")
        shown = stack if (notch := folder.notch()) is None else notched(stack, notch)
        folder.save_normalisation(shown.normalisation)
    if task.recovery == 0 or folder.recovery_file.exists():
        return
    notch, chosen = folder.notch(), recovery_slices(stack)
    yield Notice(f"Denoising {len(chosen)} slices to measure what detail is lost.")
    folder.make_image(folder.samples, len(chosen), 1)
    boxes = [
        Box((place, place + 1), box.y, box.x)
        for place in range(len(chosen))
        for box in divide((1, *stack.shape[1:]), whole_slices=notch is not None)
    ]
    work = [(folder, box, chosen[box.z[0]]) for box in folder.missing(folder.samples, boxes)]
    yield from by_workers(client, _work_on_sample, work, [1] * len(work))
    yield Notice("Measuring the detail.")
    if notch is not None:
        stack = notched(stack, notch)
    image, places = zarr.open_array(folder.samples / "0", mode="r"), {z: i for i, z in enumerate(chosen)}

    def sample(z: int) -> np.ndarray:
        return np.asarray(image[places[z]] if image.ndim == 3 else image[...])

    denoised = as_stack(ComputedArray(stack.input_shape, sample, stack.scale.dtype), like=stack)
    folder.save_recovery(find_recovery(stack, denoised))


def _depth(box: Box) -> int:
    return box.shape[0]


def _work_on_whole(folder: WorkFolder) -> None:
    if not folder.is_done:  # else another worker has died right after it
        finish(denoise_whole(folder))


def _work_on_unit(part: tuple[WorkFolder, Box]) -> None:
    folder, box = part
    made = denoise_unit(folder.task, box, folder.notch(), folder.recovery(), folder.normalisation())
    folder.write(folder.result, box, made)


def _work_on_sample(sample: tuple[WorkFolder, Box, int]) -> None:
    folder, place, z = sample
    box = Box((z, z + 1), place.y, place.x)
    made = denoise_unit(folder.task, box, folder.notch(), None, folder.normalisation())
    folder.write(folder.samples, place, made)


def by_workers(
    client: Any, work: Callable[[Item], None], items: Iterable[Item], slices: Sequence[int]
) -> Generator[SliceDone, Any, None]:
    """Have each item worked on, whoever is free; closing it takes back what is not done.

    Parameters
    ----------
    client
        As for :func:`denoise_many`.
    work
        Does one item; it may be done twice.
    items
        What is to be done.
    slices
        How much each item counts in what is said of the progress.

    Yields
    ------
    SliceDone
        Every second, and whenever an item is done.

    Raises
    ------
    ClusterError
        If several workers have died of one item.
    """
    from distributed import KilledWorker, wait

    waiting = list(zip(items, slices, strict=True))[::-1]
    done, total = 0, sum(slices)
    running: dict[Any, int] = {}
    try:
        while waiting or running:
            room = max(IN_FLIGHT, IN_FLIGHT * len(client.nthreads())) - len(running)
            for _ in range(min(room, len(waiting))):
                item, weight = waiting.pop()
                running[client.submit(work, item, pure=False, retries=ATTEMPTS - 1)] = weight
            yield SliceDone(z=max(done - 1, 0), done=done, total=total)
            try:
                finished = wait(list(running), timeout=LISTEN_SECONDS, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                continue
            for future in finished:
                future.result()  # raises what went wrong in the worker
                done += running.pop(future)
    except KilledWorker as error:
        raise ClusterError(
            "Several workers have died of the same piece of work, most likely for want of memory. Give them "
            "more of it; the same command goes on from here."
        ) from error
    finally:
        client.cancel(list(running))
    if total:
        yield SliceDone(z=total - 1, done=total, total=total)
