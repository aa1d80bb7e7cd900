"""The main job: does Stage 2 remove what Stage 1 leaves, on every kind of array, and is the run kept?"""

import json

import dask.array
import numpy as np
import pytest
import tifffile
import zarr

import napari_autostructn2v
from napari_autostructn2v.config import AnalysisConfig, Config, TrainingConfig
from napari_autostructn2v.errors import ConfigError, KernelError, RunFolderError, StackError
from napari_autostructn2v.events import Notice, SliceDone, StageStarted, Step, finish
from napari_autostructn2v.io import VoxelSize, read_stack, write_stack
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.pipeline import denoise, run
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.runs.stage_spec import StageSpec
from napari_autostructn2v.synthetic import degraded, sample

SHORT = TrainingConfig(steps=150, batch_size=8, features=16)
SHORTER = SHORT.model_copy(update={"batch_size": 4, "validation_interval": 75, "validation_patches": 16})
TINY = TrainingConfig(steps=6, batch_size=2, patch_size=16, features=8, validation_interval=3)
QUICK = Config(stage1=TINY, stage2=TINY, analysis=AnalysisConfig(tile_size=31))
LINE = np.ones((1, 5), bool)


@pytest.fixture(scope="module")
def small():
    return np.random.default_rng(0).normal(1000, 30, (5, 40, 40)).astype(np.float32)


@pytest.mark.parametrize("mode", ["2d", "2.5d"])
def test_stage_2_removes_the_noise_of_a_reconstruction(mode):
    """Reconstruction noise passes Noise2Void: neighbours along X tell what a pixel's noise is."""
    tomogram = sample("reconstruction", shape=(20, 128, 128))
    result = denoise(tomogram.noisy, mode=mode, config=Config(stage1=SHORTER, stage2=SHORTER))
    noisy, stage1, stage2 = (
        psnr(s, tomogram.clean) for s in (tomogram.noisy, result.stage1, result.denoised)
    )
    assert stage2 > stage1 + 2 > noisy
    assert result.model.mode == mode


def test_stage_2_removes_scan_lines_from_real_sections(em_data):
    clean = tifffile.imread(em_data / "sstem_30x256x256_u8.tif")[:12]
    made = degraded(clean, "scan_lines", rng=np.random.default_rng(0))
    result = denoise(made.noisy, config=Config(stage1=SHORT, stage2=SHORT))
    assert psnr(result.denoised, made.clean) > psnr(result.stage1, made.clean) + 0.3


def test_stage_2_after_the_notch_removes_hum():
    """Alone, a blind spot passes hum: it is predicted from afar."""
    made = sample("hum", shape=(8, 96, 96))
    result = denoise(made.noisy, config=Config(stage1=SHORTER, stage2=SHORTER))
    assert psnr(result.stage1, made.clean) < psnr(made.noisy, made.clean) + 1.5
    assert psnr(result.denoised, made.clean) > psnr(result.stage1, made.clean) + 5
    assert result.model.notch == result.analysis.notch_rule


def test_white_noise_needs_no_stage_2():
    tomogram = sample("white", shape=(4, 80, 80))
    result = denoise(tomogram.noisy, config=QUICK)
    assert result.analysis.verdict.kind == "none"
    np.testing.assert_array_equal(result.denoised, result.stage1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_what_comes_out_has_the_scale_of_what_went_in(dtype):
    stack = np.random.default_rng(0).normal(100, 10, (3, 40, 40)).astype(dtype)
    result = denoise(stack, config=QUICK, kernel=LINE)
    assert result.denoised.shape == stack.shape and result.denoised.dtype == np.float32
    assert 80 < result.denoised.mean() < 120
    assert result.denoised.std() < stack.std()


def test_one_slice_stays_one_slice(small):
    assert denoise(small[0], config=QUICK, kernel=LINE).denoised.shape == (40, 40)


def test_lazy_arrays_give_the_same(small, tmp_path):
    expected = denoise(small, config=QUICK, kernel=LINE).denoised
    np.save(tmp_path / "a.npy", small)
    for array in (
        np.load(tmp_path / "a.npy", mmap_mode="r"),
        dask.array.from_array(small, chunks=(1, 20, 20)),
        zarr.create_array(tmp_path / "a.zarr", data=small),
    ):
        np.testing.assert_array_equal(denoise(array, config=QUICK, kernel=LINE).denoised, expected)


def test_public_names():
    """Each is what it is called, documented, and offered where a person looks for it."""
    assert dir(napari_autostructn2v) == sorted(napari_autostructn2v.__all__)
    for name in set(napari_autostructn2v.__all__) - {"__version__"}:
        public = getattr(napari_autostructn2v, name)
        assert public.__name__ == name and public.__doc__
        assert public.__module__.startswith("napari_autostructn2v.")
    with pytest.raises(AttributeError):
        _ = napari_autostructn2v.nothing


def test_few_slices_warn_and_fewer_refuse(small):
    events = []
    finish(run(small, RunRequest("2.5d", QUICK)), events.append)
    assert [e for e in events if isinstance(e, Notice)]
    with pytest.warns(UserWarning, match="below 20 slices"):
        denoise(small, mode="2.5d", config=QUICK)
    with pytest.raises(StackError, match="Choose 2D"):
        denoise(small[:2], mode="2.5d", config=QUICK)


def test_a_kernel_of_the_wrong_mode_is_refused(small):
    with pytest.raises(KernelError):
        denoise(small, mode="2.5d", config=QUICK, kernel=LINE)


def test_an_unknown_preset(small):
    with pytest.raises(ConfigError, match="fast, balanced, high"):
        denoise(small, preset="best")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stage1": {"stepz": 3}}, "stage1.stepz"),
        ({"stage1": {"steps": 0}}, "stage1.steps"),
        ({"analysis": {"tile_size": 64}}, "odd"),
    ],
)
def test_bad_settings_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        Config.from_preset("high").with_values(values)


