"""What a run makes of a stack."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.noise.analysis import NoiseAnalysis


@dataclass(eq=False, repr=False)
class Result:
    """What a run makes of a stack.

    Attributes
    ----------
    denoised
        Shape and value scale of the input, with its detail brought back: float32, or float64 where float32
        does not hold its values. Of a run in a folder, a memory map of the file there. The same as
        ``stage1`` where Stage 2 was not needed.
    stage1
        After Noise2Void alone, likewise.
    analysis
        What was found in the noise, with the kernel that was used.
    model
        Of the last stage that ran.
    """

    denoised: np.ndarray
    stage1: np.ndarray
    analysis: NoiseAnalysis
    model: Model

    def __repr__(self) -> str:
        return f"<Result of shape {self.denoised.shape}: {self.analysis.verdict.summary}>"
