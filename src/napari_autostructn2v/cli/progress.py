"""A stream of events under progress bars, until its end or Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from enum import IntEnum
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from napari_autostructn2v.cli.event_lines import EventLines
from napari_autostructn2v.events import (
    Event,
    Notice,
    SliceDone,
    SliceSeen,
    StackDone,
    StackFailed,
    StackStarted,
    StageStarted,
    Step,
    TrainingStarted,
    Validation,
    Waiting,
)

if TYPE_CHECKING:
    from napari_autostructn2v.cli.tensorboard_log import TensorBoardLog

Result = TypeVar("Result")

# names of files and what they hold are printed as they are: none of it is markup, or the name of a picture
console = Console(stderr=True, markup=False, highlight=False, emoji=False)


class ExitCode(IntEnum):
    """What a script can tell the outcome by. 2 is a wrong command line, as everywhere."""

    OK = 0
    FAILED = 3
    INTERRUPTED = 130


def say(*lines: str) -> None:
    """Print lines as they are, for people; a name is never broken in two.

    Parameters
    ----------
    *lines
        Each on a line of its own.
    """
    if lines:
        console.print(*lines, sep="\n", soft_wrap=True)


def follow(
    events: Generator[Event, Any, Result],
    quiet: bool,
    label: str = "",
    *,
    lines: bool = False,
    log: TensorBoardLog | None = None,
) -> Result:
    """Run a stream of events to its end under progress bars; Ctrl-C closes it, so that it can be resumed.

    Parameters
    ----------
    events
        What is run.
    quiet
        Show no progress.
    label
        What is said of the slices until the stream names a stage.
    lines
        Write a line of JSON for each event instead of showing bars.
    log
        Takes the events as well, and is closed at the end.

    Returns
    -------
    Result
        What the stream returns.

    Raises
    ------
    typer.Exit
        After Ctrl-C, with :attr:`ExitCode.INTERRUPTED`.
    """
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        disable=quiet or lines,
    )
    with interruptible() as interrupted, progress, nullcontext() if log is None else closing(log):
        shown = EventLines() if lines else _Bars(progress, label)
        looked_at = None
        while True:
            if interrupted:
                events.close()
                progress.stop()
                say("Stopped. The same command goes on from here.")
                raise typer.Exit(ExitCode.INTERRUPTED)
            try:
                event = events.send(looked_at)
            except StopIteration as end:
                result: Result = end.value
                return result
            shown.show(event)
            if log is not None:
                log.show(event)
                looked_at = log.z


class _Bars:
    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._stage = label
        self._device = ""
        self._waiting = ""
        self._training: TaskID | None = None
        self._prediction: TaskID | None = None

    def show(self, event: Event) -> None:
        """Move the bar that an event belongs to."""
        if self._waiting and not isinstance(event, Waiting):
            self._waiting = ""
            say("Going on.")
        match event:
            case StageStarted(stage=stage):
                self._stage = {
                    "survey": "Looking through the stack",
                    "stage1": "Stage 1: denoising",
                    "analysis": "Noise analysis",
                    "stage2": "Stage 2: denoising",
                    "recovery": "Bringing detail back",
                    "exchange": "Denoising with the other's model",
                    "score": "Judging by the other recording",
                }[stage]
                self._training = self._prediction = None
            case TrainingStarted(steps=steps, step=step, device=device):
                if device != self._device:
                    self._device = device
                    say(f"Training on {device}")
                self._training = self._progress.add_task(
                    self._stage.replace("denoising", "training"), total=steps, completed=step, note=""
                )
            case Step(step=step) if self._training is not None:
                self._progress.update(self._training, completed=step)
            case Validation(loss=loss) if self._training is not None:
                self._progress.update(self._training, note=f"loss {loss:.4f}")
            case SliceDone(done=done, total=total) | SliceSeen(done=done, total=total):
                if self._prediction is None:
                    self._prediction = self._progress.add_task(self._stage, total=total, note="")
                self._progress.update(self._prediction, completed=done, total=total)
            case StackStarted(name=name, number=number, total=total):
                self._begin_stack(name)
                if not self._progress.disable:
                    say(f"{number}: {name}" if total is None else f"{number} of {total}: {name}")
            case StackDone(path=path):
                if not self._progress.disable:
                    say(f"Written: {path}")
            case StackFailed(name=name, reason=reason):
                say(f"{name} is left out: {reason}")
            case Waiting(reason=reason) if reason != self._waiting:
                self._waiting = reason
                say(f"{reason} The run waits, and goes on by itself; Ctrl-C ends it.")
            case Notice(message=message):
                say(message)

    def _begin_stack(self, name: str) -> None:
        """Take away the bars of the stack before: of forty stacks they would fill the screen."""
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._stage, self._training, self._prediction = name, None, None


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """A list that holds something after Ctrl-C: to look at between two steps, not in the middle of one."""
    seen: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if seen:  # asked twice: at once
            raise KeyboardInterrupt
        seen.append(number)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)
