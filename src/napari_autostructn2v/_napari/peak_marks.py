"""What stands in the layer of peaks: found, added by hand, erased by hand, each in a colour of its own."""

from __future__ import annotations

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_autostructn2v._napari.review import Mark

# On the dark and orange of the spectrum; told apart by lightness where hues are not: light, white, dark.
COLOURS = {
    Mark.FOUND: (0.0, 0.9, 0.85, 0.65),
    Mark.ADDED: (1.0, 1.0, 1.0, 0.9),
    Mark.ERASED: (0.45, 0.05, 0.1, 0.75),
}
NAMES = {Mark.FOUND: "found", Mark.ADDED: "added", Mark.ERASED: "erased"}


def colormap() -> DirectLabelColormap:
    """Colours of the marks; whatever else a brush is set to means "added"."""
    return DirectLabelColormap(
        color_dict={None: COLOURS[Mark.ADDED], int(Mark.NONE): (0, 0, 0, 0)}
        | {int(mark): colour for mark, colour in COLOURS.items()}
    )


def painted(data: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Marks that a person means who left ``data``: 0 erases, any label adds, (T, T)."""
    on, off = np.where(found, Mark.FOUND, Mark.ADDED), np.where(found, Mark.ERASED, Mark.NONE)
    return np.where(data != Mark.NONE, on, off).astype(np.uint8)
