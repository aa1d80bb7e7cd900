"""What a long operation says while it runs.

Training, prediction, recovery, whole runs and the assessment of a result are generators that yield these and
return their result. Closing the generator cancels the operation at the next event. The measurements between
them (``analyze``, ``find_notch``, ``find_recovery``, the normalisation) are plain functions: they say nothing
while they run, and a cancellation waits until they are done.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

Result = TypeVar("Result")

Stage = Literal["survey", "stage1", "analysis", "stage2", "recovery", "exchange", "score"]


@dataclass(frozen=True)
class StageStarted:
    """A stage of the pipeline begins."""

    stage: Stage


@dataclass(frozen=True)
class TrainingStarted:
    """The network is built; ``step`` is above 0 when a checkpoint was picked up."""

    device: str
    steps: int
    step: int
    parameters: int


@dataclass(frozen=True)
class Step:
    """One optimiser step is done. ``loss`` is the mean squared error on normalised values."""

    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class Validation:
    """The loss on held-out pixels at fixed sites, comparable between any two moments.

    ``best`` says that this network is kept: it is not clearly worse than any before it.
    """

    step: int
    loss: float
    best: bool


@dataclass(frozen=True)
class Preview:
    """Slice ``z`` denoised by the network as it is now, in the value scale of the stack, shape (Y, X)."""

    step: int
    z: int
    denoised: np.ndarray


@dataclass(frozen=True)
class CheckpointWritten:
    """The training can be picked up from here."""

    step: int
    path: Path


@dataclass(frozen=True)
class SliceSeen:
    """A slice of the input was looked through; ``done`` of ``total`` slices were."""

    done: int
    total: int


@dataclass(frozen=True)
class SliceDone:
    """Slice ``z`` of the result is written; ``done`` of ``total`` slices are."""

    z: int
    done: int
    total: int


@dataclass(frozen=True)
class StackStarted:
    """Of several stacks the next one begins; ``total`` is None where nobody knows how many will come."""

    name: str
    number: int
    total: int | None


@dataclass(frozen=True)
class StackDone:
    """Of several stacks one is done: its result is whole, at ``path``."""

    name: str
    path: Path


@dataclass(frozen=True)
class StackFailed:
    """Of several stacks one cannot be done, for a reason in words; the others go on."""

    name: str
    reason: str


@dataclass(frozen=True)
class Notice:
    """Something the user should know, in a sentence."""

    message: str


@dataclass(frozen=True)
class Surveyed(Notice):
    """What of the stack was never measured. ``pixels`` says that there are such pixels to be shown."""

    pixels: bool


@dataclass(frozen=True)
class Waiting:
    """Nothing goes on until the user has done something, such as made room on a disk; said repeatedly."""

    reason: str


Event = (
    StageStarted
    | TrainingStarted
    | Step
    | Validation
    | Preview
    | CheckpointWritten
    | SliceSeen
    | SliceDone
    | StackStarted
    | StackDone
    | StackFailed
    | Notice
    | Waiting
)


def finish(
    events: Generator[Event, Any, Result], on_event: Callable[[Event], object] = lambda event: None
) -> Result:
    """Run a stream of events to its end and return its result, showing each event to ``on_event``.

    Parameters
    ----------
    events
        A generator that has not been started.
    on_event
        Called with each event as it comes; what it returns is not used.
    """
    while True:
        try:
            on_event(next(events))
        except StopIteration as end:
            result: Result = end.value
            return result
