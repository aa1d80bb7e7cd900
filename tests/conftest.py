"""What every test gets: settings of its own, few threads, a window with hands, stacks to work on."""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# All of this is read when napari, qtpy and torch are first imported, by this process or by one a test starts.
_settings = tempfile.TemporaryDirectory(prefix="napari-settings-")
atexit.register(_settings.cleanup)
os.environ["NAPARI_CONFIG"] = str(Path(_settings.name) / "settings.yaml")
os.environ["XDG_STATE_HOME"] = _settings.name  # where the log goes
os.environ["XDG_DATA_HOME"] = str(Path(_settings.name) / "data")  # where runs and kernels are kept
os.environ["QT_API"] = "pyside6"
os.environ["OMP_NUM_THREADS"] = str(min(2, os.cpu_count() or 1))

EM_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def em_data() -> Path:
    """Return the folder of real electron microscopy stacks, which is not part of the repository."""
    if not EM_DATA.is_dir():
        pytest.skip("the real stacks are not here")
    return EM_DATA


@pytest.fixture(scope="session")
def noisy() -> np.ndarray:
    """A tiny stack whose noise runs along the rows."""
    from napari_autostructn2v import synthetic

    return synthetic.sample("scan_lines", shape=(4, 80, 80), seed=1).noisy


@pytest.fixture
def viewer(make_napari_viewer: Any) -> Any:
    return make_napari_viewer()


@pytest.fixture
def hand(viewer: Any) -> Any:
    from hands import Hand  # which imports napari

    return Hand(viewer)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what opens a window where there is no screen: Qt would abort the whole run."""
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return
    for item in items:
        if {"qapp", "qtbot", "make_napari_viewer"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.skip(reason="needs a screen: make test brings a virtual one"))
