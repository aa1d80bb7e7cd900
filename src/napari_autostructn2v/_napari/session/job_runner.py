"""Runs one job at a time for its owner. Knows no thread."""

from __future__ import annotations

from collections.abc import Callable

from psygnal import Signal

from napari_autostructn2v._napari.session.jobs import Cancelled, Control, Failure, Job, JobKind, Stream
from napari_autostructn2v.events import Event


class JobRunner:
    """Holds the current job of its owner, and passes on what that job says.

    Whoever listens to :attr:`started` runs the job (a thread in napari, a loop in a test) and hands each of
    its events to :meth:`receive`, and its end to :meth:`complete` or :meth:`crash`. What a job says after it
    was dropped is ignored, so that dropping takes effect at once.

    Parameters
    ----------
    on_event
        Called with each event of the current job.
    on_end
        Called with the job and its outcome, when it is no longer the current one.
    """

    started = Signal(Job)
    steered = Signal()
    """The job was paused, or goes on."""

    def __init__(self, on_event: Callable[[Event], None], on_end: Callable[[Job, object], None]) -> None:
        self.job: Job | None = None
        """The current job."""
        self.preview_slice: int | None = None
        """The slice that previews are of; None leaves it to the job."""
        self._on_event, self._on_end = on_event, on_end

    def start(self, kind: JobKind, stream: Stream) -> None:
        """Run a stream of events to its end, in place of the current job."""
        self.drop()
        self.job = Job(kind, stream, Control(preview_slice=self.preview_slice))
        self.started.emit(self.job)

    # ------------------------------------------------------------------ steering

    def look_at(self, z: int) -> None:
        """Let the next previews show slice ``z``."""
        self.preview_slice = z
        if self.job is not None:
            self.job.control.preview_slice = z

    @property
    def paused(self) -> bool:
        """Whether the job is paused."""
        return self.job is not None and not self.job.control.resumed.is_set()

    def pause(self) -> None:
        """Pause the job."""
        if self.job is not None:
            self.job.control.resumed.clear()
            self.steered.emit()

    def proceed(self) -> None:
        """Let a paused job go on."""
        if self.job is not None and self.paused:
            self.job.control.resumed.set()
            self.steered.emit()

    def stop_early(self) -> None:
        """End the training, keep what it has learned, and go on with that."""
        if self.job is not None:
            self.job.control.stop_early.set()
            self.proceed()

    def cancel(self) -> None:
        """Ask the job to end. It stays the current job until it has ended, and the owner hears its end."""
        if self.job is not None:
            self.job.control.cancelled.set()
            self.job.control.resumed.set()

    def drop(self) -> None:
        """Ask the job to end, and ignore whatever it still says."""
        self.cancel()
        self.job = None

    # ------------------------------------------------------------------ what the job says

    def receive(self, job: Job, event: Event) -> None:
        """Take in an event of ``job``."""
        if job is self.job:
            self._on_event(event)

    def complete(self, job: Job, outcome: object) -> None:
        """Take in what ``job`` ended with."""
        if job is self.job:
            self.job = None
            self._on_end(job, Cancelled() if job.control.cancelled.is_set() else outcome)

    def crash(self, job: Job, error: BaseException) -> None:
        """Take in an unexpected error while ``job`` was run."""
        self.complete(job, Failure.of(error))
