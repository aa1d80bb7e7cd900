"""Pictures of a comparison: one slice, or a film through the slices, of several stacks side by side."""

from __future__ import annotations

import io
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_autostructn2v.disk.atomic import write_atomically
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.events import SliceDone
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.io.image import UNIT_SYMBOLS
from napari_autostructn2v.stack import as_stack

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

SMALLEST_WIDTH, LARGEST_WIDTH = 360, 1024
"""Pixels across a pane: small slices are enlarged by whole numbers, so that titles have room; those of a film
are reduced if they are large."""

GAP = 6
TITLE_HEIGHT = 26
DPI, FONT_SIZE = 72, 15
"""At this resolution a point, the unit of fonts, is one pixel."""

BAR_SHARE = 0.3
"""Longest scale bar as a share of the pane's width."""


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


Field = tuple[slice, slice]
"""Rows and columns of a slice."""


def write_png(
    path: Path,
    panes: Sequence[Pane],
    z: int,
    voxel_size: VoxelSize | None = None,
    *,
    field: Field | None = None,
    overwrite: bool = False,
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
    field
        The part of the slice that is drawn; all of it if None.
    overwrite
        Replace what is there.

    Raises
    ------
    StackError
        If the panes differ in shape.
    FileError
        If the file exists and ``overwrite`` is False, or cannot be written.
    """
    _, rows, columns = _check(panes)
    shown = field or (slice(0, rows), slice(0, columns))
    picture = _draw(panes, z, voxel_size, shown, _zoom(shown))
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
    whole = slice(0, shape[1]), slice(0, shape[2])
    zoom = min(_zoom(whole), LARGEST_WIDTH / shape[2])
    frames = []
    for z in range(shape[0]):
        frames.append(_draw(panes, z, voxel_size, whole, zoom))
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


def _size(field: Field) -> tuple[int, int]:
    rows, columns = field
    return rows.stop - rows.start, columns.stop - columns.start


def _zoom(field: Field) -> float:
    _, width = _size(field)
    return float(max(1, -(-SMALLEST_WIDTH // width)))


def _draw(
    panes: Sequence[Pane], z: int, voxel_size: VoxelSize | None, field: Field, zoom: float
) -> Image.Image:
    """A part of a slice in all panes, mode L; pixels that are higher than wide are drawn so."""
    from matplotlib.figure import Figure

    aspect = 1.0 if voxel_size is None else voxel_size.y / voxel_size.x
    rows, columns = _size(field)
    width, height = max(1, round(columns * zoom)), max(1, round(rows * zoom * aspect))
    across, down = len(panes) * (width + GAP) - GAP, height + TITLE_HEIGHT
    figure = Figure(figsize=(across / DPI, down / DPI), dpi=DPI)
    for index, pane in enumerate(panes):
        left = index * (width + GAP)
        axes = figure.add_axes((left / across, 0, width / across, height / down))
        axes.axis("off")
        axes.imshow(
            as_stack(pane.stack).raw(z)[field].astype(np.float64),
            cmap="gray", vmin=pane.limits[0], vmax=pane.limits[1], aspect="auto",
            interpolation="nearest" if zoom >= 1 and aspect == 1 else "bilinear",
        )  # fmt: skip
        title = figure.text((left + 4) / across, 1 - 4 / down, pane.title, size=FONT_SIZE, va="top")
        _shorten(title, width - 8)
        if index == 0 and voxel_size is not None and voxel_size.unit != "pixel":
            _draw_bar(axes, voxel_size, width, height, width / columns)
    figure.savefig(pixels := io.BytesIO(), format="rgba", dpi=DPI)
    return Image.frombytes("RGBA", (across, down), pixels.getvalue()).convert("L")


def _draw_bar(axes: Axes, voxel_size: VoxelSize, width: int, height: int, zoom: float) -> None:
    """A white bar with a black rim and its length, in the lower left corner."""
    from matplotlib.patheffects import withStroke

    per_pixel = voxel_size.x / zoom
    length = round_length(BAR_SHARE * width * per_pixel)
    rim: dict[str, Any] = {
        "color": "white",
        "transform": axes.transAxes,
        "path_effects": [withStroke(linewidth=3, foreground="black")],
    }
    left, right = 10 / width, (10 + length / per_pixel) / width
    axes.plot((left, right), (12 / height,) * 2, linewidth=3, solid_capstyle="butt", **rim)
    axes.text(left, 17 / height, f"{length:g} {UNIT_SYMBOLS[voxel_size.unit]}", size=FONT_SIZE, **rim)


def round_length(longest: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not longer.

    Parameters
    ----------
    longest
        The limit, above zero, in any unit; the result is in the same one.
    """
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9)))


def _shorten(title: Text, width: int) -> None:
    """Cut a title that is wider than so many pixels."""
    whole = title.get_text()
    for kept in range(len(whole) - 1, 0, -1):
        if title.get_window_extent().width <= width:
            break
        title.set_text(f"{whole[:kept]}…")
