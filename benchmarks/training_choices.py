"""What decides how Stage 2 trains: one choice changed at a time, on noise of known truth.

::

    python benchmarks/training_choices.py OUT.json     # goes on where it stopped; prints the table

The kernel is the truth's, 16 slices of 192 × 192, one seed: differences below 0.2 dB are undecided.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from napari_autostructn2v.config import Config
from napari_autostructn2v.events import finish
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.prediction import predict
from napari_autostructn2v.synthetic import sample
from napari_autostructn2v.training import train

FAMILIES = ("reconstruction", "scan_lines")


def zeros(patches: Tensor, hidden: Tensor) -> Tensor:
    """Hidden pixels become the mean of the stack."""
    return patches.masked_fill(hidden, 0.0)


def random_visible(patches: Tensor, hidden: Tensor) -> Tensor:
    """Hidden pixels become a visible pixel within two of them, drawn by chance."""
    replaced, settled = patches, ~hidden
    for _ in range(16):
        shift = [int(s) for s in torch.randint(-2, 3, (2,))]
        if shift == [0, 0]:
            continue
        moved, seen = (torch.roll(a, shift, dims=(2, 3)) for a in (patches, ~hidden))
        replaced = torch.where(~settled & seen, moved, replaced)
        settled = settled | seen
    return replaced.masked_fill(~settled, 0.0)


def no_flips(kernel: np.ndarray) -> list[tuple[bool, bool, bool]]:
    """The patches as they are."""
    return [(False, False, False)]


def all_flips(kernel: np.ndarray) -> list[tuple[bool, bool, bool]]:
    """Also flips that turn a slanted kernel over."""
    return [(False, y, x) for y in (False, True) for x in (False, True)]


REPLACE, FLIPS = "napari_autostructn2v.training.replace_hidden", "napari_autostructn2v.training.allowed_flips"
CHOICES: dict[str, tuple[dict[str, Any], dict[str, Callable[..., Any]]]] = {
    "as shipped": ({}, {}),
    "replaced by zero": ({}, {REPLACE: zeros}),
    "replaced by a visible neighbour": ({}, {REPLACE: random_visible}),
    "masked share 0.05": ({"masked_share": 0.05}, {}),
    "masked share 0.4": ({"masked_share": 0.4}, {}),
    "patches of 32, batch 48": ({"patch_size": 32, "batch_size": 48}, {}),
    "patches of 96, batch 5": ({"patch_size": 96, "batch_size": 5}, {}),
    "no flips": ({}, {FLIPS: no_flips}),
    "200 steps": ({"steps": 200}, {}),
    "800 steps": ({"steps": 800}, {}),
    "1600 steps": ({"steps": 1600}, {}),
    "16 features": ({"features": 16}, {}),
    "48 features": ({"features": 48}, {}),
}


def main(path: Path) -> None:
    """Measure what is missing, print the table."""
    results: dict[str, dict[str, list[float]]] = json.loads(path.read_text()) if path.exists() else {}
    cases = [(family, CHOICES) for family in FAMILIES]
    cases.append(("streaks_30", {name: CHOICES[name] for name in ("as shipped", "no flips")}))
    cases[-1][1]["all flips"] = ({}, {FLIPS: all_flips})
    for family, choices in cases:
        made = sample(family, shape=(16, 192, 192))
        for name, (settings, patches) in choices.items():
            if name in results.get(family, {}):
                continue
            config = Config.from_preset("balanced").stage2.model_copy(update=settings)
            started = time.perf_counter()
            with ExitStack() as stack:
                for target, replacement in patches.items():
                    stack.enter_context(patch(target, replacement))
                model = finish(train(made.noisy, made.oracle_kernel(), config))
            seconds = time.perf_counter() - started
            score = psnr(finish(predict(made.noisy, model)), made.clean)
            results.setdefault(family, {})[name] = [score, seconds]
            path.write_text(json.dumps(results, indent=1))
            print(f"{family:16s} {name:32s} {score:6.2f} dB {seconds:5.0f} s", flush=True)
    print("| choice | " + " | ".join(results) + " |\n" + "|---" * (1 + len(results)) + "|")
    for name in (*CHOICES, "all flips"):
        cells = [f"{found[name][0]:.2f} dB" if name in found else "–" for found in results.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
