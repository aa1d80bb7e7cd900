"""Do the figures that need no truth agree with the truth?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from napari_autostructn2v.errors import FileError, StackError
from napari_autostructn2v.events import finish
from napari_autostructn2v.figures.comparison import Pane, round_length, write_gif, write_png
from napari_autostructn2v.figures.line_profile import line_profile
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.metrics import assess_quality, psnr
from napari_autostructn2v.synthetic import sample

SHAPE = (12, 160, 160)


@pytest.fixture(scope="module")
def made():
    return sample("scan_lines", shape=SHAPE)


def test_psnr_is_what_its_name_says():
    """Noise of a hundredth of the range, which the image does not hold: 40 dB."""
    truth = np.tile([0.0, 1.0], 50_000)
    noise = np.tile([1.0, 1.0, -1.0, -1.0], 25_000)  # no part of it is an offset or goes along with the truth
    assert psnr(truth + 0.01 * noise, truth) == pytest.approx(40, abs=0.01)


def test_psnr_is_the_least_that_any_gain_and_offset_leave(made):
    """By its definition: the best of all affine images, found by least squares and not by its formula."""
    image, truth = made.noisy[:3].astype(float), made.clean[:3].astype(float)
    columns = np.stack([image.ravel(), np.ones(image.size)], axis=1)
    fitted, *_ = np.linalg.lstsq(columns, truth.ravel(), rcond=None)
    error = np.mean(np.square(columns @ fitted - truth.ravel()))
    expected = 10 * np.log10((truth.max() - truth.min()) ** 2 / error)
    assert psnr(image, truth) == pytest.approx(expected, abs=1e-6)
    for gain, offset in ((5.0, 300.0), (1e-3, -2.0), (-1.0, 0.0)):
        assert psnr(gain * image + offset, truth) == pytest.approx(expected, abs=1e-6)
        assert psnr(image, abs(gain) * truth + offset) == pytest.approx(expected, abs=1e-6)


def test_psnr_grows_by_six_decibels_when_noise_is_halved(made):
    noise = made.noisy - made.clean
    noise = noise - noise.mean()
    loud, soft = (psnr(made.clean + share * noise, made.clean) for share in (0.02, 0.01))
    assert soft - loud == pytest.approx(20 * np.log10(2), abs=0.01)


@pytest.mark.parametrize(("left", "median", "below", "above"), [(0.4, 0.5, 1.8, 0.6), (0.2, 1.5, 5, 1.5)])
def test_how_much_weaker_the_structure_is(left, median, below, above):
    """What is left of the noise is known: 8 dB are told to half a decibel, 14 dB sooner as less than more."""
    errors = []
    for seed in range(6):
        made = sample("scan_lines", shape=SHAPE, seed=seed)
        found = finish(assess_quality(made.noisy, made.clean + left * (made.noisy - made.clean)))
        errors.append(found.structured_db + 20 * np.log10(left))
    assert abs(np.median(errors)) < median, errors
    assert -below < min(errors) and max(errors) < above, errors


def test_a_good_result(made):
    good = made.clean + 0.2 * (made.noisy - made.clean)
    found = finish(assess_quality(made.noisy, good))
    assert "31 dB weaker (1,300 times less power)" in replace(found, structured_db=31.1).sentences[0]
    assert not found.holds_image and found.leaked < 0.01
    assert found.far_share < 0.1
    assert "weaker" in found.sentences[0] and "No image structure" in found.sentences[1]


@pytest.mark.parametrize("sigma", [1.2, 3])
def test_oversmoothing_is_seen_in_what_was_removed(made, sigma):
    blurred = ndimage.gaussian_filter(made.clean, (0, sigma, sigma))
    found = finish(assess_quality(made.noisy, blurred))
    truth = np.var(made.clean - blurred) / np.var(made.noisy - blurred)
    assert found.holds_image and "some of the image" in found.sentences[1]
    assert 0.2 * truth < found.leaked < truth, "a careful estimate"


def test_what_only_white_noise_was_taken_from_keeps_its_structure(made):
    white = 0.3 * np.random.default_rng(0).standard_normal(SHAPE)
    found = finish(assess_quality(made.noisy, made.noisy - white))
    assert abs(found.structured_db) < 0.5 and "as strong as before" in found.sentences[0]


def test_raw_stack_and_other_shape_are_refused(made):
    with pytest.raises(StackError, match="nothing was removed"):
        finish(assess_quality(made.noisy, made.noisy))
    with pytest.raises(StackError, match="same shape"):
        finish(assess_quality(made.noisy, made.noisy[:3]))


def test_no_structure_is_said():
    white = sample("white", shape=SHAPE)
    assert finish(assess_quality(white.noisy, white.clean)).structured_db is None


def test_line_profile():
    plane = np.arange(30.0)[None] + np.zeros((20, 1))
    distance, values = line_profile(plane, (5, 3), (5, 13), (2.0, 1.5))
    np.testing.assert_allclose(values, np.arange(3, 14))
    assert distance[-1] == pytest.approx(15)
    assert np.isnan(line_profile(plane, (5, 20), (5, 40))[1][-1])


@pytest.mark.parametrize(("longest", "length"), [(7.0, 5), (2.0, 2), (0.15, 0.1), (999, 500)])
def test_length_of_the_scale_bar(longest, length):
    assert round_length(longest) == pytest.approx(length)


def test_pictures_of_a_comparison(made, tmp_path: Path):
    panes = [Pane("noisy", made.noisy, (-3, 3)), Pane("clean", made.clean, (-3, 3))]
    with Image.open(write_png(tmp_path / "a.png", panes, 4)) as plain:
        assert plain.size == (2 * 480 + 6, 480 + 26)
        grey = np.asarray(plain)[26 + 1 :: 3, 1:480:3]
        np.testing.assert_allclose(grey, 255 * np.clip((made.noisy[4] + 3) / 6, 0, 1), atol=2)
        with Image.open(write_png(tmp_path / "b.png", panes, 4, VoxelSize(1, 1, 1))) as barred:
            differs = np.argwhere(np.asarray(barred) != np.asarray(plain))
        assert differs[:, 0].min() > 440 and differs[:, 1].max() < 480, "a bar in the corner, only there"
        part = write_png(tmp_path / "c.png", panes, 4, field=(slice(10, 50), slice(20, 110)))
        with Image.open(part) as cut:
            assert cut.size == (2 * 360 + 6, 160 + 26)
            grey = np.asarray(cut)[26 + 2 :: 4, 2:360:4]
            seen = made.noisy[4, 10:50, 20:110]
            np.testing.assert_allclose(grey, 255 * np.clip((seen + 3) / 6, 0, 1), atol=2)
    with Image.open(finish(write_gif(tmp_path / "a.gif", panes))) as film:
        assert film.n_frames == SHAPE[0]
    with pytest.raises(FileError):
        write_png(tmp_path / "a.png", panes, 4)
    with pytest.raises(StackError, match="same shape"):
        write_png(tmp_path / "d.png", [panes[0], Pane("x", made.noisy[:2], (0, 1))], 0)
