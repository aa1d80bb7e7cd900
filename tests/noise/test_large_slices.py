"""Do large slices take bounded memory and time, and is what is found in them the same?"""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
from scipy import ndimage

from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.events import finish
from napari_autostructn2v.metrics import assess_quality
from napari_autostructn2v.noise import tiles
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.patterns import notched, pattern_of
from napari_autostructn2v.noise.recovery_measurement import find_recovery
from napari_autostructn2v.noise.spectrum import background_spectrum, find_peaks
from napari_autostructn2v.noise.tiles import ENOUGH_TILES, choose_tiles
from napari_autostructn2v.stack import Stack, as_stack
from napari_autostructn2v.synthetic import sample

SIDE = 1536

MOST = 36 * SIDE**2 + 50 * 2**20
"""Bytes: nine slices in float32, and the tiles, which are no more in larger slices."""

MEASURED = """
import sys
import numpy as np
from napari_autostructn2v.noise import tiles
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.events import finish
from napari_autostructn2v.metrics import assess_quality
from napari_autostructn2v.stack import Stack

side = int(sys.argv[1])

class Hum:
    shape, dtype = (4, side, side), np.dtype(np.float32)

    def __init__(self, noise):
        self.noise = noise

    def __getitem__(self, z):
        rng = np.random.default_rng(z)
        plane = rng.random(self.shape[1:], dtype=np.float32)
        plane *= 3 * self.noise
        at, phase = 2j * np.pi * np.arange(side), 1j * z * z
        y, x = (np.exp(f * at + phase).astype(np.complex64) for f in (0.13, 0.07))
        plane += y.real[:, None] * x.real
        plane -= y.imag[:, None] * x.imag
        return plane

def highest():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024

raw, made = Stack(Hum(1.0)), Stack(Hum(0.2))
np.ones((64, 64), np.float32) @ np.ones((64, 64), np.float32)
before = highest()
tiles.ENOUGH_TILES = 1000  # they would take the most time
analysis = analyze(raw, made, config=AnalysisConfig(notch="all"))
assert analysis.notch
finish(assess_quality(raw, made, analysis))
print(highest() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the highest use of memory")
def test_an_analysis_and_its_figures_hold_little_more_than_a_few_slices():
    # what is freed goes back at once: what is held is measured
    surroundings = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", MEASURED, str(SIDE)]
    told = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=600)
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) < MOST


@pytest.mark.parametrize("at_once", [1, 7, 10**6])
def test_how_many_tiles_are_transformed_at_once_changes_nothing(at_once, monkeypatch):
    made = sample("scan_lines", shape=(4, 160, 160))
    smooth = ndimage.gaussian_filter(made.clean, (0, 1, 1))

    def measured():
        analysis = analyze(made.noisy, smooth)
        recovery = find_recovery(as_stack(made.noisy), as_stack(smooth))
        return analysis, finish(assess_quality(made.noisy, smooth, analysis)), recovery

    expected = measured()
    monkeypatch.setattr(tiles, "TILES_AT_ONCE", at_once)
    found = measured()
    np.testing.assert_array_equal(found[0].kernel, expected[0].kernel)
    np.testing.assert_array_equal(found[0].peaks, expected[0].peaks)
    for field in ("log_power", "regional_error", "power", "cross_power", "coherence"):
        of_both = (getattr(one[0].measured.background, field) for one in (found, expected))
        np.testing.assert_allclose(*of_both, rtol=1e-9, atol=1e-12)
    assert found[1].added.share == pytest.approx(expected[1].added.share, rel=1e-5)
    for field in fields(found[1]):
        if field.name != "added":
            of_both = (getattr(one[1], field.name) for one in (found, expected))
            np.testing.assert_allclose(*of_both, rtol=1e-5)
    np.testing.assert_allclose(found[2].calm, expected[2].calm, rtol=1e-5)


def test_each_slice_is_read_once_for_a_spectrum():
    """Though it is a slice of its own and one beside two others: it may have to be computed."""
    noisy = sample("white", shape=(6, 96, 96)).noisy
    read = Counter()

    class Counting:
        shape, dtype = noisy.shape, noisy.dtype

        def __getitem__(self, z):
            read[z] += 1
            return noisy[z]

    tiles = choose_tiles(as_stack(noisy), None, AnalysisConfig())
    stack = Stack(Counting())
    stack.plane(0)  # for whose scale and level some are read as well
    assert all(stack.unmeasured(z) is None for z in range(6))
    read.clear()
    background_spectrum(stack, tiles)
    assert read == Counter(range(6))


LARGE = np.broadcast_to(
    np.random.default_rng(0).normal(size=(1200, 1200)).astype(np.float32), (16, 1200, 1200)
)


def test_of_large_slices_no_more_than_enough_tiles_are_looked_at():
    stack = as_stack(LARGE)
    config = AnalysisConfig(flat_share=1)
    tiles = choose_tiles(stack, None, config)
    assert ENOUGH_TILES / 1.5 < len(tiles.corners) < 1.5 * ENOUGH_TILES
    corners = np.array(tiles.corners)
    assert set(corners[:, 0]) == set(range(16))
    for axis in (1, 2):
        assert (corners[:, axis].min(), corners[:, axis].max()) == (0, 1200 - tiles.side), (
            "all over the field"
        )
    outlined = choose_tiles(stack, None, config, np.ones((1200, 1200), dtype=bool))
    assert outlined.corners == tiles.corners


def test_a_small_background_in_a_large_slice_has_all_its_tiles():
    stack = as_stack(LARGE)
    region = np.zeros((1200, 1200), dtype=bool)
    region[500:640, 300:440] = True
    tiles = choose_tiles(stack, None, AnalysisConfig(), region)
    assert tiles.side == AnalysisConfig().tile_size and len(tiles.corners) >= 4 * 16


@pytest.mark.parametrize("family", ["scan_lines", "white"])
def test_tiles_far_apart_tell_the_same(family, monkeypatch):
    noisy = sample(family, shape=(16, 256, 256)).noisy
    overlapping = analyze(noisy)
    monkeypatch.setattr(tiles, "ENOUGH_TILES", 400)
    apart = analyze(noisy)
    assert apart.measured.background.tiles < overlapping.measured.background.tiles
    np.testing.assert_array_equal(apart.kernel, overlapping.kernel)
    assert apart.verdict.kind == overlapping.verdict.kind
    mirrored = analyze(np.flip(noisy, 2))
    np.testing.assert_array_equal(mirrored.kernel, np.flip(apart.kernel, 1))
    assert find_peaks(apart.measured.background, AnalysisConfig()).any() == (family == "scan_lines")


def test_a_slice_is_its_pattern_and_what_is_left():
    noisy = sample("hum", shape=(12, 160, 160)).noisy
    notch = analyze(noisy).notch
    taken, left = (kind(as_stack(noisy), notch).array[3] for kind in (pattern_of, notched))
    assert taken.dtype == left.dtype == np.float32 and taken.std() > 0.1
    np.testing.assert_allclose(taken + left, noisy[3], atol=1e-5)
