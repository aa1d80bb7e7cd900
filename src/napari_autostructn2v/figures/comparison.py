"""Pictures of a comparison: one slice, or a film through the slices, of several stacks side by side."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from napari_autostructn2v.disk.atomic import write_atomically
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.events import SliceDone
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.stack import as_stack

SMALLEST_WIDTH, LARGEST_WIDTH = 360, 1024
"""Pixels across a pane: small slices are enlarged by whole numbers, so that titles have room; those of a film
are reduced if they are large."""

GAP = 6
TITLE_HEIGHT = 26
FONT_SIZE = 16

BAR_SHARE = 0.3
"""Longest scale bar as a share of the pane's width."""

UNIT_SYMBOLS = {"nm": "nm", "um": "µm", "angstrom": "Å"}


@dataclass(frozen=True, eq=False)
class Pane:
    """One stack of a comparison.

    Attributes
    ----------
    title
        Stands over it.
    stack
        Shape (Z, Y, X) or (Y, X), never read whole.
    limits
        Values shown as black and as white.
    """

    title: str
    stack: Any
    limits: tuple[float, float]


def write_png(
    path: Path, panes: Sequence[Pane], z: int, voxel_size: VoxelSize | None = None, *, overwrite: bool = False
) -> Path:
    """Write slice ``z`` of all panes side by side, pixel for pixel or enlarged.

    Parameters
    ----------
    path
        A .png file.
    panes
        Of one shape.
    z
        Slice.
    voxel_size
        For the scale bar; without it there is none.
    overwrite
        Replace what is there.

    Raises
    ------
    StackError
        If the panes differ in shape.
    FileError
        If the file exists and ``overwrite`` is False, or cannot be written.
    """
    _check(panes)
    picture = _draw(panes, z, voxel_size, _zoom(panes))
    with write_atomically(path, overwrite=overwrite) as beside:
        picture.save(beside, format="PNG")
    return path


def write_gif(
    path: Path,
    panes: Sequence[Pane],
    voxel_size: VoxelSize | None = None,
    *,
    frames_per_second: float = 8.0,
    overwrite: bool = False,
) -> Generator[SliceDone, None, Path]:
    """Write a film through all slices, the panes side by side.

    Parameters
    ----------
    path
        A .gif file.
    panes, voxel_size
        As for :func:`write_png`.
    frames_per_second
        How many slices are shown in a second.
    overwrite
        Replace what is there.

    Yields
    ------
    SliceDone
        After each slice that is drawn; the file is written at the end.

    Raises
    ------
    StackError, FileError
        As for :func:`write_png`.
    """
    shape = _check(panes)
    zoom = min(_zoom(panes), LARGEST_WIDTH / shape[2])
    frames = []
    for z in range(shape[0]):
        frames.append(_draw(panes, z, voxel_size, zoom))
        yield SliceDone(z=z, done=z + 1, total=shape[0])
    with write_atomically(path, overwrite=overwrite) as beside:
        frames[0].save(
            beside,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=round(1000 / frames_per_second),
            loop=0,
        )
    return path


def _check(panes: Sequence[Pane]) -> tuple[int, int, int]:
    shapes = {as_stack(pane.stack).shape for pane in panes}
    if len(shapes) != 1:
        raise StackError(f"The stacks have the shapes {sorted(shapes)}. Choose stacks of the same shape.")
    return shapes.pop()


def _zoom(panes: Sequence[Pane]) -> float:
    width = as_stack(panes[0].stack).shape[2]
    return float(max(1, -(-SMALLEST_WIDTH // width)))


def _draw(panes: Sequence[Pane], z: int, voxel_size: VoxelSize | None, zoom: float) -> Image.Image:
    """All panes of a slice, mode L."""
    slices = [_grey(pane, z, voxel_size, zoom) for pane in panes]
    width, height = slices[0].size
    picture = Image.new("L", (len(slices) * (width + GAP) - GAP, height + TITLE_HEIGHT), 255)
    draw = ImageDraw.Draw(picture)
    for index, (pane, grey) in enumerate(zip(panes, slices, strict=True)):
        left = index * (width + GAP)
        picture.paste(grey, (left, TITLE_HEIGHT))
        draw.text((left + 4, 3), _shortened(pane.title, width - 8), fill=0, font=_font())
    if voxel_size is not None and voxel_size.unit in UNIT_SYMBOLS:
        _draw_bar(draw, voxel_size, zoom, width, height + TITLE_HEIGHT)
    return picture


def _grey(pane: Pane, z: int, voxel_size: VoxelSize | None, zoom: float) -> Image.Image:
    """A slice in its limits; pixels that are higher than wide are drawn so."""
    low, high = pane.limits
    plane = (as_stack(pane.stack).raw(z).astype(np.float64) - low) / (high - low if high > low else 1.0)
    grey = Image.fromarray(np.round(255 * np.clip(plane, 0, 1)).astype(np.uint8))
    aspect = 1.0 if voxel_size is None else voxel_size.y / voxel_size.x
    size = (max(1, round(grey.width * zoom)), max(1, round(grey.height * zoom * aspect)))
    whole = zoom >= 1 and aspect == 1
    return grey.resize(size, Image.Resampling.NEAREST if whole else Image.Resampling.BILINEAR)


def _draw_bar(draw: ImageDraw.ImageDraw, voxel_size: VoxelSize, zoom: float, width: int, bottom: int) -> None:
    """A white bar with a black rim and its length, in the lower left corner of the first pane."""
    per_pixel = voxel_size.x / zoom
    length = round_length(BAR_SHARE * width * per_pixel)
    right = 10 + round(length / per_pixel)
    draw.rectangle((9, bottom - 15, right + 1, bottom - 9), fill=0)
    draw.rectangle((10, bottom - 14, right, bottom - 10), fill=255)
    text = f"{length:g} {UNIT_SYMBOLS[voxel_size.unit]}"
    draw.text(
        (10, bottom - 16), text, fill=255, font=_font(), anchor="lb", stroke_width=2, stroke_fill=0
    )  # fmt: skip


def round_length(longest: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not longer.

    Parameters
    ----------
    longest
        The limit, above zero, in any unit; the result is in the same one.
    """
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9)))


def _shortened(title: str, width: int) -> str:
    if _font().getlength(title) <= width:
        return title
    while title and _font().getlength(f"{title}…") > width:
        title = title[:-1]
    return f"{title}…"


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    import matplotlib

    # Pillow's own font lacks signs that titles may have
    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), FONT_SIZE
    )
