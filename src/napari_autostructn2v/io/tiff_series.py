"""Which of the images in a TIFF file is the stack, and whether it is a grey one that is all there."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC

from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io.untrusted.tiff_safety import refuse_other_folders, refuse_packing

_MAX_COMPRESSION = 10_000
"""No codec packs a micrograph that far: a header that promises more pixels than that is damaged."""

_THUMBNAIL = 4
"""So many times fewer pixels than the slices has a picture that is taken for their thumbnail or label."""


def only_stack(tif: tifffile.TiffFile, path: Path) -> tuple[tifffile.TiffPageSeries, str]:
    """The file's one image, checked to be a grey stack that is all there; and what is left out, in words.

    Parameters
    ----------
    tif
        The open file.
    path
        Of the file, for messages.

    Raises
    ------
    FileError
        If it is damaged, cut short, no grey stack, or one of several.
    """
    try:
        if _chain_breaks(tif):
            raise FileError(f"{path.name} is cut short: slices at its end are missing. Copy it again.")
        refuse_other_folders(tif, path)
        every = list(tif.series)
        series = _chosen(every)
        if series is None:
            raise FileError(
                f"{path.name} holds {len(every)} images of different kinds. Save the one to denoise on "
                "its own, for example with Fiji."
            )
        _refuse_other_axes(series, path)
        _refuse_missing_pixels(series, path)
        refuse_packing(series, path)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged directory fails in whatever way its bytes decide
        raise damaged_tiff(path) from error
    others = sum(len(each.pages) for each in every) - len(series.pages)
    if len(every) == 1 or others < 1:
        return series, ""
    left_out = "a smaller picture, such as a thumbnail," if others == 1 else f"{others} smaller pictures"
    return series, f"{path.name} holds {left_out} beside the stack. Only the stack is read."


def damaged_tiff(path: Path) -> FileError:
    """What is said of a file that cannot be made sense of.

    Parameters
    ----------
    path
        Of the file.
    """
    return FileError(
        f"The TIFF file {path.name} is damaged, or of a kind that cannot be read here. Open it in Fiji and "
        "save it again as TIFF, or copy it again."
    )


def _chosen(every: list[tifffile.TiffPageSeries]) -> tifffile.TiffPageSeries | None:
    """The one that is the stack; None if that cannot be told."""
    large = [each for each in every if not each.keyframe.is_reduced] or every
    most = max(each.keyframe.imagewidth * each.keyframe.imagelength for each in large)
    large = [
        each
        for each in large
        if len(large) == 1 or _THUMBNAIL * each.keyframe.imagewidth * each.keyframe.imagelength > most
    ]
    return large[0] if len(large) == 1 else _joined(large)


def _joined(parts: list[tifffile.TiffPageSeries]) -> tifffile.TiffPageSeries | None:
    """Pages that were written one after the other, as one stack; None if they are no pages of one kind."""
    first = parts[0]
    for each in parts:
        alike = (each.shape, each.dtype, each.keyframe.photometric) == (
            first.shape,
            first.dtype,
            first.keyframe.photometric,
        )
        if not alike or len(each.pages) != 1 or each.axes != "YX" or each.kind not in ("shaped", "generic"):
            return None
    if len({each.keyframe.hash for each in parts}) != 1:
        return None  # packed in different ways
    pages = [page for each in parts for page in each.pages]
    return tifffile.TiffPageSeries(
        pages, (len(pages), *first.shape), first.dtype, "IYX", kind="generic", parent=first.parent
    )


def _chain_breaks(tif: tifffile.TiffFile) -> bool:
    """Whether the last directory that can be read points to yet another one; tifffile ignores that."""
    end = tif.pages.next_page_offset
    if end is None:
        return False
    tif.filehandle.seek(end)
    raw = tif.filehandle.read(tif.tiff.offsetsize)
    if len(raw) < tif.tiff.offsetsize:
        return True
    (following,) = struct.unpack(tif.tiff.offsetformat, raw)
    return bool(following >= tif.filehandle.size)


def _refuse_other_axes(series: tifffile.TiffPageSeries, path: Path) -> None:
    sizes = {axis: n for axis, n in zip(series.axes, series.shape, strict=True) if axis not in "YX"}
    if "S" in sizes or not _is_grey(series):
        raise FileError(
            f"{path.name} is a colour image. Convert it to grey values first, for example in Fiji with "
            "Image > Type > 32-bit. If it is a stack of 3 or 4 slices, save it with photometric 'minisblack'."
        )
    if sizes.get("C", 1) > 1:
        raise FileError(
            f"{path.name} has {sizes['C']} channels. Save the one to denoise on its own, for example in "
            "Fiji with Image > Color > Split Channels."
        )
    if sizes.get("T", 1) > 1:
        raise FileError(
            f"{path.name} is a time series of {sizes['T']} frames. If they are really slices, exchange "
            "frames and slices in Fiji with Image > Properties and save it again; otherwise save one time "
            "point on its own."
        )
    if len(series.shape) not in (2, 3) or not series.axes.endswith("YX"):
        raise FileError(
            f"{path.name} has the axes {series.axes} with the sizes {series.shape}. Save one stack (Z, Y, "
            "X) or one slice (Y, X)."
        )


def _is_grey(series: tifffile.TiffPageSeries) -> bool:
    """Whether the values are grey ones: also as places in a palette of greys that are in order."""
    page = series.keyframe
    if page.photometric in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE):
        return True
    if page.photometric != PHOTOMETRIC.PALETTE:
        return False
    if series.kind == "imagej":  # its palette is a look-up table to show grey values with, no colours
        return True
    if page.colormap is None or len(page.colormap) != 3:
        return False
    red, green, blue = page.colormap.astype(np.int64)
    steps = np.diff(red)
    return bool(
        (red == green).all()
        and (red == blue).all()
        and red.min() < red.max()
        and ((steps >= 0).all() or (steps <= 0).all())
    )


def _refuse_missing_pixels(series: tifffile.TiffPageSeries, path: Path) -> None:
    pages = [page for page in series.pages if page is not None]
    if len(pages) < len(series.pages):
        raise FileError(
            f"{path.name} lacks some of its slices: it is cut short, or one of several files that belong "
            "together. Copy all of them into one folder."
        )
    # slices may lie in several files
    sizes = {page.parent: page.parent.filehandle.size for page in pages}
    ends = dict.fromkeys(sizes, 0)
    if series.dataoffset is not None:
        ends[pages[0].parent] = series.dataoffset + math.prod(series.shape) * series.dtype.itemsize
    else:
        for page in pages:
            segments = zip(page.dataoffsets, page.databytecounts, strict=False)
            end = max((offset + count for offset, count in segments), default=0)
            ends[page.parent] = max(ends[page.parent], end)
        if series.nbytes > _MAX_COMPRESSION * sum(sizes.values()):
            raise FileError(
                f"The header of {path.name} is damaged: it promises {series.nbytes} bytes of pixels in "
                f"{sum(sizes.values())} bytes. Copy it again."
            )
    missing = sum(max(0, end - sizes[file]) for file, end in ends.items())
    if missing:
        raise FileError(f"{path.name} is cut short: {missing} bytes are missing. Copy it again.")
