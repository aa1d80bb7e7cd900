"""A run on disk: what it was asked, how far it came, what it found.

::

    run.json                          input, settings, seed and versions
    stage1/  checkpoint.safetensors   state of a training that is under way
             losses.csv               step, training loss, validation loss
             model.zip                once the stage is done
             denoised.tif
    analysis/ analysis.json           verdict, settings, numbers
              spectrum.tif peaks.tif autocorrelation.tif kernel.tif
    stage2/  as stage1
"""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile

from napari_autostructn2v import __version__
from napari_autostructn2v.analysis import NoiseAnalysis
from napari_autostructn2v.config import Config, Mode
from napari_autostructn2v.errors import RunFolderError
from napari_autostructn2v.events import Event, Step, TrainingStarted, Validation
from napari_autostructn2v.io import ImageFile, VoxelSize, make_folder, write_atomically, write_stack
from napari_autostructn2v.kernel import save_kernel
from napari_autostructn2v.stack import Box, Stack

TrainingStage = Literal["stage1", "stage2"]


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    def open(
        self,
        stack: Stack,
        *,
        mode: Mode,
        config: Config,
        kernel: np.ndarray | None,
        region: np.ndarray | None,
        box: Box | None,
        seed: int,
        source: ImageFile | None,
    ) -> None:
        """Create the folder, or check that the one that is there belongs to the same run.

        Raises
        ------
        RunFolderError
            If it was made for another input or other settings.
        """
        identity = {
            "input": "" if source is None else source.name,
            "input_shape": list(stack.input_shape),
            "input_mean": stack.normalisation.mean,
            "input_std": stack.normalisation.std,
            "mode": mode,
            "seed": seed,
            "kernel": None if kernel is None else kernel.astype(int).tolist(),
            "region": None if region is None else hashlib.sha256(np.packbits(region).tobytes()).hexdigest(),
            "box": None if box is None else [list(span) for span in (box.z, box.y, box.x)],
            "config": config.model_dump(),
        }
        record = self.path / "run.json"
        if record.exists():
            try:
                before = json.loads(record.read_text())
                different = [key for key, value in identity.items() if before[key] != value]
            except (ValueError, KeyError, TypeError) as error:
                raise RunFolderError(
                    f"{record} is damaged. Choose another run folder, or delete it."
                ) from error
            if different:
                raise RunFolderError(
                    f"The run folder {self.path} belongs to another run: {', '.join(different)} differ. "
                    "Choose another run folder, or delete this one."
                )
            return
        if self.path.exists() and any(self.path.iterdir()):
            raise RunFolderError(
                f"{self.path} holds other files. Choose an empty or a new folder for the run."
            )
        for part in ("stage1", "analysis", "stage2"):
            make_folder(self.path / part)
        # where the input lies is no part of what the run is: it may be moved
        path = None if source is None else str(source.path.resolve())
        self._write_json(record, {**identity, "input_path": path, "napari_autostructn2v": __version__})

    def model(self, stage: TrainingStage) -> Path:
        """Where the trained model of a stage is, once it is done."""
        return self.path / stage / "model.zip"

    def checkpoint(self, stage: TrainingStage) -> Path:
        """Where a training under way keeps its state."""
        return self.path / stage / "checkpoint.safetensors"

    def losses(self, stage: TrainingStage) -> Losses:
        """The losses of a stage so far."""
        return Losses(self.path / stage / "losses.csv")

    def write_denoised(self, stage: TrainingStage, denoised: Any, voxel_size: VoxelSize | None) -> None:
        """Keep the denoised stack of a stage."""
        write_stack(self.path / stage / "denoised.tif", denoised, voxel_size=voxel_size, overwrite=True)

    def write_analysis(self, analysis: NoiseAnalysis) -> None:
        """Keep what the noise analysis found, each part as a picture that other programs open."""
        folder = self.path / "analysis"
        save_kernel(folder / "kernel.tif", analysis.kernel, overwrite=True)
        for name, image in (
            ("spectrum", analysis.spectrum),
            ("peaks", analysis.peaks.astype(np.uint8)),
            ("autocorrelation", analysis.autocorrelation),
        ):
            with write_atomically(folder / f"{name}.tif", overwrite=True) as beside:
                tifffile.imwrite(beside, image, photometric="minisblack")
        self._write_json(
            folder / "analysis.json",
            {
                "mode": analysis.mode,
                "verdict": asdict(analysis.verdict),
                "config": analysis.config.model_dump(),
                "tiles": analysis.measured.background.tiles,
                "coherence_between_slices": analysis.measured.background.coherence,
                "far_scatter": analysis.far_scatter,
                "notch": {
                    "offsets": [
                        {"of": "rows" if part.axis == 0 else "columns", "fixed": bool(part.fixed.any())}
                        for part in analysis.notch.offsets
                    ],
                    "waves": [
                        {"frequency": wave.frequency, "height": wave.height, "fixed": wave.common is not None}
                        for wave in analysis.notch.waves
                    ],
                },
            },
        )

    @staticmethod
    def _write_json(path: Path, content: dict[str, Any]) -> None:
        with write_atomically(path, overwrite=True) as beside:
            beside.write_text(json.dumps(content, indent=1))


@dataclass
class Losses:
    """Losses of one stage, kept as a table beside its checkpoint."""

    path: Path
    rows: list[tuple[int, float, float]] = field(default_factory=list)
    _since: list[float] = field(default_factory=list)

    def record(self, event: Event) -> None:
        """Take note of an event; the table is written at each validation."""
        match event:
            case TrainingStarted(step=step) if step and self.path.exists():
                # a checkpoint may be older than the table: what is trained again is recorded again
                with self.path.open(newline="") as file:
                    rows = [(int(s), float(t), float(v)) for s, t, v in list(csv.reader(file))[1:]]
                self.rows = [row for row in rows if row[0] <= step]
            case Step(loss=loss):
                self._since.append(loss)
            case Validation(step=step, loss=loss):
                self.rows.append((step, float(np.mean(self._since)) if self._since else float("nan"), loss))
                self._since.clear()
                with (
                    write_atomically(self.path, overwrite=True) as beside,
                    beside.open("w", newline="") as file,
                ):
                    writer = csv.writer(file)
                    writer.writerow(("step", "training_loss", "validation_loss"))
                    writer.writerows(self.rows)
