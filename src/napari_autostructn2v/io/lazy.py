"""Arrays that are decoded when they are indexed; damage that shows only then is told in words as well."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_autostructn2v.errors import FileError


class LazyArray:
    """A view of an array that lies encoded in a file, as lazy as the array itself.

    Parameters
    ----------
    array
        What is indexed, such as a Zarr array.
    path
        Its file, for messages.
    leading
        How many of its first axes, all of length 1, are left out.
    """

    def __init__(self, array: Any, path: Path, leading: int = 0) -> None:
        self._array, self._path, self._first = array, path, (0,) * leading
        self.shape: tuple[int, ...] = tuple(array.shape[leading:])
        self.chunks: tuple[int, ...] = tuple(array.chunks[leading:])
        self.dtype: np.dtype[Any] = array.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        if isinstance(keys[0], int | np.integer) and not -self.shape[0] <= keys[0] < self.shape[0]:
            raise IndexError(
                f"there is no slice {keys[0]} in {self.shape[0]}"
            )  # what ends a loop over slices
        with damage_in_words(self._path):
            return self._array[(*self._first, *keys)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype=dtype)


@contextmanager
def damage_in_words(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into a :class:`FileError`; but memory that runs out is no damage.

    Parameters
    ----------
    path
        The file or folder that is read, for messages.

    Raises
    ------
    FileError
        If the block raises any error other than MemoryError.
    """
    try:
        yield
    except (FileError, MemoryError):
        raise
    except OSError as error:
        if error.errno is None:  # raised by a decoder, not by the system
            raise _damaged(path, error) from error
        raise FileError(
            f"{path} cannot be read any more: {error.strerror}. Check that its disk is connected."
        ) from error
    except Exception as error:  # each codec has errors of its own
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> FileError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return FileError(
        f"Part of {path.name} is damaged and cannot be unpacked ({reason}). Copy it again from where it was "
        "made."
    )
