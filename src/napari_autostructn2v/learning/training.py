"""Training on the stack itself: one loop for both stages, both modes, every kernel."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_autostructn2v._version import __version__
from napari_autostructn2v.box import Box
from napari_autostructn2v.config import Mode, TrainingConfig
from napari_autostructn2v.disk.waiting import retry_when_full
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.events import (
    CheckpointWritten,
    Event,
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
    mixed_precision,
)
from napari_autostructn2v.learning.model import Model, check_start
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.learning.prediction import predict_plane
from napari_autostructn2v.learning.recorded_step import RecordedStep
from napari_autostructn2v.learning.training_data import Batch, TrainingData
from napari_autostructn2v.learning.training_job import TrainingJob
from napari_autostructn2v.learning.training_state import Best, TrainingState, has_exploded
from napari_autostructn2v.learning.training_trouble import (
    card_failed,
    gone_back,
    in_micro_batches,
    within_memory,
)
from napari_autostructn2v.noise.notch import NotchRule
from napari_autostructn2v.stack import as_stack

CHECKPOINT_SECONDS = 30.0

SEEDS = 2**64
"""As many as PyTorch tells apart."""

SEED_STEP = 104_729
"""From the seed of a process to that of the next: on the CPU PyTorch looks at the lower 32 bits alone."""


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
    start: Model | None = None,
) -> Generator[Event, int | None, Model]:
    """Train a network to predict hidden pixels of a stack from the visible ones.

    The kernel decides what it is: one pixel is Noise2Void, a larger one StructN2V, three slices 2.5D.

    Parameters
    ----------
    stack
        Shape (Z, Y, X) or (Y, X), any array that can be sliced; or a list of several, of any sizes, which are
        trained on together: each is normalised by itself, and as many patches are drawn of each.
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
    start
        Whose weights are gone on from, in place of new ones. It may have another kernel.

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
    ModelError
        If the network to start from is of another mode or size.
    RunFolderError
        If the checkpoint belongs to another input or other settings.
    TrainingError
        If the loss grows without bounds, and does so again after going back.
    DeviceError
        If the device is not there, or fails while several processes train together.
    """
    kernel = validate_kernel(kernel)
    mode: Mode = "2.5d" if kernel.ndim == 3 else "2d"
    several = isinstance(stack, (list, tuple))
    stacks = [as_stack(each, mode, config.depth) for each in (stack if several else [stack])]
    if not stacks:
        raise StackError("There is no stack to train on. Give one, or several.")
    if start is not None:
        check_start(start, mode, config)
    if distributed.is_leader():
        distributed.broadcast(
            dict(kernel=kernel, config=config, seed=seed, checkpoint=checkpoint, notch=notch, box=box)
        )
    if notch is not None:
        stacks = [notch.apply(each) for each in stacks]
    whole = stacks[0]
    if box is not None:
        stacks = [as_stack(each.cropped(box), mode, config.depth) for each in stacks]
    torch_device = choose_device(device)
    job = TrainingJob(whole, tuple(stacks), kernel, config, seed % SEEDS, checkpoint, preview, start)
    with freed_memory_kept(torch_device):
        try:
            failed = None
            try:
                network, best, steps = yield from _steps(job, torch_device)
            except RuntimeError as error:
                failed = card_failed(error)
            if failed is not None:  # after the except: the error holds on to what is on the card
                yield failed
                torch_device = torch.device("cpu")
                network, best, steps = yield from _steps(job, torch_device)
        finally:
            give_back_memory(torch_device)

    if best is not None:
        network.load_state_dict(best.weights)
    return Model(
        network=network.eval(),
        kernel=kernel,
        notch=notch,
        config=config,
        normalisation=stacks[0].normalisation,
        each_normalised=len(stacks) > 1,
        provenance={
            "napari_autostructn2v": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "device": describe_device(torch_device),
            "seed": seed,
            "input": name,
            "input_shape": list(whole.input_shape),
            "stacks": len(stacks),
            "started_from": None if start is None else start.provenance.get("input"),
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

    Raises
    ------
    AutoStructN2VError
        As of :func:`train`.
    """
    for order in distributed.received():
        finish(train(stack, device=device, **order))


