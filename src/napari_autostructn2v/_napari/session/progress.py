"""How far the running job is, and the losses of the trainings as the window draws them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from enum import Enum

from napari_autostructn2v.events import (
    Event,
    SliceDone,
    SliceSeen,
    StackStarted,
    StageStarted,
    Step,
    TrainingStarted,
    Validation,
    Waiting,
)
from napari_autostructn2v.runs.losses import Losses as LossTable


class Activity(Enum):
    """What a job does at this moment. The values are the words that are shown."""

    STARTING = "Starting"
    LOOKING = "Looking through the stack"
    PREPARING = "Preparing"
    TRAINING = "Training"
    DENOISING = "Denoising"
    RECOVERING = "Bringing detail back"
    ANALYSING = "Analysing the noise"
    WAITING = "Waiting for room on the disk"
    MEASURING = "Measuring"
    JUDGING = "Judging"
    DRAWING = "Drawing"


ACTIVITIES = {
    "survey": Activity.LOOKING,
    "analysis": Activity.ANALYSING,
    "recovery": Activity.RECOVERING,
}
"""With what a stage begins; the others have to be prepared."""


@dataclass
class Progress:
    """How far the running job is in what it does at this moment."""

    activity: Activity
    done: int = 0
    total: int = 0
    first: int = 0
    of: str = ""
    """Which of several stacks it is done to, to be put before the activity."""
    since: float = field(default_factory=time.monotonic)

    @property
    def seconds_left(self) -> float | None:
        """Time left at the pace so far, or None before there is a pace."""
        paced = self.done - self.first
        if paced < 1 or self.total <= self.done:
            return None
        return (time.monotonic() - self.since) / paced * (self.total - self.done)


@dataclass
class Losses:
    """The curves of one training."""

    training: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    best: tuple[int, float] | None = None
    """The validation whose network is kept."""

    @classmethod
    def read(cls, table: LossTable) -> Losses:
        """The curves of a training that was saved: one point each validation."""
        rows = table.read()
        return cls([(step, loss) for step, loss, _ in rows], [(step, loss) for step, _, loss in rows])


class Monitor:
    """Follows the events of the running job.

    Attributes
    ----------
    progress
        Of the running job; None if none runs.
    losses
        The curves of each stage that was trained, by the stage's name.
    device
        What computes, in words; empty until that is known.
    """

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.losses: dict[str, Losses] = {}
        self.device = ""
        self._stage = self._of = ""

    def begin(self, stage: str) -> None:
        """Follow a job that has just started, and that trains this stage if it trains one."""
        self.progress, self._stage, self._of = Progress(Activity.STARTING), stage, ""

    def end(self) -> None:
        """The job has ended."""
        self.progress = None

    @property
    def at_step(self) -> str:
        """How far a training is, as the end of "Cancelled"; empty if none runs."""
        progress = self.progress
        training = progress is not None and progress.activity is Activity.TRAINING
        return f" at step {progress.done}" if progress is not None and training else ""

    def restart_pace(self) -> None:
        """Measure the pace from now on: the job was paused, and that time was no work."""
        if self.progress is not None:
            self.progress = replace(self.progress, first=self.progress.done, since=time.monotonic())

    def receive(self, event: Event) -> None:
        """Take in an event of the job."""
        match event:
            case StackStarted():
                self._of = f"{event.number} of {event.total} · "
            case StageStarted():
                self._of = "" if event.stage == "analysis" else self._of
                self.progress = Progress(ACTIVITIES.get(event.stage, Activity.PREPARING), of=self._of)
            case TrainingStarted():
                self.device, self._of = event.device, ""
                self.progress = Progress(Activity.TRAINING, event.step, event.steps, first=event.step)
            case Step():
                self._curves.training.append((event.step, event.loss))
                self._advance(Activity.TRAINING, event.step, event.steps)
            case Validation():
                self._curves.validation.append((event.step, event.loss))
                if event.best:
                    self._curves.best = (event.step, event.loss)
            case SliceDone():
                recovering = self.progress is not None and self.progress.activity is Activity.RECOVERING
                activity = Activity.RECOVERING if recovering else Activity.DENOISING
                self._advance(activity, event.done, event.total)
            case SliceSeen():
                self._advance(Activity.LOOKING, event.done, event.total)
            case Waiting():
                self._advance(Activity.WAITING, 0, 0)

    @property
    def _curves(self) -> Losses:
        return self.losses.setdefault(self._stage, Losses())

    def _advance(self, activity: Activity, done: int, total: int) -> None:
        if self.progress is None or self.progress.activity is not activity:
            self.progress = Progress(activity, done, total, first=done, of=self._of)
            return
        self.progress.done, self.progress.total = done, total
