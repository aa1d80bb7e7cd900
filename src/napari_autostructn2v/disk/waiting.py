"""What is written when the disk is full: as soon as there is room again."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

from napari_autostructn2v.disk.atomic import room
from napari_autostructn2v.errors import DiskFullError
from napari_autostructn2v.events import Waiting

Result = TypeVar("Result")

POLL_SECONDS = 1.0
RETRY_SECONDS = 30.0
"""Where room cannot be seen to appear, as with a quota, writing is tried anew after this time."""
MORE_BYTES = 2**20


def retry_when_full(write: Callable[[], Result], folder: Path) -> Generator[Waiting, Any, Result]:
    """Call ``write``; if the disk is full, wait for room and call it again.

    Parameters
    ----------
    write
        Writes files atomically, so that it can be done again.
    folder
        Where it writes.

    Yields
    ------
    Waiting
        Every second while the disk is full: closing the stream then cancels.

    Returns
    -------
    Result
        What ``write`` returns.
    """
    while True:
        try:
            return write()
        except DiskFullError as error:
            before, since = room(folder), time.monotonic()
            while True:
                yield Waiting(str(error))
                time.sleep(POLL_SECONDS)
                if room(folder) >= before + MORE_BYTES or time.monotonic() - since > RETRY_SECONDS:
                    break
