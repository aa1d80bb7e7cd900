"""Training shared among processes that ``torchrun`` starts, on one machine or on several.

Each draws patches of its own, together a batch. In each step they average their gradients, so that all hold
the same network. One leads: it alone analyses, predicts and writes, and tells the others what to train.

The gradients are exchanged once they are complete, and not while they are computed, as PyTorch's
DistributedDataParallel does it: so a process that runs out of memory can say that in their place, where the
others would wait for gradients that never come. The network is small: this costs a millisecond or two.

References
----------
Li, S. et al. PyTorch Distributed: Experiences on Accelerating Data Parallel Training. VLDB 2020.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from napari_autostructn2v.errors import DeviceError, plural

LIMIT = timedelta(days=1)
"""How long processes that train wait for each other: the disk of the one that leads may be full overnight."""

_LOOK_AGAIN = timedelta(seconds=10)

_store: Store | None = None
"""Where the one that leads says that it has an order; ``torchrun`` keeps it."""


@contextmanager
def process_group(limit: timedelta = LIMIT) -> Iterator[None]:
    """Join the other processes, if ``torchrun`` has started any.

    Parameters
    ----------
    limit
        How long they wait for each other while they train. For orders they wait however long it takes: the
        one that leads may predict for hours. If one of them fails, ``torchrun`` ends them all.

    Raises
    ------
    DeviceError
        If there are graphics cards, but fewer than processes on this machine.
    """
    global _store
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    backends = "gloo"
    if torch.cuda.is_available():
        number, cards = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if number >= cards:
            raise DeviceError(
                f"More processes were started on this machine than the {plural(cards, 'graphics card')} that "
                f"PyTorch can use here. Start one for each card: torchrun --nproc-per-node {cards}"
            )
        torch.cuda.set_device(number)
        backends = "cpu:gloo,cuda:nccl"  # orders are in the memory of the processor
    _store, here, size = next(rendezvous("env://"))
    distributed.init_process_group(backends, store=_store, rank=here, world_size=size, timeout=limit)
    try:
        yield
        distributed.barrier()  # whoever ends while others still talk is cut off in the middle
    finally:
        distributed.destroy_process_group()
        _store = None


def world_size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_leader() -> bool:
    """Whether this process leads, or is alone."""
    return rank() == 0


def broadcast(order: Any) -> None:
    """Tell the others what to train; None lets them go.

    Parameters
    ----------
    order
        Anything that can be pickled: for :func:`received` in the other processes.
    """
    if _store is not None:
        _store.set(_announced(_store.add("orders", 1)), "")
        distributed.broadcast_object_list([order])


def received() -> Iterator[Any]:
    """What the leading process wants trained, as it tells."""
    for number in itertools.count(1):
        _wait_for(_announced(number))
        order: list[Any] = [None]
        distributed.broadcast_object_list(order)
        if order[0] is None:
            return
        yield order[0]


def _announced(number: int) -> str:
    return f"order {number}"


def _wait_for(key: str) -> None:
    """Wait until a key is in the store; a store that is gone is an error."""
    assert _store is not None
    while True:
        try:
            return _store.wait([key], _LOOK_AGAIN)
        except distributed.DistStoreError:  # not there yet
            continue


def take_from_leader(tensors: Sequence[Tensor]) -> None:
    """Give tensors the values that they have in the process that leads.

    Parameters
    ----------
    tensors
        The same number of them, of the same shapes, in every process. They are changed in place.
    """
    if world_size() > 1:
        values = _flat(tensors)
        distributed.broadcast(values, 0)
        _fill(tensors, values)


def average(loss: Tensor | None, parameters: Sequence[Tensor]) -> float | None:
    """Average a loss and its gradients over the processes, which then all make the same step.

    Parameters
    ----------
    loss
        Of this process, without axes; None if it has run out of memory.
    parameters
        Those of the network; each gradient becomes the mean of all processes.

    Returns
    -------
    float or None
        The mean of the losses; None if any process has run out of memory, and the gradients are of no use.
    """
    if world_size() == 1:
        return None if loss is None else loss.item()
    # one exchange, in which each takes part whatever has become of its step
    given = [torch.zeros_like(p) if loss is None or p.grad is None else p.grad for p in parameters]
    last = torch.zeros(2, device=given[0].device)
    if loss is None:
        last[1] = 1
    else:
        last[0] = loss
    values = _flat([*given, last])
    distributed.all_reduce(values)
    values /= world_size()
    _fill([*given, last], values)
    mean, failed = last.tolist()
    return None if failed else mean


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def _fill(tensors: Sequence[Tensor], values: Tensor) -> None:
    for tensor, part in zip(tensors, values.split([t.numel() for t in tensors]), strict=True):
        tensor.detach().copy_(part.view(tensor.shape))
