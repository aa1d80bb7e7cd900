"""How fast it is: each figure a ratio of two things timed in turns, in the same run.

::

    python benchmarks/speed.py                                   # everything
    python benchmarks/speed.py training prediction               # sections by name
    python benchmarks/speed.py --quick                           # the smallest form: only shows that it works
    python benchmarks/speed.py --careamics FOLDER --out speed.json

It computes where the package would: on a GPU where there is one. FOLDER is what ``peers/install.sh FOLDER``
made; without it, what needs another program is left out. The window of ``latency``, ``answers`` and ``start``
needs a screen: ``xvfb-run -a`` brings one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import speed_engine
import speed_peers
import speed_processes
import speed_window
import torch

from napari_autostructn2v.learning.device import (
    choose_device,
    describe_device,
    freed_memory_kept,
    has_fast_bfloat16,
)

Row = dict[str, str | float]


@dataclass(frozen=True)
class Section:
    """A part of the benchmark: what its figures mean, and what measures them."""

    meaning: str
    measure: Callable[[bool, Path | None], Iterator[Row]]


SECTIONS = {
    "training": Section(
        "Steps of the training a second ÷ forward and backward passes of its bare network on a ready batch.",
        speed_engine.training,
    ),
    "precision": Section("Steps a second in bfloat16 ÷ those in float32.", speed_engine.precision),
    "prediction": Section(
        "Slices a second ÷ those of the bare network, forward, on ready slices.", speed_engine.prediction
    ),
    "processes": Section(
        "Training steps a second of two processes ÷ those of one, each with one thread of the processor.",
        speed_processes.by_processes,
    ),
    "careamics": Section(
        "Training steps a second ÷ those of CAREamics: patches of 64, batches of 12.", speed_peers.careamics
    ),
    "race": Section(
        "PSNR after so many seconds on scan lines, 16 × 256 × 256; ours with everything counted.",
        speed_peers.race,
    ),
    "presets": Section("The whole way by preset, 16 × 256 × 256.", speed_engine.presets),
    "latency": Section("From an edit to what it gives, slices of 512 × 512.", speed_window.latency),
    "answers": Section(
        "How long the window keeps a person waiting while a network trains.", speed_window.answers
    ),
    "start": Section("Fresh processes, until there is something to use.", speed_window.start),
}


def machine() -> dict[str, str]:
    """What the figures depend on."""
    cpu = platform.processor() or platform.machine()
    if (listed := Path("/proc/cpuinfo")).exists():
        names = [line for line in listed.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(": ")[2] if names else cpu
    device = choose_device()
    packages = ("napari-autostructn2v", "torch", "numpy", "scipy")
    return {
        "date": date.today().isoformat(),
        "processor": f"{cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "device": describe_device(device),
        "bfloat16 in hardware": "yes" if has_fast_bfloat16(device) else "no",
        "threads": str(torch.get_num_threads()),
        "versions": ", ".join(f"{name} {version(name)}" for name in packages)
        + f", Python {platform.python_version()}",
    }


def table(rows: list[Row]) -> str:
    """Markdown; the columns are the keys of the first row."""
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row.get(key, "–")) for key in columns) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--quick", action="store_true", help="the smallest form")
    parser.add_argument("--careamics", type=Path, help="folder of the peers' environments")
    parser.add_argument("--out", type=Path, default=Path("speed.json"))
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")

    record: dict[str, Any] = {"machine": machine(), "quick": options.quick, "sections": {}}
    print("\n".join(f"- {key}: {value}" for key, value in record["machine"].items()))
    for name in options.sections or SECTIONS:
        section, started = SECTIONS[name], time.perf_counter()
        with freed_memory_kept(choose_device()):  # as training has it, for the bare networks too
            rows = list(section.measure(options.quick, options.careamics))
        record["sections"][name] = rows
        print(f"\n## {name}\n\n{section.meaning}\n\n" + (table(rows) if rows else "Left out."), flush=True)
        print(f"\n({time.perf_counter() - started:.0f} s)", flush=True)
        beside = options.out.with_suffix(".part")
        beside.write_text(json.dumps(record, indent=1, default=_plain))
        beside.replace(options.out)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value)} does not go into JSON")


if __name__ == "__main__":
    main()
