"""What other stacks are worth: trained together, and gone on from, on noise of known truth and on real scans.

::

    python benchmarks/series.py OUT.json             # goes on where it stopped; prints the table
    python benchmarks/series.py OUT.json --scans FIRST SECOND     # also a scene that was recorded twice
    python benchmarks/series.py OUT.json --quick     # the smallest form: only shows that it works

Stage 2 alone, default settings, one seed: on four generated tomograms of one noise with the kernel of the
truth, and on the quarters of a scan with the kernel that is found in it. Of each the fourth is denoised,
without recovery, and judged: by its truth as PSNR, by the second scan as gain, in dB. Differences below
0.1 dB are undecided.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_autostructn2v import score
from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import read_stack
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.learning.training import train
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.synthetic import sample

FAMILIES = ("scan_lines", "reconstruction")
ALONE, ON_OTHERS, GONE_ON = "on itself", "on three others", "from another's model, a quarter of the steps"

Judge = Callable[[np.ndarray], float]


def measured(
    what: str,
    stacks: list[np.ndarray],
    kernel: np.ndarray,
    judge: Judge,
    config: TrainingConfig,
    found: dict[str, float],
) -> None:
    """Fill in how good the fourth of some stacks comes out, by the name of each way, if that is missing."""
    if all(f"{what}: {way}" in found for way in (ALONE, ON_OTHERS, GONE_ON)):
        return
    others, fourth = stacks[:3], stacks[3]
    quarter = config.model_copy(update={"steps": max(1, config.steps // 4)})
    going_on = Config(stage1=config, stage2=config).going_on_from(config).stage2

    def trained(stack: Any, of: TrainingConfig, start: Model | None = None) -> Model:
        return finish(train(stack, kernel, of, start=start))

    def keep(way: str, model: Model) -> None:
        found[f"{what}: {way}"] = float(judge(finish(predict(fourth, model))))
        print(f"{what}: {way}", round(found[f"{what}: {way}"], 2), flush=True)

    keep(ALONE, trained(fourth, config))
    keep("on itself, a quarter of the steps", trained(fourth, quarter))
    another = trained(others[0], config)
    keep("on one other", another)
    keep(GONE_ON, trained(fourth, going_on, another))
    keep(ON_OTHERS, trained(others, config))


def quarters(stack: np.ndarray) -> list[np.ndarray]:
    """The four quarters of all slices of a stack."""
    return [part for half in np.array_split(stack, 2, axis=1) for part in np.array_split(half, 2, axis=2)]


def main() -> None:
    """Measure what is not in the file yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scans", nargs=2, type=Path, metavar=("FIRST", "SECOND"))
    asked = parser.parse_args()
    found: dict[str, float] = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    small = {"steps": 4, "features": 8, "batch_size": 2, "patch_size": 32, "validation_patches": 4}
    config = TrainingConfig().model_copy(update=small if asked.quick else {})
    shape = (4, 48, 48) if asked.quick else (16, 192, 192)
    for family in FAMILIES[:1] if asked.quick else FAMILIES:
        made = [sample(family, shape=shape, seed=seed) for seed in range(4)]
        clean = made[3].clean
        measured(
            family, [each.noisy for each in made], made[3].oracle_kernel(),
            lambda denoised, clean=clean: psnr(denoised, clean), config, found,
        )  # fmt: skip
        asked.out.write_text(json.dumps(found, indent=1))
    if asked.scans is not None:
        scans = [np.asarray(read_stack(path).array).astype(np.float32) for path in asked.scans]
        first, second = map(quarters, scans)
        measured(
            "real scans", first, analyze(scans[0]).kernel,
            lambda denoised: score(denoised, first[3], second[3]).gain_db, config, found,
        )  # fmt: skip
        asked.out.write_text(json.dumps(found, indent=1))
    print("| trained | the fourth, dB |\n|---|---|")
    for way, value in found.items():
        print(f"| {way} | {value:.2f} |")


if __name__ == "__main__":
    main()
