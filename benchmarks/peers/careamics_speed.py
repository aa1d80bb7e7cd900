"""How fast CAREamics' StructN2V trains, and what its network makes of a stack after so many seconds of that.

``python careamics_speed.py CASE.npz OUT.npz`` in CAREamics' own environment. CASE holds ``noisy`` (Z, Y, X),
``steps`` (0: as many as the budgets allow), ``budgets`` in seconds of training (may be empty), ``mask`` and
``span`` of the blind spot, ``features`` and ``precision`` as Lightning names it. OUT gets ``ends``, seconds
of training after which each step was done, ``epoch_of`` each step, ``parameters``, and of each budget
``denoised`` (n, Z, Y, X) and ``predicting``, the seconds of that alone.

The seconds count from the start of the first batch, without imports and setting up, and without what writing
a snapshot takes. The peculiarities are met as in ``careamics_structn2v.py``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # see careamics_structn2v.py: Noise2Void calls none of these
    for operator in ("nms", "qnms"):
        signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        torch.library.define(f"torchvision::{operator}", signature)

from careamics import CAREamist
from careamics.config.factories import create_advanced_n2v_config
from lightning.pytorch.callbacks import Callback

PATCH, BATCH, VALIDATION = 64, 12, 8
MANY = 100_000


class Clock(Callback):
    """Times the steps, writes a snapshot at each budget, ends the training after the last step wanted."""

    def __init__(self, steps: int, budgets: list[float], folder: Path) -> None:
        self.steps, self.budgets, self.folder = steps, budgets, folder
        self.ends: list[float] = []
        self.epochs: list[int] = []
        self.snapshots: list[Path] = []
        self._started, self._writing = 0.0, 0.0

    def on_train_batch_start(self, *arguments: Any) -> None:
        """The clock starts with the first batch."""
        self._started = self._started or time.perf_counter()

    def on_train_batch_end(self, trainer: Any, *arguments: Any) -> None:
        """A step is done."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter() - self._started - self._writing)
        self.epochs.append(trainer.current_epoch)
        if len(self.snapshots) < len(self.budgets) and self.ends[-1] >= self.budgets[len(self.snapshots)]:
            started = time.perf_counter()
            path = self.folder / f"snapshot{len(self.snapshots)}.ckpt"
            trainer.save_checkpoint(path)
            self.snapshots.append(path)
            self._writing += time.perf_counter() - started
        enough = len(self.ends) >= self.steps if self.steps else len(self.snapshots) == len(self.budgets)
        trainer.should_stop = trainer.should_stop or enough


def main() -> None:
    """Train on the case, time it, predict with each snapshot."""
    with np.load(sys.argv[1]) as file:
        noisy, steps, budgets = file["noisy"], int(file["steps"]), file["budgets"].tolist()
        mask, span = str(file["mask"]), int(file["span"])
        features, precision = int(file["features"]), str(file["precision"])
    config = create_advanced_n2v_config(
        experiment_name="speed",
        data_type="array",
        axes="SYX",
        patch_size=[PATCH, PATCH],
        batch_size=BATCH,
        num_epochs=MANY,
        augmentations=["x_flip", "y_flip"],
        n_val_patches=VALIDATION,
        masked_pixel_percentage=min(5.0, 15.0 / (span if mask != "none" else 1)),
        struct_n2v_axes=mask,
        struct_n2v_span=span,
        num_workers=0,
        model_params={"num_channels_init": features},
        trainer_params={"precision": precision},
        checkpoint_params={"every_n_epochs": MANY, "save_top_k": 1},
        seed=1,
    )
    height, width = noisy.shape[1:]
    padded = np.pad(noisy, ((0, 0), (0, -height % 4), (0, -width % 4)), mode="reflect")
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock(steps, budgets, Path(folder))
        careamist = CAREamist(config, work_dir=folder, callbacks=[clock], enable_progress_bar=False)
        careamist.train(train_data=noisy)
        denoised, predicting = [], []
        for snapshot in clock.snapshots:
            started = time.perf_counter()
            predictions, _ = careamist.predict(padded, checkpoint=snapshot)
            predicting.append(time.perf_counter() - started)
            denoised.append(np.asarray(predictions).reshape(padded.shape)[:, :height, :width])
    np.savez(
        sys.argv[2],
        ends=clock.ends,
        epoch_of=clock.epochs,
        parameters=sum(p.numel() for p in careamist.model.parameters() if p.requires_grad),
        denoised=np.array(denoised, dtype=np.float32),
        predicting=predicting,
    )


if __name__ == "__main__":
    main()
