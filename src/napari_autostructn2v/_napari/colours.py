"""Every colour that layers, plots and widgets take, named by what it means.

All else has the colours of napari's theme: backgrounds, texts, axes, the curve of the training loss.
"""

from __future__ import annotations

from napari.utils.colormaps import Colormap, DirectLabelColormap

from napari_autostructn2v.noise.review import Mark
from napari_autostructn2v.noise.verdict import Conclusion
from napari_autostructn2v.unmeasured import BLANK, REPLACED

TRANSPARENT = "transparent"

# --------------------------------------------------------------------------- images

IMAGE = "gray"
"""Colormap of the samples; other images keep the one that they have."""

SPECTRUM = "inferno"
"""Colormap of power spectra, in layers and in plots."""

# Blue against orange is told apart by every kind of colour vision; no correlation is black.
CORRELATION = Colormap(
    [[0.25, 0.65, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0], [1.0, 0.6, 0.15, 1.0]], name="correlation"
)
"""Negative, none, positive."""

NO_CORRELATION = Colormap([[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]], name="plain")
"""The ground under the kernel while the correlation is not shown."""

# --------------------------------------------------------------------------- the review

# None of them is a colour of the spectrum, black over red to yellow; erased bins are crossed out as well.
PEAK_MARKS = {
    Mark.FOUND: (0.0, 0.9, 0.85, 1.0),
    Mark.ADDED: (1.0, 1.0, 1.0, 1.0),
    Mark.ERASED: (0.35, 0.6, 1.0, 1.0),
}
"""Lines around the bins of peaks."""

PEAK_FILL = {Mark.FOUND: 0.12, Mark.ADDED: 0.35, Mark.ERASED: 0.45}
"""Opacity inside these lines: the spectrum is to be seen through the marks."""

PICKED_PEAK = "#ffe14d"

UNDER_SWATCH = "#5a1060"
"""From the middle of the spectrum's colours: what the marks are seen on, in the legend as well."""

SWATCH_FRAME = "#808080"

KERNEL = (1.0, 1.0, 1.0, 0.85)

KERNEL_GRID = "#50505c"

LIGHT_GROUND = "#d2d2d2"
"""Around spectrum and kernel in a light theme."""

PICTURE_TEXT = "#c46a00"
"""Of what is written beside spectrum and kernel. Seen on the dark and on the light canvas."""


# --------------------------------------------------------------------------- what is left out

# Neither is a colour of grey images, and no kind of colour vision takes one for the other. What is replaced
# is mostly single pixels, which are to be found.
LEFT_OUT = {BLANK: (0.3, 0.55, 1.0, 0.4), REPLACED: (1.0, 0.55, 0.0, 1.0)}


def of_left_out() -> DirectLabelColormap:
    """Colours of the pixels that are left out."""
    return DirectLabelColormap(color_dict={None: TRANSPARENT, 0: TRANSPARENT} | LEFT_OUT)


def of_peaks() -> DirectLabelColormap:
    """Colours of the marks; whatever else a brush is set to means "added"."""
    # each layer gets one of its own, as napari notes in it which label is selected
    fills = {int(mark): (*colour[:3], PEAK_FILL[mark]) for mark, colour in PEAK_MARKS.items()}
    return DirectLabelColormap(color_dict={None: fills[Mark.ADDED], int(Mark.NONE): TRANSPARENT} | fills)


def of_kernel() -> DirectLabelColormap:
    """Colour of the kernel: whatever label the brush is set to, it means "yes"."""
    return DirectLabelColormap(color_dict={None: KERNEL, 0: TRANSPARENT})


# --------------------------------------------------------------------------- what is drawn over images

TRAINING_FIELD = "#e8b44c"

BACKGROUND_OUTLINE = "#3fd0ff"

DIVIDER = "#ffb000"

PROFILE_LINE = "#00d0c0"

# --------------------------------------------------------------------------- plots

PROFILES = ((150, 150, 150), (255, 140, 30), (60, 170, 255), (200, 110, 220))
"""Of the layers that are compared, in their order."""

VALIDATION_LOSS = (255, 140, 30)

# --------------------------------------------------------------------------- widgets

# on light and on dark; napari's own error red is too dark to read as text on its dark theme
MESSAGES = {
    "error": ("#b00020", "#ff7b72"),
    "warning": ("#8a5a00", "#e8b44c"),
    "text": ("#3b3a39", "#f0f1f2"),
}

# background and text, the same in every theme: green, grey, amber
CONCLUSIONS: dict[Conclusion, tuple[str, str]] = {
    "helps": ("#2b7a38", "white"),
    "adds_nothing": ("#666b73", "white"),
    "look_first": ("#f0ad3c", "#1e1a12"),
}
"""Of a verdict."""

SHARE = "#5b86d6"
"""How far a bar has come that shows a share, under the text of either theme."""

PICTOGRAM_KERNEL = "#ff9a2e"
"""Over grey noise: the neighbours that share it, and the stripes of a pattern."""

LIGHTS = {"good": ("#1f7a33", "#6fd08c"), "look": ("#8a5a00", "#e8b44c"), "poor": ("#b00020", "#ff7b72")}
"""Of the figures of a result, by their grades. Their marks differ in shape as well."""

# the same blue in every theme: what the eye goes to
MAIN_BUTTON, MAIN_BUTTON_UNDER_POINTER, MAIN_BUTTON_PRESSED = "#2f5fd0", "#3f72ea", "#264eae"
MAIN_BUTTON_TEXT = "white"
