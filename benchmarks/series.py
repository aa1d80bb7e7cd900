"""What other stacks of the same noise are worth: trained together, and gone on from, on noise of known truth.

::

    python benchmarks/series.py OUT.json             # goes on where it stopped; prints the table
    python benchmarks/series.py OUT.json --quick     # the smallest form: only shows that it works

Stage 2 alone, with the kernel of the truth, on four generated tomograms of one noise. The PSNR is that of the
fourth, without recovery. A small network, one seed: differences below 0.1 dB are undecided.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.events import finish
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.learning.training import train
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.synthetic import sample

FAMILIES = ("scan_lines", "reconstruction")
CONFIG = TrainingConfig(steps=400, features=16, batch_size=6, patch_size=48, validation_patches=32)


def measured(family: str, config: TrainingConfig, side: int, found: dict[str, float]) -> None:
    """Fill in what of a family is not measured yet; by the name of each way, the PSNR of the fourth stack."""
    made = [sample(family, shape=(8, side, side), seed=seed) for seed in range(4)]
    others, fourth = [each.noisy for each in made[:3]], made[3]
    kernel = fourth.oracle_kernel()
    quarter = config.model_copy(update={"steps": max(1, config.steps // 4)})

    def trained(stack: Any, of: TrainingConfig, start: Model | None = None) -> Model:
        return finish(train(stack, kernel, of, device="cpu", start=start))

    def keep(way: str, model: Model) -> None:
        found[f"{family}: {way}"] = float(psnr(finish(predict(fourth.noisy, model)), fourth.clean))
        print(f"{family}: {way}", round(found[f"{family}: {way}"], 2), flush=True)

    ways = ("on itself", "on three others", "from another's model, a quarter of the steps")
    if all(f"{family}: {way}" in found for way in ways):
        return
    keep(ways[0], trained(fourth.noisy, config))
    keep("on itself, a quarter of the steps", trained(fourth.noisy, quarter))
    another = trained(others[0], config)
    keep("on one other", another)
    keep(ways[2], trained(fourth.noisy, quarter, another))
    keep(ways[1], trained(others, config))


def main() -> None:
    """Measure what is not in the file yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    found: dict[str, float] = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    small = {"steps": 4, "features": 8, "batch_size": 2, "patch_size": 32, "validation_patches": 4}
    config = CONFIG.model_copy(update=small) if asked.quick else CONFIG
    for family in FAMILIES[:1] if asked.quick else FAMILIES:
        measured(family, config, 48 if asked.quick else 128, found)
        asked.out.write_text(json.dumps(found, indent=1))
    print("| trained | PSNR of the fourth, dB |\n|---|---|")
    for way, value in found.items():
        print(f"| {way} | {value:.2f} |")


if __name__ == "__main__":
    main()
