"""Is a hum told from a lattice of the sample? A lattice that is taken away is worse than a hum that stays."""

import json

import numpy as np
import pytest
import tifffile

from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.noise import patterns
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.harmony import lattice_spots
from napari_autostructn2v.noise.notch import NotchDescription
from napari_autostructn2v.noise.waves import find_waves
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import atoms, crystal, layers, tomogram

ONE, STACK = (1, 256, 256), (8, 160, 160)
FINE = (-0.29, 0.28)
"""A wave of 2.5 px, along 46 degrees."""
HAADF = VoxelSize(0.0075, 0.0075, 0.0075, "nm")
"""Of which 2.5 px are 0.019 nm, as no optics pass."""


def wave(shape, frequency, strength, locked=True):
    """The same in all slices, or at another phase in each."""
    rng = np.random.default_rng(5)
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij", sparse=True)
    phase = 0 if locked else rng.uniform(0, 2 * np.pi, shape[0])[z]
    return strength * np.sqrt(2) * np.sin(2 * np.pi * (frequency[0] * y + frequency[1] * x) + phase)


def white(shape, seed, strength=0.5):
    return strength * np.random.default_rng(100 + seed).standard_normal(shape)


def taken(stack):
    waves = find_waves(as_stack(stack.astype(np.float32)), list(range(len(stack))))
    return patterns.Notch(waves=waves).without_lattices().waves


def two_crystals(shape, rng):
    return atoms(shape, rng) + 0.7 * atoms(shape, rng)


def grains(shape, rng):
    """Three crystals beside one another."""
    place = np.arange(shape[2]) * 3 // shape[2]
    return sum(atoms(shape, rng) * (place == n) for n in range(3))


def fringes_over_atoms(shape, rng):
    """A crystal, and the one visible set of planes of another that lies over it."""
    turn, finer = rng.uniform(0, np.pi), rng.uniform(0.12, 0.24)
    return atoms(shape, rng) + wave(shape, (finer * np.sin(turn), finer * np.cos(turn)), 0.6)


def restless_atoms(shape, rng):
    """A crystal that jumps from one slice to the next, as in a time series."""
    return atoms(shape, rng, moves=12)


@pytest.mark.parametrize("shape", [ONE, STACK], ids=["one slice", "stack"])
@pytest.mark.parametrize(
    "sample",
    [atoms, restless_atoms, two_crystals, grains, fringes_over_atoms, crystal, layers, tomogram],
    ids=lambda sample: sample.__name__,
)
def test_nothing_of_a_sample_is_taken(sample, shape):
    for seed in range(6):
        stack = sample(shape, np.random.default_rng(seed)) + white(shape, seed)
        assert not taken(stack), (sample.__name__, seed)


@pytest.mark.parametrize("shape", [ONE, STACK], ids=["one slice", "stack"])
def test_a_hum_over_a_lattice_is_taken_and_the_lattice_stays(shape):
    for seed in range(3):
        clean = atoms(shape, np.random.default_rng(seed))
        noisy = clean + white(shape, seed) + wave(shape, FINE, 0.7)
        analysis = analyze(noisy)
        (found,) = analysis.notch.waves
        np.testing.assert_allclose(np.abs(found.frequency), np.abs(FINE), atol=1e-3)
        assert "no part of the sample's lattice" in analysis.verdict.summary
        rest = patterns.notched(as_stack(noisy.astype(np.float32)), analysis.notch).array
        left = np.stack([rest[z] for z in range(shape[0])])
        assert psnr(left, clean) > psnr(clean + white(shape, seed), clean) - 0.15


def test_a_hum_over_a_lattice_is_taken_with_its_overtone():
    """An overtone beyond half the sampling frequency comes back from the other side."""
    clean = atoms(ONE, np.random.default_rng(1)) + white(ONE, 1)
    hum = wave(ONE, FINE, 0.5) + wave(ONE, (2 * FINE[0] + 1, 2 * FINE[1] - 1), 0.4)
    assert len(taken(clean + hum)) == 2


def test_a_wave_in_one_corner_is_not_taken_for_a_hum():
    """A grain of the sample may show a single set of planes."""
    stack = atoms(ONE, np.random.default_rng(1)) + white(ONE, 1)
    corner = wave(ONE, FINE, 1.2)
    corner[:, 128:] = corner[:, :, 128:] = 0
    assert not taken(stack + corner)


def test_the_overtones_of_a_hum_make_no_lattice():
    overtones = np.arange(1, 6)[:, None] * (0.17, 0.31)
    folded = overtones - np.rint(overtones)
    assert not lattice_spots(folded, np.ones(5, dtype=bool), (256, 256)).any()
    square = np.array([(0.1, 0.02), (-0.02, 0.1), (0.08, 0.12), (0.12, -0.08), (0.3, 0.17)])
    assert lattice_spots(square, np.ones(5, dtype=bool), (256, 256)).tolist() == [True] * 4 + [False]


def test_layers_and_a_hum_over_them_make_no_lattice():
    stack = layers(STACK, np.random.default_rng(2)) + white(STACK, 2, 0.3)
    assert not taken(stack)
    (found,) = taken(stack + wave(STACK, FINE, 0.5, locked=False))
    np.testing.assert_allclose(np.abs(found.frequency), np.abs(FINE), atol=1e-3)


