"""Training shared among processes that ``torchrun`` starts, on one machine or on several.

Each draws patches of its own, together a batch; PyTorch's DistributedDataParallel averages the gradients, so
that all hold the same network. One leads: it alone analyses, predicts and writes, and tells the others what
to train.

References
----------
Li, S. et al. PyTorch Distributed: Experiences on Accelerating Data Parallel Training. VLDB 2020.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from napari_autostructn2v.network import UNet


@contextmanager
def together() -> Iterator[None]:
    """Join the other processes, if ``torchrun`` has started any."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    on_gpus = torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if on_gpus else "gloo")
    try:
        yield
        distributed.barrier()  # whoever ends while others still talk is cut off in the middle
    finally:
        distributed.destroy_process_group()


def count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def number() -> int:
    """Which of them this one is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def lead() -> bool:
    """Whether this process leads, or is alone."""
    return number() == 0


def tell(order: Any) -> None:
    """Tell the others what to train; None lets them go."""
    if count() > 1:
        distributed.broadcast_object_list([order])


def told() -> Iterator[Any]:
    """What the leading process wants trained, as it tells."""
    while True:
        order: list[Any] = [None]
        distributed.broadcast_object_list(order)
        if order[0] is None:
            return
        yield order[0]


def shared(network: UNet) -> Any:
    """The network with its gradients averaged over the processes; itself if there is one."""
    return DistributedDataParallel(network) if count() > 1 else network


def mean_of_all(loss: Tensor) -> Callable[[], float]:
    """The mean over the processes, which then all decide alike.

    It is asked for now and there when it is called for: what is computed in between need not wait.
    """
    if count() == 1:
        return loss.item
    total = loss.clone()
    work: Any = distributed.all_reduce(total, async_op=True)

    def mean() -> float:
        work.wait()
        return total.item() / count()

    return mean
