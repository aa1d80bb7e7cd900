"""A queue of stacks to be denoised with one trained model. Knows no window and no layer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from psygnal import Signal

from napari_autostructn2v._napari.batch.jobs import Applied, Destination, Opened, apply_model, load
from napari_autostructn2v._napari.session.job_runner import JobRunner
from napari_autostructn2v._napari.session.jobs import Cancelled, Failure, Job
from napari_autostructn2v.config import Config
from napari_autostructn2v.events import Event, SliceDone, StageStarted
from napari_autostructn2v.io import read_stack

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.session import Session
    from napari_autostructn2v.learning.model import Model


class State(Enum):
    """What became of an entry so far, in one word."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class BatchSettings:
    """Which model is used, and where the results go."""

    from_session: bool | None = None
    """Use the model of the session instead of a file; None uses it if there is one."""
    model: Path | None = None
    to_folder: bool = False
    """Write files instead of adding layers."""
    folder: Path | None = None
    ending: str = "_denoised"
    replace: bool = False
    """Replace existing files."""


@dataclass(eq=False)
class Entry:
    """One stack of the queue.

    Attributes
    ----------
    name
        The name that is shown.
    opened
        Opens the stack, in the job's thread and not before it is needed: a file can be damaged, or on a slow
        disk.
    path
        The file, if it is one.
    reason
        Why it failed or was cancelled.
    share
        The part that is done, 0 to 1.
    written
        The file with its result.
    notices
        What the person should know of the stack.
    """

    name: str
    opened: Callable[[], Opened]
    path: Path | None = None
    state: State = State.WAITING
    reason: str = ""
    share: float = 0.0
    written: Path | None = None
    notices: tuple[str, ...] = ()

    def settle(self, state: State, reason: str = "") -> None:
        """Change to a state."""
        self.state, self.reason = state, reason
        self.share = float(state is State.DONE)


