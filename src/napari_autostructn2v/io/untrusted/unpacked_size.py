"""How large packed bytes become, found out before they are unpacked: a few of them can fill any memory."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from typing import Any

_PIECE = 2**20
_HARMLESS_BYTES = 2**26
_DEFLATE_RATIO = 1040
"""More than this no deflate stream unpacks to, for each of its bytes."""


def unpacks_to_more(codec: str, packed: memoryview, most: int) -> bool:
    """Whether ``packed`` says, or turns out, to unpack to more than ``most`` bytes.

    Parameters
    ----------
    codec
        One of :data:`UNPACKERS`.
    packed
        What is to be unpacked, whole.
    most
        Bytes that it may unpack to.
    """
    return UNPACKERS[codec](packed, most)


def _blosc(packed: memoryview, most: int) -> bool:
    return int.from_bytes(packed[4:8], "little") > most


def _lz4(packed: memoryview, most: int) -> bool:
    return int.from_bytes(packed[:4], "little") > most


def _zstd(packed: memoryview, most: int) -> bool:
    """By the header of the frame (RFC 8878, section 3.1.1.1); where it says no size, by unpacking so far."""
    if len(packed) < 6:
        return False
    flags = packed[4]
    single = flags >> 5 & 1
    start = 6 - single + (0, 1, 2, 4)[flags & 3]
    width = (single, 2, 4, 8)[flags >> 6]
    if width:
        return int.from_bytes(packed[start : start + width], "little") + 256 * (width == 2) > most
    import imagecodecs

    try:
        imagecodecs.zstd_decode(bytes(packed), out=most)
    except imagecodecs.ZstdError:  # too large, or damaged
        return True
    return False


def _deflate(packed: memoryview, most: int) -> bool:
    if len(packed) * _DEFLATE_RATIO < _HARMLESS_BYTES:
        return False
    return _by_unpacking(lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS | 32), packed, most)  # zlib or gzip


def _bz2(packed: memoryview, most: int) -> bool:
    return _by_unpacking(bz2.BZ2Decompressor, packed, most)


def _by_unpacking(make: Callable[[], Any], packed: memoryview, most: int) -> bool:
    """Whether more than ``most`` comes out, one stream after the other, a piece at a time."""
    rest, total = bytes(packed), 0
    try:
        while rest:
            stream, waiting = make(), rest
            while not stream.eof:
                piece = stream.decompress(waiting, _PIECE)
                waiting = getattr(stream, "unconsumed_tail", b"")
                total += len(piece)
                if total > most:
                    return True
                if not piece and not waiting:
                    return False  # cut short, as the codec will find
            rest = stream.unused_data
    except (OSError, zlib.error, EOFError):
        return False  # damaged, as the codec will find
    return False


UNPACKERS: dict[str, Callable[[memoryview, int], bool]] = {
    "blosc": _blosc,
    "lz4": _lz4,
    "zstd": _zstd,
    "zlib": _deflate,
    "gzip": _deflate,
    "bz2": _bz2,
}
"""The codecs known here, by their names in Zarr's metadata."""
