"""Does recovery bring detail back, and noise never?"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import fft, ndimage

from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.events import SliceDone, finish
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.noise.detail import recover
from napari_autostructn2v.noise.recovery import Recovery
from napari_autostructn2v.noise.recovery_measurement import find_recovery
from napari_autostructn2v.pipeline import denoise
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import sample

SHAPE = (8, 160, 160)


def blurred(made, sigma=1.2):
    """What a network does to an image at its worst: the noise is gone, and the fine detail with it."""
    return ndimage.gaussian_filter(made.clean, (0, sigma, sigma))


@pytest.mark.parametrize(("family", "median"), [("white", 1.5), ("scan_lines", 0.6), ("streaks_30", 0.6)])
def test_lost_detail_comes_back(family, median):
    """In decibels, in every stack, and more of it where noise does not look like detail."""
    gains = []
    for seed in range(4):
        made = sample(family, shape=SHAPE, seed=seed)
        denoised = blurred(made)
        detail = finish(recover(made.noisy, denoised))
        gains.append(psnr(denoised + detail, made.clean) - psnr(denoised, made.clean))
    assert min(gains) > 0.25 and np.median(gains) > median, gains


@pytest.mark.parametrize("family", ["white", "scan_lines", "reconstruction", "blur"])
def test_a_perfect_result_stays_as_it_is(family):
    """The residual is nothing but noise: hardly any of it may come back."""
    made = sample(family, shape=SHAPE)
    detail = finish(recover(made.noisy, made.clean))
    assert detail.std() < 0.1 * (made.noisy - made.clean).std()


@pytest.mark.parametrize("family", ["scan_lines", "reconstruction"])
def test_no_patch_of_structured_noise_comes_back(family):
    made = sample(family, shape=SHAPE)
    noise = made.noisy - made.clean
    detail = finish(recover(made.noisy, made.clean))
    patches = np.sqrt(ndimage.gaussian_filter(np.square(detail), (0, 6, 6)))
    assert patches.max() < 0.2 * noise.std()


def test_noise_that_follows_the_brightness_is_not_taken_for_detail():
    made = sample("white", shape=SHAPE)
    noise = np.random.default_rng(0).standard_normal(SHAPE) * (0.3 + 0.2 * np.abs(made.clean))
    detail = finish(recover(made.clean + noise, made.clean))
    assert detail.std() < 0.15 * noise.std()


@pytest.fixture
def wall():
    """A filament whose wall repeats every 3.7 pixels, a tenth of the field, in noise of twice that height."""
    y, x = np.mgrid[:192, :192]
    across = x - 0.25 * y - 60
    shape = np.exp(-0.5 * (across / 5) ** 2)
    repeat = 0.5 * shape * np.sin(2 * np.pi * (y + 0.25 * x) / 3.7)
    smooth = np.broadcast_to(3 * shape, (8, 192, 192))
    noise = np.random.default_rng(0).standard_normal(smooth.shape)
    return smooth, np.broadcast_to(repeat, smooth.shape), noise


def test_what_repeats_in_the_sample_is_brought_back_where_it_is(wall):
    smooth, repeat, noise = wall
    detail = finish(recover(smooth + repeat + noise, smooth))
    kept = (detail * repeat).sum() / np.square(repeat).sum()
    assert 0.85 < kept < 1.1, kept
    away = ndimage.distance_transform_edt(smooth[0] < 0.03)
    far, beside = detail[:, away > 24].std(), detail[:, (away > 4) & (away < 9)].std()
    assert far < 0.04 * noise.std() and beside < 1.15 * far, "no ripples of that period in the background"


def test_a_wave_of_the_background_is_no_repeat_of_the_sample(wall):
    smooth, _, noise = wall
    wave = np.sin(2 * np.pi * (np.mgrid[:192, :192] * [[[0.27]], [[0.07]]]).sum(axis=0))
    detail = finish(recover(smooth + wave + noise, smooth))
    assert np.abs((detail * wave).mean() / np.square(wave).mean()) < 0.02


def test_what_the_notch_took_does_not_come_back():
    from napari_autostructn2v.noise.analysis import analyze

    made = sample("hum", shape=SHAPE)
    rule = analyze(made.noisy).notch_rule
    denoised = blurred(made)
    detail = finish(recover(made.noisy, denoised, rule))
    assert psnr(denoised + detail, made.clean) > psnr(denoised, made.clean) + 1


def test_scale_shape_and_progress():
    made = sample("white", shape=SHAPE)
    events = []
    detail = finish(recover(made.noisy, blurred(made)), events.append)
    assert [event.done for event in events if isinstance(event, SliceDone)] == list(range(1, 9))
    scaled = finish(recover(1000 * made.noisy + 7, 1000 * blurred(made) + 7))
    np.testing.assert_allclose(scaled, 1000 * detail, atol=1)
    one = finish(recover(made.noisy[0], blurred(made)[0]))
    assert one.shape == SHAPE[1:] and one.dtype == np.float32


@pytest.mark.parametrize("shape", [(40, 40), (1, 64, 64), (2, 70, 64)])
def test_where_there_is_no_flat_part_nothing_is_brought_back_or_it_is_finite(shape):
    rng = np.random.default_rng(0)
    stack = rng.normal(size=shape)
    assert np.isfinite(finish(recover(stack, np.zeros(shape)))).all()
    assert np.isfinite(finish(recover(stack, stack))).all()


def test_all_flat_means_nothing_to_recover():
    stack = as_stack(np.random.default_rng(0).normal(size=(63, 63)))
    assert find_recovery(stack, as_stack(np.zeros((63, 63)), like=stack)) is None


def test_the_share_is_a_setting():
    tiny = TrainingConfig(steps=20, features=8, batch_size=4, validation_interval=10)
    made = sample("white", shape=(4, 128, 128))
    whole, half, none = (
        denoise(made.noisy, config=Config(stage1=tiny, stage2=tiny, recovery=share)).denoised
        for share in (1.0, 0.5, 0.0)
    )
    assert not np.array_equal(whole, none)
    np.testing.assert_allclose(half, (whole + none) / 2, atol=1e-5)


def test_each_filter_of_a_large_slice_is_computed_once(monkeypatch):
    """Tiles at the border have other sizes than those inside, and come again in each slice."""
    monkeypatch.setattr("napari_autostructn2v.noise.recovery.SIDE", 64)
    found = Recovery(np.pad(np.ones((1, 1)), 3), (1.0,) * 4)
    residual = np.random.default_rng(0).normal(size=(200, 330)).astype(np.float32)
    expected = found.detail(residual, residual)
    transforms, transform = [], fft.rfft2
    monkeypatch.setattr(
        "napari_autostructn2v.noise.recovery.fft.rfft2",
        lambda *args: transforms.append(1) or transform(*args),
    )
    np.testing.assert_array_equal(found.detail(residual, residual), expected)
    assert len(transforms) == len(list(found.tiles(residual.shape))), "those of the residual alone"


def test_two_threads_look_at_slices_of_two_sizes():
    """The second comes just when the first has put its filter where both keep them."""

    class Interrupted(dict):
        def __setitem__(self, shape, response):
            super().__setitem__(shape, response)
            if len(shapes) > 1:
                with ThreadPoolExecutor(1) as other:
                    made.append(other.submit(found._response, shapes.pop(), "gain").result())

    found = Recovery(np.pad(np.ones((1, 1)), 3), (1.0,) * 4)
    object.__setattr__(found, "_responses", Interrupted())
    shapes, made = [(64, 64), (80, 96)], []
    made.append(found._response(shapes[0], "gain"))
    assert [response.shape for response in made] == [(80, 49), (64, 33)]
