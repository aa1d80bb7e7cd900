"""Noise is noise at any scale: a stack in other units, or at another level, is denoised as it was before."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
import zarr
from scipy import ndimage
from typer.testing import CliRunner

from napari_autostructn2v.apply.tasks import Task, denoise_unit
from napari_autostructn2v.box import Box
from napari_autostructn2v.cli import app
from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.errors import FileError, ModelError, StackError
from napari_autostructn2v.events import SliceDone, finish
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.metrics import assess_quality, psnr
from napari_autostructn2v.model_zoo import export_model_zoo
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.detail import recover
from napari_autostructn2v.pipeline import denoise, denoise_with, run
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.scale import Normalisation, Scale
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import sample

TINY = TrainingConfig(
    steps=6, batch_size=2, patch_size=32, features=8, validation_interval=3, validation_patches=8
)
CONFIG = Config(stage1=TINY, stage2=TINY)
NOISY = 100 * sample("hum", shape=(6, 80, 80), seed=1).noisy.astype(np.float64)
SPREAD = float(NOISY.std())

SCALES = [
    ("float32", 0, 3e-9),
    ("float32", 0, 1e-25),
    ("float32", 1e8, 1),
    ("float64", -1e11, 1),
    ("float64", 0, 1e-200),
    ("float64", 1e209, 1e200),
    ("uint32", 4e9, 1),
    ("int64", 1e11, 1),
]
"""Type, and ``a`` and ``b`` of ``a + b * stack``."""


def scaled(dtype, a, b):
    """The stack at that scale, and what it is then in the usual one: types round, each in its way."""
    values = (a + b * NOISY).astype(dtype)
    return values, back(values, a, b)


def back(values, a, b):
    return (np.asarray(values, np.float64) - a) / b


@pytest.fixture(autouse=True)
def in_float32(monkeypatch):
    """In bfloat16, or on a card, what a scale rounds off in the eighth digit can come out in the third."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("napari_autostructn2v.learning.device.has_fast_bfloat16", lambda device: False)


@cache
def usual_result():
    return denoise(NOISY, config=CONFIG)


@pytest.mark.parametrize(("dtype", "a", "b"), SCALES)
def test_a_model_does_the_same_at_any_scale(dtype, a, b):
    """Its notch is measured and its network applied; and what it did is judged."""
    values, usual = scaled(dtype, a, b)
    model, analysis = usual_result().model, usual_result().analysis
    assert model.notch is not None
    there = replace(
        model, normalisation=Normalisation(a + b * model.normalisation.mean, b * model.normalisation.std)
    )
    expected, made = finish(denoise_with(usual, model)), finish(denoise_with(values, there))
    assert made.dtype == ("float32" if dtype == "float32" else "float64")
    step = float(np.spacing(np.abs(made).max())) / b
    assert step < SPREAD / 8
    np.testing.assert_allclose(back(made, a, b), expected, atol=step + 1e-4 * SPREAD, rtol=0)
    pairs = ((values, made), (usual, expected))
    verdict, as_usual = (finish(assess_quality(raw, out, analysis)) for raw, out in pairs)
    assert verdict.structured_db == pytest.approx(as_usual.structured_db, abs=1)
    assert verdict.leaked == pytest.approx(as_usual.leaked, abs=1e-3)
    assert verdict.far_largest == pytest.approx(as_usual.far_largest, abs=1e-3)


@pytest.mark.parametrize(("dtype", "a", "b"), SCALES)
def test_the_same_detail_is_brought_back_at_any_scale(dtype, a, b):
    made = sample("white", shape=(6, 160, 160), seed=1)
    values = (a + 100 * b * made.noisy.astype(np.float64)).astype(dtype)
    usual = back(values, a, b)
    smooth = ndimage.gaussian_filter(100 * made.clean.astype(np.float64), (0, 1.2, 1.2))
    expected, there = finish(recover(usual, smooth)), finish(recover(values, a + b * smooth))
    spread = float(expected.std())
    assert spread > 5
    np.testing.assert_allclose(there.astype(np.float64) / b, expected, atol=0.01 * spread, rtol=0)


@pytest.mark.parametrize(("dtype", "a", "b"), SCALES)
def test_the_noise_is_told_the_same_at_any_scale(dtype, a, b):
    values, usual = scaled(dtype, a, b)
    smooth = usual_result().stage1
    there, here = analyze(values, a + b * smooth.astype(np.float64)), analyze(usual, smooth)
    np.testing.assert_array_equal(there.kernel, here.kernel)
    np.testing.assert_array_equal(there.peaks, here.peaks)
    assert there.verdict.summary == here.verdict.summary
    assert len(there.notch.waves) == len(here.notch.waves) == 1


