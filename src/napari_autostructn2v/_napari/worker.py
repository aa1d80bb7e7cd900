"""Jobs in napari's worker threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker

from napari_autostructn2v._napari.jobs import Job, drive
from napari_autostructn2v.events import Event


def start(
    job: Job,
    receive: Callable[[Job, Event], None],
    complete: Callable[[Job, object], None],
    crash: Callable[[Job, BaseException], None],
) -> Any:
    """Run ``job`` in a thread and report in the GUI thread, with the job, what it says and how it ends.

    A foreseen error is an outcome; an unforeseen one goes to ``crash`` and to napari's notifications, which
    show its traceback.
    """
    worker = create_worker(drive, job, _start_thread=False, _ignore_errors=True)
    worker.yielded.connect(lambda event: receive(job, event))
    worker.returned.connect(lambda outcome: complete(job, outcome))
    worker.errored.connect(lambda error: crash(job, error))
    worker.start()
    return worker
