"""What the window says to the person: an error, or notices and confirmations."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from psygnal import Signal

About = Literal["", "background"]
"""The control that an error is about, which shows it beside itself; none for the head of the dock."""


class Messages:
    """The present error, and the notices of the running or last job."""

    changed = Signal()

    def __init__(self) -> None:
        self.error = ""
        self.cause: BaseException | None = None
        """The exception behind :attr:`error`, if a job ended in it."""
        self.about: About = ""
        """The control that :attr:`error` is about."""
        self.notices: list[str] = []
        self.confirmation = ""
        """Confirmation of the last click (not a warning)."""
        self.saved_in: Path | None = None
        """The folder of what :attr:`confirmation` says is saved."""
        self._waiting = ""

    def confirm(self, text: str, saved_in: Path | None = None) -> None:
        """Confirm what the person asked for, in place of all earlier messages; with the folder it is in."""
        self.error, self.cause, self.notices, self.confirmation = "", None, [text], text
        self.about, self.saved_in = "", saved_in
        self.changed.emit()

    def take_back(self, confirmation: str) -> None:
        """Show a confirmation no longer, if it is still the one that is shown."""
        if confirmation and confirmation == self.confirmation:
            self.clear()
            self.changed.emit()

    def fail(self, error: str, cause: BaseException | None = None, about: About = "") -> None:
        """Show an error, in place of all earlier messages, beside the control that it is ``about``."""
        self.error, self.cause, self.notices, self.confirmation = error, cause, [], ""
        self.about, self.saved_in = about, None
        self.changed.emit()

    def notify(self, text: str) -> None:
        """Add a notice to those that are shown."""
        self.notices.append(text)
        self.changed.emit()

    def clear(self) -> None:
        """Show nothing, without :attr:`changed`: what follows tells the views."""
        self.error, self.cause, self.notices, self.about = "", None, [], ""
        self.confirmation = self._waiting = ""
        self.saved_in = None

    def wait(self, reason: str) -> None:
        """Show what the job waits for, until :meth:`go_on`."""
        if not self._waiting:
            self._waiting = f"{reason} The run waits, and goes on by itself."
            self.notify(self._waiting)

    def go_on(self) -> None:
        """The job no longer waits: the notice that says so goes away."""
        if self._waiting:
            self.notices, self._waiting = [n for n in self.notices if n != self._waiting], ""
            self.changed.emit()
