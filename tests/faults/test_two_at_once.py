"""Two processes on one run folder or output: the second is told who holds it, a dead one blocks nobody."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_autostructn2v.apply import denoise_to_file
from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.disk.lock import Hold, hold_output
from napari_autostructn2v.errors import BusyError
from napari_autostructn2v.events import TrainingStarted, finish
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.pipeline import resume, run
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.scale import Normalisation

TINY = TrainingConfig(steps=4, batch_size=2, patch_size=16, features=8, validation_interval=2)
QUICK = Config(stage1=TINY, stage2=TINY)


@pytest.fixture
def holder(tmp_path: Path):
    """Starts another process that holds a path; gives it back once it does."""
    started = []

    def hold(path: Path) -> subprocess.Popen[str]:
        script = (
            "import sys, time; from pathlib import Path; from napari_autostructn2v.disk.lock import Hold\n"
            f"hold = Hold(Path({str(path)!r})); print('held', flush=True); time.sleep(600)"
        )
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()


def test_the_second_is_told_who_holds_it_and_a_dead_one_blocks_nobody(tmp_path: Path, holder) -> None:
    stack = np.random.default_rng(0).normal(1000, 30, (3, 40, 40)).astype(np.float32)
    (tmp_path / "run").mkdir()
    other = holder(tmp_path / "run")
    with pytest.raises(BusyError) as error:
        finish(run(stack, RunRequest("2d", QUICK), folder=tmp_path / "run"))
    said = str(error.value)
    assert f"process {other.pid} on {socket.gethostname()} since {time.strftime('%Y-%m-')}" in said
    assert not (tmp_path / "run" / "run.json").exists()
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    finish(run(stack, RunRequest("2d", QUICK), folder=tmp_path / "run"))
    assert not list((tmp_path / "run").glob(".lock*")), "nothing is left of it"


def test_two_runs_of_one_process_as_well(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).normal(1000, 30, (3, 40, 40)).astype(np.float32)
    first = run(stack, RunRequest("2d", QUICK), folder=tmp_path / "run")
    while not isinstance(next(first), TrainingStarted):
        pass
    with pytest.raises(BusyError, match=f"process {os.getpid()}"):
        finish(run(stack, RunRequest("2d", QUICK), folder=tmp_path / "run"))
    first.close()
    finish(run(stack, RunRequest("2d", QUICK), folder=tmp_path / "run"))


def test_an_output_is_held_while_a_run_is_under_way(tmp_path: Path, holder) -> None:
    stack = np.random.default_rng(0).normal(1000, 30, (3, 40, 40)).astype(np.float32)
    write_stack(tmp_path / "noisy.mrc", stack)
    holder(tmp_path / "clean.mrc")
    command = [sys.executable, "-c", "from napari_autostructn2v.cli import main; main()"]
    ended = subprocess.run(
        [*command, "run", str(tmp_path / "noisy.mrc"), str(tmp_path / "clean.mrc")],
        capture_output=True, text=True, env={**os.environ, "COLUMNS": "500"},
    )  # fmt: skip
    assert ended.returncode == 3 and "is in use by process" in ended.stderr
    assert not (tmp_path / "clean_run").exists()


def test_a_file_that_is_not_there_yet_is_held_too(tmp_path: Path) -> None:
    with Hold(tmp_path / "a.tif"), pytest.raises(BusyError), Hold(tmp_path / "a.tif"):
        pass
    with Hold(tmp_path / "a.tif"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("network_disk", [False, True])
def test_a_lock_that_is_released_while_another_takes_it_passes_to_that_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network_disk: bool
) -> None:
    fcntl = pytest.importorskip("fcntl", reason="Windows deletes no file that is open")
    target, lock, flock = tmp_path / "a.tif", tmp_path / ".a.tif.lock", fcntl.flock
    holds = [Hold(target)]

    def late(descriptor: int, how: int) -> None:
        if how & fcntl.LOCK_EX and holds:  # the file is open, and is deleted before it is locked
            if network_disk:
                os.link(lock, tmp_path / ".nfs0001")  # what NFS does to a file that is open and deleted
            holds.pop().release()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    second = Hold(target)
    assert not holds
    with pytest.raises(BusyError):
        Hold(target)
    second.release()
    assert not lock.exists()


def test_two_names_of_one_file_have_one_writer(tmp_path: Path) -> None:
    for name in ("link.mrc", "other.mrc"):
        (tmp_path / name).symlink_to(tmp_path / "a.mrc")
    (tmp_path / ".partial-12345678-a.mrc").write_bytes(b"left by a killed one")
    with hold_output(tmp_path / "link.mrc"):
        assert not list(tmp_path.glob(".partial-*"))
        with pytest.raises(BusyError), hold_output(tmp_path / "other.mrc"):
            pass


def test_resume_says_what_is_missing(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).normal(1000, 30, (3, 40, 40)).astype(np.float32)
    finish(run(stack, RunRequest("2d", QUICK), folder=tmp_path / "run"))
    with pytest.raises(ValueError, match="in no file"):
        finish(resume(tmp_path / "run"))


def untrained() -> Model:
    """A model that takes no time to make."""
    return Model(UNet(1, 8, 1).eval(), POINT, None, TINY.model_copy(update={"depth": 1}), Normalisation(0, 1))


def test_an_output_is_held_while_a_model_is_applied_to_a_stack(tmp_path: Path, holder) -> None:
    stack = np.random.default_rng(0).normal(1000, 30, (3, 40, 40)).astype(np.float32)
    target = tmp_path / "clean.mrc"
    other = holder(target)
    with pytest.raises(BusyError, match=f"process {other.pid}"):
        finish(denoise_to_file(stack, untrained(), target, device="cpu"))
    assert not target.exists()
    other.kill()
    other.wait()
    (tmp_path / ".partial-12345678-clean.mrc").write_bytes(b"left by a killed one")
    events = denoise_to_file(stack, untrained(), target, device="cpu")
    next(events)
    with pytest.raises(BusyError, match=f"process {os.getpid()}"):
        finish(denoise_to_file(stack, untrained(), target, device="cpu"))
    finish(events)
    assert [file.name for file in tmp_path.iterdir()] == ["clean.mrc"], "nothing else is left"


WRITER = """
import os, signal, sys
from pathlib import Path
import numpy as np
from napari_autostructn2v.disk.lock import hold_output
from napari_autostructn2v.io import write_stack

