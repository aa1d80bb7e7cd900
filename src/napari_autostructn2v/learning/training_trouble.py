"""What goes wrong while a network is trained, and what is done about it: each of it ends in a notice."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from torch import Tensor

from napari_autostructn2v.errors import DeviceError
from napari_autostructn2v.events import Notice
from napari_autostructn2v.learning import distributed
from napari_autostructn2v.learning.device import give_back_memory, is_lost, is_out_of_memory
from napari_autostructn2v.learning.training_data import Batch, TrainingData
from napari_autostructn2v.learning.training_state import TrainingState


def within_memory(
    compute: Callable[[TrainingState, TrainingData, Batch], Tensor],
    state: TrainingState,
    data: TrainingData,
    batch: Batch,
) -> Generator[Notice, Any, float]:
    """Compute gradients, in smaller parts where memory does not hold the batch, here or in another process.

    Parameters
    ----------
    compute
        Has the network hold the gradients of the batch, and returns its loss, without axes.
    state, data, batch
        Given to it.

    Returns
    -------
    float
        The loss; like the gradients, it is the mean of all processes.
    """
    while True:
        loss = None
        try:
            loss = compute(state, data, batch)
        except RuntimeError as error:
            if not is_out_of_memory(error) or state.micro_batches >= len(batch.patches):
                raise
        # after the except: the error holds on to the memory
        mean = distributed.average(loss, list(state.network.parameters()))
        if mean is not None:
            return mean
        state.micro_batches *= 2
        give_back_memory(batch.patches.device)
        yield in_micro_batches(state.micro_batches)


def in_micro_batches(count: int) -> Notice:
    """What is said of a batch that memory does not hold at once.

    Parameters
    ----------
    count
        Parts in which it is computed.
    """
    return Notice(
        f"There is not enough memory for a batch at once: it is computed in {count} parts. "
        "The result is the same, and each step takes a little longer."
    )


def gone_back(state: TrainingState, loss: float) -> Notice:
    """Go back to the best network after a loss that has exploded.

    Parameters
    ----------
    state
        Of the training.
    loss
        What it came to.

    Raises
    ------
    TrainingError
        If that was done before.
    """
    state.go_back()
    return Notice(
        f"The training went wrong: its loss became {loss:.3g}. It goes on from step "
        f"{state.step}, with a lower learning rate."
    )


def card_failed(error: RuntimeError) -> Notice:
    """What is said of a graphics card that has failed, so that the processor takes its place.

    Parameters
    ----------
    error
        That ended the training on the card; any other is raised again.

    Raises
    ------
    DeviceError
        If several processes train together: a processor among cards would keep them waiting.
    """
    if not is_lost(error):
        raise error
    reason = str(error).splitlines()[0]
    if distributed.world_size() > 1:
        raise DeviceError(
            f"The graphics card of process {distributed.rank()} has failed ({reason}). "
            "Start the same command without that card: it goes on from what was kept last."
        ) from error
    return Notice(
        f"The graphics card has failed ({reason}). The training goes on on the processor, from "
        "what was kept last; that takes longer."
    )
