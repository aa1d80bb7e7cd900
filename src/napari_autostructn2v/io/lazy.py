"""Arrays that are decoded when they are indexed; damage that shows only then is told in words as well."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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
    axes
        Those of its axes that are kept, in their order; all others are of length 1. None keeps all.
    """

    def __init__(self, array: Any, path: Path, axes: Sequence[int] | None = None) -> None:
        self._array, self._path = array, path
        self._axes = tuple(range(len(array.shape))) if axes is None else tuple(axes)
        self.shape: tuple[int, ...] = tuple(array.shape[axis] for axis in self._axes)
        self.chunks: tuple[int, ...] = tuple(array.chunks[axis] for axis in self._axes)
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
            return self._array[self._full(keys)]

    def _full(self, keys: tuple[Any, ...]) -> tuple[Any, ...]:
        """The same key with an index for each axis that is left out."""
        if len(self._axes) == len(self._array.shape):
            return keys
        if Ellipsis in [key for key in keys if not isinstance(key, np.ndarray)]:
            place = next(i for i, key in enumerate(keys) if key is Ellipsis)
            keys = (*keys[:place], *[slice(None)] * (self.ndim - len(keys) + 1), *keys[place + 1 :])
        full: list[Any] = [0] * len(self._array.shape)
        for axis, key in zip(self._axes, (*keys, *[slice(None)] * (self.ndim - len(keys))), strict=True):
            full[axis] = key
        return tuple(full)

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
