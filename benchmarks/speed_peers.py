"""Speed beside other programs: training steps of CAREamics, and PSNR against time."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from speed_engine import Row, Steps
from speed_turns import Turns

from napari_autostructn2v import synthetic
from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.events import finish
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.pipeline import run
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.synthetic import Sample

PEERS = Path(__file__).with_name("peers")
SPAN = 15  # the longest line mask that CAREamics has, and the kernel beside it
LINE = np.ones((1, SPAN), dtype=bool)


class CareamicsSteps:
    """Trainings of CAREamics, each in a process of its own.

    Parameters
    ----------
    python
        Of its environment.
    case
        What ``peers/careamics_speed.py`` reads.
    """

    def __init__(self, python: Path, **case: Any) -> None:
        self._python, self._case = python, case
        self.with_validations: list[float] = []
        self.parameters = 0

    def __call__(self) -> float:
        """Median seconds of a step that follows another of its epoch, the first five aside."""
        made = run_peer(self._python, "careamics_speed.py", **self._case)
        within = np.diff(made["epoch_of"]) == 0
        self.with_validations.append(float(np.diff(made["ends"])[5:].mean()))
        self.parameters = int(made["parameters"])
        return float(np.median(np.diff(made["ends"])[5:][within[5:]]))


def run_peer(python: Path, script: str, **case: Any) -> dict[str, np.ndarray]:
    """What a script of ``peers/`` writes about a case."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "case.npz"), Path(folder, "out.npz")
        np.savez(source, **case)
        done = subprocess.run(
            [python, PEERS / script, source, target], check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{script} failed:\n{done.stderr[-2000:]}")
        with np.load(target) as file:
            return {key: file[key] for key in file.files}


def careamics(quick: bool, peers: Path | None) -> Iterator[Row]:
    """Training steps, networks of the same shape; CAREamics as it comes, and in bfloat16."""
    python = None if peers is None else peers / "careamics" / "bin" / "python"
    if python is None or not python.exists():
        return
    stack = synthetic.sample("scan_lines", shape=(16, 256, 256)).noisy
    config = TrainingConfig()
    ours = sum(p.numel() for p in UNet(1, config.features, config.depth).parameters())
    for precision in ("32-true", "bf16-mixed"):
        steps = Steps(stack, LINE, config, 2 if quick else config.validation_interval)
        theirs = CareamicsSteps(
            python,
            noisy=stack,
            steps=30 if quick else 100,
            budgets=[],
            mask="horizontal",
            span=SPAN,
            features=config.features,
            precision=precision,
        )
        turns = Turns({"ours": steps, "theirs": theirs}, 1 if quick else 5)
        steps.close()
        step = turns.seconds("ours")
        with_validations = step + float(np.median(steps.validations)) / config.validation_interval
        yield {
            "CAREamics in": precision,
            "parameters, ours": f"{ours:,}",
            "CAREamics'": f"{theirs.parameters:,}",
            "ms a step, ours": 1000 * step,
            "CAREamics' ms": 1000 * turns.seconds("theirs"),
            "times faster": turns.faster("ours", "theirs"),
            "with validations": float(np.median(theirs.with_validations)) / with_validations,
        }


def race(quick: bool, peers: Path | None) -> Iterator[Row]:
    """Time to PSNR: our automatic way, CAREamics with the line mask given, classical filters."""
    sample = synthetic.sample("scan_lines", shape=(8, 128, 128) if quick else (16, 256, 256))
    yield _entry("noisy", 0, 0, psnr(sample.noisy, sample.clean))
    step = _seconds_a_step(sample.noisy, *((2, 1) if quick else (10, 2)))
    for budget in (1,) if quick else (30, 60, 120):
        yield ours_within(sample, budget, step)
    if peers is None:
        return
    if (python := peers / "pystripe" / "bin" / "python").exists():
        power = sample.noise_power() / sample.clean[0].size
        classical = {
            "nlm_automatic.py": "non-local means, automatic",
            "pystripe_nlm.py": "pystripe → non-local means, settings chosen with the truth",
        }
        for script, name in classical.items():
            made = run_peer(
                python, script, noisy=sample.noisy, clean=sample.clean, noise_power=power, axis="x",
                span=SPAN, steps=0,
            )  # fmt: skip
            yield _entry(name, float(made["seconds"]), 0, psnr(made["denoised"], sample.clean))
    if (python := peers / "careamics" / "bin" / "python").exists():
        budgets = [1, 2] if quick else [30, 60, 120, 300, 600]
        made = run_peer(
            python, "careamics_speed.py", noisy=sample.noisy, steps=0, budgets=budgets, mask="horizontal",
            span=SPAN, features=TrainingConfig().features, precision="32-true",
        )  # fmt: skip
        for budget, denoised, predicting in zip(budgets, made["denoised"], made["predicting"], strict=True):
            last = int(np.searchsorted(made["ends"], budget))  # the step that ends the budget
            name = f"CAREamics StructN2V, line mask given, {last + 1} steps, budget {budget} s"
            yield _entry(name, float(made["ends"][last]), float(predicting), psnr(denoised, sample.clean))


def ours_within(sample: Sample, budget: float, step: float) -> Row:
    """The automatic way with as many steps as about fit ``budget``, at ``step`` seconds each."""
    # a tenth for the validations; what is not training takes some 15 s at most
    steps = max(2, int((budget - min(15.0, budget / 3)) / (2 * 1.1 * step)))
    training = TrainingConfig(steps=steps)
    started = time.perf_counter()
    result = finish(run(sample.noisy, RunRequest("2d", Config(stage1=training, stage2=training))))
    seconds = time.perf_counter() - started
    name = f"ours, nothing given, 2 × {steps} steps, budget {budget:.0f} s"
    return _entry(name, seconds, 0, psnr(result.denoised, sample.clean))


def _entry(method: str, seconds: float, predicting: float, quality: float) -> Row:
    return {
        "method": method,
        "seconds": seconds,
        "and predicting": predicting,
        "PSNR, dB": f"{quality:.2f}",
    }


def _seconds_a_step(stack: np.ndarray, chunk: int, rounds: int) -> float:
    steps = Steps(stack, LINE, TrainingConfig(), chunk)
    seconds = Turns({"ours": steps}, rounds).seconds("ours")
    steps.close()
    return seconds
