"""Folders and models that version 0.1 wrote: a run that was finished, and one cut off in its review."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_autostructn2v.events import SliceDone, Step, TrainingStarted, finish
from napari_autostructn2v.io import read_stack
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning.model import load_model
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.pipeline import resume
from napari_autostructn2v.runs.folder import RunFolder

DATA = Path(__file__).parents[1] / "data"
LINE = np.ones((1, 5), bool)
ON_ANOTHER_PROCESSOR = {"rtol": 1e-3, "atol": 0.5}
"""In grey values: the noise of these stacks has a standard deviation of 33."""


@pytest.fixture
def old_run(request: pytest.FixtureRequest, tmp_path: Path) -> RunFolder:
    """A copy, since going on with a run writes into its folder."""
    run = shutil.copytree(DATA / request.param, tmp_path / "run")
    (run / "stage2").mkdir(exist_ok=True)  # empty when the run was cut off, and git keeps no empty folder
    return RunFolder(run)


def _denoised(folder: RunFolder, stage: str) -> np.ndarray:
    return tifffile.imread(folder.path / stage / "denoised.tif")


@pytest.mark.parametrize("old_run", ["run_0.1_finished"], indirect=True)
def test_a_finished_run_opens_and_nothing_is_trained_again(old_run: RunFolder) -> None:
    before = {stage: _denoised(old_run, stage) for stage in ("stage1", "stage2")}
    asked = old_run.read_request()
    assert asked.mode == "2d" and asked.seed == 0 and asked.config.stage2.steps == 3
    np.testing.assert_array_equal(asked.kernel, LINE)
    np.testing.assert_array_equal(old_run.read_approval().kernel, LINE)
    assert [len(old_run.stage(stage).losses.read()) for stage in ("stage1", "stage2")] == [2, 2]

    seen: list[object] = []
    result = finish(resume(old_run.path, device="cpu"), seen.append)
    assert not any(isinstance(event, TrainingStarted | Step) for event in seen)
    np.testing.assert_allclose(result.stage1, before["stage1"], **ON_ANOTHER_PROCESSOR)
    np.testing.assert_allclose(result.denoised, before["stage2"], **ON_ANOTHER_PROCESSOR)
    np.testing.assert_array_equal(result.analysis.kernel, LINE)


@pytest.mark.parametrize("old_run", ["run_0.1_cut_off"], indirect=True)
def test_a_run_that_was_cut_off_goes_on_with_its_edits(old_run: RunFolder) -> None:
    peaks, kernel = old_run.analysis.read_edits("2d")
    assert peaks.added == {(-3, -4), (3, 4)} and kernel.added == {(0, -1), (0, 1), (1, 0)}
    before = _denoised(old_run, "stage1")

    seen: list[object] = []
    result = finish(resume(old_run.path, device="cpu"), seen.append)
    # Stage 1 is as it was, each slice of it; Stage 2 is trained with the kernel as edited
    assert [event.steps for event in seen if isinstance(event, TrainingStarted)] == [3]
    assert sum(isinstance(event, Step) for event in seen) == 3
    np.testing.assert_allclose(result.stage1, before, **ON_ANOTHER_PROCESSOR)
    np.testing.assert_array_equal(result.analysis.kernel, [[0, 0, 0], [1, 1, 1], [0, 1, 0]])
    centre = np.array(result.analysis.peaks.shape) // 2
    assert all(result.analysis.peaks[tuple(centre + offset)] for offset in peaks.added)
    np.testing.assert_array_equal(result.model.kernel, result.analysis.kernel)
    assert result.denoised.shape == before.shape and np.isfinite(result.denoised).all()
    assert old_run.stage("stage2").model.exists()


@pytest.mark.parametrize(
    ("run", "stage", "kernel"),
    [("cut_off", "stage1", POINT), ("finished", "stage1", POINT), ("finished", "stage2", LINE)],
)
def test_old_models_load_and_denoise(run: str, stage: str, kernel: np.ndarray) -> None:
    folder = DATA / f"run_0.1_{run}"
    model = load_model(folder / stage / "model.zip")
    np.testing.assert_array_equal(model.kernel, kernel)
    # the notch of Stage 2 comes with the model
    assert (model.notch is None) == (stage == "stage1")

    seen: list[object] = []
    denoised = finish(predict(read_stack(folder / "input.tif").array, model, device="cpu"), seen.append)
    assert [event.z for event in seen if isinstance(event, SliceDone)] == [0, 1, 2]
    assert denoised.shape == (3, 48, 48) and np.isfinite(denoised).all()
    for made in (folder / stage).glob("predicted_*.tif"):
        np.testing.assert_allclose(denoised, tifffile.imread(made), **ON_ANOTHER_PROCESSOR)
