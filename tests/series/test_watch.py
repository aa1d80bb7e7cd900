"""A folder that is filled while it is watched: each file once, whole, in order, also after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from napari_autostructn2v.cli.progress import ExitCode
from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.errors import BusyError, FileError
from napari_autostructn2v.events import StackDone, StackFailed, StackStarted, Waiting, finish
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.learning.model import Model, load_model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.pipeline import denoise_with
from napari_autostructn2v.scale import Normalisation
from napari_autostructn2v.series import watch as watching
from napari_autostructn2v.series.watch import Watch, watch
from napari_autostructn2v.synthetic import sample


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.02)
    (tmp_path / "raw").mkdir()
    torch.manual_seed(0)
    network = UNet(1, features=8, depth=2).eval()
    model = Model(network, np.ones((1, 3), bool), None, TrainingConfig(features=8), Normalisation(0.5, 0.3))
    model.save(tmp_path / "model.zip")
    return Watch(tmp_path / "raw", tmp_path / "model.zip", tmp_path / "out", device="cpu", still=0.1)


def tomogram(seed: int, shape: tuple[int, int, int] = (2, 32, 32)) -> np.ndarray:
    return sample("hum", shape=shape, seed=seed).noisy


def until(events: Iterator[Any], kind: type, **wanted: Any) -> Any:
    """Watch until something happens."""
    for event in events:
        if isinstance(event, kind) and all(getattr(event, name) == value for name, value in wanted.items()):
            return event
    raise AssertionError("the watching has ended")


def test_files_are_done_once_and_in_the_order_in_which_they_came(asked: Watch) -> None:
    for number, name in enumerate(("b.mrc", "a.mrc", "c.tif")):
        write_stack(asked.folder / name, tomogram(number))
        os.utime(asked.folder / name, (1000 + number, 1000 + number))
    (asked.folder / "notes.txt").write_text("dose 120")
    (asked.folder / "frames").mkdir()
    events = watch(asked)
    done = [until(events, StackDone).name for _ in range(3)]
    assert done == ["b.mrc", "a.mrc", "c.tif"]
    assert "Nothing new" in until(events, Waiting).reason
    write_stack(asked.folder / "d.mrc", tomogram(3))
    assert until(events, StackDone).path == (asked.out / "d.mrc").resolve()
    events.close()
    right = finish(denoise_with(tomogram(1), load_model(asked.model), device="cpu"))
    np.testing.assert_array_equal(read_stack(asked.out / "a.mrc").array[:], right)
    assert {path.name for path in asked.out.iterdir()} == {*done, "d.mrc", watching.LOG}, (
        "nothing else is left"
    )

    write_stack(asked.folder / "e.mrc", tomogram(4))
    events = watch(asked)
    assert until(events, StackStarted).name == "e.mrc", "the others were done by the one before"
    events.close()


def test_a_file_that_is_still_written_is_waited_for(asked: Watch, tmp_path: Path) -> None:
    whole = write_stack(tmp_path / "whole.mrc", tomogram(1)).read_bytes()
    slow = asked.folder / "slow.mrc"
    slow.write_bytes(whole[: len(whole) // 2])  # the header is there and half of the slices: it stands still
    write_stack(asked.folder / "later.mrc", tomogram(2))
    events = watch(asked)
    assert until(events, StackDone).name == "later.mrc", "the others do not wait for it"
    reason = until(events, Waiting).reason
    while "not complete" not in reason:
        reason = until(events, Waiting).reason
    assert reason.startswith("slow.mrc")
    with slow.open("ab") as file:
        file.write(whole[len(whole) // 2 :])
    assert until(events, StackDone).name == "slow.mrc"
    events.close()
    right = finish(denoise_with(tomogram(1), load_model(asked.model), device="cpu"))
    np.testing.assert_array_equal(read_stack(asked.out / "slow.mrc").array[:], right)


def test_a_file_that_grows_is_not_begun(asked: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros behind the slices make the file grow, though its header is right from the first moment."""
    now = [0.0]
    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(watching.time, "sleep", lambda seconds: None)
    growing = write_stack(asked.folder / "growing.mrc", tomogram(1))
    events = watch(asked)
    for step in range(20):
        os.utime(growing, (step, step))
        assert "still being written" in next(events).reason  # type: ignore[union-attr]
        now[0] += 0.09
    now[0] += 1
    assert isinstance(next(events), StackStarted)
    events.close()


