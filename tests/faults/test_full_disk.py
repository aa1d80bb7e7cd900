"""A disk that is full: the run waits for room, goes on by itself, and can be cancelled all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from napari_autostructn2v.apply import denoise_to_file
from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.disk import waiting
from napari_autostructn2v.errors import DiskFullError
from napari_autostructn2v.events import SliceDone, Step, Waiting, finish
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning import checkpoint, training
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.pipeline import denoise, denoise_with, run
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.scale import Normalisation

TINY = TrainingConfig(steps=8, batch_size=2, patch_size=16, features=8, validation_interval=4)
QUICK = Config(stage1=TINY, stage2=TINY)
LINE = np.ones((1, 5), bool)
ASKED = RunRequest("2d", QUICK, kernel=LINE)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root mounts a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    return np.random.default_rng(0).normal(1000, 30, (5, 40, 40)).astype(np.float32)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


@pytest.mark.parametrize("moment", ["stage1", "stage2"])
def test_a_run_waits_for_room_and_goes_on_to_the_same_result(
    disk: Path, stack: np.ndarray, moment: str
) -> None:
    whole = denoise(stack, config=QUICK, kernel=LINE)
    waited, filler = 0, None
    events = run(stack, ASKED, folder=disk / "run")
    try:
        while True:
            event = next(events)
            begun = moment == "stage1" or (disk / "run" / "stage1" / "model.zip").exists()
            if isinstance(event, Step) and event.step == 3 and filler is None and begun:
                filler = fill(disk)
            if isinstance(event, Waiting):
                waited += 1
                assert "full" in event.reason and filler is not None
                before = disk / "run" / moment / "checkpoint.safetensors"
                assert checkpoint.read_checkpoint(before)[0]["step"] < 8, "what was there stays"
                if waited == 5:
                    filler.unlink()
    except StopIteration as end:
        result = end.value
    assert waited >= 5
    np.testing.assert_array_equal(result.denoised, whole.denoised)
    assert not list(disk.rglob(".partial-*"))


def test_a_run_waits_for_room_for_what_its_model_makes(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)
    stack = np.random.default_rng(0).normal(1000, 30, (20, 64, 64)).astype(np.float32)
    whole = denoise(stack, config=QUICK, kernel=LINE)
    waited, filler = 0, None
    events = run(stack, ASKED, folder=disk / "run")
    try:
        while True:
            event = next(events)
            if isinstance(event, Step) and event.step == 8 and filler is None:
                filler = fill(disk)
                os.truncate(filler, filler.stat().st_size - 200_000)  # the model fits, not what it makes
            if isinstance(event, Waiting):
                waited += 1
                assert (disk / "run" / "stage1" / "model.zip").exists() and "predicted" in event.reason
                assert not list(disk.rglob("predicted_*"))
                if waited == 5 and filler is not None:
                    filler.unlink()
    except StopIteration as end:
        result = end.value
    assert waited >= 5
    np.testing.assert_array_equal(result.denoised, whole.denoised)


def test_a_run_that_waits_can_be_cancelled_and_resumed(disk: Path, stack: np.ndarray) -> None:
    whole = denoise(stack, config=QUICK, kernel=LINE)
    events = run(stack, ASKED, folder=disk / "run")
    while not (isinstance(event := next(events), Step) and event.step == 5):
        pass
    filler = fill(disk)
    while not isinstance(next(events), Waiting):
        pass
    events.close()  # while there is no room yet: it does not wait for that
    filler.unlink()
    result = finish(run(stack, ASKED, folder=disk / "run"))
    np.testing.assert_array_equal(result.denoised, whole.denoised)


@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif", "out.mrc", "out.zarr"])
def test_a_result_that_does_not_fit_is_told_from_other_errors(disk: Path, name: str) -> None:
    large = np.random.default_rng(0).random((64, 128, 128), np.float32)
    with pytest.raises(DiskFullError, match="disk is full"):
        write_stack(disk / name, large)
    assert not list(disk.iterdir()), "nothing half written is left"


def test_the_command_line_waits_as_well(disk: Path, tmp_path: Path) -> None:
    stack = np.random.default_rng(0).normal(1000, 30, (12, 128, 128)).astype(np.float32)
    write_stack(tmp_path / "noisy.mrc", stack)
    script = (
        "from napari_autostructn2v import cli\n"
        "from napari_autostructn2v.config import Config, TrainingConfig\n"
        "tiny = TrainingConfig(steps=2, batch_size=2, patch_size=16, features=8);"
        "Config.from_preset = classmethod(lambda cls, preset: Config(stage1=tiny, stage2=tiny)); cli.main()"
    )
    filler = fill(disk)
    command = [sys.executable, "-c", script, "run", str(tmp_path / "noisy.mrc"), str(disk / "clean.mrc")]
    process = subprocess.Popen(
        [*command, "--run-dir", str(tmp_path / "run")],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "500"},
    )
    assert process.stderr is not None
    said = ""
    while "is full" not in said and process.poll() is None:
        said += process.stderr.readline()
    filler.unlink()
    said += process.communicate(timeout=600)[1]
    assert process.returncode == 0, said
    assert (disk / "clean.mrc").exists() and "The run waits" in said and "Written" in said


def test_applying_a_model_waits_for_room_for_its_result(disk: Path, stack: np.ndarray) -> None:
    model = Model(UNet(1, 8, 1).eval(), POINT, None, TrainingConfig(depth=1), Normalisation(1000, 30))
    events = denoise_to_file(stack, model, disk / "clean.mrc", device="cpu")
    next(events)  # the scratch file has not all of its room yet, but the first slice
    waited, filler = 0, None
    try:
        while True:
            event = next(events)
            if isinstance(event, SliceDone) and event.done == event.total and filler is None:
                filler = fill(disk)
            if isinstance(event, Waiting):
                waited += 1
                assert "full" in event.reason and not (disk / "clean.mrc").exists()
                if waited == 5 and filler is not None:
                    filler.unlink()
    except StopIteration:
        pass
    assert waited >= 5
    whole = finish(denoise_with(stack, model, device="cpu"))
    np.testing.assert_array_equal(np.asarray(read_stack(disk / "clean.mrc").array), whole)
    assert not list(disk.glob(".*")), "nothing is left beside it"
