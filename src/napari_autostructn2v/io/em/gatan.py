"""Files of Gatan's DigitalMicrograph (.dm3, .dm4): ncempy reads the tags, the pixels are memory-mapped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any

import numpy as np
from ncempy.io.dm import fileDM

from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io.em.held import Held, only_stack
from napari_autostructn2v.io.image import ImageFile, VoxelSize, measured_lengths, stack_name

_DTYPES = {
    **{1: "<i2", 2: "<f4", 3: "<c8", 6: "u1", 7: "<i4", 9: "i1", 10: "<u2", 11: "<u4"},
    **{12: "<f8", 13: "<c16", 39: "<i8", 40: "<u8"},
}
"""By Gatan's number for a type of values. Others are colours, bits, and halves of Fourier transforms."""

_MOST_READS = 2**20
"""Parts of a header: those of some hundred thousand tags, where microscopes write ten thousand at most."""
_MOST_NAME = 10_000
"""Letters in the name of a tag, with those of the groups that it is in."""


def read(path: Path) -> ImageFile:
    """Memory-map the largest image; the thumbnail that most such files begin with is passed over.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FileError
        If it is no such file, cut short, or holds no grey stack.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            with np.errstate(over="ignore"):  # ncempy numbers tags in bytes
                tags = _Header(file).allTags
            images = list(_images(tags))
        except MemoryError:
            raise
        except Exception as error:  # damage shows in whatever way its bytes decide
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise _no_gatan(path) from error
    held, notices = only_stack([image for image in images if not _is_thumbnail(image, images)], path)
    assert held.dtype is not None
    data = f"{held.place}.Data"
    offset, stored = int(tags[f"{data}.arrayOffset"]), int(tags[f"{data}.arraySize"])
    needed = held.size * held.dtype.itemsize
    if needed > stored:
        raise _no_gatan(path)
    if offset + needed > size:
        raise FileError(
            f"{path.name} is cut short: {offset + needed - size} of its bytes are missing. Copy it again."
        )
    array = np.memmap(path, held.dtype, "r", offset, held.shape)
    return ImageFile(array, _voxel_size(tags, held), stack_name(path), path, "Gatan DM", notices=notices)


class _Header(fileDM):  # type: ignore[misc]
    """The tags of a file, within bounds: ncempy takes what memory a tag claims, however many there are."""

    _reads = 0

    def __init__(self, file: IO[bytes]) -> None:
        self._file_bytes = os.fstat(file.fileno()).st_size
        super().__init__(file)

    def parseHeader(self) -> None:  # noqa: N802 - ncempy's name
        self.allTags = _TagsOfImages()
        super().parseHeader()

    def fromfile(self, file: IO[bytes], dtype: Any, count: int) -> np.ndarray:
        self._reads += 1
        length = np.dtype(dtype).itemsize * int(count)
        if self._reads > _MOST_READS or not 0 <= length <= self._file_bytes - file.tell():
            raise EOFError("it ends too early")
        return np.frombuffer(file.read(length), dtype)


class _TagsOfImages(dict[str, Any]):
    """Those tags that are of use here, by their names with those of their groups: the others may be many."""

    def __setitem__(self, name: str, value: Any) -> None:
        if len(name) > _MOST_NAME:
            raise ValueError("a name without end")
        if name.startswith(".ImageList."):
            part = name.split(".", 3)[3:]
            if part and part[0].startswith(("ImageData.", "Name")):
                super().__setitem__(name, value)


def _images(tags: dict[str, Any]) -> list[Held]:
    """All that is in the list of images."""
    numbers = {name.split(".")[2]: None for name in tags if name.endswith(".ImageData.Data.arrayOffset")}
    images = []
    for number in numbers:
        place = f".ImageList.{number}.ImageData"
        lengths: list[int] = []
        while (length := tags.get(f"{place}.Dimensions.{len(lengths) + 1}")) is not None:
            lengths.append(int(length))
        while len(lengths) > 2 and lengths[-1] == 1:  # an axis that is not used
            lengths.pop()
        if not lengths or min(lengths) < 0:
            raise ValueError("an image without size")
        dtype = _DTYPES.get(int(tags[f"{place}.DataType"]))
        name = str(tags.get(f".ImageList.{number}.Name") or f"image {number}")
        images.append(Held(name, tuple(lengths[::-1]), None if dtype is None else np.dtype(dtype), place))
    return images


def _is_thumbnail(image: Held, images: list[Held]) -> bool:
    """Whether it is the small picture in colours that a file begins with."""
    return image is images[0] and len(images) > 1 and image.dtype is None and len(image.shape) == 2


def _voxel_size(tags: dict[str, Any], held: Held) -> VoxelSize | None:
    stated = {}
    for number, axis in enumerate("xyz"[: len(held.shape)], 1):
        place = f"{held.place}.Calibrations.Dimension.{number}"
        edge, unit = tags.get(f"{place}.Scale"), tags.get(f"{place}.Units")
        if isinstance(edge, np.floating) and isinstance(unit, str):
            stated[axis] = (float(str(edge)), unit)  # float32: its own digits, and none that others add
    return measured_lengths(stated)


def _no_gatan(path: Path) -> FileError:
    return FileError(
        f"{path.name} is no DM3 or DM4 file, or its header is damaged. If DigitalMicrograph can open it, "
        "save it from there again; otherwise copy it again."
    )
