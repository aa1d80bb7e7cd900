"""How long a person waits: after an edit, while a network trains, and for the window at the start."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from speed_engine import Row

from napari_autostructn2v import synthetic
from napari_autostructn2v.config import MAX_TILE, AnalysisConfig
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.kernel import mirrored
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.peak_list import list_peaks

TESTS = Path(__file__).resolve().parents[1] / "tests" / "_napari"
SHAPE = (4, 512, 512)
TILES = (63, 255, MAX_TILE)


def latency(quick: bool, peers: Path | None) -> Iterator[Row]:
    """Edits one after another, each of another bin: the engine alone, then strokes in a real window."""
    edits, shape = (2, (4, 128, 128)) if quick else (50, SHAPE)
    noisy = synthetic.sample("lines_and_hum", shape=shape).noisy
    for size in TILES[: 1 if quick else None]:
        analysis = analyze(noisy, config=AnalysisConfig(tile_size=size))
        rng = np.random.default_rng(0)
        seconds, listing = [], []
        peaks = analysis.peaks
        for y, x in rng.integers(2, size - 2, (edits, 2)):
            edited = peaks.copy()
            edited[y, x] ^= True
            started = time.perf_counter()
            made = analysis.with_peaks(edited)
            _ = made.kernel, made.verdict
            seconds.append(time.perf_counter() - started)
        yield _waits("analysis", size, seconds)
        many = np.zeros_like(peaks)
        many[::3, ::3] = True
        many |= mirrored(many)
        for _ in range(edits):
            started = time.perf_counter()
            list_peaks(analysis, many, VoxelSize(1, 1, 1, "nm"))
            listing.append(time.perf_counter() - started)
        yield _waits("list of peaks, a ninth of all bins", size, listing)
    if screen():
        tile_size = AnalysisConfig().tile_size
        strokes, drawings = edits_in_a_window(noisy, tile_size, edits)
        yield _waits("window, stroke to kernel layer", tile_size, strokes)
        yield _waits("window, kernel drawn to its numbers", tile_size, drawings)


def edits_in_a_window(noisy: np.ndarray, tile_size: int, edits: int) -> tuple[list[float], list[float]]:
    """Paint peaks in a napari viewer, then draw kernels with its tools.

    Returns
    -------
    tuple of list of float
        Seconds from each first touch to the kernel layer, drawn; from each click on the tool until its
        numbers are there.
    """
    with window(noisy) as (hand, dock):
        from napari_autostructn2v._napari.canvas.layer_names import KERNEL, PEAKS
        from napari_autostructn2v._napari.session.state import Phase

        dock.data.steps.value = 2
        hand.click(dock.stage1.run)
        hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.messages.error, 600)
        hand.click(dock.review.to_spectrum)
        hand.wait(hand.noise_rests)
        peaks, kernel = (dock.workspace.review.labels(key) for key in (PEAKS, KERNEL))
        touched: list[float] = []
        peaks.events.labels_update.connect(lambda: touched.append(time.perf_counter()))
        strokes, drawings = [], []
        for y, x in np.random.default_rng(0).integers(4, tile_size - 4, (edits, 2)):
            before = dock.session.review
            touched.clear()
            hand.stroke(peaks, (int(y), int(x)))
            hand.wait(lambda: np.array_equal(kernel.data > 0, dock.session.review.kernel_grid))
            if dock.session.review is not before:  # a bin that is a peak already is no edit
                strokes.append(time.perf_counter() - touched[0])
        hand.click(dock.review.to_kernel)
        hand.wait(hand.noise_rests)
        tools = dock.kernel
        tools.shape.value = "box"
        for number in range(edits):
            side = 3 + 2 * (number % 6)
            tools.rows.setValue(side)
            tools.columns.setValue(side)
            started = time.perf_counter()
            hand.click(tools.draw)
            drawings.append(time.perf_counter() - started)
    return strokes, drawings


def answers(quick: bool, peers: Path | None) -> Iterator[Row]:
    """How late the window is for a timer while a network trains, and how soon a click ends the training."""
    if not screen():
        return
    from qtpy.QtTest import QTest

    noisy = synthetic.sample("scan_lines", shape=(4, 64, 64) if quick else (8, 256, 256)).noisy
    with window(noisy) as (hand, dock):
        from hands import threads_at_work

        late, cancelled = [], []
        for _ in range(1 if quick else 7):
            dock.data.steps.value = 100_000
            hand.click(dock.stage1.run)
            hand.wait(
                lambda: dock.session.monitor.progress is not None and dock.session.monitor.progress.done > 1,
                600,
            )
            for _ in range(10 if quick else 200):
                asked = time.perf_counter()
                QTest.qWait(5)
                late.append(time.perf_counter() - asked - 0.005)
            started = time.perf_counter()
            hand.click(dock.stage1.cancel)
            hand.wait(lambda: not threads_at_work(), 600)
            cancelled.append(time.perf_counter() - started)
    yield _answered("late for a timer while a network trains", late)
    yield _answered("from a click on cancel until the thread has ended", cancelled)
    for what, seconds in handovers(noisy, 1 if quick else 7):
        yield _answered(what, seconds)


def handovers(noisy: np.ndarray, rounds: int) -> Iterator[tuple[str, list[float]]]:
    """The longest time that the window stands still, from a click until what it asked for is there.

    Yields
    ------
    tuple of str and list of float
        What was clicked on, and the seconds of each round, each in a new window.
    """
    from qtpy.QtWidgets import QApplication

    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        with window(noisy) as (hand, dock):
            from napari_autostructn2v._napari.session.state import Phase

            session = dock.session
            dock.data.steps.value = 2
            ways = {
                "window still, from run stage 1 to the review": (
                    dock.stage1.run, lambda session=session: session.phase is Phase.REVIEW
                ),
                "window still, from approve to the result": (
                    dock.review.approve, lambda session=session: session.phase is Phase.RESULT
                ),
                "window still, from noise to its canvas": (dock.strip.noise, hand.noise_rests),
            }  # fmt: skip
            for what, (button, there) in ways.items():
                hand.click(button)
                longest, rest = 0.0, time.perf_counter() + 1.0
                while not there() or time.perf_counter() < rest:
                    began = time.perf_counter()
                    QApplication.processEvents()
                    longest = max(longest, time.perf_counter() - began)
                    time.sleep(0.002)
                    assert not session.messages.error, session.messages.error
                    if not there():
                        rest = time.perf_counter() + 0.5
                found.setdefault(what, []).append(longest)
    yield from found.items()


@contextmanager
def window(noisy: np.ndarray) -> Iterator[tuple[Any, Any]]:
    """A napari viewer with a stack and the main dock, and hands for it."""
    import napari

    sys.path.insert(0, str(TESTS))
    from hands import Hand, open_dock

    viewer: Any = napari.Viewer()
    viewer.add_image(noisy, name="noisy")
    yield Hand(viewer), open_dock(viewer, 2)
    viewer.close()


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


def _answered(what: str, seconds: list[float]) -> Row:
    return {
        "what": what,
        "times": str(len(seconds)),
        "median, ms": 1000 * float(np.median(seconds)),
        "99 %, ms": 1000 * float(np.percentile(seconds, 99)),
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
    rounds = 1 if quick else 7
    commands = {
        "Python alone": ["-c", "pass"],
        "import": ["-c", "import sys, napari_autostructn2v; assert 'torch' not in sys.modules"],
        "autostructn2v --help": ["-c", "from napari_autostructn2v.cli import main; main()", "--help"],
    }
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
