"""Zarr folders from strangers: nothing outside of the folder is read, no chunk unpacks to more than stated.

Metadata name keys and codecs at will. What zarr does not check is checked here, before memory is taken.
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import ByteRequest, RangeByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io.untrusted.unpacked_size import UNPACKERS, unpacks_to_more

MAX_METADATA_BYTES = 2**24
MAX_CHUNK_BYTES = 2**31
MAX_CHUNKS_A_SLICE = 2**16
_LARGE_CHUNK_BYTES = 2**26
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
_SAFE_CODECS = {"bytes", "transpose", "crc32c", *UNPACKERS}


class ConfinedStore(LocalStore):
    """The files of one folder, and what its links lead to only if that is in the folder, too."""

    packed: Packing | None = None
    """How the chunks of the array that is read are packed, once that is known."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The content of a key, or None if there is none.

        Parameters
        ----------
        key
            Path of a file in the folder, such as ``"0/.zarray"``.
        prototype
            The kind of buffer that is returned; zarr's usual one if None.
        byte_range
            The part of the file that is read; all of it if None.

        Raises
        ------
        FileError
            If it lies outside, is no file, or would take more memory than the metadata say.
        """
        self._check(key, byte_range)
        content = await super().get(key, prototype, byte_range)
        if content is not None and self.packed is not None and not key.endswith(_METADATA):
            self.packed.check(memoryview(content.as_numpy_array().data), byte_range)
        return content

    def _check(self, key: str, part: ByteRequest | None) -> None:
        try:
            about = (self.root / key).stat()
        except (OSError, ValueError):
            return  # not there: an empty chunk
        if stat.S_ISDIR(about.st_mode):
            return
        root, real = os.path.realpath(self.root), os.path.realpath(self.root / key)
        if os.path.commonpath([root, real]) != root or not stat.S_ISREG(about.st_mode):
            raise FileError(
                f"{self.root.name} refers to {key}, which lies outside of the folder or is no file, so it is "
                "not read. Copy the whole image into one folder."
            )
        if key.endswith(_METADATA):
            limit = MAX_METADATA_BYTES
        else:
            limit = about.st_size if self.packed is None or part is not None else self.packed.largest_file
        end = part.end if isinstance(part, RangeByteRequest) else 0
        if about.st_size > limit or end > about.st_size:
            raise FileError(f"{key} in {self.root.name} is not as large as the image says. Copy it again.")


class Packing:
    """How the chunks of an array are packed, as far as its metadata say.

    Parameters
    ----------
    array
        An open array.
    name
        Of the image, for messages.

    Raises
    ------
    FileError
        If a codec is not one of those known to do nothing but pack, or the sizes make no sense.
    """

    def __init__(self, array: zarr.Array[Any], name: str) -> None:
        self._name = name
        self._chunk_bytes = math.prod(array.chunks) * array.dtype.itemsize
        self._per_shard = 0 if array.shards is None else _count(array.shards, array.chunks)
        self._check_sizes(array)
        metadata: dict[str, Any] = array.metadata.to_dict()
        if metadata["zarr_format"] == 2:
            compressor = metadata.get("compressor")
            codecs = [] if compressor is None else [compressor["id"]]
            filters = [each["id"] for each in metadata.get("filters") or ()]
        else:
            codecs, filters = self._codecs(metadata["codecs"]), []
        for codec in (*codecs, *filters):
            if codec not in _SAFE_CODECS or filters:
                raise FileError(
                    f"{name} is packed with {str(codec)[:40]!r}, which is not read here. Save it again, "
                    "packed with Blosc, Zstandard or gzip."
                )
        self._codec = next((codec for codec in codecs if codec in UNPACKERS), None)

    def _check_sizes(self, array: zarr.Array[Any]) -> None:
        size = self._chunk_bytes * max(1, self._per_shard)
        whole = math.prod(array.shape) * array.dtype.itemsize
        chunks_a_slice = _count(array.shape[-2:], array.chunks[-2:])
        if (
            size > MAX_CHUNK_BYTES
            or size > max(_LARGE_CHUNK_BYTES, 8 * whole)
            or chunks_a_slice > MAX_CHUNKS_A_SLICE
        ):
            raise FileError(
                f"{self._name} says its slices of {' × '.join(map(str, array.shape[-2:]))} pixels lie in "
                f"{chunks_a_slice} chunks of {size} bytes. So they cannot be read one by one. Save it again "
                "in chunks of about a slice; if they should be smaller, it is damaged: copy it again."
            )

    def _codecs(self, described: Any) -> list[str]:
        found: list[str] = []
        for codec in described:
            settings = codec.get("configuration") or {}
            if codec["name"] == "sharding_indexed":
                self._index_first = settings.get("index_location") == "start"
                self._index_check = 4 * any(each["name"] == "crc32c" for each in settings["index_codecs"])
                names = [*self._codecs(settings["codecs"]), *self._codecs(settings["index_codecs"])]
                found += names
            else:
                found.append(codec["name"])
        return found

    @property
    def largest_file(self) -> int:
        """More than this no file of a chunk or a shard can have, packed or not."""
        return (self._chunk_bytes + self._chunk_bytes // 8 + 2**16) * max(1, self._per_shard)

    def check(self, content: memoryview, part: ByteRequest | None) -> None:
        """Check what was read of a chunk or a shard before it is unpacked.

        Parameters
        ----------
        content
            What was read.
        part
            Which part of the file that is; None if it is all of it.

        Raises
        ------
        FileError
            If it unpacks to more than a chunk.
        """
        if self._codec is None:
            return
        if not self._per_shard:
            chunks = [content]
        elif part is None:
            chunks = [content[start : start + length] for start, length in self._table(content)]
        elif isinstance(part, RangeByteRequest) and not (self._index_first and part.start == 0):
            chunks = [content]
        else:
            return  # the table of a shard, which is not packed
        if any(unpacks_to_more(self._codec, chunk, self._chunk_bytes) for chunk in chunks):
            raise FileError(
                f"A chunk of {self._name} unpacks to more than it should hold. The image is damaged: copy it "
                "again."
            )

    def _table(self, shard: memoryview) -> list[tuple[int, int]]:
        """Start and length of each chunk in a shard that is not empty."""
        length = 16 * self._per_shard
        first = 0 if self._index_first else max(0, len(shard) - length - self._index_check)
        raw = bytes(shard[first : first + length])
        if len(raw) < length:
            return []  # cut short, as zarr will find
        table = np.frombuffer(raw, "<u8").reshape(-1, 2)
        return [(int(start), int(n)) for start, n in table if start != 2**64 - 1]


def _count(shape: tuple[int, ...], part: tuple[int, ...]) -> int:
    return math.prod(-(-whole // each) for whole, each in zip(shape, part, strict=True))


def open_confined(path: Path) -> tuple[zarr.Group, ConfinedStore]:
    """A Zarr group over a store that keeps to its folder.

    Parameters
    ----------
    path
        The folder of the group.

    Raises
    ------
    FileError
        If the metadata lie outside of the folder or are much too large.
    """
    store = ConfinedStore(path, read_only=True)
    return zarr.open_group(store, mode="r"), store
