"""The names that the plugin gives to layers."""

from __future__ import annotations

SPECTRUM, PEAKS, LAGS, KERNEL = "spectrum", "peaks", "autocorrelation", "kernel"
"""Of the review; its layers are looked up by these names as well."""

PEAK_OUTLINES, PICKED_PEAK = "peak outlines", "picked peak"

KERNEL_GRID, KERNEL_SLICES = "kernel grid", "kernel slices"

PERIODS = "periods"
"""The numbers beside the spectrum."""

QUICK_LOOK = "quick look"

TRAINING_FIELD = "training field"

BACKGROUND = "background"
"""Where a person outlines background, for noise to be measured in."""

LEFT_OUT = "left out"
"""What of a run's image was never measured."""

LEFT_OUT_BY_HAND = "left out by hand"
"""The mask that an opened run was begun with."""

PROFILE_LINE = "profile line"

DIVIDER = "divider"

# --------------------------------------------------------------------------- of what is made of an image {}

RESULTS = {"stage1": "{} stage 1", "stage2": "{} denoised"}
"""Of each stage."""

KEPT_RESULT = "{} denoised {}"
"""A result that stays when there are others; with the number of the attempt."""

PREVIEW = "{} preview"

PATTERN = "{} pattern"
"""What the notch takes away."""

REMOVED = "{} removed"
"""What denoising took away."""

ONE_OF_SEVERAL = "{} [{}]"
"""One stack of a layer that holds several; with its place along the axes of those, as the sliders say it."""

COMPARED = "compared: {}"
"""A copy that stands in for a layer while it is compared with others: in their place, or cut by the swipe."""
