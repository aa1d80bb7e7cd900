"""A run from file to file: its result written, and judged by a second recording if there is one."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from napari_autostructn2v import pipeline
from napari_autostructn2v.config import Mode, ResultType
from napari_autostructn2v.disk.lock import hold_output
from napari_autostructn2v.disk.waiting import retry_when_full
from napari_autostructn2v.events import Event, Notice, StackDone, StageStarted, finish
from napari_autostructn2v.figures.score import write_score
from napari_autostructn2v.halves import denoise_halves
from napari_autostructn2v.io import ImageFile, check_stack_place, write_stack
from napari_autostructn2v.io.slice_file import ScratchStack
from napari_autostructn2v.io.whole_numbers import in_type, type_in_file
from napari_autostructn2v.judge import Score, refuse_other_shape, scoring
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.runs.result import Result
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.together import Together, run_together


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run from file to file has made.

    Attributes
    ----------
    results
        Of the recording; of both recordings where they were averaged.
    scores
        What the other recording says of each; none if there is none.
    score_files
        Where the scores were written.
    """

    results: tuple[Result, ...]
    scores: tuple[Score, ...] = ()
    score_files: tuple[Path, ...] = ()


def check_recordings(
    output: Path,
    mode: Mode,
    image: ImageFile,
    second: ImageFile | None,
    *,
    overwrite: bool,
    dtype: ResultType | None = None,
) -> None:
    """Check what of a run from file to file can be checked before it is begun.

    Parameters
    ----------
    output
        Where its result is to go.
    mode
        ``"2d"`` or ``"2.5d"``.
    image
        The recording.
    second
        Another one of the same scene; None if there is none.
    overwrite
        Whether a result that exists is replaced.
    dtype
        What the result is saved as; None for its values as they are.

    Raises
    ------
    FileError
        If nothing can be written there.
    StackError
        If the recording does not suit the mode, the second is of another shape, or the type does not suit
        the values.
    """
    stack = as_stack(image.array, mode)
    check_stack_place(output, overwrite=overwrite, dtype=type_in_file(dtype, stack.scale.dtype))
    if second is not None:
        refuse_other_shape("second recording", second.array, image.array)


def run_to_file(
    request: RunRequest,
    folder: Path,
    *,
    second: ImageFile | None = None,
    average: bool = False,
    device: str = "auto",
    overwrite: bool = False,
    dtype: ResultType | None = None,
) -> Generator[Event, Any, Outcome]:
    """Denoise the file of a request into its output.

    Parameters
    ----------
    request
        With the source, an opened file, and the output.
    folder
        Of the run, from which it goes on.
    second
        Another recording of the scene, which judges the result; None if there is none.
    average
        Whether the second is denoised as well, each with the model of the other, and the output is their
        mean.
    device
        As for :func:`~napari_autostructn2v.pipeline.denoise`.
    overwrite
        Whether an output that exists is replaced.
    dtype
        As for :func:`check_recordings`.

    Yields
    ------
    Event
        As :func:`~napari_autostructn2v.pipeline.run`; ``Notice`` of how values became whole numbers.

    Returns
    -------
    Outcome

    Raises
    ------
    BusyError
        If another process writes the output, or works in the folder.
    AutoStructN2VError
        As of :func:`~napari_autostructn2v.pipeline.run`.
    """
    image, output = request.source, request.output
    assert isinstance(image, ImageFile)
    assert output is not None
    with hold_output(output):
        if average and second is not None:
            return (yield from _average_of_halves(request, image, second, folder, device, overwrite, dtype))
        events = pipeline.run(image.array, request, device=device, folder=folder)
        result = yield from write_result(events, folder, output, image, overwrite=overwrite, dtype=dtype)
        if second is None:
            return Outcome((result,))
        yield StageStarted("score")
        stack = as_stack(image.array, left_out=request.left_out)
        score = yield from scoring(result.denoised, stack, second.array, voxel_size=image.voxel_size)
        return Outcome((result,), (score,), tuple(write_score(folder, score, overwrite=True)))


