"""What a stage is trained with: the kernel and all else that decides its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_autostructn2v.box import Box
from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.kernel import validate_kernel
from napari_autostructn2v.noise.notch import NotchDescription, NotchRule
from napari_autostructn2v.runs.record import Spans


@dataclass(frozen=True, eq=False)
class StageSpec:
    """What a stage is trained with; of Stage 2, what was approved in the review or by the pipeline.

    Attributes
    ----------
    kernel
        bool (K, K) or (3, K, K).
    notch
        Patterns to take away first; None if there are none.
    config
        How to train.
    box
        Part of the stack to train on; None for all of it.
    """

    kernel: np.ndarray
    notch: NotchRule | None
    config: TrainingConfig
    box: Box | None

    def to_json(self) -> str:
        """As JSON text."""
        return _File(
            kernel=self.kernel.astype(int).tolist(),
            notch=None if self.notch is None else NotchDescription.of(self.notch),
            config=self.config,
            box=None if self.box is None else (self.box.z, self.box.y, self.box.x),
        ).model_dump_json(indent=1)

    @classmethod
    def from_json(cls, text: str) -> StageSpec:
        """From JSON text.

        Parameters
        ----------
        text
            As :meth:`to_json` gives it.

        Raises
        ------
        ValueError
            If it is none.
        """
        content = _File.model_validate_json(text)
        return cls(
            kernel=validate_kernel(content.kernel),
            notch=None if content.notch is None else content.notch.rule(),
            config=content.config,
            box=None if content.box is None else Box(*content.box),
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kernel: list[Any]
    notch: NotchDescription | None
    config: TrainingConfig
    box: Spans | None
