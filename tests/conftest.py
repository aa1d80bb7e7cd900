"""What every test gets: settings of its own, few threads, a window with hands, stacks to work on."""

from __future__ import annotations

import atexit
import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
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
# as many as there are cores, at most two: those of workers side by side would be in each other's way
_side_by_side = "PYTEST_XDIST_WORKER" in os.environ
os.environ["OMP_NUM_THREADS"] = "1" if _side_by_side else str(min(2, os.cpu_count() or 1))

EM_DATA = Path(__file__).parents[2] / "shared" / "data"
NO_EM_DATA = f"the real stacks are no part of the repository and not in {EM_DATA}"


WINDOWS = {"qapp", "qtbot", "make_napari_viewer"}
"""Fixtures of the tests that open windows."""

SMALL = {"features": 8, "batch_size": 4, "patch_size": 32, "validation_patches": 8}
"""A network that is trained within milliseconds a step. What is asked of a window is the same with it."""


@pytest.fixture(scope="session")
def em_data() -> Path:
    """Return the folder of real electron microscopy stacks, which is not part of the repository."""
    if not EM_DATA.is_dir():
        pytest.skip(NO_EM_DATA)
    return EM_DATA


@pytest.fixture(scope="session")
def noisy() -> np.ndarray:
    """A tiny stack whose noise runs along the rows."""
    from napari_autostructn2v import synthetic

    return synthetic.sample("scan_lines", shape=(4, 80, 80), seed=1).noisy


@pytest.fixture(autouse=True)
def _no_widget_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves windows behind: they would be in the way of those after it."""
    if not WINDOWS & set(request.fixturenames):
        yield
        return
    # set up first, so that it looks when the viewers have been closed
    from hands import Hand, live, threads_at_work
    from qtpy.QtWidgets import QApplication

    def windows() -> set[Any]:
        return {widget for widget in QApplication.topLevelWidgets() if widget.parent() is None}

    before = windows()
    yield
    Hand(None).wait(lambda: not threads_at_work())  # until then they hold on to their dock
    live()
    if windows() - before:
        gc.collect()  # of circles that only Python has not noticed yet
        live()
    left = windows() - before
    assert not left, f"left behind: {', '.join(map(repr, left))}"


@pytest.fixture(scope="session")
def _manifests() -> list[Any]:
    """What napari would otherwise read anew from the installed packages for every viewer."""
    from npe2 import PluginManifest

    return list(PluginManifest.discover())


@pytest.fixture(autouse=True)
def _quick_windows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let windows open fast, and train networks that are as small as they may be."""
    if not WINDOWS & set(request.fixturenames):
        return
    from npe2 import PluginManifest

    from napari_autostructn2v.config import Config

    _keep_out_of_collections()

    manifests, as_shipped = request.getfixturevalue("_manifests"), Config.from_preset

    def small(preset: Any) -> Config:
        training = as_shipped(preset).stage1.model_copy(update=SMALL)
        return Config(stage1=training, stage2=training)

    monkeypatch.setattr(Config, "from_preset", small)
    monkeypatch.setattr(PluginManifest, "discover", lambda paths=(): iter(manifests))


@pytest.fixture
def viewer(make_napari_viewer: Any) -> Any:
    return make_napari_viewer()


@pytest.fixture
def hand(viewer: Any) -> Any:
    from hands import Hand  # which imports napari

    return Hand(viewer)


def pytest_collection_finish() -> None:
    """What is loaded by now stays."""
    _keep_out_of_collections()


def _keep_out_of_collections() -> None:
    """Spare later garbage collections what is there by now: napari has one whenever a layer goes."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what opens a window where there is no screen: Qt would abort the whole run."""
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return
    for item in items:
        if WINDOWS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.skip(reason="needs a screen: make test brings a virtual one"))


# --------------------------------------------------------------------------- several workers (pytest -n)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a worker a screen of its own: on a common one windows would take the focus from each other."""
    if sys.platform != "linux":
        return
    read, write = os.pipe()
    screen = ["-screen", "0", "1400x900x24", "-nolisten", "tcp", "-displayfd", str(write)]
    node.screen = subprocess.Popen(["Xvfb", *screen], pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as answer:
        node.workerinput["display"] = f":{answer.readline().strip()}"


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    screen = getattr(node, "screen", None)
    if screen is not None:
        screen.terminate()
        screen.wait()


def pytest_configure(config: pytest.Config) -> None:
    display = getattr(config, "workerinput", {}).get("display")
    if display is not None:
        os.environ |= {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many tests had no real data."""
    skipped = sum(NO_EM_DATA in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    if skipped:
        terminalreporter.write_line(f"{skipped} tests did not run: {NO_EM_DATA}.", yellow=True)
