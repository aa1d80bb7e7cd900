"""What the GUI tests share: a window, hands, a tiny stack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hands import Hand

from napari_autostructn2v import synthetic

SHAPE = (4, 80, 80)


@pytest.fixture(scope="session")
def noisy() -> np.ndarray:
    """A tiny stack whose noise runs along the rows."""
    return synthetic.sample("scan_lines", shape=SHAPE, seed=1).noisy


@pytest.fixture
def viewer(make_napari_viewer: Any) -> Any:
    return make_napari_viewer()


@pytest.fixture
def hand(viewer: Any) -> Hand:
    return Hand(viewer)
