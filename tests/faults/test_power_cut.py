"""A power cut at any moment: what was flushed is there, what was not may be torn, and the run goes on."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from power import Disk

from napari_autostructn2v.apply.tasks import Task, divide
from napari_autostructn2v.apply.work_folder import WorkFolder
from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.disk.atomic import remove_leftovers
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import VoxelSize, read_stack, write_stack
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning import checkpoint, training
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.pipeline import resume, run
from napari_autostructn2v.runs import stages
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.scale import Normalisation
from napari_autostructn2v.synthetic import sample

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files are held by their descriptors")

TINY = TrainingConfig(
    steps=12, batch_size=2, patch_size=32, features=8, validation_interval=4, validation_patches=4
)
CONFIG = Config(stage1=TINY, stage2=TINY)


@pytest.fixture(autouse=True)
def each_step_is_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(stages, "CHECKPOINT_SECONDS", 0.0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for the same bytes
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    write_stack(
        tmp_path / "noisy.mrc", sample("scan_lines", shape=(3, 128, 128)).noisy, voxel_size=VoxelSize(1, 1, 1)
    )
    return tmp_path / "noisy.mrc"


def denoised(noisy: Path, folder: Path) -> np.ndarray:
    """The result of a run, begun or gone on with."""
    if (folder / "run.json").exists():
        events = resume(folder, device="cpu")
    else:
        image = read_stack(noisy)
        events = run(image.array, RunRequest("2d", CONFIG, source=image), folder=folder, device="cpu")
    return np.asarray(finish(events).denoised)


def progress(folder: Path) -> int:
    """How many steps of both trainings are done for certain, by what is in the folder of the run."""
    for done, stage in ((1, "stage2"), (0, "stage1")):
        if (folder / stage / "model.zip").exists():
            return (done + 1) * TINY.steps
        file = folder / stage / "checkpoint.safetensors"
        if any(each.exists() for each in checkpoint.checkpoint_files(file)):
            return int(done * TINY.steps + checkpoint.read_checkpoint(file)[0]["step"])
    return 0


@pytest.mark.parametrize(
    ("cuts", "seed"), [(10, 0), *(pytest.param(300, seed, marks=pytest.mark.long) for seed in (1, 2, 3))]
)
def test_a_run_goes_on_after_a_power_cut(noisy: Path, tmp_path: Path, cuts: int, seed: int) -> None:
    dice = random.Random(seed)
    (tmp_path / "whole").mkdir()
    disk = Disk(tmp_path / "whole")
    with disk.watching(lambda number: None):
        whole = denoised(noisy, tmp_path / "whole" / "run")
    disk.close()
    chosen = sorted(dice.sample(range(1, disk.moments + 1), min(cuts, disk.moments)))

    (tmp_path / "disk").mkdir()
    watched = Disk(tmp_path / "disk")
    done: dict[int, int] = {}

    def at(number: int) -> None:
        if number in chosen:
            done[number] = progress(tmp_path / "disk" / "run")
            # nothing of what was not flushed, all of it, or some
            luck = dice.choice((0.0, 0.0, 1.0, dice.random()))
            watched.leave(tmp_path / f"after_{number}", luck, dice)

    with watched.watching(at):
        np.testing.assert_array_equal(denoised(noisy, tmp_path / "disk" / "run"), whole)
    watched.close()
    assert len(done) == len(chosen) and max(done.values()) > TINY.steps
    for number in chosen:
        after = tmp_path / f"after_{number}" / "run"
        assert progress(after) >= done[number] - 1, f"cut {number}: a step that was kept is lost"
        np.testing.assert_array_equal(denoised(noisy, after), whole, err_msg=f"cut {number}")
        shutil.rmtree(after.parent)
    print(f"{len(chosen)} cuts of {disk.moments} moments, steps done {sorted(set(done.values()))}")


@pytest.mark.parametrize("suffix", [".mrc", ".tif", ".zarr"])
def test_a_file_that_is_overwritten_is_the_old_or_the_new_one_after_a_power_cut(
    tmp_path: Path, suffix: str
) -> None:
    dice = random.Random(0)
    old, new = np.zeros((4, 40, 40), np.float32), np.ones((4, 40, 40), np.float32)
    (tmp_path / "disk").mkdir()
    target = tmp_path / "disk" / f"clean{suffix}"
    write_stack(target, old)
    disk = Disk(tmp_path / "disk")
    left = []

    def at(number: int) -> None:
        for luck in (0.0, 1.0, dice.random(), dice.random()):
            left.append(tmp_path / f"after_{number}_{luck}" / target.name)
            disk.leave(left[-1].parent, luck, dice)

    with disk.watching(at):
        write_stack(target, new, overwrite=True)
    disk.close()
    means = set()
    for after in left:
        remove_leftovers(after.parent, after.name)
        means.add(float(np.asarray(read_stack(after).array).mean()))
    assert means == {0.0, 1.0}


def test_parts_of_a_result_that_count_as_done_are_there_after_a_power_cut(tmp_path: Path) -> None:
    dice, shape = random.Random(0), (20, 40, 40)
    (tmp_path / "disk").mkdir()
    write_stack(tmp_path / "noisy.mrc", np.random.default_rng(0).normal(size=shape).astype(np.float32))
    untrained = Model(
        UNet(1, 8, 1).eval(), POINT, None, TINY.model_copy(update={"depth": 1}), Normalisation(0, 1)
    )
    model = untrained.save(tmp_path / "model.zip")
    task = Task(model, tmp_path / "noisy.mrc", tmp_path / "disk" / "clean.zarr", recovery=0)
    parts = {
        box: np.full(box.shape, number + 1, np.float32)
        for number, box in enumerate(divide(shape, whole_slices=True))
    }
    disk = Disk(tmp_path / "disk")
    left: list[Path] = []

    def at(number: int) -> None:
        for luck in (0.0, 1.0, dice.random()):
            left.append(tmp_path / f"after_{number}_{luck}")
            disk.leave(left[-1], luck, dice)

    work = WorkFolder(task)
    with disk.watching(at):
        work.begin()
        work.make_result()
        for box, part in parts.items():
            work.write(work.result, box, part)
        work.put_into_place()
    disk.close()
    done = set()
    for folder in left:
        after = WorkFolder(replace(task, target=folder / "clean.zarr"))
        if after.check():
            result, kept = after.task.target, set(parts)
        else:
            after.begin()
            after.make_result()
            result, kept = after.result, set(parts) - set(after.missing(after.result, parts))
        for box in kept:
            np.testing.assert_array_equal(read_stack(result).array[slice(*box.z)], parts[box], folder.name)
        done.add(len(kept))
    assert done == set(range(len(parts) + 1)) and len(parts) > 2
