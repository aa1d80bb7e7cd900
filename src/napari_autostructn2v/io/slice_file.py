"""Stacks on disk that are filled and read slice by slice while something is computed.

Plain reads and writes, by any thread: on a full disk these raise, where a memory map would end the program.
"""

from __future__ import annotations

import io
import math
import os
import tempfile
import threading
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
from pydantic import BaseModel, Field

from napari_autostructn2v.computed import ComputedArray
from napari_autostructn2v.disk.atomic import file_error, write_atomically
from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io.image import VoxelSize

_BLOCK = bytes(2**20)


class SliceFile(ComputedArray):
    """Slices in a file that is open already.

    Parameters
    ----------
    shape
        (Z, Y, X) or (Y, X).
    file
        To read and to write, unbuffered; closed with the last reference.
    offset
        Where in it the first slice begins, in bytes.
    path
        For messages.
    dtype
        Of the values.
    """

    def __init__(
        self, shape: tuple[int, ...], file: io.RawIOBase, offset: int, path: Path, dtype: Any = np.float32
    ) -> None:
        lock = threading.Lock()  # between going to a place and using it
        dtype = np.dtype(dtype)
        size = math.prod(shape[-2:]) * dtype.itemsize

        def read(z: int) -> np.ndarray:  # no method: that would keep this object, and the file open
            plane = np.empty(shape[-2:], dtype)
            rest = plane.data.cast("B")
            try:
                with lock:
                    file.seek(offset + z * size)
                    while rest and (got := file.readinto(rest)):
                        rest = rest[got:]
            except OSError as error:
                raise FileError(
                    f"{path} cannot be read any more: {error.strerror}. Check that its disk is connected."
                ) from error
            if rest:
                raise FileError(f"{path} is cut short: slice {z} is not there. Delete that file and go on.")
            return plane

        super().__init__(shape, read, dtype)
        self.path = path
        self._file, self._offset, self._lock, self._bytes = file, offset, lock, size
        weakref.finalize(self, file.close)

    def __setitem__(self, z: Any, plane: np.ndarray) -> None:
        """Write slice ``z``, or the one there is at ``...``."""
        rest = np.ascontiguousarray(plane, self.dtype).data.cast("B")
        try:
            with self._lock:
                self._file.seek(self._offset + (0 if z is Ellipsis else int(z) * self._bytes))
                while rest:  # a call may write less than all, and raises at the next where a disk is full
                    rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            raise file_error(error, self.path) from error


class ScratchStack(SliceFile):
    """A stack in a nameless file: gone when it is closed or the program ends.

    Parameters
    ----------
    shape
        (Z, Y, X) or (Y, X).
    beside
        The file that its content is meant for: it lies on the same disk.
    dtype
        Of the values.

    Raises
    ------
    DiskFullError, FileError
        If the file cannot be made.
    """

    def __init__(self, shape: tuple[int, ...], beside: Path, dtype: Any = np.float32) -> None:
        try:
            file = tempfile.TemporaryFile(dir=beside.parent, buffering=0)  # noqa: SIM115 - closed with the stack
        except OSError as error:
            raise file_error(error, beside) from error
        super().__init__(shape, cast("io.RawIOBase", file), 0, beside, dtype)

    def __enter__(self) -> ScratchStack:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class KeptStack(SliceFile):
    """A stack in a TIFF file that is filled from its first slice to its last, also after a crash.

    A mark beside it says how many slices are on the disk for certain, and whose they are. All of its room is
    taken when it is made, so that a disk that is full says so then.

    Parameters
    ----------
    path
        The TIFF file. If it is there, with the mark of the same owner, it goes on being filled.
    shape
        (Z, Y, X) or (Y, X).
    owner
        What decides its content, in any words.
    voxel_size
        For its header.
    dtype
        Of the values, float32 or float64.

    Raises
    ------
    DiskFullError, FileError
        If it cannot be made.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        owner: str,
        voxel_size: VoxelSize | None = None,
        dtype: Any = np.float32,
    ) -> None:
        from napari_autostructn2v.io import tiff

        self._owner = owner
        mark = _read_mark(path)
        slices = shape[0] if len(shape) == 3 else 1
        self.done = mark.done if mark is not None and mark.owner == owner and mark.done <= slices else 0
        """So many slices, the first ones, are there for certain."""
        offset = _pixels_at(path, shape, dtype) if self.done else None
        if offset is None:
            self.done = 0
            _mark(path).unlink(missing_ok=True)  # first: a mark never stands beside what it is not of
            with write_atomically(path, overwrite=True) as beside:
                tiff.create(beside, shape, dtype, voxel_size)
                _take_room(beside)
            offset = _pixels_at(path, shape, dtype)
        assert offset is not None
        try:
            file = path.open("r+b", buffering=0)
        except OSError as error:
            raise file_error(error, path) from error
        super().__init__(shape, file, offset, path, dtype)

    def keep(self, done: int) -> None:
        """See that the first ``done`` slices are on the disk, and mark them as done.

        Parameters
        ----------
        done
            Number of slices that have been written, counted from the first one.

        Raises
        ------
        DiskFullError, FileError
            If the mark cannot be written.
        """
        os.fsync(self._file.fileno())
        with write_atomically(_mark(self.path), overwrite=True) as beside:
            beside.write_text(_Mark(done=done, owner=self._owner).model_dump_json())
        self.done = done


def delete_kept(path: Path) -> None:
    """Delete the file of a :class:`KeptStack`, which may be open still, and its mark.

    Parameters
    ----------
    path
        The TIFF file of the stack; it need not be there.
    """
    for file in (_mark(path), path):  # the mark first, as it must not outlive its file
        try:
            file.unlink(missing_ok=True)
        except OSError:
            return  # Windows deletes no open file; it goes with its folder


def slices_done(path: Path) -> int:
    """How many slices of the file of a :class:`KeptStack` are there, by its mark.

    Parameters
    ----------
    path
        The TIFF file of the stack. Without a mark, none of its slices count.
    """
    mark = _read_mark(path)
    return 0 if mark is None else mark.done


class _Mark(BaseModel):
    done: int = Field(ge=0)
    owner: str


def _read_mark(path: Path) -> _Mark | None:
    """The mark of a file; None if there is none, or a damaged one."""
    try:
        return _Mark.model_validate_json(_mark(path).read_text())
    except (OSError, ValueError):
        return None


def _pixels_at(path: Path, shape: tuple[int, ...], dtype: Any) -> int | None:
    """Where the pixels of a whole file of this shape and type begin; None if it is none."""
    from napari_autostructn2v.io import tiff

    try:
        array = tiff.read(path).array
    except (OSError, FileError):
        return None
    if not isinstance(array, np.memmap) or array.dtype != dtype:
        return None
    # a stack of one slice comes back with two axes
    fits = array.size == math.prod(shape) and array.shape[-2:] == shape[-2:]
    return int(array.offset) if fits else None


def _mark(path: Path) -> Path:
    return path.with_suffix(".json")


def _take_room(path: Path) -> None:
    """Write what a file only promises so far: a file of zeros may take no room on the disk."""
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
            return
        end = file.seek(0, os.SEEK_END)
        while end < size:
            end += file.write(_BLOCK[: size - end])
