"""Two recordings of one scene: each is denoised by what the other taught, and the two are averaged.

The model that denoises a recording has never seen its noise, so what it makes of it can be judged by the
other one; and the mean of both has half the noise that is left in each.

References
----------
Buchholz, T.-O. et al. Content-aware image restoration for electron microscopy. Methods in Cell Biology 152
(2019), 277-289: even and odd halves of a tomogram, denoised and averaged.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_autostructn2v import pipeline
from napari_autostructn2v.events import Event, Notice, StageStarted
from napari_autostructn2v.io import ImageFile
from napari_autostructn2v.io.slice_file import ScratchStack
from napari_autostructn2v.judge import Score, refuse_other_shape, scoring
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.runs.result import Result
from napari_autostructn2v.stack import as_stack


@dataclass(frozen=True, eq=False)
class Halves:
    """What was made of two recordings.

    Attributes
    ----------
    runs
        Of the first and of the second recording.
    scores
        Of what was made of each, judged by the other.
    """

    runs: tuple[Result, Result]
    scores: tuple[Score, Score]


def denoise_halves(
    request: RunRequest,
    first: ImageFile,
    second: ImageFile,
    out: ScratchStack,
    *,
    folders: tuple[Path, Path],
    device: str = "auto",
) -> Generator[Event, Any, Halves]:
    """Train on each of two recordings, denoise each with the model of the other, and average.

    Parameters
    ----------
    request
        What is asked of either run.
    first, second
        The recordings.
    out
        For the mean, of their shape.
    folders
        Of the two runs, from which they go on.
    device
        As for :func:`~napari_autostructn2v.pipeline.denoise`.

    Yields
    ------
    Event
        What the runs yield, and their scoring.

    Raises
    ------
    StackError
        If the recordings are not of one shape, or are the same; and what the runs raise.
    """
    images = (first, second)
    refuse_other_shape("second recording", second.array, first.array)
    runs: list[Result] = []
    for number, (image, folder) in enumerate(zip(images, folders, strict=True), start=1):
        yield Notice(f"Recording {number} of 2: {image.name}")
        each = replace(request, source=image, output=request.output if number == 1 else None)
        runs.append((yield from pipeline.run(image.array, each, device=device, folder=folder)))
    scores: list[Score] = []
    for number, (image, other) in enumerate(zip(images, reversed(images), strict=True)):
        model: Model = runs[1 - number].model
        yield StageStarted("exchange")
        stack = as_stack(image.array, model.mode, model.config.depth, left_out=request.left_out)
        with ScratchStack(out.shape, out.path, out.dtype) as made:
            yield from pipeline.denoise_with(
                stack, model, recovery=request.config.recovery, device=device, out=made
            )
            yield StageStarted("score")
            scores.append((yield from scoring(made, stack, other.array, voxel_size=image.voxel_size)))
            _average_into(out, made, number)
    return Halves((runs[0], runs[1]), (scores[0], scores[1]))


def _average_into(out: ScratchStack, made: Any, before: int) -> None:
    """Make ``out`` the mean of ``made`` and of as many as were put there before."""
    for z in range(out.shape[0]) if out.ndim == 3 else [...]:
        plane = np.asarray(made[z], dtype=np.float64)
        out[z] = (out[z] * before + plane) / (before + 1) if before else plane
