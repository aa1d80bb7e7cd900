"""TIFF files from strangers: what tifffile would follow or unpack on a file's word alone is checked first."""

from __future__ import annotations

import math
import ntpath
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile
from tifffile import COMPRESSION

from napari_autostructn2v.errors import FileError

PACKED = frozenset(
    {
        COMPRESSION.NONE,
        COMPRESSION.LZW,
        COMPRESSION.ADOBE_DEFLATE,
        COMPRESSION.DEFLATE,
        COMPRESSION.PACKBITS,
        COMPRESSION.ZSTD,
        COMPRESSION.JPEG,
    }
)
"""Ways of packing that unpack to no more than asked for, and JPEG, which is checked."""

_HARMLESS_BYTES = 2**26
_MOST_PADDING = 4
"""Bytes of a tile that is unpacked whole, and how many times those of the slice it may be padded to."""

_NO_SIZE = (0xC4, 0xC8, 0xCC)
"""Markers among those of a JPEG frame, 0xC0 to 0xCF, that are none."""


def refuse_other_folders(tif: tifffile.TiffFile, path: Path) -> None:
    """Refuse a file whose description names files elsewhere, before any of them is opened.

    Parameters
    ----------
    tif
        The open file.
    path
        Where it lies, for messages.

    Raises
    ------
    FileError
        If an OME description leads out of the folder, or the file is one of an NDTiff data set.
    """
    if tif.is_ndtiff:
        raise FileError(
            f"{path.name} is part of an NDTiff data set. Save the stack as one TIFF, for example in Fiji."
        )
    if not tif.is_ome:
        return
    for element in ElementTree.fromstring(tif.ome_metadata or "").iter():
        name = element.attrib.get("FileName", "")
        # ntpath knows both kinds of slashes, and drives
        if ntpath.basename(name) != name or ntpath.splitdrive(name)[0] or name == "..":
            raise FileError(
                f"{path.name} refers to {name[:200]!r}, which is not in its folder. Put all files of "
                "the image into one folder and save it again."
            )


def refuse_packing(series: tifffile.TiffPageSeries, path: Path) -> None:
    """Refuse codecs that decide for themselves how much they unpack; have JPEG say so first.

    Parameters
    ----------
    series
        The image in the file that is going to be read.
    path
        Of the file, for messages.

    Raises
    ------
    FileError
        If the pages are packed in another way than one of :data:`PACKED`, or in tiles of any size.
    """
    page = series.keyframe
    if page.compression not in PACKED:
        name = getattr(page.compression, "name", page.compression)
        raise FileError(
            f"{path.name} is packed with {name}, which is not read here. Save it again without compression "
            "or with LZW, for example in Fiji."
        )
    if math.prod(page.chunks) * series.dtype.itemsize > max(_HARMLESS_BYTES, _MOST_PADDING * page.nbytes):
        raise FileError(
            f"The tiles of {path.name} are much larger than its slices. Its header is damaged: copy it again."
        )
    if page.compression == COMPRESSION.JPEG:
        decode, most = page.decode, 2 * math.prod(page.chunks)

        def decode_if_small(data: bytes | None, index: int, /, **options: Any) -> Any:
            if data is not None and jpeg_pixels(data) > most:
                raise FileError(
                    f"A JPEG in {path.name} is larger than its place. The file is damaged: copy it again."
                )
            return decode(data, index, **options)

        page.__dict__["decode"] = decode_if_small  # a cached property, which the page and its frames look up


def jpeg_pixels(data: bytes) -> int:
    """Rows times columns that the header of a JPEG promises; 0 if it has none.

    Parameters
    ----------
    data
        The JPEG as it is in the file.
    """
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:
            return 0
        marker = data[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            return int.from_bytes(data[place + 5 : place + 7]) * int.from_bytes(data[place + 7 : place + 9])
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # filling, or a marker without content
            place += 1 if marker == 0xFF else 2
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return 0
