"""How far a job is, and the losses of a training as the window draws them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from napari_autostructn2v.runs.losses import Losses as LossTable


@dataclass
class Progress:
    """How far the running job is in what it does at this moment."""

    activity: str
    done: int = 0
    total: int = 0
    first: int = 0
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
