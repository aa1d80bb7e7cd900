"""What changes while a network is trained: its steps, what is kept of them, and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.errors import TrainingError, refuse_if_different
from napari_autostructn2v.learning.checkpoint import read_checkpoint, write_checkpoint
from napari_autostructn2v.learning.distributed import is_leader, take_from_leader
from napari_autostructn2v.learning.network import UNet

BYTES_A_VALUE = 70
"""Memory that a step takes for each pixel of its batch and feature of its network. Measured on a CPU: 35 in
bfloat16, 50 in float32, 68 with four levels."""

EXPLODED = 1e4
"""Loss from which a training has gone wrong: the stack's own variance is 1, and guessing its mean costs 1."""

LOWERED = 0.25
"""What is left of the learning rate then."""


def one_cycle(step: int, steps: int) -> float:
    """Learning rate as a share of its peak: up in the first tenth of the steps, then cosine down.

    Parameters
    ----------
    step
        Steps that are made already.
    steps
        Of the whole training.

    References
    ----------
    Smith, L. N., Topin, N. Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
    Rates. SPIE 2019.
    """
    warm_up = max(1, steps // 10)
    # 1) linearly up from a tenth, so that the first steps, which know nothing yet, do no harm
    if step < warm_up:
        return 0.1 + 0.9 * step / warm_up
    # 2) along half a cosine down to a hundredth, so that the network settles
    progress = (step - warm_up) / max(1, steps - warm_up)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Best:
    """The network to be kept so far; on the CPU, where no broken graphics card takes it along."""

    weights: dict[str, Tensor]
    loss: float
    step: int


@dataclass
class TrainingState:
    """All that a training needs to go on where it stopped.

    Attributes
    ----------
    network
        As it is after ``step`` steps.
    config
        Of the stage.
    generator
        Of the random patches, sites and flips.
    identity
        What a checkpoint must be of, to be gone on from.
    best
        What is kept; None before the first validation.
    lowest
        Losses of the validation patches with the lowest mean so far, (patches,).
    rate
        Share of the learning rate: below 1 after a training has gone wrong.
    micro_batches
        So many parts a batch is computed in, where memory does not hold it at once.
    optimizer
        With the moments of the steps so far.
    """

    network: UNet
    config: TrainingConfig
    generator: torch.Generator
    identity: dict[str, Any]
    step: int = 0
    best: Best | None = None
    lowest: Tensor | None = None
    rate: float = 1.0
    micro_batches: int = 1
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        take_from_leader(list(self.network.parameters()))
        self._first = _on_cpu(self.network)
        self._new_optimizer()

    def update(self) -> None:
        """Make a step along the gradients that the network holds."""
        rate = self.config.learning_rate * self.rate * one_cycle(self.step, self.config.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1

    def keep_unless_worse(self, losses: Tensor) -> bool:
        """Keep the network as the best if the losses of the validation patches do not speak against it.

        Where noise is strong, the lowest of many validations is low mostly by chance, and early in the
        training. So the latest network is kept that is within one standard error of the lowest (Breiman et
        al. 1984, section 3.4.3), where the error is that of the difference, patch by patch at the same sites.

        Parameters
        ----------
        losses
            Mean squared error of each validation patch, (patches,), on the CPU.

        Returns
        -------
        bool
            Whether the network was kept.
        """
        if not losses.isfinite().all():
            return False
        if self.lowest is None or losses.mean() < self.lowest.mean():
            self.lowest = losses
        difference = losses - self.lowest
        standard_error = difference.std(correction=0) / math.sqrt(max(1, len(losses) - 1))
        if difference.mean() > standard_error:
            return False
        self.best = Best(_on_cpu(self.network), losses.mean().item(), self.step)
        return True

    def go_back(self) -> None:
        """To the best network, or to the beginning, and on from there in smaller steps.

        Raises
        ------
        TrainingError
            If that was done before.
        """
        if self.rate < 1:
            raise TrainingError(
                "The training went wrong twice: its loss grew without bounds. Look for extreme values in the "
                "stack (a hot pixel, a border of zeros) and crop or clip them, or choose a lower learning "
                "rate."
            )
        self.rate = LOWERED
        self.go_on_from(self.best)

    def go_on_from(self, best: Best | None) -> None:
        """Take a network that was kept; what the optimizer knew is gone.

        Parameters
        ----------
        best
            The network that was kept; None for the one of the beginning.
        """
        self.best = best
        self.network.load_state_dict(self._first if best is None else best.weights)
        self.step = 0 if best is None else best.step
        self._new_optimizer()

    def fit(self, free: int | None) -> bool:
        """Compute a batch in as many parts as ``free`` bytes ask for; whether that is more than one.

        On a CPU nothing says that memory has run out: the system ends the program.

        Parameters
        ----------
        free
            Bytes of memory that can be taken; None if nobody says, and then nothing is changed.
        """
        config, before = self.config, self.micro_batches
        whole = BYTES_A_VALUE * config.batch_size * config.patch_size**2 * config.features
        while (
            free is not None
            and whole / self.micro_batches > free / 2
            and (self.micro_batches < config.batch_size)
        ):
            self.micro_batches *= 2
        return self.micro_batches > before

    def save(self, path: Path) -> None:
        """Write a checkpoint.

        Parameters
        ----------
        path
            Of the checkpoint file.

        Raises
        ------
        DiskFullError, FileError
            If it cannot be written.
        """
        best = self.best
        tensors = {f"network.{key}": value for key, value in self.network.state_dict().items()}
        tensors |= {} if best is None else {f"best.{key}": value for key, value in best.weights.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in moments.items()}
        tensors["generator"] = self.generator.get_state()
        if self.lowest is not None:
            tensors["lowest"] = self.lowest
        progress = {
            "identity": self.identity,
            "step": self.step,
            "best_loss": None if best is None else best.loss,
            "best_step": 0 if best is None else best.step,
            "rate": self.rate,
        }
        write_checkpoint(path, tensors, progress)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        path
            Of the checkpoint file.

        Raises
        ------
        RunFolderError
            If it is damaged, or of another input or other settings.
        """
        progress, tensors = read_checkpoint(path)
        refuse_if_different(path.parent, progress["identity"], self.identity)
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
        if is_leader():  # other ranks only need another seed
            self.generator.set_state(tensors["generator"])
        self.lowest = tensors.get("lowest")
        self.step, self.rate = progress["step"], progress.get("rate", 1.0)
        if progress["best_loss"] is not None:
            self.best = Best(groups["best"], progress["best_loss"], progress["best_step"])

    def _new_optimizer(self) -> None:
        parameters = list(self.network.parameters())
        self.optimizer = torch.optim.AdamW(
            parameters,
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
            fused=parameters[0].device.type in ("cpu", "cuda"),
        )


def has_exploded(loss: float) -> bool:
    """Whether a loss is none that a training comes back from, or not a number.

    Parameters
    ----------
    loss
        Mean squared error, where the variance of the stack is 1.
    """
    return not loss < EXPLODED


def _on_cpu(network: UNet) -> dict[str, Tensor]:
    return {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}
