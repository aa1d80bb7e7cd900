"""Jobs in napari's worker threads."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from superqt.utils import create_worker

from napari_autostructn2v._napari.jobs import Job, drive
from napari_autostructn2v.events import Event
from napari_autostructn2v.io import hold_output
from napari_autostructn2v.problem import told

NICENESS = 10


def start(
    job: Job,
    receive: Callable[[Job, Event], None],
    complete: Callable[[Job, object], None],
    crash: Callable[[Job, BaseException], None],
) -> Any:
    """Run ``job`` in a thread and report in the GUI thread, with the job, what it says and how it ends.

    An error of the job is an outcome; only what goes wrong in driving it goes to ``crash``.
    """
    worker = create_worker(_drive_beside_the_window, job, _start_thread=False, _ignore_errors=True)
    worker.yielded.connect(lambda event: receive(job, event))
    worker.returned.connect(lambda outcome: complete(job, outcome))
    worker.errored.connect(lambda error: crash(job, error))
    worker.start()
    return worker


def _drive_beside_the_window(job: Job) -> Generator[Event, None, object]:
    # On Linux niceness belongs to a thread: painting stays smooth while all cores train. Not the full 19,
    # with which a training starves on a machine that others use as well.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    return (yield from drive(job))


def written(write: Callable[..., Any], *args: Any, **options: Any) -> str:
    """Call ``write``; return what went wrong, in words, or nothing."""
    try:
        write(*args, **options)
    except Exception as error:
        return told(error)
    return ""


def held(path: Path, write: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Call ``write``, which writes ``path``, while others are kept off it.

    Raises
    ------
    BusyError
        If another process writes it.
    """
    with hold_output(path):
        write(*args, **options)
