"""A training that goes on from a model: its weights, another kernel, fewer steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_autostructn2v import Config, TrainingConfig, cli, train
from napari_autostructn2v.errors import ModelError, RunFolderError
from napari_autostructn2v.events import TrainingStarted, finish
from napari_autostructn2v.io import write_stack
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning.model import Model, load_model
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.synthetic import sample

SMALL = TrainingConfig(
    steps=8, batch_size=2, patch_size=16, features=8, validation_interval=2, validation_patches=4
)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    return write_stack(tmp_path / "tomo.mrc", sample("scan_lines", shape=(4, 72, 80), seed=2).noisy)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    noisy = sample("scan_lines", shape=(4, 72, 80), seed=1).noisy
    trained = finish(train(noisy, np.ones((1, 5), bool), SMALL, device="cpu", name="yesterday"))
    return trained.save(tmp_path / "model.zip")


@pytest.fixture(autouse=True)
def small_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    larger = SMALL.model_copy(update={"features": 16, "steps": 16})
    monkeypatch.setattr(Config, "from_preset", lambda preset: Config(stage1=larger, stage2=larger))


def run(*arguments: Any) -> Any:
    result = CliRunner().invoke(cli.app, ["run", *map(str, arguments), "--quiet"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_first_network_is_that_of_the_model(model: Path, stack: Path) -> None:
    start = load_model(model)
    barely = SMALL.model_copy(update={"steps": 1, "learning_rate": 1e-9})
    noisy = sample("scan_lines", shape=(4, 72, 80), seed=2).noisy
    for kernel in (POINT, np.ones((3, 3), bool)):
        made = finish(train(noisy, kernel, barely, device="cpu", start=start))
        assert np.array_equal(made.kernel, kernel) and made.provenance["started_from"] == "yesterday"
        for name, weights in start.network.state_dict().items():
            torch.testing.assert_close(made.network.state_dict()[name], weights, rtol=1e-4, atol=1e-6)


def test_a_run_takes_a_quarter_of_the_steps_and_the_kernel_anew(
    model: Path, stack: Path, tmp_path: Path
) -> None:
    assert run(stack, tmp_path / "out.mrc", "--start-from", model).exit_code == 0
    made = load_model(next((tmp_path / "out_run").rglob("stage?/model.zip")))
    assert made.config.steps == 4 and made.config.features == 8
    assert made.config.learning_rate == TrainingConfig().learning_rate / 4
    request = RunFolder(tmp_path / "out_run").read_request()
    assert request.start is not None
    assert request.start.weights_digest() == load_model(model).weights_digest()
    assert run(stack, tmp_path / "b.mrc", "--start-from", model, "--set", "stage1.steps=6").exit_code == 0
    assert load_model(tmp_path / "b_run" / "stage1" / "model.zip").config.steps == 6


def test_a_run_that_was_cut_off_goes_on_without_the_file_of_the_model(
    model: Path, stack: Path, tmp_path: Path
) -> None:
    from napari_autostructn2v import pipeline
    from napari_autostructn2v.io import read_stack
    from napari_autostructn2v.runs.request import RunRequest

    image = read_stack(stack)
    config = Config.from_preset("fast").going_on_from(SMALL)
    request = RunRequest("2d", config, source=image, start=load_model(model))
    events = pipeline.run(image.array, request, device="cpu", folder=tmp_path / "run")
    while not isinstance(next(events), TrainingStarted):
        pass
    next(events)
    next(events)
    events.close()
    model.unlink()
    resumed = finish(pipeline.resume(tmp_path / "run", device="cpu"))
    whole = finish(pipeline.run(image.array, request, device="cpu", folder=tmp_path / "whole"))
    np.testing.assert_array_equal(resumed.stage1, whole.stage1)


def test_another_start_is_another_run(model: Path, stack: Path, tmp_path: Path) -> None:
    run(stack, tmp_path / "out.mrc", "--start-from", model)
    quarter = ["--set", "stage1.steps=4", "--set", "stage2.steps=4"]
    for stage in ("stage1", "stage2"):
        quarter += ["--set", f"{stage}.features=8"]
    with pytest.raises(RunFolderError, match="start"):
        run(stack, tmp_path / "out.mrc", *quarter, "--overwrite")


def test_a_model_that_does_not_suit_is_answered_before_anything_is_written(
    model: Path, stack: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"is of 2D, and this is 2\.5D"):
        run(stack, tmp_path / "out.mrc", "--start-from", model, "--mode", "2.5d")
    with pytest.raises(ModelError, match="8 features"):
        run(stack, tmp_path / "out.mrc", "--start-from", model, "--set", "stage2.features=16")
    assert not (tmp_path / "out_run").exists()


def test_in_three_slices_the_second_stage_goes_on(tmp_path: Path) -> None:
    noisy = sample("scan_lines", shape=(4, 72, 80), seed=1).noisy
    start = finish(train(noisy, np.ones((3, 1, 3), bool), SMALL, device="cpu"))
    assert isinstance(start, Model)
    from napari_autostructn2v.runs.request import RunRequest
    from napari_autostructn2v.runs.stage_spec import StageSpec
    from napari_autostructn2v.runs.stages import first_stage, train_stage
    from napari_autostructn2v.stack import as_stack

    request = RunRequest("2.5d", Config(stage1=SMALL, stage2=SMALL), start=start)
    barely = SMALL.model_copy(update={"steps": 1, "learning_rate": 1e-9})
    first = finish(train_stage(as_stack(noisy), "stage1", first_stage(request), start=start, device="cpu"))
    assert first.provenance["started_from"] is None, "which is in 2D"
    spec = StageSpec(np.ones((3, 3, 1), bool), None, barely, None)
    second = finish(train_stage(as_stack(noisy), "stage2", spec, start=start, device="cpu"))
    for name, weights in start.network.state_dict().items():
        torch.testing.assert_close(second.network.state_dict()[name], weights, rtol=1e-4, atol=1e-6)
