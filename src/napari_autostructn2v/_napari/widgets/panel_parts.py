"""What all panels are made of: texts, buttons, sections that open and close, progress in words."""

from __future__ import annotations

from typing import Any

from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.session.progress import Progress
from napari_autostructn2v._napari.widgets.elided import MessageLabel

DOCK_WIDTH, DOCK_HEIGHT = 300, 340
REDRAW_MS = 400
"""Time between two looks at a running training. Every redraw of a dock composes the whole window anew, canvas
included; done at each step, that takes the processor from the training where there is no graphics card."""


def message_label() -> QLabel:
    """A label for text of any length that can be selected and copied."""
    return MessageLabel()


def button(text: str, tooltip: str, on_click: Any, *, main: bool = False) -> QPushButton:
    """A push button; the main one of a section stands out."""
    made = QPushButton(text)
    made.setToolTip(tooltip)
    made.clicked.connect(lambda: on_click())
    if main:
        font = made.font()
        font.setBold(True)
        made.setFont(font)
    return made


def explain_slider(slider: Any) -> None:
    """Give the tooltip of a magicgui slider to its parts as well: they are what the pointer is over."""
    for part in slider.native.children():
        if isinstance(part, QWidget):
            part.setToolTip(str(slider.tooltip))


def show_message(label: QLabel, text: str, kind: str, theme: str) -> None:
    """Show a text as an ``"error"``, a ``"warning"`` or plain ``"text"``; hide the label if there is none."""
    label.setText(text)
    label.setVisible(bool(text))
    label.setStyleSheet(f"color: {colours.MESSAGES[kind][is_dark(theme)]};")


def is_dark(theme: str) -> bool:
    """Whether the window's background is dark."""
    return bool(sum(get_theme(theme).background.as_rgb_tuple()[:3]) < 3 * 128)


class DockColumn(QWidget):
    """What stands in a dock: a narrow column that scrolls, under what is always seen.

    Without scrolling, five open sections make the window grow beyond the screen.
    """

    def __init__(self) -> None:
        super().__init__()
        inner = QWidget()
        self.column = QVBoxLayout(inner)
        self.column.setContentsMargins(2, 2, 2, 2)
        self.column.setSpacing(2)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inner)
        self.below = QVBoxLayout(self)
        """The column's area, and what is to stay in sight below it."""
        self.below.setContentsMargins(0, 0, 0, 0)
        self.below.setSpacing(0)
        self.head = QVBoxLayout()
        """For what stays while the column scrolls."""
        self.foot = QVBoxLayout()
        """For messages: the answer to a click must be seen, and must move nothing under the pointer."""
        for layout in (self.head, self.foot):
            layout.setContentsMargins(6, 2, 6, 2)
        self.below.addLayout(self.head)
        self.below.addWidget(area)
        self.below.addLayout(self.foot)
        self.setMinimumSize(DOCK_WIDTH, DOCK_HEIGHT)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As narrow as it can be: the picture needs the room."""
        return QSize(DOCK_WIDTH + 20, 600)


class Section(QWidget):
    """A panel under a title that opens and closes it.

    superqt's QCollapsible fixes the height of what it shows when it opens, which cuts off texts that grow.

    Parameters
    ----------
    title, panel
        What opens and closes, and under which words.
    notice
        Stands above the panel while there is something to say of it, and is never greyed with it.
    """

    def __init__(self, title: str, panel: QWidget, notice: QWidget | None = None) -> None:
        super().__init__()
        self._title, self.panel = title, panel
        self._above = QWidget()
        above = QVBoxLayout(self._above)
        above.setContentsMargins(0, 0, 0, 0)
        if notice is not None:
            above.addWidget(notice)
        self.button = QPushButton()
        self.button.setCheckable(True)
        self.button.setToolTip(f"Open or close {title}")
        self.button.setStyleSheet("text-align: left; padding: 4px 6px;")
        self.button.toggled.connect(self._show)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.button)
        layout.addWidget(self._above)
        layout.addWidget(panel)
        self._show(False)

    def _show(self, opened: bool) -> None:
        self._above.setVisible(opened)
        self.panel.setVisible(opened)
        self.button.setText(f"{'▾' if opened else '▸'}  {self._title}")


def progress_text(progress: Progress) -> str:
    """The activity, how much of it is done, and the time left."""
    if not progress.total:
        return f"{progress.of}{progress.activity.value} …"
    text = f"{progress.of}{progress.activity.value} {progress.done} / {progress.total}"
    return text + time_left_text(progress.seconds_left)


def time_left_text(left: float | None) -> str:
    """The time left in seconds as the end of a text, empty if nobody knows it."""
    if left is None:
        return ""
    minutes, seconds = divmod(round(left), 60)
    return f" · {minutes}:{seconds:02d} left"
