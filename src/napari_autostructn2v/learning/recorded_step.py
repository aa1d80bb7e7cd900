"""What a step computes, recorded once and played from then on: for graphics cards.

The networks are small: a card has computed a step long before the processor has told it what to do, one
operation after the other. Recorded as a CUDA graph, all of it is told at once.

References
----------
Nguyen, V. et al. Accelerating PyTorch with CUDA Graphs. pytorch.org/blog, 2021.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from napari_autostructn2v.learning import distributed
from napari_autostructn2v.learning.training_data import Batch, TrainingData
from napari_autostructn2v.learning.training_state import TrainingState

Compute = Callable[[TrainingState, TrainingData, Batch], Tensor]

BEFORE = 3
"""How often a step is computed before it is recorded: libraries choose and load their code then."""

_one_at_a_time = threading.Lock()
"""What PyTorch is told counts for all threads: each finds it as it was, and leaves it so."""


class RecordedStep:
    """Computes gradients as the function that it is given, and on a graphics card several times as fast.

    Either way the same seed gives the same network: sums are made in the same order each time.

    Parameters
    ----------
    compute
        Has the network hold the gradients of a batch, and returns its loss, without axes.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._graph: torch.cuda.CUDAGraph | None = None
        self._refused = False

    def __call__(self, state: TrainingState, data: TrainingData, batch: Batch) -> Tensor:
        """Have the network hold the gradients of a batch, and return its loss.

        Parameters
        ----------
        state, data, batch
            As for the function; always the same network, and batches of one shape.
        """
        device = batch.patches.device
        if device.type != "cuda":
            return self._compute(state, data, batch)
        if self._graph is not None and state.micro_batches == 1:
            for held, given in zip(self._batch, batch, strict=True):
                held.copy_(given)
            self._graph.replay()
            return self._loss
        with _same_order():
            # in parts only where memory is short; several processes exchange what they have computed
            if self._refused or state.micro_batches > 1 or distributed.world_size() > 1:
                return self._compute(state, data, batch)
            return self._record(state, data, batch)

    def _record(self, state: TrainingState, data: TrainingData, batch: Batch) -> Tensor:
        """Record what is computed of a batch; the loss of this one."""
        kept = Batch(*(part.clone() for part in batch))
        with torch.cuda.device(batch.patches.device):
            stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(BEFORE):
                    self._compute(state, data, kept)
            torch.cuda.current_stream().wait_stream(stream)
            try:
                # what other threads of the process ask of the card meanwhile is theirs
                with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                    loss = self._compute(state, data, kept)
            except RuntimeError as error:
                if "captur" not in str(error):
                    raise
                self._refused = True
                return self._compute(state, data, batch)
            graph.replay()  # what is recorded is not computed yet
        self._graph, self._batch, self._loss = graph, kept, loss
        return loss


@contextmanager
def _same_order() -> Iterator[None]:
    """Have PyTorch take the operations that give the same digits each time, where a card has faster ones."""
    memory: Any = torch.utils.deterministic
    with _one_at_a_time:
        wanted, filled = torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
        warned = torch.is_deterministic_algorithms_warn_only_enabled()
        torch.use_deterministic_algorithms(True)
        memory.fill_uninitialized_memory = False  # all of it is written to
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(wanted, warn_only=warned)
            memory.fill_uninitialized_memory = filled