@pytest.mark.parametrize(("dtype", "a", "b"), [("float64", 1e11, 1), ("float64", 1e209, 1e200)])
def test_a_stack_is_trained_on_and_denoised_at_any_scale(dtype, a, b):
    """Trainings differ by what they make of a rounding, so this is less exact."""
    values, usual = scaled(dtype, a, b)
    made, expected = denoise(values, config=CONFIG), denoise(usual, config=CONFIG)
    off = back(made.denoised, a, b) - expected.denoised
    assert off.std() < 0.05 * SPREAD
    assert made.model.normalisation.std == pytest.approx(b * expected.model.normalisation.std, rel=1e-6)


def test_another_unit_changes_nothing():
    unit = 2.0**-60  # a power of two rounds nothing; but the logarithms of powers of patterns are others
    as_usual = denoise(NOISY.astype(np.float32), config=CONFIG).denoised
    made = denoise((NOISY.astype(np.float32) * unit).astype(np.float32), config=CONFIG).denoised
    np.testing.assert_allclose(made / np.float32(unit), as_usual, atol=1e-5 * SPREAD, rtol=0)


@pytest.mark.parametrize(
    ("dtype", "a", "b"),
    [
        ("uint8", 128, 0.15),
        ("int8", 0, 0.2),
        ("int16", -3000, 1),
        ("uint16", 60000, 0.02),
        ("float16", 1, 0.01),
        ("int32", 30000, 1),
        ("float32", 0, 1),
        ("float32", 3e4, 0.1),
        ("float32", 2e-3, 1e-6),
        ("float64", -1e5, 1),
        ("float64", 0, 1e10),
    ],
)
def test_ordinary_values_are_taken_as_they_are(dtype, a, b):
    """To the bit what it was before there was a scale."""
    values, _ = scaled(dtype, a, b)
    stack = as_stack(values)
    assert stack.scale == Scale()
    plain = values.astype(np.float32)
    for z in range(len(values)):
        np.testing.assert_array_equal(stack.plane(z), plain[z])
    reference = float(plain[0].mean())
    shifted = [plane.astype(np.float64) - reference for plane in plain]
    mean = sum(plane.sum() for plane in shifted) / plain.size
    square = sum(np.square(plane).sum() for plane in shifted) / plain.size
    assert stack.normalisation == Normalisation(mean + reference, float(np.sqrt(square - mean**2)))


@pytest.mark.parametrize("level", [0.0, 1e9, 1e200])
def test_blank_slices_and_borders_do_not_hide_the_scale(level):
    unit = max(1.0, level * 1e-9)
    values = level + unit * NOISY
    bare = as_stack(values).scale
    values[[0, 2, 5]] = 0
    values[:, :20] = 0
    scale = as_stack(values).scale
    assert (scale.unit, scale.dtype) == (bare.unit, bare.dtype)
    assert abs(scale.level - bare.level) < 10 * unit * SPREAD


@pytest.mark.parametrize(
    ("values", "rest"), [("float32", 1e-30), ("float32", 1.0), ("float64", 1e-300), ("float64", 1e300)]
)
def test_only_what_is_all_the_same_is_called_so(values, rest):
    stack = np.full((3, 20, 24), rest, dtype=values)
    with pytest.raises(StackError, match="all values of the stack are the same"):
        _ = as_stack(stack).normalisation
    stack[1] *= 1 + 1e-3 * np.random.default_rng(0).random((20, 24))
    scale = as_stack(stack).normalisation
    assert 0 < scale.std < 0.001 * rest


def test_slices_that_are_blank_each_in_itself_hold_nothing():
    stack = np.full((3, 20, 24), 1e9)
    stack[1] += 1
    with pytest.raises(StackError, match="nothing to denoise"):
        _ = as_stack(stack).normalisation


def test_a_value_beyond_all_others_is_a_hot_pixel():
    values = NOISY.copy()
    values[3, 4, 5] = 1e200
    stack = as_stack(values)
    assert np.isfinite(stack.plane(3)).all()
    np.testing.assert_array_equal(np.argwhere(stack.unmeasured(3).spoiled), [[4, 5]])


def test_closeness_to_the_truth_has_no_scale():
    truth = NOISY + 0.0
    image = truth + np.random.default_rng(0).normal(size=truth.shape)
    assert psnr(1e200 * image, 1e-200 * truth) == pytest.approx(psnr(image, truth))


# ------------------------------------------------------------------------------------------------- files


