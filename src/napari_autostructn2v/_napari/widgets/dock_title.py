"""Short titles of docks: napari adds the plugin's name, for which a narrow dock has no room."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QDockWidget, QLabel, QWidget


class DockTitle(QObject):
    """Gives the dock around a widget a title, on its bar and on its tab, whenever napari has made another.

    Only what is read changes: napari finds the dock by the name that it gave it.

    Parameters
    ----------
    widget
        What is in the dock.
    title
        On the bar.
    tab
        On the tab, if shorter: Qt cuts all of three tabs where one is too long.
    """

    def __init__(self, widget: QWidget, title: str, tab: str = "") -> None:
        super().__init__(widget)
        self._title, self._tab = title, tab or title
        widget.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        if event.type() == QEvent.Type.Show:
            dock = watched.parent()
            if isinstance(dock, QDockWidget) and dock.windowTitle() != self._tab:
                # napari makes a new bar for a dock that is taken off the window and put back
                dock.topLevelChanged.connect(lambda: self._name(dock))
                self._name(dock)
        return False

    def _name(self, dock: QDockWidget) -> None:
        given = dock.objectName()
        dock.setWindowTitle(self._tab)
        bar = dock.titleBarWidget()
        for label in bar.findChildren(QLabel) if bar is not None else ():
            if label.text() == given:
                label.setText(self._title)
                label.setToolTip(given)
