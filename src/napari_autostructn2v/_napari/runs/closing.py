"""What would be interrupted or lost if the window closed now, in words. Knows no window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject

from napari_autostructn2v._napari.batch.queue import State
from napari_autostructn2v._napari.napari_private import main_window, shows_canvas

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_autostructn2v._napari.batch.queue import Batch
    from napari_autostructn2v._napari.session.session import Session

INTERRUPTED = {"stage1": "Stage 1", "stage2": "Stage 2", "reopen": "The saved run"}
"""Jobs that take long. An analysis or a quick look can be repeated in seconds."""


def unsaved_work_text(session: Session, batch: Batch) -> str:
    """What closing the window would interrupt or lose; empty if nothing."""
    paragraphs = []
    run, working = session.run, _work(session)
    autosaved = run is not None and run.autosaved
    if working:
        fate = (
            "The run is kept on this computer, and Resume … goes on with it."
            if autosaved
            else "This run is not kept: what it has done so far is lost."
        )
        paragraphs.append(f"{working} Closing stops it. {fate}")
    elif not autosaved and session.disk.only_in_memory(run):
        paragraphs.append("The result is in no file of yours, and this run is not kept: closing loses it.")
    if session.disk.unsaved(session.review):
        edits = "Your edits of the peaks and the kernel are in no file of yours."
        paragraphs.append(f"{edits} Resume … has them on this computer all the same." if autosaved else edits)
    if batch.going:
        left = sum(entry.state in (State.WAITING, State.RUNNING) for entry in batch.entries)
        paragraphs.append(
            f"Apply trained model is at work: {left} of {len(batch.entries)} stacks are not done. Closing "
            "stops it. Files that are written stay, results in layers go with the window."
        )
    return "\n\n".join(paragraphs)


def _work(session: Session) -> str:
    job, progress = session.runner.job, session.monitor.progress
    if job is None or progress is None or session.run is None or job.kind not in INTERRUPTED:
        return ""
    so_far = f", {progress.done} of {progress.total}" if progress.total else ""
    state = "rests" if session.runner.paused else "is at work"
    what, activity = INTERRUPTED[job.kind], progress.activity.value
    return f"{what} of {session.run.source.name} {state} ({activity[0].lower()}{activity[1:]}{so_far})."


class _CloseWatch(QObject):
    """Tells when the main window closes: a dock widget is not told.

    The attempt alone says nothing yet, as napari may ask and the person decline; a window that has agreed
    hides.
    """

    def __init__(self, window: Any, may_close: Callable[[], bool], on_close: Callable[[], None]) -> None:
        super().__init__(window)
        self._may_close, self._on_close = may_close, on_close
        self._asked = False
        window.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        if event.type() == QEvent.Type.Close:
            if shows_canvas(watched) and not self._may_close():  # a script is not asked
                event.ignore()
                return True
            self._asked = True
        closed = event.type() == QEvent.Type.Hide or not watched.isVisible()
        if self._asked and closed and not event.spontaneous():
            self._asked = False
            self._on_close()
        return False


def watch_closing(
    viewer: Viewer, on_close: Callable[[], None], may_close: Callable[[], bool] = lambda: True
) -> None:
    """Ask ``may_close`` before a person closes the viewer's window; call ``on_close`` when it closes."""
    _CloseWatch(main_window(viewer), may_close, on_close)  # the window owns it
