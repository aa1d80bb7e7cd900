"""The one file of colours."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from napari_autostructn2v import _napari
from napari_autostructn2v._napari import colours
from napari_autostructn2v.noise.review import Mark

COLOUR = re.compile(r"""["'\s]#[0-9a-fA-F]{3,8}\b|(colou?r(map)?=|color": ?)["'(\[]""")


def test_no_other_file_of_the_window_has_a_colour_of_its_own() -> None:
    files = {path for path in Path(_napari.__file__).parent.rglob("*.py") if path.name != "colours.py"}
    assert len(files) > 50
    assert not {path.name: found[0] for path in files if (found := COLOUR.search(path.read_text()))}


def test_the_ground_shows_where_nothing_is_marked_and_any_brush_marks() -> None:
    for made, nothing, brush in (
        (colours.of_peaks(), Mark.NONE, colours.PEAK_MARKS[Mark.ADDED][:3]),
        (colours.of_kernel(), 0, colours.KERNEL[:3]),
    ):
        assert made.map(nothing)[3] == 0
        np.testing.assert_allclose(made.map(77)[:3], brush)
