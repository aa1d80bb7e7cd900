"""What a run will take on this machine, from a short measurement: time, memory, disk."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_autostructn2v.box import Box
from napari_autostructn2v.config import AnalysisConfig, Config, Mode, TrainingConfig
from napari_autostructn2v.events import Event, Step, Validation
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.prediction import TILE_VALUES, predict
from napari_autostructn2v.learning.training import train
from napari_autostructn2v.learning.training_data import MAX_TRAINING_VOXELS
from napari_autostructn2v.learning.training_state import BYTES_A_VALUE
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.detail import recover
from napari_autostructn2v.stack import Stack, as_stack

WARM_UP, MEASURED = 3, 8
"""Steps before those that are timed, which are slower, and how many are timed."""

SLICES = 4
"""Slices that are denoised and analysed for the measurement."""

ANALYSED = 64
"""Most slices that the analysis of a run looks at."""

PROGRAM_BYTES = 300e6
"""Of the program with its libraries, before it works on anything: on Linux, PyTorch for the CPU."""

KEPT_STACKS, WRITTEN_STACKS = 4, 3
"""What a run keeps of its stack, in the type of the result: prediction and detail of both stages, and
``denoised.tif`` of both with the result itself."""


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes
    ----------
    seconds
        Of each part of it, by name; both stages are made.
    memory
        At most, in bytes, on the processor.
    disk
        Of the run folder and the result, in bytes.
    device
        On which it was measured.
    """

    seconds: dict[str, float]
    memory: float
    disk: float
    device: str

    @property
    def total_seconds(self) -> float:
        """Of all parts together."""
        return sum(self.seconds.values())


def estimate(
    stack: Any, *, mode: Mode = "2d", config: Config | None = None, device: str = "auto"
) -> Generator[Event, Any, Estimate]:
    """Measure on a few slices what a run on a stack will take.

    Parameters
    ----------
    stack
        Shape (Z, Y, X) or (Y, X).
    mode
        ``"2d"`` or ``"2.5d"``.
    config
        Of the run; that of the usual preset if None.
    device
        As for :func:`~napari_autostructn2v.pipeline.denoise`.

    Yields
    ------
    Event
        Of the short trainings and the denoising of a few slices.

    Returns
    -------
    Estimate

    Raises
    ------
    StackError
        If the stack cannot be denoised as it is.
    """
    config = config or Config()
    stack = as_stack(stack, mode, max(config.stage1.depth, config.stage2.depth))
    depth, height, width = stack.shape
    first = max(0, (depth - SLICES) // 2)
    began = time.monotonic()
    part = _in_memory(stack, Box((first, min(depth, first + SLICES)), (0, height), (0, width)))
    reading = (time.monotonic() - began) / part.shape[0]
    seconds: dict[str, float] = {"Looking through the stack": depth * reading}
    kernel = POINT if mode == "2d" else np.ones((3, 1, 1), dtype=bool)
    model: Model | None = None
    used = ""
    for stage, of_stage, shape in (("Stage 1", config.stage1, POINT), ("Stage 2", config.stage2, kernel)):
        model, steps = yield from _training(part, of_stage, shape, device)
        used = str(model.provenance["device"])
        slices, made = yield from _denoising(part, model, device)
        detail = (yield from _recovering(part, made)) if config.recovery > 0 else 0.0
        seconds[f"{stage}: training"] = steps
        seconds[f"{stage}: denoising"] = depth * (slices + detail + 2 * reading)
    seconds["Noise analysis"] = _analysing(part, mode, config.analysis) * min(depth, ANALYSED) / part.shape[0]
    held = min(depth * height * width * (3 if mode == "2.5d" else 1), MAX_TRAINING_VOXELS) * 4
    training = held + max(map(_bytes_of_a_step, (config.stage1, config.stage2)))
    memory = PROGRAM_BYTES + max(training, 12 * TILE_VALUES + 40 * height * width)
    disk = (KEPT_STACKS + WRITTEN_STACKS) * depth * height * width * stack.scale.dtype.itemsize
    return Estimate(seconds, float(memory), float(disk), used)


def _in_memory(stack: Stack, box: Box) -> Stack:
    """A part of a stack, read once."""
    return as_stack(np.stack([stack.raw(z)[box.field] for z in range(*box.z)]))


def _training(
    part: Stack, config: TrainingConfig, kernel: np.ndarray, device: str
) -> Generator[Event, Any, tuple[Model, float]]:
    """A short training, and how long the whole one takes, in seconds."""
    short = config.model_copy(update={"steps": WARM_UP + MEASURED, "validation_interval": WARM_UP + MEASURED})
    events = train(part, kernel, short, device=device)
    at: dict[int, float] = {}
    validated = 0.0
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            model: Model = end.value
            break
        now = time.monotonic()
        if isinstance(event, Step):
            at[event.step] = now
        elif isinstance(event, Validation):
            validated = now - at[event.step]
        yield event
    step = (at[WARM_UP + MEASURED] - at[WARM_UP]) / MEASURED
    return model, config.steps * step + (config.steps // config.validation_interval) * validated


def _denoising(part: Stack, model: Model, device: str) -> Generator[Event, Any, tuple[float, np.ndarray]]:
    """Seconds for a slice, and what was made."""
    began = time.monotonic()
    made = yield from predict(part, model, device=device)
    return (time.monotonic() - began) / part.shape[0], np.asarray(made)


def _recovering(part: Stack, made: np.ndarray) -> Generator[Event, Any, float]:
    """Seconds for a slice."""
    began = time.monotonic()
    yield from recover(part, made)
    return (time.monotonic() - began) / part.shape[0]


def _analysing(part: Stack, mode: Mode, config: AnalysisConfig) -> float:
    """Seconds for the slices that there are."""
    fresh = replace(part)  # which has no patterns found in it yet
    began = time.monotonic()
    analyze(fresh, mode=mode, config=config)
    return time.monotonic() - began


def _bytes_of_a_step(config: TrainingConfig) -> int:
    return BYTES_A_VALUE * config.batch_size * config.patch_size**2 * config.features