@pytest.mark.parametrize("stop_in", ["stage1", "stage2"])
def test_a_cancelled_run_goes_on_to_the_same_end(small, tmp_path, stop_in):
    whole = denoise(small, config=QUICK, kernel=LINE)
    events = run(small, RunRequest("2d", QUICK, kernel=LINE), folder=tmp_path / "run")
    while next(events) != StageStarted(stop_in):
        pass
    while not (isinstance(event := next(events), Step) and event.step == 4):
        pass
    events.close()
    seen = []
    result = finish(run(small, RunRequest("2d", QUICK, kernel=LINE), folder=tmp_path / "run"), seen.append)
    np.testing.assert_array_equal(result.denoised, whole.denoised)
    assert len([e for e in seen if isinstance(e, Step)]) == (2 + 6 if stop_in == "stage1" else 2)


@pytest.mark.parametrize("doing", ["denoising", "recovery"])
def test_a_stack_is_denoised_on_from_where_that_was_cut_off(small, tmp_path, doing):
    whole = denoise(small, config=QUICK, kernel=LINE)
    folder = tmp_path / "run"
    events = run(small, RunRequest("2d", QUICK, kernel=LINE), folder=folder)
    while doing == "recovery" and next(events) != StageStarted("recovery"):
        pass
    while not (isinstance(event := next(events), SliceDone) and event.done == 3):
        pass
    events.close()
    seen = []
    result = finish(run(small, RunRequest("2d", QUICK, kernel=LINE), folder=folder), seen.append)
    np.testing.assert_array_equal(result.denoised, whole.denoised)
    np.testing.assert_array_equal(result.stage1, whole.stage1)
    slices = [event.z for event in seen if isinstance(event, SliceDone)]
    both_stages = [3, 4, *range(5)] if doing == "denoising" else [3, 4]
    assert slices == [*both_stages, *range(5), *range(5)], "of stage 1 what was left, stage 2 whole"
    assert not [event for event in seen[: seen.index(SliceDone(3, 4, 5))] if isinstance(event, Step)]


def test_the_run_folder_keeps_what_was_found(small, tmp_path):
    folder = tmp_path / "run"
    source = read_stack(write_stack(tmp_path / "small.mrc", small, voxel_size=VoxelSize(2, 1, 1)))
    result = finish(run(small, RunRequest("2d", QUICK, kernel=LINE, source=source), folder=folder))
    assert json.loads((folder / "run.json").read_text())["input"] == "small"
    analysis = json.loads((folder / "analysis" / "analysis.json").read_text())
    assert analysis["verdict"]["kind"] == result.analysis.verdict.kind
    np.testing.assert_array_equal(tifffile.imread(folder / "analysis" / "kernel.tif"), LINE)
    kept = read_stack(folder / "stage2" / "denoised.tif")
    np.testing.assert_array_equal(kept.array, result.denoised)
    assert kept.voxel_size == VoxelSize(2, 1, 1)
    rows = (folder / "stage2" / "losses.csv").read_text().split()
    assert rows[0] == "step,training_loss,validation_loss" and len(rows) == 3
    assert not (folder / "stage1" / "checkpoint.safetensors").exists()
    assert not list(folder.rglob(".partial*"))


def test_a_folder_of_another_run_is_refused_and_kept(small, tmp_path):
    folder = tmp_path / "run"
    finish(run(small, RunRequest("2d", QUICK, kernel=LINE), folder=folder))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for stack, seed, message in ((small + 1, 0, "values of: input"), (small, 1, "values of: seed")):
        with pytest.raises(RunFolderError, match=message):
            finish(run(stack, RunRequest("2d", QUICK, kernel=LINE, seed=seed), folder=folder))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.txt").write_text("do not touch")
    with pytest.raises(RunFolderError, match="other files"):
        finish(run(small, RunRequest("2d", QUICK), folder=tmp_path / "holiday"))


def test_models_of_earlier_starts_of_stage_2_are_never_overwritten(tmp_path):
    folder = RunFolder(tmp_path)
    model = folder.stage("stage2").model
    model.parent.mkdir()

    def start_again(content):
        model.write_text(content)
        folder.approve(StageSpec(LINE, None, TINY, None))

    start_again("first")
    start_again("second")
    (model.parent / "model_1.zip").unlink()
    start_again("third")
    left = {file.name: file.read_text() for file in model.parent.glob("*.zip")}
    assert left == {"model_2.zip": "second", "model_3.zip": "third"}


def test_a_stack_is_read_no_more_often_than_the_work_needs():
    """Of each slice: once by each training, prediction and recovery, and a few times to measure it."""
    made = sample("hum", shape=(12, 64, 64))
    slices = 0

    class Counted:
        shape, ndim, dtype = made.noisy.shape, 3, made.noisy.dtype

        def __getitem__(self, index):
            nonlocal slices
            slices += made.noisy[index].size / (64 * 64)
            return made.noisy[index]

    result = denoise(Counted(), config=QUICK, kernel=LINE)
    assert result.analysis.notch
    assert slices / 12 < 18
