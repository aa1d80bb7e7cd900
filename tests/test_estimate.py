"""What a run will take: said from a few steps and slices, and true of the disk to the byte or nearly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_autostructn2v import Config, TrainingConfig, cli
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.estimate import estimate
from napari_autostructn2v.events import Step, finish
from napari_autostructn2v.io import write_stack
from napari_autostructn2v.synthetic import sample

TINY = TrainingConfig(
    steps=8, batch_size=2, patch_size=16, features=8, validation_interval=4, validation_patches=4
)


def test_it_grows_with_the_steps_and_the_slices() -> None:
    noisy = sample("scan_lines", shape=(4, 96, 96)).noisy
    short = finish(estimate(noisy, config=Config(stage1=TINY, stage2=TINY)))
    many = TINY.model_copy(update={"steps": 80_000, "validation_interval": 80_000})
    long = finish(estimate(noisy, config=Config(stage1=many, stage2=TINY)))
    assert all(seconds > 0 for seconds in short.seconds.values())
    assert long.seconds["Stage 1: training"] > 100 * short.seconds["Stage 1: training"]
    deep = finish(estimate(np.concatenate([noisy] * 20), config=Config(stage1=TINY, stage2=TINY)))
    assert deep.disk == 20 * short.disk and deep.memory >= short.memory


def test_the_measurement_is_short_whatever_is_asked() -> None:
    noisy = sample("scan_lines", shape=(40, 64, 64)).noisy
    many = TINY.model_copy(update={"steps": 1_000_000})
    steps = 0

    def count(event: object) -> None:
        nonlocal steps
        steps += isinstance(event, Step)

    finish(estimate(noisy, config=Config(stage1=many, stage2=many)), count)
    assert steps < 50


def test_the_disk_is_what_a_run_takes(tmp_path: Path) -> None:
    source = write_stack(tmp_path / "tomo.mrc", sample("scan_lines", shape=(8, 160, 160)).noisy)
    settings = tmp_path / "small.json"
    settings.write_text(json.dumps({"stage1": TINY.model_dump(), "stage2": TINY.model_dump()}))
    said = CliRunner().invoke(cli.app, ["estimate", str(source), "--config", str(settings)])
    assert said.exit_code == 0 and "Disk:" in said.output and "Stage 2: training" in said.output
    config = Config(stage1=TINY, stage2=TINY)
    expected = finish(estimate(sample("scan_lines", shape=(8, 160, 160)).noisy, config=config)).disk
    run = ["run", str(source), str(tmp_path / "out.mrc"), "--config", str(settings), "--quiet"]
    assert CliRunner().invoke(cli.app, run).exit_code == 0
    files = [*(tmp_path / "out_run").rglob("*"), tmp_path / "out.mrc"]
    taken = sum(path.stat().st_size for path in files if path.is_file())
    assert (tmp_path / "out_run" / "stage2" / "model.zip").exists()
    assert taken == pytest.approx(expected, rel=0.1), "models and pictures are small beside the stacks"


def test_2_5d_and_bad_input() -> None:
    noisy = sample("scan_lines", shape=(3, 64, 64)).noisy
    assert finish(estimate(noisy, mode="2.5d", config=Config(stage1=TINY, stage2=TINY))).total_seconds > 0
    with pytest.raises(StackError, match="this stack has 2"):
        next(estimate(noisy[:2], mode="2.5d"))
