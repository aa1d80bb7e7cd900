"""What the window says to the person: an error, or notices and confirmations."""

from __future__ import annotations

from psygnal import Signal


class Messages:
    """The present error, and the notices of the running or last job."""

    changed = Signal()

    def __init__(self) -> None:
        self.error = ""
        self.cause: BaseException | None = None
        """The exception behind :attr:`error`, if a job ended in it."""
        self.notices: list[str] = []
        self.confirmation = ""
        """Confirmation of the last click (not a warning)."""
        self._waiting = ""

    def confirm(self, text: str) -> None:
        """Confirm what the person asked for, in place of all earlier messages."""
        self.error, self.cause, self.notices, self.confirmation = "", None, [text], text
        self.changed.emit()

    def fail(self, error: str, cause: BaseException | None = None) -> None:
        """Show an error, in place of all earlier messages."""
        self.error, self.cause, self.notices, self.confirmation = error, cause, [], ""
        self.changed.emit()

    def notify(self, text: str) -> None:
        """Add a notice to those that are shown."""
        self.notices.append(text)
        self.changed.emit()

    def clear(self) -> None:
        """Show nothing, without :attr:`changed`: what follows tells the views."""
        self.error, self.cause, self.notices = "", None, []
        self.confirmation = self._waiting = ""

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
