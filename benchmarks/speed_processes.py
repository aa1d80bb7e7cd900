"""Speed of a training by one process and by two, a thread each.

As a program it is what ``torchrun`` starts: ``speed_processes.py PRESET STEPS`` trains, and its first process
prints the median time of a step and the last validation loss.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speed_turns import Turns

from napari_autostructn2v import synthetic
from napari_autostructn2v.config import PRESETS, Config, Preset
from napari_autostructn2v.events import Event, Step, finish
from napari_autostructn2v.learning import distributed
from napari_autostructn2v.learning.training import train, train_along

Row = dict[str, str | float]

LINE = np.ones((1, 9), dtype=bool)


class Trainings:
    """Trainings by so many processes, started anew each time; their last validation losses."""

    def __init__(self, count: int, preset: Preset, steps: int) -> None:
        together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        program = [str(Path(__file__).resolve()), preset, str(steps)]
        self._command = [sys.executable, *(together if count > 1 else ()), *program]
        self.losses: list[float] = []

    def __call__(self) -> float:
        """Median seconds of a step."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(self._command, env=environment, check=True, capture_output=True, text=True)
        made: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        self.losses.append(made["loss"])
        return float(made["seconds"])


def by_processes(quick: bool, peers: Path | None) -> Iterator[Row]:
    """Presets; on a machine of two cores each process has one."""
    for preset in PRESETS[:1] if quick else PRESETS[:2]:
        steps = 3 if quick else 100
        alone, pair = Trainings(1, preset, steps), Trainings(2, preset, steps)
        turns = Turns({"alone": alone, "pair": pair}, 1 if quick else 5)
        yield {
            "preset": preset,
            "one process, ms a step": 1000 * turns.seconds("alone"),
            "two, ms": 1000 * turns.seconds("pair"),
            "times faster": turns.faster("pair", "alone"),
            "validation loss of one": float(np.median(alone.losses)),
            "of two": float(np.median(pair.losses)),
        }


def _train_here(preset: Preset, steps: int) -> None:
    torch.set_num_threads(1)
    stack = synthetic.sample("scan_lines", shape=(8, 256, 256)).noisy
    config = Config.from_preset(preset).stage2.model_copy(update={"steps": steps})
    ends: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, Step):
            ends.append(time.perf_counter())

    with distributed.process_group():
        if not distributed.is_leader():
            train_along(stack, "cpu")
            return
        model = finish(train(stack, LINE, config, device="cpu"), note)
        distributed.broadcast(None)
        seconds = float(np.median(np.diff(ends)))
        print(json.dumps({"seconds": seconds, "loss": model.provenance["validation_loss"]}))


if __name__ == "__main__":
    _train_here(sys.argv[1], int(sys.argv[2]))  # type: ignore[arg-type]  # of PRESETS