@pytest.fixture
def invoke(monkeypatch):
    monkeypatch.setattr(Config, "from_preset", lambda preset: CONFIG)

    def run(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".zarr"])
def test_files_hold_what_float32_does_not(tmp_path, suffix):
    values, _ = scaled("float64", 1e11, 1)
    stored = read_stack(write_stack(tmp_path / f"a{suffix}", values)).array
    assert stored.dtype == np.float64
    np.testing.assert_array_equal(stored[:], values)


def test_whole_numbers_too_long_for_float32_are_not_rounded(tmp_path):
    """ImageJ's TIFF has no such integers."""
    for dtype in ("int32", "int64"):
        values, _ = scaled(dtype, 2e9, 1)
        np.testing.assert_array_equal(
            read_stack(write_stack(tmp_path / f"{dtype}.tif", values)).array, values
        )


def test_from_file_to_file(invoke, tmp_path):
    """Run, apply by one process and by a worker: in float64, and the same."""
    values, _ = scaled("float64", 1e11, 1)
    source = write_stack(tmp_path / "a.tif", values)
    assert invoke("run", source, tmp_path / "clean.tif", "--quiet").exit_code == 0
    clean = read_stack(tmp_path / "clean.tif").array
    assert clean.dtype == np.float64
    assert 0.02 * SPREAD < np.std(clean - 1e11) < SPREAD

    model = tmp_path / "clean_run" / "stage2" / "model.zip"
    assert invoke("apply", model, source, "--out", tmp_path / "more", "--quiet").exit_code == 0
    applied = read_stack(tmp_path / "more" / "a.tif").array
    np.testing.assert_array_equal(applied, clean)

    task = Task(model, source, tmp_path / "b.zarr", recovery=0.0, device="cpu")
    _, stack, bundle = task.open()
    whole = finish(denoise_with(stack, replace(bundle, notch=None), recovery=0.0, device="cpu"))
    np.testing.assert_array_equal(denoise_unit(task, Box((1, 3), (0, 80), (0, 80)), None, None), whole[1:3])


def test_an_mrc_file_that_would_lose_the_noise_is_refused_before_any_work(invoke, tmp_path):
    values, _ = scaled("float64", 1e11, 1)
    source = write_stack(tmp_path / "a.zarr", values)
    with pytest.raises(FileError, match=r"\.tif or \.zarr"):
        invoke("run", source, tmp_path / "clean.mrc")
    assert not (tmp_path / "clean_run").exists()
    with pytest.raises(FileError, match=r"\.tif or \.zarr"):
        write_stack(tmp_path / "b.mrc", values)
    usual = write_stack(tmp_path / "c.mrc", NOISY)
    assert read_stack(usual).array.dtype == np.float32


def test_a_run_that_was_cut_off_goes_on_in_the_files_it_has_kept(tmp_path):
    values, _ = scaled("float64", 1e11, 1)
    folder = tmp_path / "run"
    expected = np.array(finish(run(values, RunRequest("2d", CONFIG))).denoised)
    events = run(values, RunRequest("2d", CONFIG), folder=folder)
    for event in events:
        if isinstance(event, SliceDone) and event.done == 3:
            events.close()
    (kept,) = (folder / "stage1").glob("predicted_*.tif")
    assert read_stack(kept).array.dtype == np.float64
    begun = np.array(read_stack(kept).array[:3])
    np.testing.assert_array_equal(
        finish(run(values, RunRequest("2d", CONFIG), folder=folder)).denoised, expected
    )
    np.testing.assert_array_equal(read_stack(kept).array[:3], begun)


def test_units_of_work_share_a_store(tmp_path):
    """What many write into is of the type of results as well."""
    from napari_autostructn2v.apply.work_folder import WorkFolder

    values, _ = scaled("float64", 1e11, 1)
    source = write_stack(tmp_path / "a.zarr", values)
    model = usual_result().model.save(tmp_path / "model.zip")
    folder = WorkFolder(Task(model, source, tmp_path / "b.zarr", recovery=0.0, device="cpu"))
    folder.begin()
    folder.make_result()
    assert zarr.open_array(folder.result / "0").dtype == np.float64


def test_the_model_zoo_gets_no_model_of_values_that_its_float32_cannot_hold(tmp_path):
    pytest.importorskip("bioimageio.core")
    model = replace(usual_result().model, normalisation=Normalisation(1e11, 100))
    with pytest.raises(ModelError, match="Train it on the stack in other units"):
        export_model_zoo(model, tmp_path / "a.zip", name="at a level", authors=["A"])
