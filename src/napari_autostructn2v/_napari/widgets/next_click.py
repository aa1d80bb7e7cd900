"""Confirmations go at the next click: by then they have been read, or are of no use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication, QWidget

from napari_autostructn2v._napari.widgets.bindings import Bindings

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.messages import Messages


class NextClick(QObject):
    """Takes back what was confirmed before a click, once that click is done.

    Parameters
    ----------
    messages
        Where it is shown.
    owner
        The widget that shows it.
    """

    def __init__(self, messages: Messages, owner: QWidget) -> None:
        super().__init__(owner)
        self._messages, self._before, self._listening = messages, "", False
        Bindings(owner).connect(messages.changed, self._on_changed)
        self._on_changed()

    def _on_changed(self) -> None:
        """Listen only while there is something to take back: every event of the program comes by here."""
        listen, application = bool(self._messages.confirmation), QApplication.instance()
        if listen != self._listening and application is not None:
            self._listening = listen
            (application.installEventFilter if listen else application.removeEventFilter)(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        """Look at clicks, and let them through."""
        if event.type() == QEvent.Type.MouseButtonPress:
            self._before = self._messages.confirmation
        elif event.type() == QEvent.Type.MouseButtonRelease and self._before:
            # after the click: what moves under the pointer before it is done is not what was clicked
            before, self._before = self._before, ""
            QTimer.singleShot(0, lambda: self._messages.take_back(before))
        return False
