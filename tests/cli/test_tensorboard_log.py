"""A log for TensorBoard: read back by TensorBoard itself."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_autostructn2v import cli
from napari_autostructn2v.io import write_stack
from napari_autostructn2v.synthetic import sample

SETTINGS = [
    word
    for stage in ("stage1", "stage2")
    for name, value in (("steps", 4), ("validation_interval", 2), ("features", 8), ("patch_size", 32))
    for word in ("--set", f"{stage}.{name}={value}")
]


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    noisy = sample("scan_lines", shape=(5, 64, 64)).noisy
    write_stack(tmp_path / "noisy.mrc", noisy)
    np.save(tmp_path / "kernel.npy", np.ones((1, 5), bool))
    noisy_file, denoised, kernel, log = (
        str(tmp_path / name) for name in ("noisy.mrc", "denoised.mrc", "kernel.npy", "log")
    )
    return [
        "run",
        noisy_file,
        denoised,
        "--kernel",
        kernel,
        "--tensorboard",
        log,
        "--device",
        "cpu",
        *SETTINGS,
    ]


def test_losses_are_curves_and_the_middle_slice_is_a_picture(arguments: list[str], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    log = EventAccumulator(str(tmp_path / "log"))
    log.Reload()
    for stage in ("stage1", "stage2"):
        assert [point.step for point in log.Scalars(f"{stage}/training loss")] == [1, 2, 3, 4]
        losses = log.Scalars(f"{stage}/validation loss")
        assert losses and np.isfinite([point.value for point in losses]).all()
        pictures = log.Images(f"{stage}/denoised")
        assert [picture.step for picture in pictures] == [point.step for point in losses]
        assert {(picture.height, picture.width) for picture in pictures} == {(64, 64)}
    assert len(log.Images("recorded")) == 1


def test_where_tensorboard_is_missing_the_run_says_what_to_install_and_does_not_begin(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code != 0 and not (tmp_path / "denoised.mrc").exists()
    assert "napari-autostructn2v[tensorboard]" in str(result.exception)