def test_what_is_finer_than_the_optics_pass_is_noise():
    clean = tomogram(ONE, np.random.default_rng(0))
    noisy = clean + white(ONE, 0) + wave(ONE, FINE, 0.4)
    sure = analyze(noisy, voxel_size=HAADF)
    assert len(sure.notch.waves) == 1 and sure.verdict.expect_gain
    assert "(0.0186 nm)" in sure.verdict.summary and "finer than the microscope" in sure.verdict.summary


@pytest.mark.parametrize(
    ("voxel_size", "limit"),
    [
        (None, 0.05),
        (VoxelSize(1, 1, 1, "pixel"), 0.05),
        (HAADF, 0.0),
        (HAADF, 0.015),
        (VoxelSize(4, 4, 4, "nm"), 1.0),
        (VoxelSize(0.5, 0.5, 0.5, "angstrom"), 0.05),
    ],
    ids=["no size", "pixels", "no limit", "lower limit", "coarse pixels", "angstrom"],
)
def test_where_the_optics_may_pass_it_a_single_slice_is_asked_about(voxel_size, limit):
    noisy = tomogram(ONE, np.random.default_rng(0)) + white(ONE, 0) + wave(ONE, FINE, 0.4)
    analysis = analyze(noisy, voxel_size=voxel_size, config=AnalysisConfig(resolution_limit_nm=limit))
    said = analysis.verdict
    assert not analysis.notch and said.advice == "all_patterns"
    assert "A wave of 2.5 px" in said.summary and "along 46°" in said.summary
    assert "the detector's or the sample's? One slice does not tell" in said.summary
    assert "through the slices" not in said.summary


def test_the_limit_is_of_lengths_where_pixels_are_not_square():
    """Along X a pixel is four times as long: the same wave of three pixels is fine along Y alone."""
    limit = AnalysisConfig(resolution_limit_nm=0.5)
    size = VoxelSize(0.1, 0.1, 0.4, "nm")
    for along, frequency in (("Y", (1 / 3, 0.02)), ("X", (0.02, 1 / 3))):
        noisy = tomogram(ONE, np.random.default_rng(0)) + white(ONE, 0) + wave(ONE, frequency, 0.4)
        assert bool(analyze(noisy, voxel_size=size, config=limit).notch) == (along == "Y")


def test_a_wrong_voxel_size_takes_no_lattice():
    """In a header, pixels ten times too small make all of a crystal finer than any optics pass."""
    for seed in range(4):
        stack = atoms(ONE, np.random.default_rng(seed)) + white(ONE, seed)
        analysis = analyze(stack, voxel_size=VoxelSize(0.001, 0.001, 0.001, "nm"))
        assert not analysis.notch and "makes up a lattice" in analysis.verdict.summary


def test_a_weak_wave_beside_a_lattice_is_asked_about():
    """Weaker than the lattice's own spots, it may be one of a second lattice, whose others are not seen."""
    clean = atoms(ONE, np.random.default_rng(2))
    analysis = analyze(clean + white(ONE, 2) + wave(ONE, FINE, 0.2))
    assert not analysis.notch and "the detector's or the sample's?" in analysis.verdict.summary


def test_a_limit_that_is_changed_counts_at_once():
    noisy = tomogram(ONE, np.random.default_rng(0)) + white(ONE, 0) + wave(ONE, FINE, 0.4)
    found = analyze(noisy, voxel_size=VoxelSize(0.1, 0.1, 0.1, "nm"))
    assert not found.notch
    assert found.with_config(AnalysisConfig(resolution_limit_nm=0.5)).notch


def test_the_rule_of_a_model_knows_what_is_finer_and_old_rules_can_be_read():
    noisy = tomogram(ONE, np.random.default_rng(0)) + white(ONE, 0) + wave(ONE, FINE, 0.4)
    rule = analyze(noisy, voxel_size=HAADF).notch_rule
    kept = NotchDescription.of(rule).model_dump_json()
    assert NotchDescription.model_validate_json(kept).rule() == rule
    other = tomogram(ONE, np.random.default_rng(1)) + white(ONE, 1) + wave(ONE, FINE, 0.4)
    left = rule.apply(as_stack(other.astype(np.float32))).plane(0)
    assert (other[0] - left).std() == pytest.approx(0.4, rel=0.1), "it is taken there too"
    old = {name: value for name, value in json.loads(kept).items() if name != "limit_px"}
    assert NotchDescription.model_validate(old).rule().limit_px is None


@pytest.mark.parametrize(
    ("name", "nanometres"),
    [
        ("cryo_microtubule_36x206x94_u8.tif", 1.052),
        ("fibsem_16x208x208_u8.tif", 8.0),
        ("sstem_30x256x256_u8.tif", 8.0),
        ("stem_first_scan_2x512x512_i16.tif", 1.0),
    ],
)
def test_nothing_of_real_samples_is_taken(em_data, name, nanometres):
    stack = tifffile.imread(em_data / name)
    size = VoxelSize(nanometres, nanometres, nanometres, "nm")
    for some in (stack, stack[:1]):
        assert not analyze(some, voxel_size=size).notch.waves


def test_a_hum_in_one_scan_of_a_real_sample_is_taken_where_the_pixels_tell(em_data):
    plane = tifffile.imread(em_data / "stem_first_scan_2x512x512_i16.tif")[0].astype(np.float32)
    noisy = plane + plane.std() * wave((1, *plane.shape), FINE, 0.1)[0]
    assert not analyze(noisy).notch.waves
    # between two bins, and one wave all the same
    assert len(analyze(noisy, voxel_size=HAADF).notch.waves) == 1
