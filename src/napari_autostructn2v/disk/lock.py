"""One writer at a time: a run folder or an output file belongs to whoever holds its lock.

The lock is the operating system's and ends with the process, however that ends: nothing stale is left to
block the next one. Who holds it stands in a file beside, for the message alone.

The file that is locked lies beside what it guards, since processes of several machines share that disk and
nothing else. Whoever releases it deletes it, so that no litter stays among a person's results. Whoever locks
it therefore checks that it still has its name: a lock on a file that was deleted meanwhile guards nothing.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from filelock import FileLock, Timeout

from napari_autostructn2v.disk.atomic import file_error, remove_leftovers
from napari_autostructn2v.errors import BusyError

LOCK = ".lock"
_NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)

TRIES = 100
"""How often others may release a lock at the very moment at which it is taken."""


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
            free = self._acquire()
        except OSError as error:
            if error.errno not in _NO_LOCKS_HERE:  # some network disks: better without than not at all
                raise file_error(error, path) from error
            free = True
        if not free:
            raise BusyError(
                f"{path} is in use by {self._holder()}. Wait until that is done or stop it, or choose "
                "another place."
            )
        self._held = True
        me = {
            "process": os.getpid(),
            "computer": socket.gethostname(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        with suppress(OSError):  # on a full disk nobody learns who it is; half of it is no answer either
            self._who.write_text(json.dumps(me))

    def _acquire(self) -> bool:
        """Lock the file that has the name, unless another holds it."""
        for _ in range(TRIES):
            with self._path.open("ab") as named:  # while it is open no other file can be taken for it
                try:
                    self._lock.acquire()
                except (Timeout, FileNotFoundError):
                    if self._is_there(named):
                        return False
                    continue
                if self._is_there(named):
                    return True
            self._lock.release()
        return False

    def _is_there(self, named: IO[Any]) -> bool:
        """Whether the file that was opened has not been deleted meanwhile."""
        try:
            with self._path.open("rb") as now:  # opened, not looked up: network disks know then what is there
                return os.path.samestat(os.fstat(named.fileno()), os.fstat(now.fileno()))
        except FileNotFoundError:
            return False

    def _holder(self) -> str:
        try:
            who = json.loads(self._who.read_text())
            since = datetime.fromisoformat(who["since"])
            return f"process {who['process']} on {who['computer']} since {since:%Y-%m-%d %H:%M:%S}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another program"

    def release(self) -> None:
        """Let others have it; nothing is left beside it."""
        if not self._held:
            return
        self._held = False
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


@contextmanager
def hold_output(path: Path) -> Iterator[None]:
    """Keep others off a file or an OME-Zarr that is written, and clear away what a killed process left of it.

    Parameters
    ----------
    path
        The file or OME-Zarr, whether it exists or not. If it is a link, what the link leads to is meant.

    Raises
    ------
    BusyError
        If another process, or another part of this one, writes it.
    FileError
        If its folder is missing or cannot be written.
    """
    path = Path(os.path.realpath(path))  # where it is written: two links to one file have one writer as well
    with Hold(path, beside=True):
        remove_leftovers(path.parent, path.name)
        yield
