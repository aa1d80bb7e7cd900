"""A real recording that comes with the package, to try and to judge with.

HAADF-STEM of a cross-grating replica, scanned twice within a second: the middle of ``test_000.mrc`` of the
test data of etspy 1.3.0 (National Institute of Standards and Technology, public domain; ``LICENSE.txt``
beside this file). Its noise is correlated along X, and grows with brightness.
"""

from __future__ import annotations

from pathlib import Path

from napari_autostructn2v.io import ImageFile, read_stack


def two_scans() -> ImageFile:
    """Both scans, int16 (2, 448, 448); pixels of 0.788 nm."""
    return read_stack(Path(__file__).with_name("two_scans.ome.tif"))
