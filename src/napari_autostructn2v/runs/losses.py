"""The losses of a training as a table beside its checkpoint."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_autostructn2v.disk.atomic import write_atomically
from napari_autostructn2v.events import Event, Step, TrainingStarted, Validation


@dataclass
class Losses:
    """Losses of one stage, kept as a table beside its checkpoint."""

    path: Path
    rows: list[tuple[int, float, float]] = field(default_factory=list)
    _since: list[float] = field(default_factory=list)

    def write(self, training: Sequence[tuple[int, float]], validation: Sequence[tuple[int, float]]) -> None:
        """Write the losses of a whole training.

        Parameters
        ----------
        training
            Step and loss, of every step.
        validation
            Step and loss, of each validation.
        """
        self.rows, since = [], 0
        for step, loss in validation:
            between = [each for at, each in training if since < at <= step]
            self.rows.append((step, float(np.mean(between)) if between else float("nan"), loss))
            since = step
        self._write()

    def record(self, event: Event) -> None:
        """Take note of an event; the table is written at each validation.

        Parameters
        ----------
        event
            Of the training.
        """
        match event:
            case TrainingStarted(step=step) if step:
                # a checkpoint may be older than the table: what is trained again is recorded again
                self.rows = [row for row in self.read() if row[0] <= step]
            case Step(loss=loss):
                self._since.append(loss)
            case Validation(step=step, loss=loss):
                self.rows.append((step, float(np.mean(self._since)) if self._since else float("nan"), loss))
                self._since.clear()
                self._write()

    def read(self) -> list[tuple[int, float, float]]:
        """Step, training loss and validation loss of each validation written so far; none of a bad table."""
        try:
            with self.path.open(newline="") as file:
                return [(int(s), float(t), float(v)) for s, t, v in list(csv.reader(file))[1:]]
        except (OSError, ValueError):
            return []

    def _write(self) -> None:
        with write_atomically(self.path, overwrite=True) as beside, beside.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("step", "training_loss", "validation_loss"))
            writer.writerows(self.rows)
