"""An error as it is told, logged, and reported to those who can mend it."""

from __future__ import annotations

import functools
import json
import logging
import traceback
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from napari_autostructn2v.doctor import libraries
from napari_autostructn2v.doctor.device import device_if_used
from napari_autostructn2v.doctor.places import log_path
from napari_autostructn2v.errors import explain, is_foreseen

_log = logging.getLogger(__name__)


def log_and_explain(error: BaseException) -> str:
    """Log an error; return what to tell the person: what to do, and where the details are.

    Parameters
    ----------
    error
        What was raised.
    """
    start_log()
    _log.error("%s", explain(error), exc_info=error)
    if is_foreseen(error):
        return explain(error)
    return f"{explain(error)} Details are in {log_path()}."


def problem_report(error: BaseException, settings: Mapping[str, Any] | None = None) -> str:
    """All that helps to find the cause of an error, and none of the data.

    Parameters
    ----------
    error
        What was raised.
    settings
        What was chosen, as far as it is known: values that can be JSON.

    Returns
    -------
    str
        Versions, system, settings and where in the program it happened. The home folder is left out of paths.
    """
    lines = [
        explain(error),
        "",
        libraries.system(),
        libraries.versions(),
        f"Device: {device_if_used()}",
        f"Settings: {json.dumps(settings or {}, default=str)}",
        "",
        "".join(traceback.format_exception(error)).rstrip(),
        "",
        f"Log: {log_path()}",
    ]
    return "\n".join(lines).replace(str(Path.home()), "~")


MAX_BYTES = 2**20

OLDER_FILES = 2


class _QuietHandler(RotatingFileHandler):
    """A log that cannot be written, on a full disk for example, is no reason to stop or to complain."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say nothing."""


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
