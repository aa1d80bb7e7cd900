"""One process that applies a model and is killed: the same command goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_autostructn2v import cli
from napari_autostructn2v.apply import whole
from napari_autostructn2v.apply.tasks import Task
from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.errors import FileError, RunFolderError
from napari_autostructn2v.events import SliceDone, finish
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.learning.model import Model, load_model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.pipeline import denoise_with
from napari_autostructn2v.scale import Normalisation
from napari_autostructn2v.synthetic import sample

KILLED_AT_SLICE_4_OF_THE_SECOND = """
import os, signal
from napari_autostructn2v.apply import whole
from napari_autostructn2v.apply.tasks import Task
from napari_autostructn2v.runs import stages
stages.CHECKPOINT_SECONDS = 0
really, stacks = whole.predict, []
def dying(stack, *arguments, **options):
    stacks.append(stack)
    for event in really(stack, *arguments, **options):
        yield event
        if len(stacks) == 2 and event.done == 4:
            os.kill(os.getpid(), signal.SIGKILL)
whole.predict = dying
from napari_autostructn2v.cli import main
main()
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = UNet(1, features=8, depth=2).eval()
    config = TrainingConfig(features=8)
    return Model(network, np.ones((1, 3), bool), None, config, Normalisation(0.5, 0.3)).save(
        tmp_path / "model.zip"
    )


@pytest.fixture
def stacks(tmp_path: Path) -> list[Path]:
    return [
        write_stack(tmp_path / f"tomo_{seed}.mrc", sample("hum", shape=(8, 48, 56), seed=seed).noisy)
        for seed in (1, 2, 3)
    ]


def apply(*arguments: Any) -> Any:
    result = CliRunner().invoke(cli.app, ["apply", *map(str, arguments), "--device", "cpu"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such signal")
def test_what_was_killed_goes_on_with_the_next_slice(
    model: Path, stacks: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["apply", model, *stacks, "--out", tmp_path / "out", "--device", "cpu"]
    program = [sys.executable, "-c", KILLED_AT_SLICE_4_OF_THE_SECOND, *map(str, arguments)]
    # Dask allows one thread to what is started beside it, and another number makes another last digit
    as_here = {**os.environ, "MKL_NUM_THREADS": str(torch.get_num_threads())}
    ended = subprocess.run(program, capture_output=True, text=True, env=as_here)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    done = [path for path in stacks if (tmp_path / "out" / path.name).exists()]
    assert done == stacks[:1]
    first = (tmp_path / "out" / stacks[0].name).stat().st_mtime_ns

    begun: list[int] = []
    really = whole.predict

    def noted(*given: Any, first: int, **options: Any) -> Any:
        begun.append(first)
        return really(*given, first=first, **options)

    monkeypatch.setattr(whole, "predict", noted)
    said = apply(*arguments[1:5], "--out", tmp_path / "out").output
    assert begun == [4, 0], "the second from its fifth slice on, then the third"
    assert "1 of 3 stacks were done before" in said
    assert (tmp_path / "out" / stacks[0].name).stat().st_mtime_ns == first
    for path in stacks:
        right = finish(denoise_with(read_stack(path).array, load_model(model), device="cpu"))
        np.testing.assert_array_equal(read_stack(tmp_path / "out" / path.name).array[:], right)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in stacks}


def test_a_bad_one_is_told_before_the_first_is_begun(model: Path, stacks: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / stacks[2].name).write_text("precious")
    with pytest.raises(FileError, match="exists already"):
        apply(model, *stacks, "--out", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [stacks[2].name], "nothing is left"


def test_what_another_model_began_is_not_gone_on_with(
    model: Path, stacks: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    events = whole.denoise_each(
        [Task(model, stacks[0], tmp_path / "out" / stacks[0].name, 1.0, device="cpu")]
    )
    while not isinstance(next(events), SliceDone):
        pass
    events.close()
    torch.manual_seed(1)
    other = UNet(1, features=8, depth=2).eval()
    Model(other, np.ones((1, 3), bool), None, TrainingConfig(features=8), Normalisation(0.5, 0.3)).save(
        model, overwrite=True
    )
    with pytest.raises(RunFolderError, match="other values of: model"):
        apply(model, *stacks, "--out", tmp_path / "out")
