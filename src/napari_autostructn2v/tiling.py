"""How a large slice is cut into tiles whose results fit together without a seam."""

from __future__ import annotations

from collections.abc import Iterator

from napari_autostructn2v.network import halo

Rectangle = tuple[slice, slice]


def cut(height: int, width: int, depth: int, most: int) -> Iterator[tuple[Rectangle, Rectangle, Rectangle]]:
    """Cut a slice into tiles, each read with all that reaches it, so that no blending is needed.

    Parameters
    ----------
    height, width
        Of the slice in pixels.
    depth
        Of the U-Net: tiles begin at multiples of ``2**depth``, on the grid on which it pools.
    most
        Pixels that a tile may have with its halo.

    Yields
    ------
    tuple
        Where to read, what of that to keep, and where it belongs.
    """
    margin = halo(depth)
    tall, wide = _tile(height, width, depth, most)
    for y in range(0, height, tall):
        for x in range(0, width, wide):
            y0, x0 = max(0, y - margin), max(0, x - margin)
            y1, x1 = min(y + tall, height), min(x + wide, width)
            yield (
                (slice(y0, min(y1 + margin, height)), slice(x0, min(x1 + margin, width))),
                (slice(y - y0, y1 - y0), slice(x - x0, x1 - x0)),
                (slice(y, y1), slice(x, x1)),
            )


def _tile(height: int, width: int, depth: int, most: int) -> tuple[int, int]:
    """Height and width of the tiles that need the least computing: all of it, strips or rectangles."""
    multiple, both = 2**depth, 2 * halo(depth)
    best, least = (multiple, multiple), float("inf")
    for rows in range(1, -(-height // multiple) + 1):
        tall = -(-height // (rows * multiple)) * multiple
        room = most // min(tall + both, height)  # for the width of a tile with its halo
        wide = width if room >= width else (room - both) // multiple * multiple
        if wide < multiple:
            continue
        columns = -(-width // wide)
        work = (height + both * (rows - 1)) * (width + both * (columns - 1))
        if work < least:
            best, least = (tall, -(-width // (columns * multiple)) * multiple), work
    return best