class Batch:
    """State of one viewer's queue. Views listen to it as to a session.

    One entry runs at a time. After a job is cancelled, the next one starts only when its thread has ended:
    both use the same network, and there must not be two unfinished results in memory.
    """

    changed = Signal()
    """Entries, their states, settings or error have changed. Not emitted for progress: views look that up."""
    finished = Signal(Entry, Applied)

    def __init__(self, session: Session) -> None:
        self._session = session
        self.settings = BatchSettings()
        self.entries: list[Entry] = []
        self.error = ""
        """Why the whole queue cannot run."""
        self.runner = JobRunner(self._on_event, self._on_end)
        self._current: Entry | None = None
        self._model: Model | None = None
        self._recovery = Config().recovery
        self._going = False
        self._since = 0.0
        self._earlier: set[Entry] = set()
        self._passes_done = 0

    # ------------------------------------------------------------------ the queue

    def add(self, *entries: Entry) -> None:
        """Queue entries."""
        self.entries += entries
        self._next()

    def add_files(self, paths: Sequence[Path]) -> None:
        """Queue files and folders of slices, except those that are queued already."""
        there = {entry.path for entry in self.entries}
        fresh = [path for path in dict.fromkeys(path.absolute() for path in paths) if path not in there]
        self.add(*(Entry(path.name, lambda path=path: read_stack(path), path) for path in fresh))  # type: ignore[misc]

    def remove(self, entries: Sequence[Entry]) -> None:
        """Remove entries from the queue. If one of them is running, it is cancelled."""
        self.entries = [entry for entry in self.entries if entry not in entries]
        self._stop_current(entries)
        self.changed.emit()

    def configure(self, **changes: Any) -> None:
        """Change settings by name."""
        self.settings = replace(self.settings, **changes)
        self.error = ""
        self.changed.emit()

    # ------------------------------------------------------------------ running

    @property
    def going(self) -> bool:
        """Whether the queue is running."""
        return self._going

    @property
    def session_model(self) -> Model | None:
        """The model of the session, if it has one already."""
        run = self._session.run
        return None if run is None else run.model

    @property
    def uses_session(self) -> bool:
        """Whether the model of the session is used."""
        chosen = self.settings.from_session
        return self.session_model is not None and self.settings.model is None if chosen is None else chosen

    @property
    def missing(self) -> str:
        """What the person has to choose before the queue can start, or nothing."""
        settings = self.settings
        if self.uses_session and self.session_model is None:
            return "The session has no model yet: run stage 1, or choose a model file."
        if not self.uses_session and settings.model is None:
            return "Choose a model file, saved with Save model …"
        if not self.entries:
            return "Add image layers, or drop files on the list."
        if settings.to_folder and settings.folder is None:
            return "Choose the folder for the results."
        return ""

    @property
    def again(self) -> bool:
        """Whether all entries are done, so that a start would denoise all of them again."""
        return bool(self.entries) and all(entry.state is State.DONE for entry in self.entries)

    def start(self) -> None:
        """Denoise all entries that are not done. If all are done, denoise all again."""
        if self.missing or self._going:
            return
        again = self.again
        for entry in self.entries:
            if again or entry.state is not State.DONE:
                entry.settle(State.WAITING)
        self.error = ""
        self._going, self._since = True, time.monotonic()
        self._earlier = {entry for entry in self.entries if entry.state is State.DONE}
        run = self._session.run
        if self.uses_session and run is not None:
            self._model, self._recovery = run.model, run.recovery
        else:
            self._model, self._recovery = None, Config().recovery
        self._next()

    def cancel(self, entries: Sequence[Entry]) -> None:
        """Cancel entries that wait or run. The others go on."""
        for entry in entries:
            if entry.state in (State.WAITING, State.RUNNING):
                entry.settle(State.CANCELLED)
        self._stop_current(entries)
        self.changed.emit()

    def cancel_all(self) -> None:
        """Stop the queue. Finished results stay."""
        if not self._going:
            return
        self._going = False
        self.runner.cancel()
        self.cancel(self.entries)

    def _stop_current(self, entries: Sequence[Entry]) -> None:
        if self._current in entries:
            self.runner.cancel()

    def _next(self) -> None:
        """Start the next entry, unless a job is still running."""
        if self._going and self.runner.job is None:
            entry = next((each for each in self.entries if each.state is State.WAITING), None)
            if entry is None:
                self._going, self._model = False, None
            elif self._model is None:
                assert self.settings.model is not None
                self.runner.start("load", load(self.settings.model))
            else:
                entry.settle(State.RUNNING)
                self._current = entry
                stream = apply_model(entry.opened, self._model, self._recovery, self._destination(entry))
                self.runner.start("apply", stream)
        self.changed.emit()

    def _destination(self, entry: Entry) -> Destination | None:
        settings = self.settings
        if not settings.to_folder or settings.folder is None:
            return None
        sources = (each.path for each in self.entries)
        others = (each.written for each in self.entries if each is not entry)
        forbidden = frozenset(path.resolve() for path in (*sources, *others) if path is not None)
        stacks = tuple(each.path for each in self.entries if each is not entry and each.path is not None)
        return Destination(settings.folder, settings.ending, settings.replace, forbidden, stacks)

    # ------------------------------------------------------------------ what a job says

    def _on_event(self, event: Event) -> None:
        entry = self._current
        if entry is None or entry.state is not State.RUNNING:
            return
        passes = 1 if self._recovery == 0 else 2  # the network's, and the one that brings detail back
        if isinstance(event, StageStarted):
            entry.share = 1 / passes
            self._passes_done = 1
        elif isinstance(event, SliceDone):
            entry.share = (self._passes_done + event.done / event.total) / passes

    def _on_end(self, job: Job, outcome: object) -> None:
        entry, self._current, self._passes_done = self._current, None, 0
        try:
            if isinstance(outcome, Cancelled):
                return
            if job.kind == "load":
                self._take_model(outcome)
            elif entry is not None:
                self._take_in(entry, outcome)
        finally:
            self._next()

    def _take_model(self, outcome: object) -> None:
        if isinstance(outcome, Failure):
            self.error, self._going = outcome.message, False
        else:
            self._model = cast("Model", outcome)

    def _take_in(self, entry: Entry, outcome: object) -> None:
        if isinstance(outcome, Failure):
            entry.settle(State.FAILED, outcome.message)
        elif isinstance(outcome, Applied):
            entry.settle(State.DONE)
            entry.written, entry.notices = outcome.path, outcome.source.notices
            self.finished.emit(entry, outcome)

    # ------------------------------------------------------------------ progress

    @property
    def share(self) -> float:
        """The part of the whole queue that is done, 0 to 1. Failed and cancelled entries count as done."""
        over = (State.FAILED, State.CANCELLED)
        shares = [1.0 if entry.state in over else entry.share for entry in self.entries]
        return sum(shares) / max(len(shares), 1)

    @property
    def seconds_left(self) -> float | None:
        """Time left at the present pace, if all entries are equally large; None before there is a pace."""
        running = [entry for entry in self.entries if entry.state is State.RUNNING]
        waiting = sum(entry.state is State.WAITING for entry in self.entries)
        done = sum(entry.state is State.DONE and entry not in self._earlier for entry in self.entries)
        worked = done + sum(entry.share for entry in running)
        rest = waiting + sum(1 - entry.share for entry in running)
        return (time.monotonic() - self._since) / worked * rest if worked > 0 and rest > 0 else None
