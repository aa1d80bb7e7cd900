"""The generated noise is what it says it is: the benchmarks rest on that."""

import numpy as np
import pytest

from napari_autostructn2v.errors import ConfigError
from napari_autostructn2v.synthetic import NOISE_FAMILIES, crystal, degraded, layers, sample
from napari_autostructn2v.synthetic.families import Mixture
from napari_autostructn2v.synthetic.noise import Noise, ScanLines

SHAPE = (16, 96, 96)


def covariance(field, lag):
    """Mean product of the field with itself shifted by ``lag``, which may have negative parts."""
    here, there = (
        tuple(slice(max(s * d, 0), n + min(s * d, 0)) for d, n in zip(lag, field.shape, strict=True))
        for s in (1, -1)
    )
    return float((field[here] * field[there]).mean())


@pytest.mark.parametrize("family", NOISE_FAMILIES)
def test_the_autocorrelation_is_the_one_it_claims(family):
    """Averaged over fields; what is alike in all of a field varies much, and gets the wider margin."""
    noise, rng = NOISE_FAMILIES[family], np.random.default_rng(0)
    long_range = any(part.long_range for part, _ in noise.parts())
    few = any(part.fixed for part, _ in noise.parts()) or family == "curtains"  # few draws in a field
    count = 40 if few else 4
    fields = [noise.draw(SHAPE, rng) for _ in range(count)]
    assert np.mean([field.mean() for field in fields]) == pytest.approx(0, abs=0.05)
    assert np.mean([np.square(field).mean() for field in fields]) == pytest.approx(1, abs=0.06)
    truth = noise.autocorrelation(9)
    for lag in [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 2, -1), (0, 1, 2), (0, 0, 5), (0, 8, 0), (1, 0, 3)]:
        found = np.mean([covariance(field, lag) for field in fields])
        z, y, x = lag
        assert found == pytest.approx(truth[1 + z, 9 + y, 9 + x], abs=0.06 if long_range else 0.03), lag


@pytest.mark.parametrize(
    "family", ["scan_lines", "streaks_30", "reconstruction", "hum", "columns", "curtains"]
)
def test_the_power_spectrum_is_the_one_it_claims(family):
    noise, rng = NOISE_FAMILIES[family], np.random.default_rng(0)
    field = np.concatenate([noise.draw((4, 64, 64), rng) for _ in range(60)])
    found = np.mean(np.square(np.abs(np.fft.fft2(field))), axis=0) / 64**2
    truth = noise.power((64, 64))
    assert truth.mean() == pytest.approx(1)
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.97


def test_the_oracle_kernel_is_what_the_noise_shares():
    assert sample("white", shape=SHAPE).oracle_kernel().tolist() == [[True]]
    assert sample("scan_lines", shape=SHAPE).oracle_kernel().shape == (1, 31)
    assert sample("scan_lines_y", shape=SHAPE).oracle_kernel().shape == (31, 1)
    reconstruction = sample("reconstruction", shape=SHAPE).oracle_kernel("2.5d")
    assert reconstruction.shape[:2] == (3, 1) and reconstruction[1].sum() == 9 and reconstruction[0].any()
    repeated = sample("repeated_lines", shape=SHAPE).oracle_kernel("2.5d")
    assert repeated[0].any() and repeated[2].any()
    assert not sample("scan_lines", shape=SHAPE).oracle_kernel("2.5d")[[0, 2]].any()
    for family in ("rows", "columns", "curtains", "hum", "grid"):  # for the notch, not for a kernel
        assert sample(family, shape=SHAPE).oracle_kernel().tolist() == [[True]]


def test_the_sample_is_the_clean_image_plus_its_noise():
    made = sample("scan_lines", shape=SHAPE, structured=0.7, white=0.5)
    assert made.noisy.dtype == made.clean.dtype == np.float32
    assert made.clean.std() == pytest.approx(1, rel=1e-4)
    assert (made.noisy - made.clean).std() == pytest.approx(np.hypot(0.7, 0.5), rel=0.02)
    np.testing.assert_array_equal(made.noisy, sample("scan_lines", shape=SHAPE).noisy)
    assert not np.array_equal(sample("white", shape=SHAPE, seed=1).clean, made.clean)


def test_the_noise_spectrum_of_a_sample_has_the_noise_variance():
    made = sample("streaks_30", shape=SHAPE)
    assert made.noise_power().mean() / (96 * 96) == pytest.approx(0.7**2 + 0.5**2)


@pytest.mark.parametrize("image", [crystal, layers])
def test_noise_goes_on_an_image_of_ones_own(image):
    rng = np.random.default_rng(0)
    clean = 100 + 7 * image(SHAPE, rng)
    made = degraded(clean, Mixture(ScanLines(rho=0.5), ScanLines(along="y")), structured=0.5, rng=rng)
    assert made.clean.std() == pytest.approx(1, rel=1e-3)
    assert made.structured == 0.5 and made.white == 0.5


def test_an_unknown_family():
    with pytest.raises(ConfigError, match="Choose one of"):
        sample("static")


class Checkerboard(Noise):
    """Made up: bright and dark fields, as a detector of two sorts of cells would have."""

    long_range = fixed = True
    usual = (2.0, 0.1)

    def draw(self, shape, rng):
        y, x = np.indices(shape[1:])
        return np.broadcast_to((-1.0) ** (y + x) * rng.choice([-1, 1]), shape)

    def correlation(self, dz, dy, dx):
        return (-1.0) ** (dy + dx)


def test_a_new_family_is_an_entry_in_the_table(monkeypatch):
    monkeypatch.setitem(NOISE_FAMILIES, "checkerboard", Checkerboard())
    made = sample("checkerboard", shape=(4, 64, 64))
    assert (made.structured, made.white) == (2.0, 0.1)
    assert covariance(made.noisy - made.clean, (0, 0, 1)) == pytest.approx(-4, abs=0.05)
    assert made.oracle_kernel().sum() == 1, "it is for the notch"
    with pytest.raises(ConfigError, match="checkerboard"):
        sample("chess")
