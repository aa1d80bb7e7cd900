"""The stream of events as lines of JSON, for schedulers and other programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from napari_autostructn2v.events import Event, Preview, Waiting


class EventLines:
    """Writes a line for each event to standard output, as it comes."""

    def __init__(self) -> None:
        self._waiting: Waiting | None = None

    def show(self, event: Event) -> None:
        """Write the line of an event; pictures have none, and a reason to wait has one.

        Parameters
        ----------
        event
            What has happened.
        """
        before, self._waiting = self._waiting, event if isinstance(event, Waiting) else None
        if not isinstance(event, Preview) and (self._waiting is None or self._waiting != before):
            print(as_line(event), flush=True)


def as_line(event: Event) -> str:
    """An event as JSON: its name, the time, and what it says, under the names of ``events.py``.

    Parameters
    ----------
    event
        Of the stream; no :class:`~napari_autostructn2v.events.Preview`.
    """
    said = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(event).items()}
    now = datetime.now().astimezone().isoformat(timespec="milliseconds")
    return json.dumps({"event": type(event).__name__, "time": now, **said})
