"""The window as the user guide shows it: one size, one theme, small files."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import napari
from PIL import Image
from qtpy.QtCore import QBuffer, QPoint, Qt
from qtpy.QtWidgets import QScrollArea, QWidget

from napari_autostructn2v._napari.widgets.told_once import told_before

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "_napari"))

from hands import Hand  # noqa: E402 - the same hands that test the window

PLUGIN = "napari-autostructn2v"
SIZES = {"1280": (1280, 800), "1920": (1920, 1080)}
PATIENCE_S = 3600.0


class Window:
    """A napari window with hands on it and a camera before it.

    Parameters
    ----------
    theme, size
        ``dark`` or ``light``; a key of :data:`SIZES`.
    out
        Folder of the pictures.
    """

    def __init__(self, theme: str, size: str, out: Path) -> None:
        self._ending, self._out = f"{theme}-{size}", out
        told_before("graphics card")  # a notice on this computer is no matter of the guide
        self.viewer: Any = napari.Viewer()
        self.viewer.theme = theme
        self.viewer.window._qt_window.resize(*SIZES[size])
        self.hand = Hand(self.viewer)

    def sample(self, key: str) -> Any:
        """Open a sample from the menu; return its layer."""
        return self.viewer.open_sample(PLUGIN, key)[0]

    def dock(self, name: str, **options: Any) -> Any:
        """Open one of the plugin's docks from the menu, or bring it to the front."""
        dock, widget = self.viewer.window.add_plugin_dock_widget(PLUGIN, name, **options)
        dock.show()
        dock.raise_()
        self.hand.rest(0.3)
        return widget

    def reveal(self, widget: QWidget) -> None:
        """Scroll until a widget is seen, its upper edge at the top if it can be."""
        self.hand.rest(0.3)  # what has just been opened gets its place
        area = widget.parent()
        while not isinstance(area, QScrollArea):
            area = area.parent()
        top = widget.mapTo(area.widget(), widget.rect().topLeft()).y()
        area.verticalScrollBar().setValue(top - 4)

    def wait(self, session: Any, condition: Any) -> None:
        """Wait for something that a session will do, and end if it fails at it."""
        self.hand.wait(lambda: session.messages.error or condition(), PATIENCE_S)
        if session.messages.error:
            sys.exit(session.messages.error)

    def photograph(self, name: str) -> None:
        """Save a picture with 256 colours, rare ones among them: small files for a repository."""
        self.hand._move(QPoint(3, 3), Qt.MouseButton.NoButton)  # the brush is not part of the picture
        self.hand.rest(1.2)  # flights and redraws come to rest
        buffer = QBuffer()
        buffer.open(QBuffer.OpenModeFlag.WriteOnly)
        self.viewer.window._qt_window.grab().save(buffer, "PNG")
        picture = Image.open(io.BytesIO(bytes(buffer.data().data()))).convert("RGB")
        path = self._out / f"{name}-{self._ending}.png"
        picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
        print(path.name, flush=True)

    def close(self) -> None:
        """Close the window; nobody is asked about unsaved edits."""
        self.viewer.close()
