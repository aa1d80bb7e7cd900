"""HDF5 files from strangers: what is followed or unpacked on a file's word alone is checked first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5z

from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io.untrusted.unpacked_size import unpacks_to_more

_MAX_COMPRESSION = 10_000
"""No filter packs a micrograph that far: a header that promises more pixels than that is damaged."""
_HARMLESS_BYTES = 2**26
"""A chunk is unpacked whole: so many bytes of one, and as many as the data have, are taken."""
_SMALL_CHUNK = 2**16
"""Bytes from which no harm can be unpacked."""
_IN_ORDER = (h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE, h5z.FILTER_FLETCHER32)
"""The filters that are read, as they are applied."""


def members(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    """Names and objects of a group, without links, which may lead anywhere.

    Parameters
    ----------
    group
        Of an open file.
    """
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            yield name, group[name]


def refuse_dataset(dataset: h5py.Dataset, path: Path) -> None:
    """Refuse data that lie in other files, are packed in unusual ways, or claim more than there can be.

    Parameters
    ----------
    dataset
        Of an open file.
    path
        The file.

    Raises
    ------
    FileError
        If it is such.
    """
    if dataset.external or dataset.is_virtual:
        raise FileError(
            f"The pixels of {path.name} are in other files, which is not read. Save all of it in one file."
        )
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(number)[0] for number in range(settings.get_nfilters())]
    if filters != [each for each in _IN_ORDER if each in filters]:
        raise FileError(
            f"{path.name} is packed in a way that is not read here. Save it without compression, or by gzip."
        )
    size = math.prod(dataset.shape or (0,)) * dataset.dtype.itemsize
    chunk = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    if size > _MAX_COMPRESSION * path.stat().st_size or chunk > max(_HARMLESS_BYTES, size):
        raise FileError(f"{path.name} is damaged: it promises more than can be in it. Copy it again.")


def read_part(dataset: h5py.Dataset, part: tuple[slice, ...], path: Path) -> np.ndarray:
    """Read a part of data that :func:`refuse_dataset` has let pass.

    Parameters
    ----------
    dataset
        Of an open file.
    part
        From where to where, for each axis.
    path
        The file.

    Raises
    ------
    FileError
        If a chunk would unpack to more than it says.
    """
    if dataset.chunks and dataset.compression == "gzip":
        most = math.prod(dataset.chunks) * dataset.dtype.itemsize
        ranges = zip(part, dataset.shape, dataset.chunks, strict=True)
        starts = [
            range((s.start or 0) // chunk * chunk, length if s.stop is None else s.stop, chunk)
            for s, length, chunk in ranges
        ]
        for start in itertools.product(*starts):
            stored = dataset.id.get_chunk_info_by_coord(start)
            if stored.byte_offset is None or stored.size <= _SMALL_CHUNK:
                continue
            packed = memoryview(dataset.id.read_direct_chunk(start)[1])
            if unpacks_to_more("zlib", packed, most):
                raise FileError(f"{path.name} is damaged: a part of it unpacks to too much. Copy it again.")
    return np.asarray(dataset[part])
