"""A log of what went wrong, in the folder where the system keeps logs."""

from __future__ import annotations

import functools
import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from platformdirs import user_log_path

MAX_BYTES = 2**20
OLDER_FILES = 2


class _QuietHandler(RotatingFileHandler):
    """A log that cannot be written, on a full disk for example, is no reason to stop or to complain."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say nothing."""


def log_path() -> Path:
    """The log file of this user; older ones lie beside it."""
    return user_log_path("napari-autostructn2v", appauthor=False) / "log.txt"


@functools.cache
def start_log() -> None:
    """Write what this package logs to the log file, from now on."""
    path = log_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    # the file is opened when there is something to write
    handler = _QuietHandler(path, maxBytes=MAX_BYTES, backupCount=OLDER_FILES, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger("napari_autostructn2v").addHandler(handler)
