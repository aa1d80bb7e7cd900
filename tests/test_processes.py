"""Several processes that train together, started as people start them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_autostructn2v.bundle import load_model
from napari_autostructn2v.config import Config
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.synthetic import sample
from napari_autostructn2v.training import train

PROGRAM = """
import sys
from pathlib import Path

import numpy as np

from napari_autostructn2v import cli, config, processes
from napari_autostructn2v.training_data import TrainingData

SHORT = config.TrainingConfig(steps=60, batch_size=8, patch_size=32, features=8, validation_interval=20)
config.Config.from_preset = classmethod(lambda cls, preset: cls(stage1=SHORT, stage2=SHORT))
draw = TrainingData.draw


def note(data, generator):
    batch = draw(data, generator)
    with (Path(sys.argv[2]).parent / f"drawn_{processes.number()}.txt").open("a") as file:
        file.write(f"{len(batch.masked)} {float(batch.target.sum())}\\n")
    return batch


TrainingData.draw = note
cli.main()
"""


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    made = sample("scan_lines", shape=(4, 64, 64))
    source = write_stack(tmp_path / "noisy.tif", made.noisy)
    (tmp_path / "program.py").write_text(PROGRAM)
    outcome = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            str(tmp_path / "program.py"), "run", str(source), str(tmp_path / "out.tif"), "--quiet",
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr
    first, second = ((tmp_path / f"drawn_{n}.txt").read_text().splitlines() for n in range(2))
    assert len(first) == len(second) >= 60
    assert {line.split()[0] for line in first + second} == {"4"}, "half the batch each"
    assert not set(first) & set(second), "of other patches"

    alone = finish(train(made.noisy, POINT, SHORT, seed=0))
    together = load_model(tmp_path / "out_run" / "stage1" / "model.zip")
    assert alone.provenance["validation_loss"] is not None
    ratio = together.provenance["validation_loss"] / alone.provenance["validation_loss"]
    assert ratio == pytest.approx(1, abs=0.05)
    denoised = np.asarray(read_stack(tmp_path / "out.tif").array)
    assert psnr(denoised, made.clean) > psnr(made.noisy, made.clean)
    assert not torch.distributed.is_initialized()


SHORT = Config.from_preset("fast").stage1.model_copy(
    update={"steps": 60, "batch_size": 8, "patch_size": 32, "features": 8, "validation_interval": 20}
)
