"""What a network draws too strongly is taken back, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy import fft, ndimage

from napari_autostructn2v.config import Config
from napari_autostructn2v.events import finish
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.learning.training import train
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.noise import recovery_measurement
from napari_autostructn2v.noise.detail import recover
from napari_autostructn2v.noise.recovery_measurement import find_recovery
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import sample

SHAPE = (8, 192, 192)


@pytest.fixture(scope="module")
def made():
    return sample("white", shape=SHAPE)


def banded(stack, gain, low, high):
    """Slices with the frequencies between two radii changed by a factor."""
    radius = np.hypot(*np.meshgrid(*(fft.fftfreq(n) for n in stack.shape[1:]), indexing="ij"))
    factor = np.where((radius > low) & (radius < high), gain, 1)
    return fft.ifft2(fft.fft2(stack) * factor).real.astype(np.float32)


def outlines(original, denoised):
    """How much what was removed goes along with the edges of the result."""
    edges = np.stack([ndimage.laplace(ndimage.gaussian_filter(plane, 1)) for plane in denoised])
    return np.corrcoef((original - denoised).ravel(), edges.ravel())[0, 1]


def shares(stack, denoised):
    """The share that is too much by frequency along X, in steps of 1 / T cycles per pixel."""
    found = find_recovery(as_stack(stack), as_stack(denoised, like=as_stack(stack)))
    if found.overdrawn is None:
        return np.zeros(len(found.gain) // 2)
    return fft.fft2(fft.ifftshift(found.overdrawn)).real[0, : len(found.gain) // 2]


def test_a_band_that_is_too_strong_is_found_and_taken_back(made):
    sharpened = banded(made.clean, 1.25, 0.1, 0.2)
    share = shares(made.noisy, sharpened)
    frequency = np.arange(len(share)) / (2 * len(share) + 1)
    assert share[(frequency > 0.12) & (frequency < 0.18)] == pytest.approx(1 - 1 / 1.25, abs=0.04)
    assert share[frequency < 0.07].max() < 0.02
    corrected = sharpened + finish(recover(made.noisy, sharpened))
    assert psnr(corrected, made.clean) > psnr(sharpened, made.clean) + 3
    assert abs(outlines(made.noisy, corrected)) < 0.3 * outlines(made.noisy, sharpened)


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_what_is_true_or_too_weak_is_left_alone(made, scale):
    weak = banded(made.clean, 0.7, 0.1, 0.2)
    for result in (made.clean, weak, made.clean + 0.5 * (made.noisy - made.clean)):
        found = shares(scale * made.noisy.astype(np.float64), scale * result.astype(np.float64))
        assert found.max() < 0.02


def test_brightness_stays(made):
    sharpened = banded(made.clean, 1.25, 0.1, 0.2) + 50
    detail = finish(recover(made.noisy + 50, sharpened))
    assert abs(detail.mean()) < 1e-3


def test_no_outlines_are_left_in_what_was_removed(em_data, monkeypatch):
    raw = tifffile.imread(em_data / "sstem_30x256x256_u8.tif")[:8].astype(np.float32)
    model = finish(train(raw, POINT, Config.from_preset("fast").stage1))
    predicted = finish(predict(raw, model))
    corrected = predicted + finish(recover(raw, predicted))
    monkeypatch.setattr(recovery_measurement, "overdrawn", lambda *sums: None)
    before = predicted + finish(recover(raw, predicted))
    assert outlines(raw, before) > 0.08
    assert abs(outlines(raw, corrected)) < 0.07
