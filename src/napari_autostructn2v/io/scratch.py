"""A stack on disk for the time of one computation."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from napari_autostructn2v.io.atomic import file_error


class ScratchStack:
    """float32 slices in a nameless file, gone when it is closed or the program ends.

    Plain reads and writes, by any thread: on a full disk these raise, where a memory map would end the
    program.

    Parameters
    ----------
    shape
        (Z, Y, X) or (Y, X).
    beside
        The file that its content is meant for: it lies on the same disk.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, shape: tuple[int, ...], beside: Path) -> None:
        self.shape = shape
        self._target = beside
        self._lock = threading.Lock()  # between going to a place and using it
        self._plane = shape[-2:]
        self._bytes = int(np.prod(self._plane)) * self.dtype.itemsize
        try:
            self._file = tempfile.TemporaryFile(dir=beside.parent)  # noqa: SIM115 - closed with the stack
        except OSError as error:
            raise file_error(error, beside) from error

    def __getitem__(self, z: Any) -> np.ndarray:
        """Slice ``z``, or the one there is at ``...``."""
        plane = np.empty(self._plane, self.dtype)
        with self._lock:
            self._go_to(z)
            self._file.readinto(plane.data)
        return plane

    def __setitem__(self, z: Any, plane: np.ndarray) -> None:
        try:
            with self._lock:
                self._go_to(z)
                self._file.write(np.ascontiguousarray(plane, self.dtype).data)
                self._file.flush()
        except OSError as error:
            raise file_error(error, self._target) from error

    def _go_to(self, z: Any) -> None:
        self._file.seek(0 if z is Ellipsis else int(z) * self._bytes)

    def __enter__(self) -> ScratchStack:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
