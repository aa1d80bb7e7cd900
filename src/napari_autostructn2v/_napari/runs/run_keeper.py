"""Autosaves edits and settings in the folder of the run soon after each change, in case of a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from superqt.utils import create_worker

from napari_autostructn2v._napari.widgets.bindings import Connections
from napari_autostructn2v._napari.worker import error_text_of

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.session import Session

DELAY_MS = 500
"""While a slider or a brush is still moving, nothing is written."""


class RunKeeper:
    """Writes in a thread, a moment after the last change. When the window closes, it writes at once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._writing = False
        self._written: tuple[Any, ...] = ()
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.timeout.connect(self._write)
        self._connections = Connections()
        self._connections.connect(session.reviewed, self._on_change)
        self._connections.connect(session.changed, self._on_change)

    @property
    def _state(self) -> tuple[Any, ...]:
        session, run = self._session, self._session.run
        return session.review, session.choice.settings, run is not None and run.skipped

    def _on_change(self) -> None:
        if self._session.autosave() is not None and self._state != self._written:
            self._timer.start()

    def _write(self) -> None:
        write = self._session.autosave()
        if write is None:
            return
        if self._writing:
            self._timer.start()
            return
        self._writing, self._written = True, self._state
        worker = create_worker(error_text_of, write, _start_thread=False, _ignore_errors=True)
        worker.returned.connect(self._on_written)
        worker.start()

    def _on_written(self, problem: str) -> None:
        self._writing = False
        if problem:
            self._session.messages.fail(f"Your edits could not be kept in case the program ends: {problem}")

    def close(self) -> None:
        """The window closes: write what is not written yet, and let others use the folder."""
        self._connections.release()
        write = self._session.autosave() if self._timer.isActive() else None
        self._timer.stop()
        if write is not None:
            error_text_of(write)
        self._session.disk.release(self._session.run)