def _steps(
    job: TrainingJob, device: torch.device
) -> Generator[Event, int | None, tuple[UNet, Best | None, int]]:
    """All steps on one device, from what there is of the training.

    Returns the network, on the CPU, the best it was, and how many steps were made.
    """
    config, show = job.config, job.show
    data = job.data(device)
    state = _begun(job, device)
    yield from show(_started(state, device))
    if state.fit(free_memory(device)):
        yield in_micro_batches(state.micro_batches)
    gradients = RecordedStep(compute_gradients)
    checkpoints = _Checkpoints(state, job.checkpoint if distributed.is_leader() else None)
    try:
        while state.step < config.steps:
            # draw: patches from anywhere, mirrored as the noise allows, with blind spots never asked before
            batch = data.draw(state.generator)
            # hide, predict, loss: the gradients, which are the mean of all processes
            loss = yield from within_memory(gradients, state, data, batch)
            if has_exploded(loss):
                yield gone_back(state, loss)
                continue
            # step: a little along them
            state.update()
            yield from show(Step(step=state.step, steps=config.steps, loss=loss))

            if state.step % config.validation_interval == 0 or state.step == config.steps:
                # validate: at sites that are the same each time, and that no step is made towards
                state.network.eval()
                with torch.inference_mode():
                    losses = data.validate(state.network, state.micro_batches)
                # keep: the latest network that is not clearly worse than another
                is_best = state.keep_unless_worse(losses)
                job.best = state.best
                yield from show(Validation(step=state.step, loss=losses.mean().item(), best=is_best))
                if job.preview is not None:
                    yield from show(_preview(job, state, device))
            yield from checkpoints.write_if_due(show)
    except StopTraining as stop:
        stop.__traceback__ = None  # whoever threw it holds it, and by it all that is on the card
    except GeneratorExit:
        checkpoints.write()
        raise
    return state.network.to("cpu"), state.best, state.step


def compute_gradients(state: TrainingState, data: TrainingData, batch: Batch) -> torch.Tensor:
    """Have the network hold the gradients of a batch, and return its loss, without axes.

    Parameters
    ----------
    state
        Of the training; in its micro-batches the batch is computed.
    data
        From which the batch was drawn.
    batch
        What is asked.
    """
    network = state.network.train()
    state.optimizer.zero_grad(set_to_none=True)
    losses = []
    for part in batch.micro_batches(state.micro_batches):
        # hide: each blind spot, and what the kernel says shares its noise
        masked = data.hide(part)
        # predict: what was hidden, from what is visible
        with mixed_precision(masked.device):
            predicted = network(masked)
        # loss: against the noisy stack, as what cannot be predicted, the noise, averages out
        loss = part.loss(predicted)
        loss.backward()
        losses.append(loss.detach())
    return torch.stack(losses).sum()


def _begun(job: TrainingJob, device: torch.device) -> TrainingState:
    """The state to go on from: of the checkpoint, of the best network, or of new weights."""
    # weights depend on the seed alone; other code's random numbers stay, and no graphics card is asked
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(job.seed)
        network = UNet(3 if job.kernel.ndim == 3 else 1, job.config.features, job.config.depth)
    if job.start is not None:
        network.load_state_dict(job.start.network.state_dict())
    network.to(device).channels_last()
    own_seed = (job.seed + SEED_STEP * distributed.rank()) % SEEDS
    generator = torch.Generator(device).manual_seed(own_seed)
    state = TrainingState(network, job.config, generator, job.identity)
    if job.checkpoint is not None and job.checkpoint.exists():
        state.restore(job.checkpoint)
    elif job.best is not None:
        state.go_on_from(job.best)
    return state


def _started(state: TrainingState, device: torch.device) -> TrainingStarted:
    return TrainingStarted(
        device=describe_device(device),
        steps=state.config.steps,
        step=state.step,
        parameters=sum(p.numel() for p in state.network.parameters()),
    )


def _preview(job: TrainingJob, state: TrainingState, device: torch.device) -> Preview:
    """The slice that is looked at, as the network makes it now."""
    z = min(max(job.preview or 0, 0), job.whole.shape[0] - 1)
    denoised = predict_plane(
        job.whole, z, state.network, job.kernel.ndim == 3, job.stacks[0].normalisation, device
    )
    return Preview(step=state.step, z=z, denoised=denoised)


class _Checkpoints:
    """The file from which a training goes on that was cut off; nothing is written if there is none."""

    def __init__(self, state: TrainingState, path: Path | None) -> None:
        self._state, self._path, self._written = state, path, time.monotonic()

    def write_if_due(
        self, show: Callable[[Event], Generator[Event, int | None, None]]
    ) -> Generator[Event, int | None, None]:
        """Now and then, waiting while the disk is full."""
        if self._path is None or time.monotonic() - self._written <= CHECKPOINT_SECONDS:
            return
        yield from retry_when_full(partial(self._state.save, self._path), self._path.parent)
        self._written = time.monotonic()
        yield from show(CheckpointWritten(step=self._state.step, path=self._path))

    def write(self) -> None:
        """Of a training that is cancelled."""
        if self._path is not None and self._state.step > 0:
            self._state.save(self._path)
