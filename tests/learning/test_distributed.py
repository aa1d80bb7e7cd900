"""Several processes that train together, started as people start them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_autostructn2v.config import Config
from napari_autostructn2v.errors import DeviceError
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning.distributed import process_group
from napari_autostructn2v.learning.model import load_model
from napari_autostructn2v.learning.training import train
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.synthetic import sample

PROGRAM = """
import sys
from pathlib import Path

import numpy as np

from napari_autostructn2v import cli, config
from napari_autostructn2v.learning import distributed
from napari_autostructn2v.learning.training_data import TrainingData

SHORT = config.TrainingConfig(steps=60, batch_size=8, patch_size=32, features=8, validation_interval=20)
config.Config.from_preset = classmethod(lambda cls, preset: cls(stage1=SHORT, stage2=SHORT))
draw = TrainingData.draw


def note(data, generator):
    batch = draw(data, generator)
    with (Path(sys.argv[2]).parent / f"drawn_{distributed.rank()}.txt").open("a") as file:
        file.write(f"{len(batch.patches)} {float(batch.patches.sum())}\\n")
    return batch


TrainingData.draw = note
cli.main()
"""


IN_TROUBLE = """
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch

from napari_autostructn2v.learning import distributed
from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.events import Notice, finish
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.error_report import log_and_explain
from napari_autostructn2v.learning.training import train

folder, trouble = Path(sys.argv[1]), sys.argv[2]
stack = np.load(folder / "stack.npy")
config = TrainingConfig(steps=12, batch_size=8, patch_size=32, features=8, validation_interval=4)
sound, steps = UNet.forward, 0


def forward(self, image):
    global steps
    steps += self.training
    if distributed.rank() == 1 and trouble == "card" and steps == 3:
        raise RuntimeError("CUDA error: unspecified launch failure")
    made = sound(self, image)
    if distributed.rank() == 1 and trouble == "memory" and self.training and len(image) > 1:
        made.register_hook(run_out)  # in the middle of the step, when the others exchange what they have
    return made


def run_out(gradient):
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


UNet.forward = forward


def note(model, seen):
    weights = torch.cat([p.flatten() for p in model.network.state_dict().values()])
    np.save(folder / f"weights_{distributed.rank()}.npy", weights.numpy())
    (folder / f"notices_{distributed.rank()}.txt").write_text("\\n".join(seen))


def notice(seen):
    return lambda event: seen.append(event.message) if isinstance(event, Notice) else None


limit = timedelta(seconds=8 if trouble == "waiting" else 120)
try:
    with distributed.process_group(limit):
        seen = []
        if distributed.is_leader():
            if trouble == "waiting":
                time.sleep(12)  # it predicts, longer than the others wait for a step
            note(finish(train(stack, POINT, config, device="cpu"), notice(seen)), seen)
            distributed.broadcast(None)
        else:
            for order in distributed.received():
                note(finish(train(stack, device="cpu", **order), notice(seen)), seen)
except Exception as error:
    sys.exit(log_and_explain(error))
"""


def by_two(program: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What became of a program that ``torchrun`` has started twice."""
    (folder / "program.py").write_text(program)
    return subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            str(folder / "program.py"), *arguments,
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


@pytest.mark.parametrize("trouble", ["waiting", "memory"])
def test_trouble_of_one_is_borne_by_both(tmp_path: Path, trouble: str) -> None:
    """One that leads and predicts longer than others wait for a step; one that runs out of memory."""
    np.save(tmp_path / "stack.npy", sample("scan_lines", shape=(2, 64, 64)).noisy)
    outcome = by_two(IN_TROUBLE, tmp_path, str(tmp_path), trouble)
    assert outcome.returncode == 0, outcome.stderr
    first, second = (np.load(tmp_path / f"weights_{n}.npy") for n in range(2))
    np.testing.assert_array_equal(first, second)
    notices = [(tmp_path / f"notices_{n}.txt").read_text().splitlines() for n in range(2)]
    assert notices[0] == notices[1]
    # 4 patches each, then 2, then 1
    expected = ["in 2 parts", "in 4 parts"] if trouble == "memory" else []
    assert len(notices[0]) == len(expected)
    assert all(words in notice for words, notice in zip(expected, notices[0], strict=True))


def test_a_card_that_fails_ends_the_training_of_all_with_words(tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", sample("scan_lines", shape=(2, 64, 64)).noisy)
    outcome = by_two(IN_TROUBLE, tmp_path, str(tmp_path), "card")
    assert outcome.returncode != 0
    assert "The graphics card of process 1 has failed (CUDA error: unspecified launch" in outcome.stderr
    assert not (tmp_path / "weights_0.npy").exists()


def test_more_processes_than_graphics_cards_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(DeviceError, match=r"than the 1 graphics card .* --nproc-per-node 1"), process_group():
        pass


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    made = sample("scan_lines", shape=(4, 64, 64))
    source = write_stack(tmp_path / "noisy.tif", made.noisy)
    outcome = by_two(PROGRAM, tmp_path, "run", str(source), str(tmp_path / "out.tif"), "--quiet")
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
