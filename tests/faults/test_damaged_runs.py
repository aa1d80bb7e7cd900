"""Files of a run that are cut short, overwritten or gone: told, or made up for from what is left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.errors import RunFolderError
from napari_autostructn2v.events import Step, TrainingStarted, finish
from napari_autostructn2v.io import ImageFile, read_stack, write_stack
from napari_autostructn2v.learning import training
from napari_autostructn2v.pipeline import denoise, resume, run
from napari_autostructn2v.runs.request import RunRequest

TINY = TrainingConfig(steps=8, batch_size=2, patch_size=16, features=8, validation_interval=4)
QUICK = Config(stage1=TINY, stage2=TINY)
LINE = np.ones((1, 5), bool)


def flip_a_bit(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[len(content) * 3 // 4] ^= 1
    return bytes(changed)


DAMAGES = {
    "cut short": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "garbage": lambda content: np.random.default_rng(0).bytes(len(content)),
    "one bit": flip_a_bit,
}


@pytest.fixture
def source(tmp_path: Path) -> ImageFile:
    stack = np.random.default_rng(0).normal(1000, 30, (5, 40, 40)).astype(np.float32)
    return read_stack(write_stack(tmp_path / "noisy.mrc", stack))


@pytest.fixture
def folder(source: ImageFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was left in the middle of its first stage."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    events = run(source.array, RunRequest("2d", QUICK, kernel=LINE, source=source), folder=tmp_path / "run")
    while not (isinstance(event := next(events), Step) and event.step == 6):
        pass
    events.close()
    return tmp_path / "run"


@pytest.mark.parametrize("damage", DAMAGES)
def test_of_a_damaged_checkpoint_the_one_before_is_taken(
    source: ImageFile, folder: Path, damage: str
) -> None:
    whole = denoise(source.array, config=QUICK, kernel=LINE)
    last = folder / "stage1" / "checkpoint.safetensors"
    assert len(list(last.parent.glob("*checkpoint*"))) == 2, "no more than two are kept"
    last.write_bytes(DAMAGES[damage](last.read_bytes()))
    seen = []
    result = finish(resume(folder), seen.append)
    assert [event.step for event in seen if isinstance(event, TrainingStarted)] == [5, 0]
    np.testing.assert_array_equal(result.denoised, whole.denoised)
    np.testing.assert_array_equal(result.stage1, whole.stage1)


def test_if_both_are_damaged_it_is_said(folder: Path) -> None:
    for file in (folder / "stage1").glob("*checkpoint*"):
        file.unlink()
        file.write_bytes(b"nothing")
    with pytest.raises(RunFolderError, match="Delete it to start this stage anew"):
        finish(resume(folder))


@pytest.mark.parametrize("damage", ["cut short", "empty", "garbage"])
def test_a_damaged_record_is_told(folder: Path, damage: str) -> None:
    record = folder / "run.json"
    record.write_bytes(DAMAGES[damage](record.read_bytes()))
    with pytest.raises(RunFolderError, match="damaged"):
        finish(resume(folder))


def test_a_run_killed_before_its_record_was_written_starts(folder: Path, source: ImageFile) -> None:
    start = folder.with_name("begun")
    (start / "analysis").mkdir(parents=True)
    for left in (".lock", ".partial-12345678-run.json", "analysis/.partial-12345678-region.tif"):
        (start / left).touch()
    finish(run(source.array, RunRequest("2d", QUICK, kernel=LINE, source=source), folder=start))
    assert not list(start.rglob(".partial-*"))


def test_a_changed_input_is_told_from_one_that_is_gone(folder: Path, source: ImageFile) -> None:
    stack = np.array(source.array)
    stack[2, 5, 5] += 100
    write_stack(source.path, stack, overwrite=True)
    with pytest.raises(RunFolderError, match="was changed since"):
        finish(resume(folder))
    source.path.unlink()
    with pytest.raises(RunFolderError, match="not there any more"):
        finish(resume(folder))


def test_an_input_that_was_moved_goes_on_by_the_same_command(folder: Path, source: ImageFile) -> None:
    (folder.parent / "other").mkdir()
    moved = source.path.rename(folder.parent / "other" / "noisy.mrc")
    image = read_stack(moved)
    seen = []
    finish(
        run(image.array, RunRequest("2d", QUICK, kernel=LINE, source=image), folder=folder),
        seen.append,
    )
    assert next(event.step for event in seen if isinstance(event, TrainingStarted)) == 6
