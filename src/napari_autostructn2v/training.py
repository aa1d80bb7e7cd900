"""Training on the stack itself: one loop for both stages, both modes, every kernel."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_autostructn2v import __version__
from napari_autostructn2v.blindspot import (
    allowed_flips,
    at_sites,
    choose_sites,
    hidden_pixels,
    kernel_offsets,
    replace_hidden,
    sites_per_patch,
)
from napari_autostructn2v.bundle import Model
from napari_autostructn2v.checkpoint import read_checkpoint, write_checkpoint
from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.device import choose_device, describe_device, keep_freed_memory, mixed_precision
from napari_autostructn2v.errors import RunFolderError
from napari_autostructn2v.events import CheckpointWritten, Event, Preview, Step, TrainingStarted, Validation
from napari_autostructn2v.kernel import validate_kernel
from napari_autostructn2v.network import UNet
from napari_autostructn2v.notch import NotchRule
from napari_autostructn2v.patience import when_there_is_room
from napari_autostructn2v.prediction import predict_plane
from napari_autostructn2v.stack import Box, Stack, as_stack

MAX_TRAINING_VOXELS = 2**28
"""Voxels held in memory for training (1 GiB as float32): of larger stacks, evenly spread slices."""

HELD_OUT_SHARE = 1 / 16
HELD_OUT_CELL = 32
CHECKPOINT_SECONDS = 30.0


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
        As for :func:`~napari_autostructn2v.device.choose_device`.
    seed
        The same seed gives the same model on the same processor.
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
        ``TrainingStarted``, then ``Step``, ``Validation``, ``Preview`` and ``CheckpointWritten``.

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
    """
    kernel = validate_kernel(kernel)
    stack = as_stack(stack, "2.5d" if kernel.ndim == 3 else "2d")
    if notch is not None:
        stack = notch.apply(stack)
    whole = stack
    if box is not None:
        stack = as_stack(stack.cropped(box), "2.5d" if kernel.ndim == 3 else "2d")
    torch_device = choose_device(device)
    keep_freed_memory()
    data = TrainingData(stack, kernel, config, torch_device, seed)

    with torch.random.fork_rng():  # weights depend on the seed alone, and other code's dice stay as they were
        torch.manual_seed(seed)
        network = UNet(3 if kernel.ndim == 3 else 1, config.features, config.depth)
    network.to(torch_device).channels_last()
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=torch_device.type in ("cpu", "cuda"),
    )
    generator = torch.Generator(torch_device).manual_seed(seed)
    state = _State(network, optimizer, generator, identity=_identity(stack, kernel, config, seed))
    if checkpoint is not None and checkpoint.exists():
        state.restore(checkpoint)

    started = TrainingStarted(
        device=describe_device(torch_device),
        steps=config.steps,
        step=state.step,
        parameters=sum(p.numel() for p in network.parameters()),
    )
    saved = time.monotonic()
    try:
        preview = _or(preview, (yield started))
        while state.step < config.steps:
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * one_cycle(state.step, config.steps)
            network.train()
            loss = data.loss(network, *data.draw(generator))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            state.step += 1
            preview = _or(preview, (yield Step(step=state.step, steps=config.steps, loss=loss.item())))

            if state.step % config.validation_interval == 0 or state.step == config.steps:
                network.eval()
                with torch.inference_mode():
                    losses = data.validate(network)
                best = state.keep_unless_worse(losses)
                preview = _or(
                    preview, (yield Validation(step=state.step, loss=losses.mean().item(), best=best))
                )
                if preview is not None:
                    z = min(max(preview, 0), whole.shape[0] - 1)
                    denoised = predict_plane(
                        whole, z, network, kernel.ndim == 3, stack.normalisation, torch_device
                    )
                    preview = _or(preview, (yield Preview(step=state.step, z=z, denoised=denoised)))
            if checkpoint is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
                yield from when_there_is_room(partial(state.save, checkpoint), checkpoint.parent)
                saved = time.monotonic()
                preview = _or(preview, (yield CheckpointWritten(step=state.step, path=checkpoint)))
    except StopTraining:
        pass
    except GeneratorExit:
        if checkpoint is not None and state.step > 0:
            state.save(checkpoint)
        raise

    if state.best is not None:
        network.load_state_dict(state.best)
    return Model(
        network=network.to("cpu").eval(),
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
            "steps": state.step,
            "best_step": state.best_step,
            "validation_loss": state.best_loss if state.best is not None else None,
        },
    )


