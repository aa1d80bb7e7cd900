"""Work on slices in threads, while something else goes on with those that are done."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 2
"""Slices that are computed or read before they are asked for, and that wait to be written, at most."""

THREADS = 2
"""Slices looked at at the same time: as much as the memory of a laptop bears."""

Result = TypeVar("Result")


def in_background(
    compute: Callable[[int], Result], items: Iterable[int], *, threads: int = 1
) -> Generator[Result, None, None]:
    """What is computed of each item, in order.

    Parameters
    ----------
    compute
        Called in a thread; what it raises is raised where its result is asked for.
    items
        Slices.
    threads
        How many compute at the same time.
    """
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(compute, item))
            if len(waiting) >= AHEAD + threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
