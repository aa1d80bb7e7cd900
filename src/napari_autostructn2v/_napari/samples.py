"""Sample data for File ▸ Open Sample: a real pair of scans, and generated stacks of some kinds of noise."""

from __future__ import annotations

import numpy as np

from napari_autostructn2v import synthetic
from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.canvas.voxel_sizes import LayerData
from napari_autostructn2v.recorded import two_scans as recorded_scans


def two_scans() -> list[LayerData]:
    """One scene scanned twice: denoise the first, and judge by the second."""
    file = recorded_scans()
    size = file.voxel_size
    assert size is not None
    place = {"scale": (size.y, size.x), "units": (size.unit,) * 2, "colormap": colours.IMAGE}
    first, second = np.asarray(file.array)
    return [  # what is opened first is what is denoised, unless another layer is chosen
        (first, {"name": "first scan", **place}, "image"),
        (second, {"name": "second scan", "visible": False, **place}, "image"),
    ]


def reconstruction_noise() -> list[LayerData]:
    """A tomogram with the noise of a limited-angle weighted back-projection."""
    return _layers("reconstruction", "reconstruction noise")


def scan_lines() -> list[LayerData]:
    """A tomogram with noise that drags along the rows."""
    return _layers("scan_lines", "scan lines")


def hum() -> list[LayerData]:
    """A tomogram with one oblique wave over it."""
    return _layers("hum", "hum")


def _layers(noise: str, name: str) -> list[LayerData]:
    made = synthetic.sample(noise)
    size = made.voxel_size
    meta = {"name": name, "scale": (size,) * 3, "units": ("nm",) * 3, "colormap": colours.IMAGE}
    return [(made.noisy, meta, "image")]
