"""Run a command while every core is kept busy: python busy.py COMMAND ...; the exit code is the command's."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

import numpy as np


def work() -> None:
    """Multiply matrices until the process is ended."""
    matrix = np.random.default_rng(0).random((500, 500))
    while True:
        matrix @ matrix


def main() -> int:
    # one core each: else every product would use all of them, and their number would say nothing
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    spawn = multiprocessing.get_context("spawn")
    busy = [spawn.Process(target=work, daemon=True) for _ in range(os.cpu_count() or 1)]
    for each in busy:
        each.start()
    try:
        return subprocess.run(sys.argv[1:], check=False).returncode
    finally:
        for each in busy:
            each.terminate()


if __name__ == "__main__":
    sys.exit(main())
