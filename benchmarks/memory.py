"""How much memory a run, applying a model, training and measurements take, by the size of the stack.

::

    python benchmarks/memory.py                # stacks of 1 and 4 GB; prints the table
    python benchmarks/memory.py apply 8        # one of them
    python benchmarks/memory.py --quick        # the smallest form: only shows that it works

Each is measured in a process of its own, as the highest memory above what the process held once its libraries
were loaded. Pages of the memory-mapped input, which the system takes back whenever it likes, do not count
where they can be told (Linux). The network is small: its size decides how long it takes. What is measured:
``analyze`` the noise, ``notch`` the patterns, ``figures`` the quality of a result after an analysis, and
``coordinate`` what a cluster's coordinator has to know of a stack. The denoised stack is half of the raw one.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import mrcfile
import numpy as np
import psutil
import torch

from napari_autostructn2v.apply import denoise_to_file
from napari_autostructn2v.config import AnalysisConfig, Config, TrainingConfig
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import read_stack
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.learning.training import train
from napari_autostructn2v.metrics import assess_quality
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.detail import with_detail
from napari_autostructn2v.noise.notch import NotchRule, find_notch
from napari_autostructn2v.noise.patterns import notched
from napari_autostructn2v.noise.recovery_measurement import find_recovery
from napari_autostructn2v.pipeline import run
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.scale import Normalisation
from napari_autostructn2v.stack import Stack

QUICK = "--quick" in sys.argv
SLICE = (128, 128) if QUICK else (4096, 4096)
SIZES = (0.0002,) if QUICK else (1.0, 4.0)
KINDS = ("analyze", "notch", "figures", "coordinate", "train", "apply", "apply-notch", "run")
SETTINGS = TrainingConfig(features=8, depth=1, steps=2, batch_size=4)


def stack_file(folder: Path, gigabytes: float) -> Path:
    """An MRC file of noise with a hum, int16."""
    depth = max(3, round(gigabytes * 1e9 / 2 / np.prod(SLICE)))
    path = folder / "stack.mrc"
    rng = np.random.default_rng(0)
    y, x = (np.exp(2j * np.pi * f * np.arange(n)) for f, n in zip((0.13, 0.07), SLICE, strict=True))
    with mrcfile.new_mmap(path, (depth, *SLICE), mrc_mode=1) as file:
        for z in range(depth):
            phase = np.exp(2j * np.pi * rng.random())
            hum = np.outer((60 * phase * y).astype(np.complex64), x.astype(np.complex64)).real
            file.data[z] = 1000 + 100 * rng.standard_normal(SLICE, dtype=np.float32) + hum
    return path


def untrained(notched: bool) -> Model:
    """A model of a network that has learnt nothing, which takes as long as any other."""
    rule = NotchRule(np.ones((AnalysisConfig().tile_size,) * 2, dtype=bool), "all") if notched else None
    network = UNet(1, SETTINGS.features, SETTINGS.depth).eval()
    return Model(network, POINT, rule, SETTINGS, Normalisation(1000, 100))


@contextmanager
def peak_above_idle() -> Iterator[Callable[[], float]]:
    """A function that says how far above the start memory has been, in GB."""
    process = psutil.Process()

    def own() -> int:
        memory = process.memory_info()
        return int(memory.rss - getattr(memory, "shared", 0))

    idle, highest, ended = own(), [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            highest[0] = max(highest[0], own())

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield lambda: (max(highest[0], own()) - idle) / 1e9
    ended.set()
    watcher.join()


def measure(what: str, gigabytes: float, folder: Path) -> str:
    """One line of the table."""
    image = read_stack(stack_file(folder, gigabytes))
    half = with_detail(image.array, image.array, -0.5)
    torch.nn.functional.conv2d(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 3, 3))  # loads its libraries
    started, busy = time.monotonic(), time.process_time()
    with peak_above_idle() as peak:
        if what == "analyze":
            analyze(image.array, half)
        elif what == "notch":
            find_notch(Stack(image.array))
        elif what == "figures":
            finish(assess_quality(image.array, half))
        elif what == "coordinate":
            raw = Stack(image.array)
            find_recovery(notched(raw, find_notch(raw)), Stack(half))
        elif what == "train":
            finish(train(image.array, POINT, SETTINGS, device="cpu"))
        elif what == "run":
            config = Config(stage1=SETTINGS, stage2=SETTINGS)
            kernel, run_folder = np.ones((1, 9), dtype=bool), folder / "run"
            finish(
                run(
                    image.array,
                    RunRequest("2d", config, kernel=kernel),
                    device="cpu",
                    folder=run_folder,
                )
            )
        else:
            model = untrained(what == "apply-notch")
            finish(denoise_to_file(image.array, model, folder / "out.mrc", device="cpu"))
        above = peak()
    shape = " × ".join(map(str, image.array.shape))
    seconds, busy = time.monotonic() - started, time.process_time() - busy
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    figures = f"{above:.2f} GB | {whole:.2f} GB | {seconds:.0f} s | {busy:.0f} s"
    return f"| {what} | {gigabytes:g} GB, {shape} | {figures} |"


def main() -> None:
    """Measure what is asked for, each in a process of its own; in the quick form only the first."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--quick"]
    if arguments[:1] == ["--alone"]:
        with TemporaryDirectory() as folder:
            print(measure(arguments[1], float(arguments[2]), Path(folder)))
        return
    kinds = arguments[:1] or KINDS
    sizes = [float(size) for size in arguments[1:]] or SIZES
    quick = ["--quick"] * QUICK
    print(
        "| what | stack | peak above idle | peak in all | time | processor time |",
        "|---|---|---|---|---|---|",
        sep="\n",
    )
    for number, kind in enumerate(kinds):
        for size in sizes:
            if QUICK and number:  # that a process of its own works is seen from the first
                with TemporaryDirectory() as folder:
                    print(measure(kind, size, Path(folder)))
                continue
            subprocess.run([sys.executable, __file__, "--alone", kind, str(size), *quick], check=True)


if __name__ == "__main__":
    main()
