"""The part of a run's folder that belongs to the noise analysis: what was found, edited and outlined."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tifffile

from napari_autostructn2v.config import Mode
from napari_autostructn2v.disk.atomic import make_folder, write_atomically
from napari_autostructn2v.errors import RunFolderError
from napari_autostructn2v.kernel import Edits, save_kernel
from napari_autostructn2v.noise.analysis import NoiseAnalysis
from napari_autostructn2v.runs.record import RECORD, EditsFile, write_json


@dataclass(frozen=True)
class AnalysisFolder:
    """The folder of the analysis.

    Attributes
    ----------
    path
        In the folder of the run.
    """

    path: Path

    @property
    def region(self) -> Path:
        """Where the outlined background is, if there is one."""
        return self.path / "region.tif"

    @property
    def _edits(self) -> Path:
        return self.path / "edits.json"

    def write_edits(self, peaks: Edits, kernel: Edits) -> None:
        """Keep what a person added to and erased from the peaks and the kernel.

        Parameters
        ----------
        peaks, kernel
            Edits.

        Raises
        ------
        FileError
            If they cannot be written.
        """
        make_folder(self.path)
        write_json(self._edits, {"peaks": peaks.to_json(), "kernel": kernel.to_json()})

    def read_edits(self, mode: Mode) -> tuple[Edits, Edits]:
        """The edits of the peaks and of the kernel; none if none were kept.

        Parameters
        ----------
        mode
            Of the run, and so of the kernel.

        Raises
        ------
        RunFolderError
            If the file is damaged, or edits of the kernel have no place in the mode.
        """
        file = self._edits
        if not file.exists():
            return Edits(), Edits()
        try:
            content = EditsFile.model_validate_json(file.read_text()).model_dump()
        except (OSError, ValueError) as error:
            raise RunFolderError(f"The edits in {file} are damaged. Delete that file to go on.") from error
        kept = Edits.from_json(content["kernel"])
        kernel = kept.in_mode(mode)
        if len(kernel.added) + len(kernel.erased) < len(kept.added) + len(kept.erased):
            record = self.path.parent / RECORD
            raise RunFolderError(
                f"The edits in {file} are of a kernel in three slices, and the run is in 2D. To go on with "
                f'them, set "mode" to "2.5d" in {record}; to go on without, delete that file.'
            )
        return Edits.from_json(content["peaks"]), kernel

    def write(self, analysis: NoiseAnalysis) -> None:
        """Keep what the noise analysis found, each part as a picture that other programs open.

        Parameters
        ----------
        analysis
            With the edits of a person.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        save_kernel(self.path / "kernel.tif", analysis.kernel, overwrite=True)
        for name, image in (
            ("spectrum", analysis.spectrum),
            ("peaks", analysis.peaks.astype(np.uint8)),
            ("autocorrelation", analysis.autocorrelation),
        ):
            with write_atomically(self.path / f"{name}.tif", overwrite=True) as beside:
                tifffile.imwrite(beside, image, photometric="minisblack")
        write_json(
            self.path / "analysis.json",
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
                    "curtains": [
                        "along X" if part.axis == 0 else "along Y" for part in analysis.notch.curtains
                    ],
                    "waves": [
                        {
                            "frequency": wave.frequency,
                            "height": wave.log_excess,
                            "fixed": wave.static_image is not None,
                        }
                        for wave in analysis.notch.waves
                    ],
                },
            },
        )
