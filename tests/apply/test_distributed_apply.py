"""Many processes on one stack, or on many: the same bytes as one process, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from typer.testing import CliRunner

from napari_autostructn2v import cli
from napari_autostructn2v.apply import cluster, denoise_to_file, tasks
from napari_autostructn2v.apply.cluster import SlurmJob, Workers
from napari_autostructn2v.apply.distributed import denoise_divided, denoise_many
from napari_autostructn2v.apply.tasks import Task, denoise_unit, divide
from napari_autostructn2v.cli.progress import ExitCode
from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.errors import (
    ConfigError,
    FileError,
    MissingLibraryError,
    RunFolderError,
    StackError,
)
from napari_autostructn2v.events import Notice, SliceDone, finish
from napari_autostructn2v.io import VoxelSize, file_state, read_stack, write_stack
from napari_autostructn2v.io.left_out import LeftOut
from napari_autostructn2v.learning.model import Model, load_model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.noise import recovery
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.notch import NotchRule
from napari_autostructn2v.noise.recovery import Recovery
from napari_autostructn2v.scale import Normalisation
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import sample

SHAPE = (20, 72, 80)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with Workers(2, torch.get_num_threads()).client() as client:
        yield client


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    return sample("hum", shape=SHAPE, seed=1).noisy


@pytest.fixture(scope="module")
def rule(noisy: np.ndarray) -> NotchRule:
    rule = analyze(noisy).notch_rule
    assert rule is not None
    return rule


@pytest.fixture
def task(tmp_path: Path, noisy: np.ndarray) -> Task:
    source = write_stack(tmp_path / "a.zarr", noisy, voxel_size=VoxelSize(2, 1, 1))
    (tmp_path / "out").mkdir()
    untrained("2d", None).save(tmp_path / "2d.zip")
    threads = torch.get_num_threads()
    return Task(tmp_path / "2d.zip", source, tmp_path / "out" / "a.zarr", 1.0, device="cpu", threads=threads)


def untrained(mode: str, notch: NotchRule | None) -> Model:
    torch.manual_seed(0)
    network = UNet(3 if mode == "2.5d" else 1, features=8, depth=2).eval()
    kernel = np.ones((3, 1, 3) if mode == "2.5d" else (1, 3), dtype=bool)
    return Model(network, kernel, notch, TrainingConfig(features=8), Normalisation(0.5, 0.3))


def by_one_process(task: Task, folder: Path) -> bytes:
    array, model = read_stack(task.source).array, load_model(task.model)
    stack = as_stack(array, left_out=task.left_out.of(array.shape))
    path = finish(denoise_to_file(stack, model, folder / "one.zarr", recovery=task.recovery, device="cpu"))
    return np.asarray(read_stack(path).array[:]).tobytes()


def written(path: Path) -> bytes:
    return np.asarray(read_stack(path).array[:]).tobytes()


@pytest.mark.parametrize(
    ("mode", "notched", "share"),
    [("2d", True, 1.0), ("2.5d", True, 0.5), ("2.5d", False, 1.0), ("2d", False, 0.0)],
)
def test_many_give_the_bytes_of_one(
    client: Any, task: Task, rule: NotchRule, tmp_path: Path, mode: str, notched: bool, share: float
) -> None:
    model = untrained(mode, rule if notched else None)
    task = replace(task, model=model.save(tmp_path / "model.zip"), recovery=share)
    finish(denoise_divided(task, client))
    assert written(task.target) == by_one_process(task, tmp_path)
    assert read_stack(task.target).voxel_size == VoxelSize(2, 1, 1)
    assert list(task.target.parent.iterdir()) == [task.target], "nothing else is left"


@pytest.mark.parametrize("mode", ["2d", "2.5d"])
def test_what_was_never_measured_is_left_out_by_many_as_by_one(
    client: Any, task: Task, rule: NotchRule, noisy: np.ndarray, tmp_path: Path, mode: str
) -> None:
    """A frame, blank slices, no numbers, hot pixels, brightness that jumps, and what is left out by hand."""
    broken = noisy + 20 * (np.arange(len(noisy)) % 3)[:, None, None].astype(np.float32)
    broken[3:5] = broken[:, :6] = broken[:, :, -9:] = 0
    broken[7, 30:40, 30:50] = np.nan
    broken[9, 40, 40] = broken[10, 20, 60] = 1e6
    source = write_stack(tmp_path / "broken.zarr", broken)
    model = untrained(mode, rule).save(tmp_path / "model.zip")
    grid = np.zeros(SHAPE[1:], np.uint8)
    grid[50:60] = 1
    left_out = LeftOut.from_texts([str(write_stack(tmp_path / "grid.tif", grid)), "12:15,20:30,20:70"])
    task = replace(task, source=source, model=model, recovery=1.0, left_out=left_out)
    finish(denoise_divided(task, client))
    assert written(task.target) == by_one_process(task, tmp_path)
    result = np.asarray(read_stack(task.target).array[:])
    np.testing.assert_array_equal(result[:, 50:60], broken[:, 50:60])
    np.testing.assert_array_equal(result[12:15, 20:30, 20:70], broken[12:15, 20:30, 20:70])
    np.testing.assert_array_equal(result[3:5], 0)
    np.testing.assert_array_equal(result[7, 30:40, 30:50], np.nan)
    assert np.nanmax(result) < 1e5, "hot pixels are replaced"


def test_chunks_are_those_of_the_units(client: Any, task: Task) -> None:
    finish(denoise_divided(task, client))
    assert zarr.open_array(task.target / "0").chunks == (8, 72, 80)
    assert [box.z for box in divide(SHAPE, whole_slices=False)] == [(0, 8), (8, 16), (16, 20)]


def test_a_single_slice(client: Any, task: Task, noisy: np.ndarray, tmp_path: Path) -> None:
    task = replace(task, source=write_stack(tmp_path / "slice.tif", noisy[0]))
    finish(denoise_divided(task, client))
    assert written(task.target) == by_one_process(task, tmp_path)


def test_a_slice_too_large_for_one_is_denoised_in_parts(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (1, 2300, 600)
    source = write_stack(tmp_path / "large.zarr", np.random.default_rng(0).random(shape, np.float32))
    task = replace(task, source=source)
    for module in (tasks, recovery):
        monkeypatch.setattr(module, "SIDE", 512)
    monkeypatch.setattr("napari_autostructn2v.learning.prediction.TILE_VALUES", 2**20)
    (whole,) = divide(shape, whole_slices=False)
    monkeypatch.setattr(tasks, "MAX_UNIT_VOXELS", 600**2)
    gain = np.random.default_rng(1).normal(size=(63, 63)) / 63
    rest = Recovery(gain, (1e-3, 1e-3, 1e-3, 1e-3), overdrawn=gain)
    right = denoise_unit(task, whole, None, rest)
    boxes = divide(shape, whole_slices=False)
    assert len(boxes) == 10 and len(divide(shape, whole_slices=True)) == 1
    for box in (boxes[0], boxes[3], boxes[9]):
        part = denoise_unit(task, box, None, rest)
        assert part.tobytes() == right[(slice(None), *box.field)].tobytes()


def test_of_many_stacks_each_keeps_its_format(
    client: Any, task: Task, noisy: np.ndarray, tmp_path: Path
) -> None:
    other = write_stack(tmp_path / "b.mrc", noisy[:6], voxel_size=VoxelSize(2, 1, 1))
    tasks = [task, replace(task, source=other, target=task.target.with_name("b.mrc"))]
    events = []
    results = finish(denoise_many(tasks, client), events.append)
    assert results == [t.target for t in tasks]
    for one in tasks:
        (alone := tmp_path / f"one_{one.target.name}").mkdir()
        assert written(one.target) == by_one_process(one, alone)
    assert events[-1] == SliceDone(z=25, done=26, total=26)
    assert {path.name for path in task.target.parent.iterdir()} == {"a.zarr", "b.mrc"}


def test_a_worker_that_is_killed_takes_nothing_along(
    client: Any, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "MAX_UNIT_DEPTH", 1)
    victims = list(client.run(os.getpid).values())[:1]
    for event in (events := denoise_divided(replace(task, recovery=0.0), client)):
        if isinstance(event, SliceDone) and 0 < event.done < event.total and victims:
            os.kill(victims.pop(), signal.SIGKILL)
    assert not victims and not list(events)
    assert written(task.target) == by_one_process(replace(task, recovery=0.0), tmp_path)


def interrupted(task: Task, client: Any, done: int) -> None:
    """Begin the work and end it when so many slices of the result are there."""
    events = denoise_divided(task, client)
    for event in events:
        if isinstance(event, SliceDone) and event.total == SHAPE[0] and event.done >= done:
            break
    events.close()


def test_what_was_done_is_not_done_again(
    client: Any, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "MAX_UNIT_DEPTH", 1)
    task = replace(task, recovery=0.0)
    interrupted(task, client, 3)
    assert not task.target.exists(), "under its name is only what is complete"
    (work,) = task.target.parent.iterdir()
    marks = [mark.name.split("-")[0] for mark in (work / "result.done").iterdir()]
    before = {z: (work / f"result.zarr/0/{z}/0/0").stat().st_mtime_ns for z in marks}
    assert len(before) >= 3
    events: list[Any] = []
    finish(denoise_divided(task, client), events.append)
    (notice,) = (event.message for event in events if isinstance(event, Notice))
    assert int(notice.split()[0]) >= len(before)
    assert {z: (task.target / f"0/{z}/0/0").stat().st_mtime_ns for z in before} == before
    assert written(task.target) == by_one_process(task, tmp_path)


def test_work_is_not_mixed_up(client: Any, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MAX_UNIT_DEPTH", 1)
    interrupted(replace(task, recovery=0.0), client, 1)
    with pytest.raises(RunFolderError, match="other values of: recovery"):
        finish(denoise_divided(task, client))
    task.target.mkdir()
    other = replace(task, target=task.target.with_name("b.zarr"))
    other.target.mkdir()
    with pytest.raises(FileError, match="exists already"):
        finish(denoise_divided(other, client))


@pytest.mark.parametrize("name", ["stack.mrc", "stack.zarr"])
def test_a_source_that_was_replaced_is_read_anew_by_workers_that_live_on(
    client: Any, task: Task, noisy: np.ndarray, tmp_path: Path, name: str
) -> None:
    task = replace(task, source=write_stack(tmp_path / name, noisy), recovery=0.0)
    finish(denoise_divided(task, client))
    write_stack(task.source, noisy[:12, :, ::-1], overwrite=True)
    again = replace(task, target=task.target.with_name("again.zarr"))
    finish(denoise_divided(again, client))
    assert written(again.target) == by_one_process(task, tmp_path)


@pytest.mark.parametrize("changed", ["source", "model"])
def test_what_is_replaced_while_it_is_worked_on_is_told(
    client: Any,
    task: Task,
    noisy: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: str,
) -> None:
    monkeypatch.setattr(tasks, "MAX_UNIT_DEPTH", 1)
    task = replace(task, source=write_stack(tmp_path / "a.mrc", noisy), recovery=0.0)
    events = denoise_divided(task, client)
    while (event := next(events)) and not (isinstance(event, SliceDone) and event.done):
        pass
    if changed == "source":
        write_stack(task.source, noisy[:, ::-1], overwrite=True)
    else:
        untrained("2d", None).save(task.model, overwrite=True)
    with pytest.raises(FileError, match=f"{getattr(task, changed).name} was changed while"):
        list(events)
    assert not task.target.exists(), "a result of two states would be of neither"


def test_a_folder_of_slices_is_another_one_when_a_slice_is(tmp_path: Path, noisy: np.ndarray) -> None:
    (tmp_path / "slices").mkdir()
    files = [write_stack(tmp_path / "slices" / f"{z}.tif", noisy[z]) for z in range(3)]
    before = file_state(tmp_path / "slices")
    (tmp_path / "slices" / ".work-slices.zarr").mkdir()
    assert file_state(tmp_path / "slices") == before, "results may be written beside the slices"
    with files[1].open("r+b") as file:  # in its place: the folder itself does not change
        file.write(file.read())
    os.utime(files[1], (0, 0))
    assert file_state(tmp_path / "slices") != before


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such signal")
def test_a_worker_that_dies_with_its_result_in_place_ends_nothing(
    client: Any, task: Task, tmp_path: Path
) -> None:
    died = tmp_path / "died"

    def die_before_saying_so() -> None:
        from napari_autostructn2v.apply.work_folder import WorkFolder

        say_so = WorkFolder.mark_done

        def die(folder: WorkFolder) -> None:
            if not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            say_so(folder)

        WorkFolder.mark_done = die  # type: ignore[method-assign]

    client.run(die_before_saying_so)
    assert finish(denoise_many([replace(task, recovery=0.0)], client)) == [task.target]
    assert died.exists() and written(task.target) == by_one_process(replace(task, recovery=0.0), tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_record_of_the_work_is_told(client: Any, task: Task, content: str) -> None:
    work = task.target.with_name(f".work-{task.target.name}")
    work.mkdir()
    (work / "task.json").write_text(content)
    with pytest.raises(RunFolderError, match="Delete its folder"):
        finish(denoise_divided(task, client))


def test_what_a_worker_refuses_is_told(client: Any, task: Task, noisy: np.ndarray, tmp_path: Path) -> None:
    bad = np.zeros_like(noisy)
    task = replace(task, source=write_stack(tmp_path / "bad.zarr", bad), recovery=0.0)
    with pytest.raises(StackError, match="nothing to denoise"):
        finish(denoise_divided(task, client))


def test_from_the_command_line(client: Any, task: Task, noisy: np.ndarray, tmp_path: Path) -> None:
    address = client.scheduler.address
    write_stack(tmp_path / "b.mrc", noisy)
    arguments = ["apply", task.model, tmp_path / "b.mrc", "--out", tmp_path / "new", "--scheduler", address]
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    assert written(tmp_path / "new" / "b.zarr") == by_one_process(task, tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups to send a signal to")
def test_ctrl_c_leaves_work_that_goes_on(task: Task, noisy: np.ndarray) -> None:
    write_stack(task.source, np.tile(noisy, (20, 1, 1)), overwrite=True)  # it is not done before the signal
    program = "from napari_autostructn2v.apply import tasks; tasks.MAX_UNIT_DEPTH = 1; "
    program += "from napari_autostructn2v.cli import main; main()"
    arguments = [
        "apply",
        task.model,
        task.source,
        "--out",
        task.target.parent,
        "--workers",
        1,
        "--recovery",
        0,
    ]
    command = [sys.executable, "-c", program, *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    marks = task.target.with_name(".work-a.zarr") / "result.done"
    while not marks.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of its processes
    _, messages = process.communicate(timeout=600)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "goes on from here" in messages and "Traceback" not in messages
    assert marks.exists() and not task.target.exists()


def test_a_slurm_job_asks_for_what_it_needs() -> None:
    with SlurmJob("gpu", "08:00:00", cores=12, memory="64GB", gpus=1).cluster() as slurm:
        script = slurm.job_script()
    for line in (
        "-p gpu",
        "-t 08:00:00",
        "--cpus-per-task=12",
        "--mem=60G",
        "--gres=gpu:1",
        "-J autostructn2v",
    ):
        assert f"#SBATCH {line}\n" in script
    assert "export OMP_NUM_THREADS=12\n" in script, "Dask would allow one thread"
    assert "--nthreads 1 " in script, "one piece of work at a time"


def test_which_workers_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Workers.asked_for(None, None, None, None) is None
    assert Workers.asked_for(40, SlurmJob(cores=6), None, 6) == Workers(40, 6, SlurmJob(cores=6))
    monkeypatch.setattr(cluster, "usable_cores", lambda: 16)
    assert Workers.asked_for(5, None, None, None) == Workers(5, 3)
    with pytest.raises(ConfigError, match="alone"):
        Workers.asked_for(2, None, "tcp://here:8786", None)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"distributed and dask_jobqueue .*\[cluster\]"):
        Workers.asked_for(2, None, None, None)
