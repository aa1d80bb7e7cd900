"""Series of TIA (.ser): each element is a slice, mapped when it is asked for.

Read without ncempy, which takes as much memory as a header claims, and reads whatever .emi file lies beside.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np

from napari_autostructn2v.computed import ComputedArray
from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io.em.held import Held, only_stack
from napari_autostructn2v.io.image import ImageFile, VoxelSize, measured, stack_name
from napari_autostructn2v.io.lazy import damage_in_words

_MARK = (0x4949, 0x0197)
_OFFSETS = {0x0210: "<i4", 0x0220: "<i8"}
"""How places in the file are stored, by its version."""
_IMAGES = 0x4122
_MOST_DIMENSIONS = 8
_DTYPES = {
    **{1: "u1", 2: "<u2", 3: "<u4", 4: "i1", 5: "<i2", 6: "<i4"},
    **{7: "<f4", 8: "<f8", 9: "<c8", 10: "<c16"},
}
_CALIBRATION = np.dtype([("offset", "<f8"), ("delta", "<f8"), ("element", "<i4")])
_ELEMENT = np.dtype(
    [("x", _CALIBRATION), ("y", _CALIBRATION), ("dtype", "<i2"), ("nx", "<i4"), ("ny", "<i4")]
)
"""What stands before the pixels of an image."""

_MOST_METRES = 1e-6
"""Pixels are no larger. The edges of one have no unit: in a diffraction pattern they are radians or 1/m."""


def read(path: Path) -> ImageFile:
    """Open an image or a series of images of one shape.

    TIA stores the lowest row first; the array has the uppermost first, as TIA shows it.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FileError
        If it is no such file, cut short, or holds spectra, maps, complex numbers or images that differ.
    """
    with path.open("rb") as file:
        try:
            places, promised = _elements(file, path)
            first = _element(file, places[0])
            for place in places[1:]:
                this = _element(file, place)
                if any(this[name] != first[name] for name in ("dtype", "nx", "ny")):
                    raise FileError(
                        f"The images in {path.name} differ in shape or type. In TIA export those of one kind."
                    )
        except (FileError, MemoryError):
            raise
        except (EOFError, struct.error, ValueError, OverflowError) as error:
            raise _no_series(path) from error
        size = os.fstat(file.fileno()).st_size
    held = Held(path.stem, (int(first["ny"]), int(first["nx"])), _dtype(first), None)
    if min(held.shape) < 1 or held.dtype is None:
        raise _no_series(path)
    only_stack([held], path)  # or it refuses
    end = max(places) + _ELEMENT.itemsize + held.size * held.dtype.itemsize
    if end > size:
        raise FileError(f"{path.name} is cut short: {end - size} bytes are missing. Copy it again.")
    notices = []
    if len(places) < promised:
        notices.append(f"{path.name} was to have {promised} images, but holds {len(places)}.")
    array = _array(path, places, held.shape, held.dtype)
    return ImageFile(array, _voxel_size(first), stack_name(path), path, "TIA series", notices=tuple(notices))


def _elements(file: IO[bytes], path: Path) -> tuple[list[int], int]:
    """Where the images begin, and how many the header promises."""
    *mark, version, kind, _, promised, valid = _unpacked(file, "<HHHiiii")
    if tuple(mark) != _MARK or version not in _OFFSETS:
        raise _no_series(path)
    width = np.dtype(_OFFSETS[version])
    (table,) = np.frombuffer(_bytes(file, width.itemsize), width).tolist()
    (dimensions,) = _unpacked(file, "<i")
    if not 0 <= dimensions <= _MOST_DIMENSIONS:
        raise _no_series(path)
    lengths = []
    for _ in range(dimensions):
        length, *_, description = _unpacked(file, "<iddii")
        lengths.append(length)
        _bytes(file, description)
        _bytes(file, *_unpacked(file, "<i"))  # the unit
    if kind != _IMAGES:
        raise FileError(f"{path.name} holds {Held('', (1,), np.dtype('f4'), None).trouble}")
    if sum(length > 1 for length in lengths) > 1:
        raise FileError(
            f"{path.name} holds a map of {' × '.join(map(str, lengths))} images. In TIA export one row, "
            "or one image."
        )
    if valid < 1:
        raise FileError(f"{path.name} holds no images. Save it again.")
    file.seek(table)
    return np.frombuffer(_bytes(file, valid * width.itemsize), width).tolist(), promised


def _element(file: IO[bytes], place: int) -> Any:
    """What is said of the image that begins there."""
    file.seek(place)
    return np.frombuffer(_bytes(file, _ELEMENT.itemsize), _ELEMENT)[0]


def _unpacked(file: IO[bytes], form: str) -> tuple[Any, ...]:
    return struct.unpack(form, _bytes(file, struct.calcsize(form)))


def _bytes(file: IO[bytes], length: int) -> bytes:
    """So many bytes; none are taken before it is known that they are there."""
    if not 0 <= length <= os.fstat(file.fileno()).st_size - file.tell():
        raise EOFError("it ends too early")
    return file.read(length)


def _dtype(element: Any) -> np.dtype[Any] | None:
    name = _DTYPES.get(int(element["dtype"]))
    return None if name is None else np.dtype(name)


def _array(path: Path, places: list[int], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    def plane(z: int) -> np.ndarray:
        with damage_in_words(path):
            return np.memmap(path, dtype, "r", places[z] + _ELEMENT.itemsize, shape)[::-1]

    return plane(0) if len(places) == 1 else ComputedArray((len(places), *shape), plane, dtype)


def _voxel_size(element: Any) -> VoxelSize | None:
    x, y = (float(element[axis]["delta"]) for axis in "xy")
    size = measured(x, y, x, "m") if max(x, y) <= _MOST_METRES else None
    return None if size is None else size.to("nm")


def _no_series(path: Path) -> FileError:
    return FileError(
        f"{path.name} is no series of TIA, or its header is damaged. If TIA can open it, export it from "
        "there as TIFF; otherwise copy it again."
    )
