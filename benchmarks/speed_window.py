"""How long a person waits: for the kernel after an edited peak, and for something to appear at the start."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from speed_engine import Row

from napari_autostructn2v import synthetic
from napari_autostructn2v.analysis import analyze
from napari_autostructn2v.config import MAX_TILE, AnalysisConfig

TESTS = Path(__file__).resolve().parents[1] / "tests" / "gui"
SHAPE = (4, 512, 512)
TILES = (63, 255, MAX_TILE)


def latency(quick: bool, peers: Path | None) -> Iterator[Row]:
    """Edits one after another, each of another bin: the engine alone, then strokes in a real window."""
    edits = 10 if quick else 50
    noisy = synthetic.sample("lines_and_hum", shape=SHAPE).noisy
    for size in TILES:
        analysis = analyze(noisy, config=AnalysisConfig(tile_size=size))
        rng, seconds = np.random.default_rng(0), []
        peaks = analysis.peaks
        for y, x in rng.integers(2, size - 2, (edits, 2)):
            edited = peaks.copy()
            edited[y, x] ^= True
            started = time.perf_counter()
            made = analysis.with_peaks(edited)
            _ = made.kernel, made.verdict
            seconds.append(time.perf_counter() - started)
        yield _waits("analysis", size, seconds)
    if screen():
        tile_size = AnalysisConfig().tile_size
        yield _waits("window, stroke to kernel layer", tile_size, strokes(noisy, tile_size, edits))


def strokes(noisy: np.ndarray, tile_size: int, edits: int) -> list[float]:
    """Paint peaks in a napari viewer; seconds from each first touch to the kernel layer, drawn."""
    import napari

    sys.path.insert(0, str(TESTS))
    from hands import Hand

    from napari_autostructn2v._napari.main_widget import StructuredDenoisingWidget
    from napari_autostructn2v._napari.review_layers import KERNEL, PEAKS
    from napari_autostructn2v._napari.state import Phase

    viewer: Any = napari.Viewer()
    hand = Hand(viewer)
    viewer.add_image(noisy, name="noisy")
    dock = StructuredDenoisingWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Structured denoising")
    dock.data.preset.value = "fast"
    dock.data.steps.value = 2
    hand.click(dock.stage1.run)
    hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.error, 600)
    hand.click(dock.review.to_spectrum)
    hand.wait(lambda: not dock.workspace.flight.flying)
    peaks, kernel = (dock.workspace.review.labels(key) for key in (PEAKS, KERNEL))
    touched: list[float] = []
    peaks.events.labels_update.connect(lambda: touched.append(time.perf_counter()))
    seconds = []
    for y, x in np.random.default_rng(0).integers(4, tile_size - 4, (edits, 2)):
        before = dock.session.review
        touched.clear()
        hand.stroke(peaks, (int(y), int(x)))
        hand.wait(lambda: np.array_equal(kernel.data > 0, dock.session.review.kernel_grid))
        if dock.session.review is not before:  # a bin that is a peak already is no edit
            seconds.append(time.perf_counter() - touched[0])
    viewer.close()
    return seconds


def screen() -> bool:
    """Whether a window can be opened."""
    there = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(there) and importlib.util.find_spec("napari") is not None


def _waits(what: str, tile_size: int, seconds: list[float]) -> Row:
    return {
        "what": what,
        "tile": f"{tile_size}²",
        "edits": str(len(seconds)),
        "median, ms": 1000 * float(np.median(seconds)),
        "worst, ms": 1000 * max(seconds),
    }


DOCK = """
import time
started = time.perf_counter()
import napari
viewer = napari.Viewer()
viewer.window._qt_window.repaint()
shown = time.perf_counter()
viewer.window.add_plugin_dock_widget("napari-autostructn2v", "Structured denoising")
from qtpy.QtWidgets import QApplication
QApplication.processEvents()
print(shown - started, time.perf_counter() - shown)
viewer.close()
"""


def start(quick: bool, peers: Path | None) -> Iterator[Row]:
    """Importing, the help of the command line, the dock; each against a Python that does nothing."""
    rounds = 2 if quick else 7
    commands = {
        "Python alone": ["-c", "pass"],
        "import": ["-c", "import sys, napari_autostructn2v; assert 'torch' not in sys.modules"],
        "autostructn2v --help": ["-m", "napari_autostructn2v.cli", "--help"],
    }
    if importlib.util.find_spec("napari_autostructn2v.__main__") is None:
        commands["autostructn2v --help"] = [
            "-c",
            "import sys; sys.argv[1:] = ['--help']; from napari_autostructn2v.cli import main; main()",
        ]
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, arguments in commands.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - started)
    for name, seconds in times.items():
        yield _starts(name, seconds, times["Python alone"])
    if not screen():
        return
    viewers, docks = [], []
    for _ in range(rounds):
        done = subprocess.run([sys.executable, "-c", DOCK], check=True, capture_output=True, text=True)
        viewer, dock = map(float, done.stdout.split()[-2:])
        viewers.append(viewer)
        docks.append(dock)
    yield _starts("napari's window", viewers, times["Python alone"])
    yield _starts("the dock in it", docks, times["Python alone"])


def _starts(what: str, seconds: list[float], alone: list[float]) -> Row:
    return {
        "what": what,
        "seconds": float(np.median(seconds)),
        "÷ Python alone": float(np.median(np.divide(seconds, alone))),
    }
