"""Jobs of a session that run where they are started, without a window and without threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_autostructn2v._napari.session.jobs import Job, drive
from napari_autostructn2v._napari.session.session import Session
from napari_autostructn2v.events import Event


def run_jobs_here(session: Session, on_event: Callable[[Job, Event], Any] = lambda job, event: None) -> None:
    """Run each job as soon as it is started, to its end."""

    def run(job: Job) -> None:
        events = drive(job)
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                session.runner.complete(job, end.value)
                return
            session.runner.receive(job, event)
            on_event(job, event)

    session.runner.started.connect(run)
