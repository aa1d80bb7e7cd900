"""Which device computes, and what it is good at."""

from __future__ import annotations

import ctypes
import functools
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from napari_autostructn2v.errors import DeviceError, plural

KEPT = 2**30
"""Largest freed blocks in bytes that are kept while something is computed."""

MMAP_LIMIT = 2**25
"""To which glibc raises its limit by itself (DEFAULT_MMAP_THRESHOLD_MAX), and at most twice that before it
gives free memory back; see mallopt(3)."""

_keeping, _keepers = threading.Lock(), 0


def choose_device(name: str = "auto") -> torch.device:
    """The device to compute on.

    Parameters
    ----------
    name
        ``"auto"`` takes a GPU when there is one; otherwise a PyTorch device name such as ``"cpu"``,
        ``"cuda"``, ``"cuda:1"`` or ``"mps"``.

    Raises
    ------
    DeviceError
        If that device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DeviceError(f"The device {name!r} is not available here. Use 'auto' or 'cpu'.") from error
    return device


def describe_device(device: torch.device) -> str:
    """The device in words, for example ``GPU (NVIDIA RTX A4000)`` or ``CPU (8 threads)``.

    Parameters
    ----------
    device
        Of :func:`choose_device`.
    """
    if device.type == "cuda":
        return f"GPU ({torch.cuda.get_device_name(device)})"
    if device.type == "mps":
        return "GPU (Apple)"
    return f"CPU ({plural(torch.get_num_threads(), 'thread')})"


def mixed_precision(device: torch.device, *, wanted: bool = True) -> torch.autocast:
    """Convolutions in bfloat16 where the hardware has it, as a context; sums and losses stay in float32.

    The hardware's word is taken, and no time: on a busy machine a short measurement is off by up to ten
    times, and the same seed would give another model from day to day.

    Parameters
    ----------
    device
        Of :func:`choose_device`.
    wanted
        If False, float32 is used throughout.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and has_fast_bfloat16(device))


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 arithmetic is in the hardware; emulated, it is slower than float32.

    Parameters
    ----------
    device
        Of :func:`choose_device`.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # older versions of PyTorch do not say it: float32 is slower, and right
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device has not enough memory for what was asked of it; less may do.

    Parameters
    ----------
    error
        What PyTorch has raised.
    """
    text = str(error).lower()  # each kind of device says it in its own words
    return "out of memory" in text or "allocate memory" in text


def is_lost(error: BaseException) -> bool:
    """Whether a graphics card has failed or is gone, so that nothing on it can be reached any more.

    Parameters
    ----------
    error
        What PyTorch has raised.
    """
    words = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "HIP error", "MPS backend")
    return not is_out_of_memory(error) and any(word in str(error) for word in words)


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be taken on a device; None where nobody says.

    Parameters
    ----------
    device
        Of :func:`choose_device`. For all but CUDA it is the memory of this machine.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        table = Path("/proc/meminfo").read_text()
        (available,) = re.findall(r"^MemAvailable: +(\d+) kB$", table, re.MULTILINE)
    except (OSError, ValueError):  # no Linux
        return None
    return 1024 * int(available)


def give_back_memory(device: torch.device) -> None:
    """Leave memory that is no longer in use to other programs: that of the device, or of this machine.

    Parameters
    ----------
    device
        On which something was computed. If its graphics card has failed, nothing is done.
    """
    try:
        if device.type == "cuda":
            torch.cuda.empty_cache()
        elif device.type == "mps":
            torch.mps.empty_cache()
        elif (libc := _glibc()) is not None:
            libc.malloc_trim(0)
    except RuntimeError as error:
        if not is_lost(error):
            raise


@contextmanager
def freed_memory_kept(device: torch.device) -> Iterator[None]:
    """Have glibc keep large freed blocks while a CPU computes.

    A training step frees and allocates the same large tensors again and again. Given back to the system each
    time, they come back as pages to be filled with zeros: of 25 steps, 6 000 to 18 000 pages each and 3 to
    20 % of the time, more where arithmetic is faster. Other systems' allocators need no telling.

    What glibc is told counts for the whole process, for napari as well. So whoever computes last puts the
    limits to where glibc's own end, which rise while a program works with large arrays, and
    :func:`give_back_memory` gives back what was kept.

    Parameters
    ----------
    device
        On which something is computed. For a GPU nothing is changed.
    """
    global _keepers
    libc = _glibc() if device.type == "cpu" else None
    if libc is None:
        yield
        return
    with _keeping:
        _keepers += 1
        _set_limits(libc, KEPT, KEPT)
    try:
        yield
    finally:
        with _keeping:
            _keepers -= 1
            if _keepers == 0:
                _set_limits(libc, MMAP_LIMIT, 2 * MMAP_LIMIT)


def _set_limits(libc: ctypes.CDLL, mapped: int, trimmed: int) -> None:
    """Set the bytes from which a block has pages of its own, and from which free ones are given back."""
    m_trim_threshold, m_mmap_threshold = -1, -3
    libc.mallopt(m_mmap_threshold, mapped)
    libc.mallopt(m_trim_threshold, trimmed)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is one whose allocator can be told things: musl has no such knobs."""
    try:
        libc = ctypes.CDLL("libc.so.6") if sys.platform.startswith("linux") else None
        return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
    except OSError:
        return None
