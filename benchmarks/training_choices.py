"""What decides how Stage 2 trains: one choice changed at a time, on noise of known truth.

::

    python benchmarks/training_choices.py OUT.json             # goes on where it stopped; prints the table
    python benchmarks/training_choices.py OUT.json --quick     # the smallest form: only shows that it works

The kernel is the truth's, 16 slices of 192 × 192, one seed: differences below 0.2 dB are undecided.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.events import finish
from napari_autostructn2v.learning.blindspot import hidden_pixels
from napari_autostructn2v.learning.device import choose_device
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.learning.training import compute_gradients
from napari_autostructn2v.learning.training_data import Batch, TrainingData
from napari_autostructn2v.learning.training_state import TrainingState
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import sample

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


Replacement = Callable[[Tensor, Tensor], Tensor]
NO_FLIPS = [(False, False, False)]
ALL_FLIPS = [(False, y, x) for y in (False, True) for x in (False, True)]
"""Also flips that turn a slanted kernel over."""


class OtherData(TrainingData):
    """The batches of a training, with other values in the hidden pixels or other flips.

    Parameters
    ----------
    stack, kernel, config
        As for :func:`~napari_autostructn2v.learning.training.train`.
    replaced
        What hidden pixels become, from patches and which pixels are hidden; as shipped if None.
    flips
        Of slices, rows and columns, that patches are drawn through; as shipped if None.
    """

    def __init__(
        self,
        stack: np.ndarray,
        kernel: np.ndarray,
        config: TrainingConfig,
        replaced: Replacement | None = None,
        flips: list[tuple[bool, bool, bool]] | None = None,
    ) -> None:
        device = choose_device()
        super().__init__(as_stack(stack), kernel, config, device, seed=0)
        self._replaced = replaced
        if flips is not None:
            self.flips = torch.tensor(flips, device=device)

    def hide(self, batch: Batch) -> Tensor:
        """What the network is shown of a batch, (B, C, H, W)."""
        masked = super().hide(batch)
        if self._replaced is None:
            return masked
        return self._replaced(masked, hidden_pixels(masked.shape, batch.sites, self.offsets))


def trained(stack: np.ndarray, kernel: np.ndarray, config: TrainingConfig, data: TrainingData) -> Model:
    """What ``train`` makes of a stack, from the batches of ``data``."""
    device = data.slices.device
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet(1, config.features, config.depth)
    network.to(device).channels_last()
    generator = torch.Generator(device).manual_seed(0)
    state = TrainingState(network, config, generator, identity={})
    while state.step < config.steps:
        compute_gradients(state, data, data.draw(generator))
        state.update()
        if state.step % config.validation_interval == 0 or state.step == config.steps:
            network.eval()
            with torch.inference_mode():
                state.keep_unless_worse(data.validate(network))
    assert state.best is not None, "the loss grew without bounds"
    network.load_state_dict(state.best.weights)
    return Model(network.cpu().eval(), kernel, None, config, as_stack(stack).normalisation)


CHOICES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as shipped": ({}, {}),
    "replaced by zero": ({}, {"replaced": zeros}),
    "replaced by a visible neighbour": ({}, {"replaced": random_visible}),
    "masked share 0.05": ({"masked_share": 0.05}, {}),
    "masked share 0.4": ({"masked_share": 0.4}, {}),
    "patches of 32, batch 48": ({"patch_size": 32, "batch_size": 48}, {}),
    "patches of 96, batch 5": ({"patch_size": 96, "batch_size": 5}, {}),
    "no flips": ({}, {"flips": NO_FLIPS}),
    "200 steps": ({"steps": 200}, {}),
    "800 steps": ({"steps": 800}, {}),
    "1600 steps": ({"steps": 1600}, {}),
    "16 features": ({"features": 16}, {}),
    "48 features": ({"features": 48}, {}),
}
"""Settings that differ, and batches that do."""


def main() -> None:
    """Measure what is missing, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--quick", action="store_true", help="the smallest form")
    options = parser.parse_args()
    path, shape = options.out, (4, 64, 64) if options.quick else (16, 192, 192)
    results: dict[str, dict[str, list[float]]] = json.loads(path.read_text()) if path.exists() else {}
    cases = [(family, CHOICES) for family in FAMILIES]
    cases.append(("streaks_30", {name: CHOICES[name] for name in ("as shipped", "no flips")}))
    cases[-1][1]["all flips"] = ({}, {"flips": ALL_FLIPS})
    for family, choices in cases:
        made = sample(family, shape=shape)
        for name, (settings, batches) in choices.items():
            if name in results.get(family, {}):
                continue
            config = Config.from_preset("balanced").stage2.model_copy(update=settings)
            if options.quick:
                short = {"steps": 1, "features": 8, "batch_size": 2, "validation_patches": 4}
                config = config.model_copy(update=short)
            started = time.perf_counter()
            kernel = made.oracle_kernel()
            model = trained(made.noisy, kernel, config, OtherData(made.noisy, kernel, config, **batches))
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
    main()
