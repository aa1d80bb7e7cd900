"""Files that are packed as a whole, with gzip or bzip2: unpacked into a nameless file beside them."""

from __future__ import annotations

import bz2
import gzip
import math
import tempfile
import threading
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from napari_autostructn2v.disk.atomic import FULL_BYTES, file_error, room
from napari_autostructn2v.errors import DiskFullError, FileError
from napari_autostructn2v.io.image import PACKINGS

_PIECE = 2**20
_MAX_PACKING = 10_000
"""No codec packs a micrograph that far: a header that promises more than that is damaged."""


def is_packed(path: Path) -> bool:
    """Whether a file is packed, by its name.

    Parameters
    ----------
    path
        The file.
    """
    return path.suffix.lower() in PACKINGS


def open_packed(path: Path) -> IO[bytes]:
    """What is in a packed file, unpacked as it is read.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    OSError
        If it cannot be opened.
    """
    return cast("IO[bytes]", gzip.open(path) if path.suffix.lower() == ".gz" else bz2.open(path))


def size_in_words(size: int) -> str:
    """A number of bytes for people.

    Parameters
    ----------
    size
        In bytes.
    """
    if size < 2**20:
        return f"{max(1, size >> 10)} kB"
    return f"{size / 2**20:.0f} MB" if size < 2**30 else f"{size / 2**30:.1f} GB"


class UnpackedBeside:
    """An array in a packed file. At the first look at it all of it is unpacked, once, and then mapped.

    A packed file can only be read from its beginning, while training looks at slices here and there. What it
    is unpacked into has no name, and is gone with this object or the program.

    Parameters
    ----------
    path
        The packed file.
    offset
        Bytes before the array, in the unpacked file.
    shape, dtype
        Of the array.

    Raises
    ------
    FileError
        If so much cannot be in the file.
    """

    def __init__(self, path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype
        self.chunks = (1,) * (len(shape) - 2) + shape[-2:]
        self._path, self._offset = path, offset
        self._size = math.prod(shape) * dtype.itemsize
        self._lock = threading.Lock()
        self._array: np.ndarray | None = None
        if offset + self._size > _MAX_PACKING * path.stat().st_size:
            raise FileError(
                f"The header of {path.name} is damaged: it promises {offset + self._size} bytes, packed into "
                f"{path.stat().st_size}. Copy it again."
            )

    @property
    def notice(self) -> str:
        """How much room it takes."""
        return (
            f"{self._path.name} is packed. While it is in use it is unpacked beside it, which takes "
            f"{size_in_words(self._size)} of room on the disk."
        )

    def __getitem__(self, key: Any) -> Any:
        with self._lock:
            if self._array is None:
                self._array = self._unpacked()
        return self._array[key]

    def _unpacked(self) -> np.ndarray:
        file = self._file = self._room()  # kept: Windows deletes it when it is closed
        with open_packed(self._path) as packed:
            _copy(packed, None, self._offset)
            try:
                _copy(packed, file, self._size)
                file.flush()
            except OSError as error:
                if error.errno is None:  # what is packed is damaged
                    raise
                raise file_error(error, self._path) from error
        return np.memmap(file, self.dtype, "r", 0, self.shape)

    def _room(self) -> IO[bytes]:
        """A nameless file: beside the packed one, or among temporary files where nobody may write there."""
        for folder in (self._path.parent, Path(tempfile.gettempdir())):
            try:
                file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as the array
            except OSError:
                continue
            if room(folder) > self._size + FULL_BYTES:
                return cast("IO[bytes]", file)
            file.close()
        raise DiskFullError(
            f"{self._path.name} has to be unpacked, which takes {size_in_words(self._size)}. Neither its "
            "folder nor that for temporary files has so much room for it: free some."
        )


def _copy(source: IO[bytes], target: IO[bytes] | None, size: int) -> None:
    """Copy so many bytes, or pass over them."""
    while size:
        piece = source.read(min(size, _PIECE))
        if not piece:
            raise EOFError("it ends too early")
        if target is not None:
            target.write(piece)
        size -= len(piece)
