"""Cores and memory: whether the program uses those that it may."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from napari_autostructn2v.doctor.finding import Finding
from napari_autostructn2v.errors import plural
from napari_autostructn2v.threads import usable_cores

LOW_MEMORY = 2 * 2**30
"""Bytes below which a training of a usual tomogram finds no room: it holds 1 GiB of it, and the network."""

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says what share of its cores a container or a job may use (cgroups 2)."""


def look() -> Iterator[Finding]:
    """Look at cores, threads and memory.

    Yields
    ------
    Finding
        Cores with the threads that compute on them; free memory.
    """
    try:
        import torch
    except Exception:  # told with the libraries
        return
    from napari_autostructn2v.learning.device import free_memory

    cores, threads = _allowed(), torch.get_num_threads()
    yield Finding("cores", f"{cores}, {plural(threads, 'thread')}", _wrong_threads(cores, threads))
    free = free_memory(torch.device("cpu"))
    if free is not None:
        trouble = "Close other programs, or ask for more." if free < LOW_MEMORY else ""
        yield Finding("memory", f"{free / 2**30:,.1f} GiB free", trouble)


def _wrong_threads(cores: int, threads: int) -> str:
    """What is wrong with the number of threads; empty if nothing is."""
    if threads > cores:
        return f"More threads than cores slow each other down. Set OMP_NUM_THREADS={cores}."
    if threads == 1 < cores and os.environ.get("OMP_NUM_THREADS") == "1":
        return "OMP_NUM_THREADS=1 leaves all cores but one idle. Unset it, if nothing else needs them."
    return ""


def _allowed() -> int:
    """Cores that may be used: those of this process, or fewer where a container is given less."""
    cores = usable_cores()
    try:
        quota, period = QUOTA.read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or "max"
        return cores
