"""Runs jobs in threads of their own, and puts errors of short work in napari's pool of threads into words."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask.base
from qtpy.QtCore import QObject, QTimer, Signal

from napari_autostructn2v._napari.session.job_runner import JobRunner
from napari_autostructn2v._napari.session.jobs import Job, drive
from napari_autostructn2v.disk.lock import hold_output
from napari_autostructn2v.error_report import log_and_explain
from napari_autostructn2v.events import Event, finish

NICENESS = 10

THREAD = "autostructn2v job"
"""Name of the thread of every job."""

DRAWN_MS = 200
"""Time after which a window that opens has been drawn."""

_loading = threading.Lock()


def serve(runner: JobRunner) -> None:
    """Run each job that ``runner`` starts in a thread, and report to it in the GUI thread.

    An error of the job is an outcome; only what goes wrong in driving it is a crash. Each job has a thread of
    its own: Qt's pool has one for each core, and jobs that are long or paused would leave none for short
    work, such as saving the person's edits.
    """

    def start(job: Job) -> None:
        worker = _Worker(job, runner)
        _at_work.add(worker)
        worker.thread_of_job.start()

    runner.started.connect(start)


def load_ahead() -> None:
    """Load what the first job needs, in a thread, once what is being opened has been drawn.

    The first job begins sooner by as much.
    """

    def load() -> None:
        with suppress(Exception):  # the job that needs it says what is wrong
            _load()

    QTimer.singleShot(DRAWN_MS, lambda: threading.Thread(target=load, name="autostructn2v loads").start())


def _load() -> None:
    """Have libraries load what they load when they are first used; after that it costs nothing."""
    with _loading:  # two threads in a library's imports may find modules half made
        import torch

        torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])  # comes with PyTorch's compiler
        # That of Dask's clusters where it is installed: the window would stand still for it when it first
        # shows a result.
        dask.base.get_scheduler()  # type: ignore[no-untyped-call]


class _Worker(QObject):
    """A job and its thread. It is made in the GUI thread, and reports there what the job says."""

    _said = Signal(object)
    _completed = Signal(object)
    _crashed = Signal(object)

    def __init__(self, job: Job, runner: JobRunner) -> None:
        super().__init__()
        self._job, self._runner = job, runner
        # no daemon: the program waits for it, as a training that is cancelled writes its checkpoint
        self.thread_of_job = threading.Thread(target=self._work, name=THREAD)
        self._said.connect(self._report)
        self._completed.connect(self._report_outcome)
        self._crashed.connect(self._report_error)

    def _work(self) -> None:
        # On Linux niceness belongs to a thread: painting stays smooth while all cores train. Not the full
        # 19, with which a training starves on a machine that others use as well.
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            _load()
            outcome = finish(drive(self._job), self._said.emit)
        except Exception as error:
            self._crashed.emit(error)
        else:
            self._completed.emit(outcome)

    def _report(self, event: Event) -> None:
        self._runner.receive(self._job, event)

    def _report_outcome(self, outcome: object) -> None:
        self._end()
        self._runner.complete(self._job, outcome)

    def _report_error(self, error: BaseException) -> None:
        self._end()
        self._runner.crash(self._job, error)

    def _end(self) -> None:
        self.thread_of_job.join()  # it is at its end, and Qt wants this object deleted where it was made
        _at_work.discard(self)


_at_work: set[_Worker] = set()
"""Kept until their end is reported: the signals of a deleted object reach nobody."""


def error_text_of(write: Callable[..., Any], *args: Any, **options: Any) -> str:
    """Call ``write``; return what went wrong, in words, or nothing."""
    try:
        write(*args, **options)
    except Exception as error:
        return log_and_explain(error)
    return ""


def with_lock(path: Path, write: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Call ``write``, which writes ``path``, while others are kept off it.

    Raises
    ------
    BusyError
        If another process writes it.
    """
    with hold_output(path):
        write(*args, **options)