class Slow:
    shape, dtype = (3, 40, 40), np.dtype(np.float32)
    def __getitem__(self, z):
        if z == 2 and half_way:
            print("half", flush=True)
            sys.stdin.readline()
        return np.full(self.shape[1:], value, np.float32)

target, value, half_way = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "half way"
if sys.argv[3] == "killed between the renamings":
    replace = os.replace
    os.replace = lambda a, b: os.kill(os.getpid(), signal.SIGKILL) if Path(b) == target else replace(a, b)
with hold_output(target):
    write_stack(target, Slow(), overwrite=True)
"""


def start_writing(target: Path, value: float, how: str) -> subprocess.Popen[str]:
    """Another process that writes a stack of that value, half way until it is told to go on, or killed."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target), str(value), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def value_of(target: Path) -> set[float]:
    return set(np.unique(read_stack(target).array[:]).tolist())


LAMELLAE = [f"lamella{number}_position_3_ts_004_rec_bin4_SIRT_filtered" for number in (12, 13, 14)]
LONG = [f"{number}_{'細胞' * 38}" for number in (1, 2, 3)]
"""Of 230 bytes, nearly all that a name may have."""


@pytest.mark.parametrize(
    ("names", "suffix"), [(LAMELLAE, ".mrc"), (LAMELLAE, ".zarr"), (LONG, ".ome.tif"), (LONG, ".zarr")]
)
def test_outputs_whose_names_end_alike_are_written_at_once(
    tmp_path: Path, names: list[str], suffix: str
) -> None:
    targets = [tmp_path / f"{name}{suffix}" for name in names]
    processes = []
    for value, target in enumerate(targets):
        processes.append(process := start_writing(target, value, "half way"))
        assert process.stdout is not None and process.stdout.readline() == "half\n"
    ended = [process.communicate("go on\n", timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], ended
    assert [value_of(target) for target in targets] == [{0.0}, {1.0}, {2.0}]
    assert sorted(tmp_path.iterdir()) == sorted(targets), "nothing else is left"


def test_what_a_killed_one_left_is_taken_up_by_the_same_output_only(tmp_path: Path) -> None:
    mine, other = (tmp_path / f"{name}.zarr" for name in LAMELLAE[:2])
    write_stack(mine, np.full((3, 40, 40), 7, np.float32))
    process = start_writing(mine, 8, "killed between the renamings")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL and not mine.exists()
    assert start_writing(other, 9, "whole").wait(60) == 0
    assert value_of(other) == {9.0} and not mine.exists()
    with hold_output(mine):
        pass
    assert value_of(mine) == {7.0}, "the old one is back"
    assert sorted(tmp_path.iterdir()) == sorted([mine, other])
