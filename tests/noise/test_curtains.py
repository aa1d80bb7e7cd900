"""Are stripes that start and end anywhere taken away, and nothing from images without them?"""

import numpy as np
import pytest
import tifffile

from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.notch import find_notch
from napari_autostructn2v.noise.patterns import notched
from napari_autostructn2v.noise.review import Review
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import NOISE_FAMILIES, crystal, degraded, layers, sample, tomogram
from napari_autostructn2v.synthetic.long_range import Curtains

SHAPE = (4, 192, 192)


def power_left(stack, stripes):
    """Power of the error of what was taken, in that of the stripes; brightness as a whole does not count."""
    array = notched(as_stack(stack), analyze(stack).notch).array
    errors, powers = [], []
    for z, of_slice in enumerate(stripes):
        wrong = (stack[z] - array[z]) - of_slice
        errors.append(wrong.var())
        powers.append(of_slice.var())
    return float(np.sum(errors) / np.sum(powers))


@pytest.mark.parametrize("strength", [0.5, 1.5, 3.0])
def test_curtains_go_whatever_their_brightness(strength):
    rng = np.random.default_rng(2)
    clean = tomogram(SHAPE, rng)
    stripes = strength * Curtains().draw(SHAPE, rng)
    stack = (clean + stripes + 0.3 * rng.standard_normal(SHAPE)).astype(np.float32)
    assert power_left(stack, stripes) < {0.5: 0.4, 1.5: 0.12, 3.0: 0.08}[strength]


def test_curtains_that_shade_the_image_go_as_well():
    """A curtain takes a share of the light: in a bright place it is deeper."""
    rng = np.random.default_rng(3)
    bright = 6 + tomogram(SHAPE, rng)
    shade = np.clip(0.15 * Curtains().draw(SHAPE, rng), -0.8, 0.8)
    stack = (bright * (1 + shade) + 0.3 * rng.standard_normal(SHAPE)).astype(np.float32)
    assert power_left(stack, bright * shade) < 0.15


def test_along_x_as_along_y():
    made = sample("curtains", shape=SHAPE, seed=4)
    for stack, along, axis in ((made.noisy, "Y", 1), (made.noisy.transpose(0, 2, 1), "X", 0)):
        analysis = analyze(stack)
        assert [part.axis for part in analysis.notch.curtains] == [axis]
        assert f"Curtains run along {along}" in analysis.verdict.summary
        assert analysis.verdict.expect_gain and analysis.kernel.tolist() == [[True]]


def test_real_sections_and_tissue_lose_their_curtains(em_data):
    for name in ("sstem_30x256x256_u8", "fibsem_16x208x208_u8"):
        clean = tifffile.imread(em_data / f"{name}.tif")[:4]
        made = degraded(clean, "curtains", rng=np.random.default_rng(0))
        notch = analyze(made.noisy).notch
        array = notched(as_stack(made.noisy), notch).array
        before, after = psnr(made.noisy, made.clean), psnr(np.stack([array[z] for z in range(4)]), made.clean)
        assert after > before + 6, name


@pytest.mark.parametrize("family", [name for name in NOISE_FAMILIES if name != "curtains"])
def test_no_curtains_are_seen_in_other_noise(family):
    assert not find_notch(as_stack(sample(family, shape=SHAPE, seed=1).noisy)).curtains


@pytest.mark.parametrize("image", [tomogram, crystal, layers])
def test_none_are_seen_in_images(image):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        clean = image(SHAPE, rng)
        for white in (0.05, 0.5):
            noisy = clean / clean.std() + white * rng.standard_normal(SHAPE)
            assert not find_notch(as_stack(noisy.astype(np.float32))).curtains


def test_none_are_seen_in_real_recordings(em_data):
    for path in sorted(em_data.glob("*.tif")):
        assert not find_notch(as_stack(tifffile.imread(path)[:6])).curtains, path.name


def test_straight_layers_of_the_sample_stay():
    """Stripes that end in the field, and are the same in every slice."""
    rng = np.random.default_rng(5)
    same = np.repeat(Curtains().draw((1, *SHAPE[1:]), rng), 6, axis=0)
    stack = (same + 0.4 * rng.standard_normal(same.shape)).astype(np.float32)
    assert not find_notch(as_stack(stack)).curtains


def test_in_a_single_slice_strong_ones_go_and_a_lattice_stays():
    assert analyze(sample("curtains", shape=(1, 320, 320), seed=4).noisy).notch.curtains
    for seed in range(5):
        rng = np.random.default_rng(seed)
        lattice = crystal((1, *SHAPE[1:]), rng) + 0.3 * rng.standard_normal((1, *SHAPE[1:]))
        assert not find_notch(as_stack(lattice.astype(np.float32))).curtains


def test_who_erases_the_line_keeps_the_curtains():
    automatic = analyze(sample("curtains", shape=SHAPE, seed=4).noisy)
    (found,) = automatic.notch.curtains
    peaks = automatic.peaks & ~found.line(len(automatic.peaks))
    edited = automatic.with_peaks(peaks)
    assert not edited.notch.curtains and "Curtains" not in edited.verdict.summary
    assert edited.with_peaks(automatic.peaks).notch.curtains == (found,)
    assert Review(automatic).analysis.notch.curtains == (found,)


def test_the_brightness_of_the_slice_and_its_scale_do_not_matter():
    made = sample("curtains", shape=SHAPE, seed=4)
    here, there = (find_notch(as_stack(stack)) for stack in (made.noisy, 1000 - 40 * made.noisy))
    assert here.curtains == there.curtains
    pattern, turned = (
        notch.curtains[0].pattern(plane)
        for notch, plane in ((here, made.noisy[0]), (there, 1000 - 40 * made.noisy[0]))
    )
    np.testing.assert_allclose(turned, -40 * pattern, atol=0.04)
