"""Connections to what outlives the one that makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QWidget


class Connections:
    """Connections to signals of the viewer or the session, to be released together."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Any, Callable[..., Any]]] = []

    def connect(self, signal: Any, slot: Callable[..., Any]) -> None:
        """Connect a napari emitter or psygnal signal."""
        signal.connect(slot)
        self._pairs.append((signal, slot))

    def release(self) -> None:
        """Disconnect all of them."""
        for signal, slot in self._pairs:
            signal.disconnect(slot)
        self._pairs.clear()


class Bindings(Connections):
    """Connects a widget to signals of the viewer or the session, until Qt destroys the widget.

    The x of a dock destroys its widget while viewer and session live on; a signal that still reached it would
    touch a deleted Qt object.
    """

    def __init__(self, owner: QWidget) -> None:
        super().__init__()
        owner.destroyed.connect(lambda: self.release())