def run_together_to_files(
    requests: Sequence[RunRequest],
    *,
    device: str = "auto",
    overwrite: bool = False,
    dtype: ResultType | None = None,
) -> Generator[Event, Any, Together]:
    """Train on the files of several requests together, and denoise each into its output.

    Parameters
    ----------
    requests
        As for :func:`~napari_autostructn2v.together.run_together`, each with its source, an opened file, and
        its output. Runs are kept in folders beside the outputs.
    device
        As for :func:`~napari_autostructn2v.pipeline.denoise`.
    overwrite
        Whether outputs that exist are replaced.
    dtype
        As for :func:`check_recordings`.

    Yields
    ------
    Event
        As :func:`~napari_autostructn2v.together.run_together`; ``StackDone`` for each file that is written.

    Returns
    -------
    Together

    Raises
    ------
    BusyError
        If another process writes an output, or works in a folder.
    AutoStructN2VError
        As of :func:`~napari_autostructn2v.pipeline.run`.
    """
    places = [(request.source, request.output) for request in requests]
    files = [(s, o) for s, o in places if isinstance(s, ImageFile) and o is not None]
    folders = [RunFolder.beside(output).path for _, output in files]
    with ExitStack() as held:
        for _, output in files:
            held.enter_context(hold_output(output))
        made = yield from run_together(
            [image.array for image, _ in files], requests, device=device, folders=folders
        )
        for (image, output), folder, result in zip(files, folders, made.results, strict=True):
            yield from _write(result.denoised, result.model, (folder,), output, image, overwrite, dtype)
            yield StackDone(image.name, output)
    return made


def write_result(
    events: Generator[Event, Any, Result],
    folder: Path,
    output: Path,
    image: ImageFile,
    *,
    overwrite: bool,
    dtype: ResultType | None = None,
) -> Generator[Event, Any, Result]:
    """Take a run to its end, write its result, and clear away what earlier attempts have left.

    Parameters
    ----------
    events
        Of the run.
    folder
        Of the run.
    output
        Where its result goes.
    image
        The file it is made of.
    overwrite
        Whether an output that exists is replaced.
    dtype
        As for :func:`check_recordings`.

    Yields
    ------
    Event
        Those of the run; ``Waiting`` while the disk is full.

    Returns
    -------
    Result
        Of the run.

    Raises
    ------
    AutoStructN2VError
        Of the run; ``FileError`` if the result cannot be written.
    """
    result = yield from events
    yield from _write(result.denoised, result.model, (folder,), output, image, overwrite, dtype)
    return result


def _write(
    denoised: Any,
    model: Model,
    folders: Sequence[Path],
    output: Path,
    image: ImageFile,
    overwrite: bool,
    dtype: ResultType | None,
) -> Generator[Event, Any, None]:
    stack, words = finish(in_type(denoised, dtype))
    if words:
        yield Notice(words)
    write = partial(
        write_stack,
        output,
        stack,
        voxel_size=image.voxel_size,
        heading=image.heading,
        how=model.in_brief,
        overwrite=overwrite,
    )
    yield from retry_when_full(write, output.parent)
    for folder in folders:
        run_folder = RunFolder(folder)
        with run_folder.hold():
            run_folder.forget_earlier()


def _average_of_halves(
    request: RunRequest,
    first: ImageFile,
    second: ImageFile,
    folder: Path,
    device: str,
    overwrite: bool,
    dtype: ResultType | None,
) -> Generator[Event, Any, Outcome]:
    """The runs of two recordings, the mean of their results and both scores."""
    output, folders = request.output, (folder, folder.with_name(f"{folder.name}_second"))
    assert output is not None
    stack = as_stack(first.array)
    with ScratchStack(stack.input_shape, output, stack.scale.dtype) as mean:
        halves = yield from denoise_halves(request, first, second, mean, folders=folders, device=device)
        yield from _write(mean, halves.runs[0].model, folders, output, first, overwrite, dtype)
    files = [
        file
        for number, score in enumerate(halves.scores, start=1)
        for file in write_score(folder, score, overwrite=True, name=f"score_{number}")
    ]
    return Outcome(halves.runs, halves.scores, tuple(files))
