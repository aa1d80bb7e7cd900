"""Several stacks of one noise: one network, one kernel, a result and a run folder of each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_autostructn2v import Config, TrainingConfig, cli, denoise
from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.errors import FileError, RunFolderError, StackError
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.kernel import load_kernel
from napari_autostructn2v.learning.model import load_model
from napari_autostructn2v.noise.agreement import agree
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.synthetic import sample

TINY = TrainingConfig(
    steps=4, batch_size=2, patch_size=16, features=8, validation_interval=2, validation_patches=4
)


def noisy(seed: int, shape: tuple[int, int, int] = (6, 128, 128)) -> np.ndarray:
    return sample("scan_lines", shape=shape, seed=seed).noisy


@pytest.fixture
def stacks(tmp_path: Path) -> list[Path]:
    shapes = [(4, 96, 96), (3, 128, 96), (4, 96, 112)]
    return [
        write_stack(tmp_path / f"tomo_{seed}.mrc", noisy(seed, shape)) for seed, shape in enumerate(shapes)
    ]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "small.json"
    path.write_text(json.dumps({"stage1": TINY.model_dump(), "stage2": TINY.model_dump()}))
    return path


def run(*arguments: Any) -> Any:
    result = CliRunner().invoke(cli.app, ["run", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_one_network_for_all_and_a_run_folder_of_each(
    stacks: list[Path], settings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = run(*stacks, "--out", out, "--config", settings)
    assert done.exit_code == 0
    said = " ".join(done.output.split())
    assert "of all 3 stacks is of one kind" in said and "tomo_1: 1 ×" in said
    models = [load_model(out / f"tomo_{n}_run" / "stage2" / "model.zip") for n in range(3)]
    kernels = [load_kernel(out / f"tomo_{n}_run" / "analysis" / "kernel.tif") for n in range(3)]
    assert len({model.kernel.tobytes() for model in models} | {kernel.tobytes() for kernel in kernels}) == 1
    assert models[0].provenance["stacks"] == 3 and models[0].each_normalised
    for path in stacks:
        assert read_stack(out / path.name).array.shape == read_stack(path).array.shape

    # what one folder alone says suffices for its stack: the model that all share makes the same of it
    again = CliRunner().invoke(cli.app, ["resume", str(out / "tomo_1_run"), str(tmp_path / "again.mrc")])
    assert again.exit_code == 0, again.output
    first, second = (read_stack(path).array[:] for path in (out / "tomo_1.mrc", tmp_path / "again.mrc"))
    np.testing.assert_array_equal(first, second)


KILLED = """
import os, signal
from napari_autostructn2v import together
really, stages = together.apply_stage, []
def dying(*arguments, **options):
    stages.append(arguments)
    for event in (events := really(*arguments, **options)):
        if len(stages) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        yield event
together.apply_stage = lambda *a, **k: (
    dying(*a, **k) if len(stages) == 4 else stages.append(0) or really(*a, **k)
)
from napari_autostructn2v.cli import main
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such signal")
def test_what_was_killed_goes_on_to_the_same_result(
    stacks: list[Path], settings: Path, tmp_path: Path
) -> None:
    """Killed while the second stack is denoised by the model of Stage 2."""
    arguments = ["run", *stacks, "--config", settings, "--device", "cpu", "--out"]
    program = [sys.executable, "-c", KILLED, *map(str, arguments), str(tmp_path / "killed")]
    ended = subprocess.run(program, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    model = tmp_path / "killed" / "tomo_0_run" / "stage2" / "model.zip"
    trained = model.stat().st_mtime_ns
    assert run(*arguments[1:], tmp_path / "killed").exit_code == 0
    assert model.stat().st_mtime_ns == trained, "nothing is trained again"
    assert run(*arguments[1:], tmp_path / "whole").exit_code == 0
    for path in stacks:
        np.testing.assert_array_equal(
            read_stack(tmp_path / "killed" / path.name).array[:],
            read_stack(tmp_path / "whole" / path.name).array[:],
        )


def test_other_stacks_are_another_run(stacks: list[Path], settings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(*stacks[:2], "--out", out, "--config", settings)
    with pytest.raises(RunFolderError, match="together"):
        run(*stacks, "--out", out, "--config", settings, "--overwrite")


def test_bad_input_is_answered_before_anything_is_written(
    stacks: list[Path], settings: Path, tmp_path: Path
) -> None:
    flat = write_stack(tmp_path / "flat.mrc", noisy(5, (2, 128, 128)))
    with pytest.raises(StackError, match="this stack has 2"):
        run(*stacks, flat, "--out", tmp_path / "out", "--mode", "2.5d", "--config", settings)
    with pytest.raises(FileError, match="no file"):
        run(*stacks, tmp_path / "none.mrc", "--out", tmp_path / "out")
    with pytest.raises(FileError, match="its own input"):
        run(*stacks, "--out", tmp_path, "--overwrite")
    assert run(*stacks).exit_code == 2, "which of them is the output?"
    assert run(*stacks, "--out", tmp_path / "out", "--second", stacks[0]).exit_code == 2
    assert not list((tmp_path / "out").glob("*"))


def test_one_stack_with_a_folder_for_its_result(stacks: list[Path], settings: Path, tmp_path: Path) -> None:
    assert run(stacks[0], "--out", tmp_path / "out", "--config", settings, "--quiet").exit_code == 0
    assert (tmp_path / "out" / "tomo_0.mrc").exists()


def test_in_python() -> None:
    config = Config(stage1=TINY, stage2=TINY)
    made = denoise([noisy(1), noisy(2, (4, 96, 144))], config=config, device="cpu")
    assert [result.denoised.shape for result in made.results] == [(6, 128, 128), (4, 96, 144)]
    assert made.model.kernel.shape[0] == 1 < made.model.kernel.shape[1], "scan lines"
    assert "one kind" in made.agreement.sentences[0]


def test_the_verdict_names_the_stack_whose_noise_is_another() -> None:
    usual = [noisy(seed) for seed in (1, 2, 3)]
    turned = np.ascontiguousarray(noisy(4).swapaxes(1, 2))
    found = agree(
        [analyze(stack, config=AnalysisConfig()) for stack in (*usual, turned)], ["a", "b", "c", "turned"]
    )
    (other,) = [stack for stack in found.stacks if stack.differs]
    assert other.name == "turned" and other.direction_deg == pytest.approx(90, abs=5)
    assert "along 0°" in other.differs and "turned" in found.sentences[1]
    assert all(stack.strength > 0.2 for stack in found.stacks)
    assert min(found.kernel.shape) > 1, "a kernel that suits all hides both"
