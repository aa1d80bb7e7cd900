"""Texts that give way in the middle where there is no room for them: the ends of names tell most."""

from __future__ import annotations

import html
import re
from typing import Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QLabel,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolTip,
    QWidget,
)

LONGEST_WORD = 32
"""Characters that fit into a line of a dock."""
WIDEST_LIST = 600
"""Pixels that the list of a combo box may grow to."""


def elided(text: str, longest: int = LONGEST_WORD) -> str:
    """``text`` in at most ``longest`` characters."""
    if len(text) <= longest:
        return text
    head = (longest - 1) // 2
    return f"{text[:head]}…{text[head + 1 - longest :]}"


class MessageLabel(QLabel):
    """A text of any length in lines, whose words are never wider than the dock: Qt would cut them off.

    :meth:`text` is the whole of it, and so is the tooltip.
    """

    def __init__(self) -> None:
        super().__init__()
        self._whole = ""
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Show this text."""
        self._whole = text
        super().setText(re.sub(r"\S+", lambda word: elided(word[0]), text))

    def text(self) -> str:
        """The text, nothing left out."""
        return self._whole

    def event(self, event: Any) -> bool:
        """Say the whole text where a part of it is left out."""
        return _said(self, event, self._whole, super().text()) or super().event(event)


class ElidedCombo(QComboBox):
    """A combo box for names of any length: they are whole in its list and in its tooltip."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)

    def shown_text(self) -> str:
        """The present entry as far as there is room."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        field = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        room = field.width() - 2 * self.fontMetrics().horizontalAdvance(" ")
        return str(self.fontMetrics().elidedText(self.currentText(), Qt.TextElideMode.ElideMiddle, room))

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw what Qt draws, but the text elided."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = self.shown_text()
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()

    def showPopup(self) -> None:  # noqa: N802 - Qt's name
        """Open a list that is as wide as its entries."""
        view = self.view()
        view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        view.setMinimumWidth(min(view.sizeHintForColumn(0) + bar, WIDEST_LIST))
        super().showPopup()

    def event(self, event: Any) -> bool:
        """Say the whole entry where a part of it is left out."""
        return _said(self, event, self.currentText(), self.shown_text()) or super().event(event)


def _said(widget: QWidget, event: Any, whole: str, shown: str) -> bool:
    """Put the whole text before the tooltip if this event asks for the tooltip and some is not shown."""
    if event.type() != QEvent.Type.ToolTip or shown == whole:
        return False
    words = "<br>".join(html.escape(line) for line in whole.splitlines())
    QToolTip.showText(event.globalPos(), f"<qt><b>{words}</b><br>{widget.toolTip()}</qt>", widget)
    return True
