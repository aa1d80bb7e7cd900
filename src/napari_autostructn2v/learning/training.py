"""Training on the stack itself: one loop for both stages, both modes, every kernel."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_autostructn2v._version import __version__
from napari_autostructn2v.config import Mode, TrainingConfig
from napari_autostructn2v.disk.waiting import when_there_is_room
from napari_autostructn2v.errors import DeviceError
from napari_autostructn2v.events import (
    CheckpointWritten,
    Event,
    Notice,
    Preview,
    Step,
    TrainingStarted,
    Validation,
    finish,
)
from napari_autostructn2v.kernel import validate_kernel
from napari_autostructn2v.learning import distributed
from napari_autostructn2v.learning.device import (
    choose_device,
    describe_device,
    free_memory,
    freed_memory_kept,
    give_back_memory,
    is_lost,
)
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.learning.prediction import predict_plane
from napari_autostructn2v.learning.training_data import Batch, TrainingData
from napari_autostructn2v.learning.training_state import Best, TrainingState, gone_wrong
from napari_autostructn2v.noise.notch import NotchRule
from napari_autostructn2v.stack import Box, Stack, as_stack

CHECKPOINT_SECONDS = 30.0

SEEDS = 2**64
"""As many as PyTorch tells apart."""

ANOTHER = 104_729
"""From the seed of a process to that of the next; on the CPU PyTorch looks at the lower 32 bits alone."""


class StopTraining(Exception):  # noqa: N818 - a request, not an error
    """Thrown into the generator of :func:`train`: stop here and keep the best network so far."""


def train(
    stack: Any,
    kernel: np.ndarray,
    config: TrainingConfig,
    *,
    device: str = "auto",
    seed: int = 0,
    preview: int | None = None,
    checkpoint: Path | None = None,
    name: str = "",
    notch: NotchRule | None = None,
    box: Box | None = None,
) -> Generator[Event, int | None, Model]:
    """Train a network to predict hidden pixels of a stack from the visible ones.

    The kernel decides what it is: one pixel is Noise2Void, a larger one StructN2V, three slices 2.5D.

    Parameters
    ----------
    stack
        Shape (Z, Y, X) or (Y, X), any array that can be sliced.
    kernel
        bool (K, K) or (3, K, K): what is hidden together with a pixel.
    config
        Settings of the stage.
    device
        As for :func:`~napari_autostructn2v.learning.device.choose_device`.
    seed
        The same seed gives the same model on the same processor. Of a whole number, 64 bits count.
    preview
        Slice to show after each validation; None shows none. Sending a slice number into the generator
        changes it.
    checkpoint
        File to save the state of the training to, from time to time and when it is cancelled. If it exists,
        the training goes on from there.
    name
        Of the input, for the provenance of the model.
    notch
        Long-range patterns to take away before anything else; the model does so to every stack.
    box
        Part of the stack to train on; all of it if None.

    Yields
    ------
    Event
        ``TrainingStarted``, then ``Step``, ``Validation``, ``Preview`` and ``CheckpointWritten``; ``Notice``
        of trouble that was overcome.

    Returns
    -------
    Model
        With the weights of the best validation: the latest that is not clearly worse than another.

    Raises
    ------
    StackError
        If the stack cannot be denoised as it is.
    KernelError
        If the kernel is none.
    RunFolderError
        If the checkpoint belongs to another input or other settings.
    TrainingError
        If the loss grows without bounds, and does so again after going back.
    DeviceError
        If the device is not there, or fails while several processes train together.
    """
    kernel = validate_kernel(kernel)
    mode: Mode = "2.5d" if kernel.ndim == 3 else "2d"
    stack = as_stack(stack, mode, config.depth)
    if distributed.lead():
        distributed.tell(
            dict(kernel=kernel, config=config, seed=seed, checkpoint=checkpoint, notch=notch, box=box)
        )
    if notch is not None:
        stack = notch.apply(stack)
    whole = stack
    if box is not None:
        stack = as_stack(stack.cropped(box), mode, config.depth)
    torch_device = choose_device(device)
    kept, failed = _Kept(), False
    job = _Job(whole, stack, kernel, config, seed % SEEDS, checkpoint)
    with freed_memory_kept(torch_device):
        try:
            while True:
                try:
                    network, best, steps = yield from _steps(job, torch_device, preview, kept)
                    break
                except RuntimeError as error:
                    if failed or not is_lost(error):
                        raise
                    failed = True
                    reason = str(error).splitlines()[0]
                    if distributed.count() > 1:
                        raise DeviceError(
                            f"The graphics card of process {distributed.number()} has failed ({reason}). "
                            "Start the same command without that card: it goes on from what was kept last."
                        ) from error
                yield Notice(
                    f"The graphics card has failed ({reason}). The training goes on on the processor, from "
                    "what was kept last; that takes longer."
                )
                torch_device = torch.device("cpu")
        finally:
            give_back_memory(torch_device)

    if best is not None:
        network.load_state_dict(best.weights)
    return Model(
        network=network.eval(),
        kernel=kernel,
        notch=notch,
        config=config,
        normalisation=stack.normalisation,
        provenance={
            "napari_autostructn2v": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "device": describe_device(torch_device),
            "seed": seed,
            "input": name,
            "input_shape": list(whole.input_shape),
            "trained_on": None if box is None else [box.z, box.y, box.x],
            "steps": steps,
            "best_step": 0 if best is None else best.step,
            "validation_loss": None if best is None else best.loss,
        },
    )


def train_along(stack: Any, device: str = "auto") -> None:
    """Train together with the process that leads, whatever it trains, until it lets go.

    Parameters
    ----------
    stack
        The same as there.
    device
        As for :func:`train`.
    """
    for order in distributed.told():
        finish(train(stack, device=device, **order))


@dataclass(frozen=True, eq=False)
class _Job:
    """What is trained: ``stack`` is the part of ``whole`` to train on."""

    whole: Stack
    stack: Stack
    kernel: np.ndarray
    config: TrainingConfig
    seed: int
    checkpoint: Path | None


@dataclass
class _Kept:
    """What outlives a graphics card."""

    best: Best | None = None
    preview: int | None = None


def _steps(
    job: _Job, device: torch.device, preview: int | None, kept: _Kept
) -> Generator[Event, int | None, tuple[UNet, Best | None, int]]:
    """All steps on one device, from the checkpoint, or from what was kept when another device failed.

    Returns the network, on the CPU, the best it was, and how many steps were made.
    """
    config, kernel, stack = job.config, job.kernel, job.stack
    data = TrainingData(stack, kernel, config, device, job.seed)
    # weights depend on the seed alone; other code's dice stay as they were, and no graphics card is asked
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(job.seed)
        network = UNet(3 if kernel.ndim == 3 else 1, config.features, config.depth)
    network.to(device).channels_last()
    dice = (job.seed + ANOTHER * distributed.number()) % SEEDS
    generator = torch.Generator(device).manual_seed(dice)
    state = TrainingState(network, config, generator, identity=_identity(stack, kernel, config, job.seed))
    if job.checkpoint is not None and job.checkpoint.exists():
        state.restore(job.checkpoint)
    elif kept.best is not None:
        state.go_on_from(kept.best)

    def show(event: Event) -> Generator[Event, int | None, None]:
        """Yield an event; whoever watches may answer with the slice that is looked at."""
        sent = yield event
        if sent is not None:
            kept.preview = sent

    if kept.preview is None:
        kept.preview = preview
    yield from show(
        TrainingStarted(
            device=describe_device(device),
            steps=config.steps,
            step=state.step,
            parameters=sum(p.numel() for p in network.parameters()),
        )
    )
    if state.fit(free_memory(device)):
        yield _in_parts(state.parts)
    saved, keep_at = time.monotonic(), job.checkpoint if distributed.lead() else None
    try:
        while state.step < config.steps:
            batch = data.draw(generator)
            loss = yield from _learn(state, data, batch)
            if gone_wrong(loss):
                state.go_back()
                yield Notice(
                    f"The training went wrong: its loss became {loss:.3g}. It goes on from step "
                    f"{state.step}, with a lower learning rate."
                )
                continue
            yield from show(Step(step=state.step, steps=config.steps, loss=loss))

            if state.step % config.validation_interval == 0 or state.step == config.steps:
                network.eval()
                with torch.inference_mode():
                    losses = data.validate(network, state.parts)
                best = state.keep_unless_worse(losses)
                kept.best = state.best
                yield from show(Validation(step=state.step, loss=losses.mean().item(), best=best))
                if kept.preview is not None:
                    z = min(max(kept.preview, 0), job.whole.shape[0] - 1)
                    denoised = predict_plane(
                        job.whole, z, network, kernel.ndim == 3, stack.normalisation, device
                    )
                    yield from show(Preview(step=state.step, z=z, denoised=denoised))
            if keep_at is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
                yield from when_there_is_room(partial(state.save, keep_at), keep_at.parent)
                saved = time.monotonic()
                yield from show(CheckpointWritten(step=state.step, path=keep_at))
    except StopTraining:
        pass
    except GeneratorExit:
        if keep_at is not None and state.step > 0:
            state.save(keep_at)
        raise
    return network.to("cpu"), state.best, state.step


def _learn(state: TrainingState, data: TrainingData, batch: Batch) -> Generator[Notice, Any, float]:
    """A step, in smaller pieces where memory does not hold the batch; returns its loss."""
    while (loss := state.learn(data, batch)) is None:
        give_back_memory(batch.masked.device)
        yield _in_parts(state.parts)
    return loss


def _in_parts(parts: int) -> Notice:
    return Notice(
        f"There is not enough memory for a batch at once: it is computed in {parts} parts. "
        "The result is the same, and each step takes a little longer."
    )


def _identity(stack: Stack, kernel: np.ndarray, config: TrainingConfig, seed: int) -> dict[str, Any]:
    return {
        "input": [list(stack.input_shape), stack.normalisation.mean, stack.normalisation.std],
        "kernel": kernel.astype(int).tolist(),
        "settings": config.model_dump(),
        "seed": seed,
    }
