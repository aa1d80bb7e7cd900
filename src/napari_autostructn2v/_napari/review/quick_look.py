"""A quick look: a short second stage on a small field, to see what an edited kernel does. Knows no window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_autostructn2v._napari.session.job_runner import JobRunner
from napari_autostructn2v._napari.session.jobs import Failure, Job, quick_look
from napari_autostructn2v.box import Box
from napari_autostructn2v.config import QUICK_LOOK
from napari_autostructn2v.events import Event, Preview, Step

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.session import Session

GAP = 2
"""Pixels between the two halves of the picture."""


class QuickLook:
    """Trains with the kernel of the session. After a change of kernel or place it starts again."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self.runner = JobRunner(self._on_event, self._on_end)
        self.box: Box | None = None
        self.step = 0
        self.picture: np.ndarray | None = None
        """Stage 1 on the left, the quick look on the right, float32 (Y, 2 X + 2), NaN between."""
        self._z = 0
        self._kernel = b""
        session.changed.connect(self._on_changed)

    @property
    def on(self) -> bool:
        """Whether the person has switched the quick look on."""
        return self.box is not None

    @property
    def possible(self) -> bool:
        """Whether there is a kernel, and no job of the session is running."""
        return self._session.review is not None and self._session.runner.job is None

    @property
    def status(self) -> str:
        """Its progress as a text; empty while it is off."""
        if not self.on:
            return ""
        if self.runner.job is None:
            return "Quick look: stage 1 on the left, this kernel on the right."
        return f"Quick look: step {self.step} / {QUICK_LOOK.steps}"

    def start(self, box: Box, z: int) -> None:
        """Look at slice ``z`` of a part of the stack, with the present kernel."""
        self.runner.drop()
        run, review = self._session.run, self._session.review
        if not self.possible or run is None or review is None or run.stage1 is None:
            return
        analysis = review.analysis
        self.box, self._z, self.step = box.within(run.stack.shape), z, 0
        self._kernel = analysis.kernel.tobytes()
        stream = quick_look(run.stack, analysis.kernel, analysis.notch, self.box, z)
        self.runner.start("quick_look", stream)
        self.changed.emit()

    def restart(self) -> None:
        """Look again at the same place if the kernel has changed."""
        review = self._session.review
        if review is None:
            self.stop()
        elif self.box is not None and review.analysis.kernel.tobytes() != self._kernel:
            self.start(self.box, self._z)

    def stop(self) -> None:
        """Switch the quick look off."""
        self.runner.drop()
        if self.on or self.picture is not None:
            self.box = self.picture = None
            self.changed.emit()

    def _on_event(self, event: Event) -> None:
        run = self._session.run
        if self.box is None or run is None or run.stage1 is None:
            return
        if isinstance(event, Step):
            self.step = event.step
        elif isinstance(event, Preview):
            before = run.stage1.predicted
            left = (before[self._z] if before.ndim == 3 else before)[self.box.field]
            between = np.full((left.shape[0], GAP), np.nan, dtype=np.float32)
            self.picture = np.hstack([left, between, event.denoised])
            self.changed.emit()

    def _on_end(self, job: Job, outcome: object) -> None:
        if isinstance(outcome, Failure):
            self.stop()
            self._session.messages.fail(f"Quick look: {outcome.message}")
        self.changed.emit()

    def _on_changed(self) -> None:
        if self.on and not self.possible:
            self.stop()
