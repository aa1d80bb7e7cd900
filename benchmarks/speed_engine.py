"""Speed of training, prediction and whole runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speed_turns import Turns, computed
from torch import Tensor

from napari_autostructn2v import synthetic
from napari_autostructn2v.config import PRESETS, Config, Preset, TrainingConfig
from napari_autostructn2v.events import Event, Step, Validation, finish
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning.device import choose_device, has_fast_bfloat16, mixed_precision
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.learning.prediction import BATCH_VALUES, predict
from napari_autostructn2v.learning.recorded_step import RecordedStep
from napari_autostructn2v.learning.training import compute_gradients, train
from napari_autostructn2v.learning.training_data import TrainingData
from napari_autostructn2v.learning.training_state import TrainingState
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.pipeline import denoise_with, run
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.scale import Normalisation
from napari_autostructn2v.stack import as_stack

Row = dict[str, str | float]

KERNELS = {
    "1 × 1": POINT,
    "1 × 15": np.ones((1, 15), dtype=bool),
    "3 × 1 × 9 (2.5D)": np.ones((3, 1, 9), dtype=bool),
}
STACKS = ((16, 256, 256), (4, 1024, 1440), (2, 2048, 2048))


class Steps:
    """A real training, taken a few steps at a time.

    Parameters
    ----------
    stack, kernel, config
        As for :func:`~napari_autostructn2v.learning.training.train`, but it never ends and validates once
        a chunk.
    chunk
        Steps of a turn.
    """

    def __init__(self, stack: np.ndarray, kernel: np.ndarray, config: TrainingConfig, chunk: int) -> None:
        self._events: Generator[Event, Any, Model] = train(stack, kernel, endless(config, chunk))
        self.validations: list[float] = []

    def __call__(self) -> float:
        """Go on to the next validation; median seconds of a step."""
        steps: list[float] = []
        while True:
            started = time.perf_counter()
            event = next(self._events)
            seconds = time.perf_counter() - started
            if isinstance(event, Step):
                steps.append(seconds)
            elif isinstance(event, Validation):
                self.validations.append(seconds)
                return float(np.median(steps))

    def close(self) -> None:
        """End the training."""
        self._events.close()


def endless(config: TrainingConfig, chunk: int) -> TrainingConfig:
    """The same training, but it never ends and validates once a chunk."""
    return config.model_copy(update={"steps": 1_000_000, "validation_interval": chunk})


class InFloat32(UNet):
    """The network without bfloat16, whatever the hardware has."""

    def forward(self, image: Tensor) -> Tensor:
        """Denoise (batch, channels, height, width); returns (batch, height, width)."""
        with torch.autocast(image.device.type, enabled=False):
            return super().forward(image)


class StepsOf:
    """Steps of a training with a single blind pixel, without its events: the network may be another."""

    def __init__(self, network: type[UNet], stack: np.ndarray, config: TrainingConfig, chunk: int) -> None:
        device, config = choose_device(), endless(config, chunk)
        self._chunk, self._gradients = chunk, RecordedStep(compute_gradients)
        self._data = TrainingData(as_stack(stack), POINT, config, device, seed=0)
        self._generator = torch.Generator(device).manual_seed(0)
        made = network(1, config.features, config.depth).to(device).channels_last()
        self._state = TrainingState(made, config, self._generator, identity={})

    def __call__(self) -> float:
        """Median seconds of a step."""
        steps: list[float] = []
        for _ in range(self._chunk):
            started = time.perf_counter()
            self._gradients(self._state, self._data, self._data.draw(self._generator)).item()
            self._state.update()
            steps.append(time.perf_counter() - started)
        return float(np.median(steps))


class BareSteps:
    """Forward and backward passes of the same network on one batch that is there already."""

    def __init__(self, network: type[UNet], channels: int, config: TrainingConfig, chunk: int) -> None:
        self._device, self._chunk = choose_device(), chunk
        self._network = network(channels, config.features, config.depth).to(self._device).channels_last()
        batch = torch.randn(config.batch_size, channels, config.patch_size, config.patch_size)
        self._batch = batch.to(self._device).contiguous(memory_format=torch.channels_last)

    def __call__(self) -> float:
        """Median seconds of a pass."""
        passes: list[float] = []
        for _ in range(self._chunk):
            started = time.perf_counter()
            self._network.zero_grad(set_to_none=True)
            with mixed_precision(self._device):
                made = self._network(self._batch)
            made.square().mean().backward()
            computed(self._device)
            passes.append(time.perf_counter() - started)
        return float(np.median(passes))


def training(quick: bool, peers: Path | None) -> Iterator[Row]:
    """Presets and kernels."""
    stack = synthetic.sample("scan_lines", shape=(8, 256, 256)).noisy
    chunk, rounds = (2, 1) if quick else (10, 10)
    for preset in PRESETS[: 1 if quick else None]:
        for name, kernel in KERNELS.items():
            config = Config.from_preset(preset).stage2
            channels = 3 if kernel.ndim == 3 else 1
            steps, bare = Steps(stack, kernel, config, chunk), BareSteps(UNet, channels, config, chunk)
            turns = Turns({"training": steps, "bare": bare}, rounds)
            steps.close()
            step, alone = turns.seconds("training"), turns.faster("training", "bare")
            validation = float(np.median(steps.validations)) / config.validation_interval
            yield {
                "preset": preset,
                "kernel": name,
                "ms a step": 1000 * step,
                "ms bare": 1000 * turns.seconds("bare"),
                "share of the bare network": alone,
                "with validations": alone * step / (step + validation),
            }


def precision(quick: bool, peers: Path | None) -> Iterator[Row]:
    """What bfloat16 gives the training, and what the hardware would give its bare network."""
    if not quick and not has_fast_bfloat16(choose_device()):
        return
    stack = synthetic.sample("scan_lines", shape=(8, 256, 256)).noisy
    chunk, rounds = (2, 1) if quick else (10, 10)
    config = Config.from_preset("fast" if quick else "balanced").stage2
    networks = {"bfloat16": UNet, "float32": InFloat32}
    contenders: dict[str, dict[str, Callable[[], float]]] = {
        "training": {name: StepsOf(network, stack, config, chunk) for name, network in networks.items()},
        "bare network": {name: BareSteps(network, 1, config, chunk) for name, network in networks.items()},
    }
    for what, pair in contenders.items():
        turns = Turns(pair, rounds)
        yield {
            "what": f"{what}, {'fast' if quick else 'balanced'}, 1 × 1",
            "bfloat16, ms": 1000 * turns.seconds("bfloat16"),
            "float32, ms": 1000 * turns.seconds("float32"),
            "times faster": turns.faster("bfloat16", "float32"),
        }


def prediction(quick: bool, peers: Path | None) -> Iterator[Row]:
    """Stacks and network sizes, without and with the recovery."""
    device = choose_device()
    for shape in ((2, 64, 64),) if quick else STACKS:
        stack = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        for features in (16, 32):
            config = TrainingConfig(features=features)
            network = UNet(1, features, config.depth)
            model = Model(network.eval(), POINT, None, config, Normalisation(0, 1), {})
            bare = BareForward(stack, features, config.depth, device)
            turns = Turns(
                {
                    "bare": bare,
                    "prediction": partial(_seconds, lambda s=stack, m=model: predict(s, m)),
                    "with recovery": partial(_seconds, lambda s=stack, m=model: denoise_with(s, m)),
                },
                1 if quick else 7,
            )
            yield {
                "stack": " × ".join(map(str, shape)),
                "features": str(features),
                "megapixels a second": stack.size / 1e6 / turns.seconds("prediction"),
                "prediction ÷ bare network": turns.faster("prediction", "bare"),
                "with recovery ÷ bare network": turns.faster("with recovery", "bare"),
            }


class BareForward:
    """Forward passes of a network over whole slices that are on the device already."""

    def __init__(self, stack: np.ndarray, features: int, depth: int, device: torch.device) -> None:
        self._network = UNet(1, features, depth).eval().to(device).channels_last()
        slices = torch.from_numpy(stack)[:, None].to(device).contiguous(memory_format=torch.channels_last)
        at_once = 1 if device.type == "cpu" else max(1, BATCH_VALUES // stack[0].size)
        self._batches: tuple[Tensor, ...] = slices.split(at_once)
        self._device = device

    def __call__(self) -> float:
        """Seconds for the stack."""
        started = time.perf_counter()
        with torch.inference_mode(), mixed_precision(self._device):
            for batch in self._batches:
                self._network(batch)
        computed(self._device)
        return time.perf_counter() - started


def _seconds(make: Any) -> float:
    started = time.perf_counter()
    finish(make())
    return time.perf_counter() - started


def presets(quick: bool, peers: Path | None) -> Iterator[Row]:
    """Fast against balanced on noise of three kinds."""
    shape = (4, 64, 64) if quick else (16, 256, 256)
    for family in ("scan_lines",) if quick else ("scan_lines", "lines_and_hum", "reconstruction"):
        sample = synthetic.sample(family, shape=shape)
        seconds: dict[Preset, float] = {}
        quality: dict[Preset, float] = {}
        compared: tuple[Preset, ...] = ("fast", "balanced")
        for preset in compared:
            started = time.perf_counter()
            config = Config.from_preset(preset)
            if quick:
                short = config.stage1.model_copy(update={"steps": 2})
                config = Config(stage1=short, stage2=short)
            result = finish(run(sample.noisy, RunRequest("2d", config)))
            seconds[preset] = time.perf_counter() - started
            quality[preset] = psnr(result.denoised, sample.clean)
        yield {
            "noise": family,
            "stack": " × ".join(map(str, shape)),
            "fast, s": seconds["fast"],
            "balanced, s": seconds["balanced"],
            "balanced ÷ fast": seconds["balanced"] / seconds["fast"],
            "noisy, dB": f"{psnr(sample.noisy, sample.clean):.2f}",
            "fast, dB": f"{quality['fast']:.2f}",
            "balanced, dB": f"{quality['balanced']:.2f}",
        }