def test_a_bad_file_is_told_once_and_tried_again_when_it_changes(asked: Watch) -> None:
    write_stack(asked.folder / "empty.mrc", np.zeros((2, 32, 32), np.float32))
    write_stack(asked.folder / "good.mrc", tomogram(1))
    events = watch(asked)
    failed = until(events, StackFailed)
    assert failed.name == "empty.mrc" and "nothing to denoise" in failed.reason
    assert until(events, StackDone).name == "good.mrc"
    until(events, Waiting)
    events.close()
    events = watch(asked)
    assert "Nothing new" in until(events, Waiting).reason, "it is known from before"
    write_stack(asked.folder / "empty.mrc", tomogram(2), overwrite=True)
    assert until(events, StackDone).name == "empty.mrc"
    events.close()


def test_what_is_taken_back_while_it_is_denoised_is_done_with_what_came_after(asked: Watch) -> None:
    source = write_stack(asked.folder / "a.mrc", tomogram(1))
    events = watch(asked)
    until(events, StackStarted)
    next(events)
    write_stack(source, tomogram(2), overwrite=True)
    assert until(events, StackDone).name == "a.mrc"
    events.close()
    right = finish(denoise_with(tomogram(2), load_model(asked.model), device="cpu"))
    np.testing.assert_array_equal(read_stack(asked.out / "a.mrc").array[:], right)


def test_bad_places(asked: Watch, tmp_path: Path) -> None:
    from dataclasses import replace

    with pytest.raises(FileError, match="taken for new files"):
        next(watch(replace(asked, out=asked.folder)))
    with pytest.raises(FileError, match="no folder"):
        next(watch(replace(asked, folder=tmp_path / "nowhere")))
    events = watch(asked)
    next(events)
    with pytest.raises(BusyError):
        next(watch(asked))
    events.close()


def test_a_disk_that_goes_away_and_comes_back(asked: Watch) -> None:
    events = watch(asked)
    next(events)
    away = asked.folder.rename(asked.folder.with_name("away"))
    assert "connected" in until(events, Waiting).reason
    write_stack(away / "a.mrc", tomogram(1))
    away.rename(asked.folder)
    assert until(events, StackDone).name == "a.mrc"
    events.close()


def test_a_line_that_a_crash_has_cut_off_does_not_count(asked: Watch) -> None:
    write_stack(asked.folder / "a.mrc", tomogram(1))
    events = watch(asked)
    until(events, StackDone)
    events.close()
    log = asked.out / watching.LOG
    log.write_bytes(log.read_bytes() + b'{"file": "b.mrc", "st')
    write_stack(asked.folder / "b.mrc", tomogram(2))
    events = watch(asked)
    assert until(events, StackDone).name == "b.mrc"
    events.close()
    events = watch(asked)
    assert "2 files done" in until(events, Waiting).reason
    events.close()


KILLED_IN_THE_SECOND = """
import os, signal
from napari_autostructn2v.series import watch
really, files = watch.denoise_whole, []
def dying(work):
    files.append(work)
    for event in really(work):
        yield event
        if len(files) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
watch.denoise_whole = dying
from napari_autostructn2v.cli import main
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such signal")
def test_on_the_command_line_it_goes_on_after_a_kill_and_ends_with_ctrl_c(asked: Watch) -> None:
    for number, name in enumerate(("a.mrc", "b.mrc")):
        write_stack(asked.folder / name, tomogram(number))
        os.utime(asked.folder / name, (1000 + number, 1000 + number))
    arguments = ["watch", asked.folder, "--model", asked.model, "--out", asked.out, "--still", 0]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_THE_SECOND, *map(str, arguments)], capture_output=True, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (asked.out / "a.mrc").exists() and not (asked.out / "b.mrc").exists()
    program = "from napari_autostructn2v.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stderr=subprocess.PIPE, text=True
    )
    while not (asked.out / "b.mrc").exists():
        assert process.poll() is None
        time.sleep(0.05)
    while len((asked.out / watching.LOG).read_text().splitlines()) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == ExitCode.INTERRUPTED and "goes on from here" in said
    files = [json.loads(line)["file"] for line in (asked.out / watching.LOG).read_text().splitlines()]
    assert files == ["a.mrc", "b.mrc"], "each once"


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.long)])
def test_memory_stays_flat(asked: Watch, count: int) -> None:
    stack = tomogram(1, (1, 32, 32))
    for number in range(count):
        write_stack(asked.folder / f"{number}.mrc", stack + np.float32(number))
    memory = psutil.Process().memory_info
    events, after = watch(asked), []
    for _ in range(count):
        until(events, StackDone)
        after.append(memory().rss)
    events.close()
    begun = count // 4  # libraries are loaded, caches are full
    assert max(after[begun:]) - after[begun] < 20 * 2**20, "MB grew with the files"
