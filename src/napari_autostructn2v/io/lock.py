"""One writer at a time: a run folder or an output file belongs to whoever holds its lock.

The lock is the operating system's and ends with the process, however that ends: nothing stale is left to
block the next one. Who holds it stands in a file beside, for the message alone.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from napari_autostructn2v.errors import BusyError
from napari_autostructn2v.io.atomic import file_error

LOCK = ".lock"
_NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


class Hold:
    """A folder, or a file whether it exists or not, that others keep off until this is released.

    Parameters
    ----------
    path
        A folder, which is locked by a file within, or a file.
    beside
        Whether the file that locks it lies beside it even if it is a folder, such as an OME-Zarr.

    Raises
    ------
    BusyError
        If another process, or another part of this one, holds it: says which and since when.
    FileError
        If its folder is missing or cannot be written.
    """

    def __init__(self, path: Path, *, beside: bool = False) -> None:
        within = path.is_dir() and not beside
        self._path = path / LOCK if within else path.with_name(f".{path.name}{LOCK}")
        self._who = self._path.with_name(f"{self._path.name}.json")
        # released by another thread than the one that took it, where a window closes
        self._lock = FileLock(self._path, timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise BusyError(
                f"{path} is in use by {self._holder()}. Wait until that is done or stop it, or choose "
                "another place."
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS_HERE:  # some network disks: better without than not at all
                raise file_error(error, path) from error
        me = {
            "process": os.getpid(),
            "computer": socket.gethostname(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        with suppress(OSError):  # on a full disk nobody learns who it is; half of it is no answer either
            self._who.write_text(json.dumps(me))

    def _holder(self) -> str:
        try:
            who = json.loads(self._who.read_text())
            since = datetime.fromisoformat(who["since"])
            return f"process {who['process']} on {who['computer']} since {since:%Y-%m-%d %H:%M:%S}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another program"

    def release(self) -> None:
        """Let others have it; nothing is left beside it."""
        if not self._lock.is_locked:
            return
        for file in (self._who, self._path):
            with suppress(OSError):
                file.unlink(missing_ok=True)  # before the lock is gone, and with it the right to do so
        self._lock.release()

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
