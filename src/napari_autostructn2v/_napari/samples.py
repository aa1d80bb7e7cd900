"""Sample data for File ▸ Open Sample: generated stacks with the kinds of noise this plugin is made for."""

from __future__ import annotations

from napari_autostructn2v import synthetic
from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.canvas.voxel_sizes import LayerData


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
