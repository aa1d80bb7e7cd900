"""EMD files, which are HDF5: those of Velox, and those of Berkeley, in which Python programs keep stacks.

Slices are read one at a time as they are asked for. Velox keeps frames along the last axis; of Berkeley's
files the axes are taken as they lie, as of MRC.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_autostructn2v.computed import ComputedArray
from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io.em.held import Held, only_stack
from napari_autostructn2v.io.image import ImageFile, VoxelSize, measured_lengths, stack_name
from napari_autostructn2v.io.lazy import damage_in_words
from napari_autostructn2v.io.untrusted.hdf5_safety import members, read_part, refuse_dataset

_ALL = slice(None)
_MOST_GROUPS = 1000
_MOST_DEPTH = 4
"""So far groups are looked through for those of Berkeley."""
_MOST_TEXT = 2**22
"""Letters that Velox writes of an image are some ten thousands."""


def read(path: Path) -> ImageFile:
    """Open the largest image of an EMD file; of several detectors, the first.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FileError
        If it is no EMD file, damaged, or holds no grey stack.
    """
    try:
        file = h5py.File(path, "r", locking=False)
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FileError(
            f"{path.name} is no EMD file, or its header is damaged. If another program can open it, save it "
            "from there as MRC or TIFF; otherwise copy it again."
        ) from error
    try:
        with damage_in_words(path):
            return _opened(file, path)
    except BaseException:
        file.close()
        raise


def _opened(file: h5py.File, path: Path) -> ImageFile:
    velox = list(_of_velox(file, path))
    held, notices = only_stack(velox or list(_of_berkeley(file)), path)
    group, dtype = held.place, held.dtype
    assert dtype is not None
    dataset = group["Data" if velox else "data"]
    refuse_dataset(dataset, path)
    frames_last = bool(velox)

    def plane(z: int) -> np.ndarray:
        with damage_in_words(path):
            if dataset.ndim == 2:
                return read_part(dataset, (_ALL, _ALL), path)
            this = slice(z, z + 1)
            if frames_last:
                return read_part(dataset, (_ALL, _ALL, this), path)[..., 0]
            return read_part(dataset, (this, _ALL, _ALL), path)[0]

    array = ComputedArray(held.shape, plane, dtype)  # the file is open as long as it lives
    if velox:
        return ImageFile(
            array, _size_by_velox(group, path), stack_name(path), path, "Velox EMD", notices=notices
        )
    size = _size_by_berkeley(group, held.shape, path)
    return ImageFile(array, size, stack_name(path), path, "Berkeley EMD", notices=notices)


def _of_velox(file: h5py.File, path: Path) -> Iterator[Held]:
    for name, group in _within(file, "Data", "Image"):
        dataset = _dataset(group, "Data")
        if dataset is not None:
            *field, frames = dataset.shape or (0,)
            shape = (*field,) if frames == 1 and len(field) == 2 else (frames, *field)
            said = _said(group, path).get("BinaryResult")
            detector = said.get("Detector") if isinstance(said, dict) else None
            yield Held(str(detector or name), shape, _plain(dataset), group)


def _of_berkeley(file: h5py.File) -> Iterator[Held]:
    waiting: list[tuple[str, Any, int]] = [("", file, 0)]
    for _ in range(_MOST_GROUPS):
        if not waiting:
            return
        name, group, depth = waiting.pop(0)
        dataset = _dataset(group, "data")
        if dataset is not None and np.array_equal(np.ravel(group.attrs.get("emd_group_type")), [1]):
            yield Held(name, dataset.shape or (0,), _plain(dataset), group)
        if depth < _MOST_DEPTH:
            waiting += [(*each, depth + 1) for each in members(group) if isinstance(each[1], h5py.Group)]


def _within(group: Any, *names: str) -> Iterator[tuple[str, h5py.Group]]:
    """The groups in a group that is so many levels down; none if there is none."""
    for name in names:
        group = dict(members(group)).get(name)
        if not isinstance(group, h5py.Group):
            return
    yield from ((name, each) for name, each in members(group) if isinstance(each, h5py.Group))


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset | None:
    is_there = isinstance(group.get(name, getlink=True), h5py.HardLink)
    found = group[name] if is_there else None
    return found if isinstance(found, h5py.Dataset) else None


def _plain(dataset: h5py.Dataset) -> np.dtype[Any] | None:
    """The type of its values; None if they are no plain numbers."""
    return dataset.dtype if dataset.dtype.kind in "uifbc" else None


def _said(group: h5py.Group, path: Path) -> dict[str, Any]:
    """What Velox says of an image, which is JSON in a column of bytes for each frame."""
    dataset = _dataset(group, "Metadata")
    if dataset is None or dataset.ndim != 2 or dataset.dtype != np.uint8 or 0 in dataset.shape:
        return {}
    refuse_dataset(dataset, path)
    if dataset.shape[0] > _MOST_TEXT:
        return {}
    text = read_part(dataset, (_ALL, slice(0, 1)), path).tobytes().rstrip(b"\0")
    try:
        said = json.loads(text.decode(errors="replace"))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _size_by_velox(group: h5py.Group, path: Path) -> VoxelSize | None:
    said = _said(group, path).get("BinaryResult")
    try:
        edges = {
            axis: (float(said["PixelSize"][name]), str(said[f"PixelUnit{axis.upper()}"]))  # type: ignore[index]
            for axis, name in (("x", "width"), ("y", "height"))
        }
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    size = measured_lengths(edges)
    return None if size is None else size.to("nm")  # Velox writes metres


def _size_by_berkeley(group: h5py.Group, shape: tuple[int, ...], path: Path) -> VoxelSize | None:
    stated = {}
    for number, axis in enumerate("zyx"[-len(shape) :], 1):
        places = _dataset(group, f"dim{number}")
        if places is None or places.ndim != 1 or places.dtype.kind not in "uif" or places.shape[0] < 2:
            continue
        refuse_dataset(places, path)
        last = places.shape[0] - 1
        ends = [
            float(read_part(places, (slice(place, place + 1),), path)[0]) for place in (0, last)
        ]  # far from each other, for the sake of digits
        unit = places.attrs.get("units", "")
        unit = unit.decode(errors="replace") if isinstance(unit, bytes) else str(unit)
        edge = float(f"{abs(ends[1] - ends[0]) / last:.6g}")
        stated[axis] = (edge, re.sub(r"[\[\]_]", "", unit))  # [n_m] is nanometres
    return measured_lengths(stated)