def one_cycle(step: int, steps: int) -> float:
    """Learning rate as a share of its peak: up in the first tenth of the steps, then cosine down.

    References
    ----------
    Smith, L. N., Topin, N. Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
    Rates. SPIE 2019.
    """
    warm_up = max(1, steps // 10)
    if step < warm_up:
        return 0.1 + 0.9 * step / warm_up
    progress = (step - warm_up) / max(1, steps - warm_up)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


def _or(current: int | None, sent: int | None) -> int | None:
    return current if sent is None else sent


Batch = tuple[Tensor, Tensor, Tensor, Tensor, tuple[bool, bool, bool]]
"""Masked input (B, C, H, W), target (B, H, W), sites (B, n, 2), which of them count (B, n), flip."""


class TrainingData:
    """Patches, sites and masked inputs, made where the network computes.

    Part of the stack is held out in cells of some 32 × 32 pixels: seen as surroundings, like everything else,
    but never the answer a network is trained towards. The validation asks for just these pixels, at sites
    drawn once, so that the losses of two moments differ by the network alone.
    """

    def __init__(
        self, stack: Stack, kernel: np.ndarray, config: TrainingConfig, device: torch.device, seed: int
    ) -> None:
        depth, height, width = stack.shape
        multiple = 2**config.depth
        self.patch = min(config.patch_size, min(height, width) // multiple * multiple)
        self.batch = config.batch_size
        self.offsets = kernel_offsets(kernel).to(device)
        self.count = sites_per_patch(kernel, self.patch, config.masked_share, config.centre_share)
        self.flips = allowed_flips(kernel)

        # evenly spread slices where the stack is larger than the memory it may take
        per_slice = height * width * (3 if kernel.ndim == 3 else 1)
        chosen = min(depth, max(1, MAX_TRAINING_VOXELS // per_slice))
        centres = np.unique(np.linspace(0, depth - 1, chosen).round().astype(int))
        groups = [stack.neighbours(int(z)) if kernel.ndim == 3 else (int(z),) for z in centres]
        planes = sorted({z for group in groups for z in group})
        scale = stack.normalisation
        slices = np.stack([(stack.plane(z) - scale.mean) / scale.std for z in planes])
        self.slices = torch.from_numpy(slices).to(device)
        index = {z: i for i, z in enumerate(planes)}
        self.groups = torch.tensor([[index[z] for z in group] for group in groups], device=device)

        self.cell = min(HELD_OUT_CELL, self.patch // 2)
        rng = np.random.default_rng(seed)
        grid = (len(groups), -(-height // self.cell), -(-width // self.cell))
        held_out = max(1, round(HELD_OUT_SHARE * math.prod(grid)))
        cells = rng.permutation(math.prod(grid))[:held_out]
        held = np.zeros(grid, dtype=bool)
        held.flat[cells] = True
        self.held = torch.from_numpy(held).to(device)
        corners = np.stack(np.unravel_index(cells[: config.validation_patches], grid), axis=1)
        self.validation = self._validation(torch.from_numpy(corners).to(device), seed)

    def draw(self, generator: torch.Generator) -> Batch:
        """A training batch: random patches, new random sites, one allowed flip."""
        device = self.slices.device
        corners = torch.stack(
            [
                torch.randint(0, n, (self.batch,), generator=generator, device=device)
                for n in (self.groups.shape[0], *(n - self.patch + 1 for n in self.slices.shape[1:]))
            ],
            dim=1,
        )
        sites = choose_sites(self.batch, self.count, self.patch, generator)
        flip = self.flips[int(torch.randint(0, len(self.flips), (1,), generator=generator, device=device))]
        return self._batch(corners, sites, ~self._held_out(corners, sites), flip)

    def loss(
        self,
        network: UNet,
        masked: Tensor,
        target: Tensor,
        sites: Tensor,
        counts: Tensor,
        flip: tuple[bool, bool, bool],
    ) -> Tensor:
        """Mean squared error at the sites that count."""
        squares = self._squares(network, masked, target, sites, flip)
        return (squares * counts).sum() / counts.sum().clamp_min(1)

    def validate(self, network: UNet) -> Tensor:
        """Mean squared error at the held-out sites of each validation patch, on the CPU, (patches,)."""
        masked, target, sites, _, flip = self.validation
        return self._squares(network, masked, target, sites, flip).mean(dim=1).cpu()

    def _squares(
        self, network: UNet, masked: Tensor, target: Tensor, sites: Tensor, flip: tuple[bool, bool, bool]
    ) -> Tensor:
        axes = [axis for axis, flipped in zip((1, 2, 3), flip, strict=True) if flipped]
        image = masked.flip(axes) if axes else masked
        with mixed_precision(self.slices.device):
            predicted = network(image.contiguous(memory_format=torch.channels_last))
        back = [axis - 1 for axis in axes if axis > 1]  # the output has no axis of slices
        predicted = predicted.flip(back) if back else predicted
        return (at_sites(predicted, sites) - at_sites(target, sites)).square()

    def _batch(self, corners: Tensor, sites: Tensor, counts: Tensor, flip: tuple[bool, bool, bool]) -> Batch:
        side = torch.arange(self.patch, device=corners.device)
        z = self.groups[corners[:, 0]]
        y = corners[:, 1, None] + side
        x = corners[:, 2, None] + side
        patches = self.slices[z[:, :, None, None], y[:, None, :, None], x[:, None, None, :]]
        hidden = hidden_pixels(patches.shape, sites, self.offsets)
        return replace_hidden(patches, hidden), patches[:, patches.shape[1] // 2], sites, counts, flip

    def _held_out(self, corners: Tensor, sites: Tensor) -> Tensor:
        y = (corners[:, None, 1] + sites[..., 0]) // self.cell
        x = (corners[:, None, 2] + sites[..., 1]) // self.cell
        return self.held[corners[:, None, 0], y, x]

    def _validation(self, cells: Tensor, seed: int) -> Batch:
        height, width = self.slices.shape[1:]
        start = cells[:, 1:] * self.cell
        end = torch.minimum(start + self.cell, torch.tensor([height, width], device=cells.device))
        middle = (start + end) // 2 - self.patch // 2
        limit = torch.tensor([height - self.patch, width - self.patch], device=cells.device)
        corner = torch.minimum(middle.clamp_min(0), limit)
        generator = torch.Generator(cells.device).manual_seed(seed)
        count = max(1, round(self.count * (self.cell / self.patch) ** 2))
        unit = torch.rand((len(cells), count, 2), generator=generator, device=cells.device)
        sites = (unit * (end - start)[:, None]).long() + (start - corner)[:, None]
        corners = torch.cat([cells[:, :1], corner], dim=1)
        counts = torch.ones(sites.shape[:2], dtype=torch.bool, device=cells.device)
        return self._batch(corners, sites, counts, (False, False, False))


@dataclass
class _State:
    """All that a training needs to go on where it stopped."""

    network: UNet
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    identity: dict[str, Any]
    step: int = 0
    best: dict[str, Tensor] | None = None
    best_loss: float = math.inf
    best_step: int = 0
    lowest: Tensor | None = None

    def keep_unless_worse(self, losses: Tensor) -> bool:
        """Keep the network as the best if the losses of the validation patches do not speak against it.

        Where noise is strong, the lowest of many validations is low mostly by chance, and early in the
        training. So the latest network is kept that is within one standard error of the lowest (Breiman et
        al. 1984, section 3.4.3), where the error is that of the difference, patch by patch at the same sites.
        """
        if not losses.isfinite().all():
            return False
        if self.lowest is None or losses.mean() < self.lowest.mean():
            self.lowest = losses
        difference = losses - self.lowest
        standard_error = difference.std(correction=0) / math.sqrt(max(1, len(losses) - 1))
        if difference.mean() > standard_error:
            return False
        self.best_loss, self.best_step = losses.mean().item(), self.step
        self.best = {key: value.detach().clone() for key, value in self.network.state_dict().items()}
        return True

    def save(self, path: Path) -> None:
        tensors = {f"network.{key}": value for key, value in self.network.state_dict().items()}
        tensors |= {f"best.{key}": value for key, value in (self.best or {}).items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in moments.items()}
        tensors["generator"] = self.generator.get_state()
        if self.lowest is not None:
            tensors["lowest"] = self.lowest
        progress = {
            "identity": self.identity,
            "step": self.step,
            "best_loss": self.best_loss if self.best is not None else None,
            "best_step": self.best_step,
        }
        write_checkpoint(path, tensors, progress)

    def restore(self, path: Path) -> None:
        progress, tensors = read_checkpoint(path)
        if progress["identity"] != self.identity:
            different = [
                key for key, value in self.identity.items() if progress["identity"].get(key) != value
            ]
            raise RunFolderError(
                f"The run folder {path.parent} belongs to another run: {', '.join(different)} differ. "
                "Choose another run folder, or delete this one."
            )
        groups: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimizer": {}}
        for key, value in tensors.items():
            group, _, rest = key.partition(".")
            if rest:
                groups[group][rest] = value
        self.network.load_state_dict(groups["network"])
        optimizer = self.optimizer.state_dict()
        parameters = list(self.network.parameters())
        for key, value in groups["optimizer"].items():
            number, _, moment = key.partition(".")
            if value.ndim:  # laid out in memory as its parameter is: the fused step relies on that
                value = torch.empty_like(parameters[int(number)], device="cpu").copy_(value)
            optimizer["state"].setdefault(int(number), {})[moment] = value
        self.optimizer.load_state_dict(optimizer)
        self.generator.set_state(tensors["generator"])
        self.lowest = tensors.get("lowest")
        self.step, self.best_step = progress["step"], progress["best_step"]
        if progress["best_loss"] is not None:
            self.best, self.best_loss = groups["best"], progress["best_loss"]


def _identity(stack: Stack, kernel: np.ndarray, config: TrainingConfig, seed: int) -> dict[str, Any]:
    return {
        "input": [list(stack.input_shape), stack.normalisation.mean, stack.normalisation.std],
        "kernel": kernel.astype(int).tolist(),
        "settings": config.model_dump(),
        "seed": seed,
    }
