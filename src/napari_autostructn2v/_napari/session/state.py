"""The values that a session holds. They know no window and no layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_autostructn2v.computed import ComputedArray
from napari_autostructn2v.config import AnalysisConfig, Config, Mode, NotchChoice, Preset, TrainingConfig
from napari_autostructn2v.events import Surveyed
from napari_autostructn2v.io import Heading, VoxelSize
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.output import StageOutput
from napari_autostructn2v.stack import Stack, as_stack

if TYPE_CHECKING:
    from napari_autostructn2v.learning.model import Model


Field = tuple[tuple[int, int], tuple[int, int]]
"""Part of a slice: first row and the one after the last, and likewise the columns."""


class Phase(IntEnum):
    """How far the person has come. A later phase still has all that the earlier ones made."""

    DATA = 0
    STAGE1 = 1
    REVIEW = 2
    STAGE2 = 3
    RESULT = 4


ANALYSIS_SETTINGS = (
    "sensitivity", "min_excess", "min_correlation", "max_pixels", "notch", "resolution_limit_nm",
    "find_kernel",
)  # fmt: skip
"""The settings of the analysis that the window offers, by their names in the engine."""


@dataclass(frozen=True)
class Settings:
    """What is chosen before a stage runs."""

    mode: Mode = "2d"
    preset: Preset = "balanced"
    training: TrainingConfig = Config().stage1
    """For both stages: those of the preset, until the person changes one."""
    slices: tuple[int, int] | None = None
    """First slice to train on, and the one after the last; None trains on all of them."""
    sensitivity: float = AnalysisConfig().sensitivity
    min_excess: float = AnalysisConfig().min_excess
    min_correlation: float = AnalysisConfig().min_correlation
    max_pixels: int = AnalysisConfig().max_pixels
    notch: NotchChoice = AnalysisConfig().notch
    resolution_limit_nm: float = AnalysisConfig().resolution_limit_nm
    find_kernel: bool = AnalysisConfig().find_kernel
    recovery: float = Config().recovery
    """How much of the detail in the residual is brought back, 0 to 1."""
    unattended: bool = False
    """Go on after the first stage without waiting for the person."""

    def config(self) -> Config:
        """The engine's settings."""
        analysis = AnalysisConfig().model_copy(
            update={name: getattr(self, name) for name in ANALYSIS_SETTINGS}
        )
        return Config(stage1=self.training, stage2=self.training, analysis=analysis, recovery=self.recovery)


@dataclass(frozen=True, eq=False)
class Source:
    """The chosen data: a name and an array. The array is read by slices, never as a whole."""

    name: str
    array: Any
    voxel_size: VoxelSize | None = None
    path: Path | None = None
    """The file it came from, if any."""
    heading: Heading | None = None
    """What that file says beside its pixels."""
    notices: tuple[str, ...] = ()
    """What the person should know of the file."""


@dataclass(frozen=True, eq=False)
class Companion:
    """Another stack that is trained on together with that of a run."""

    source: Source
    stack: Stack


@dataclass(frozen=True, eq=False)
class Run:
    """A stack on its way through both stages. What is chosen after stage 1 has started does not change it."""

    source: Source
    stack: Stack
    mode: Mode
    seed: int = 0
    stage1: StageOutput | None = None
    stage2: StageOutput | None = None
    skipped: bool = False
    recovery: float = Config().recovery
    survey: Surveyed | None = None
    """What of the stack was never measured; None if all was, or that is not known yet."""
    start: Model | None = None
    """Whose weights it goes on from; None if it begins from nothing."""
    folder: RunFolder | None = None
    """Where it is autosaved while it goes on, in case the program ends; None if nowhere."""
    companions: tuple[Companion, ...] = ()
    """Other stacks that are trained on together with this one."""

    def in_mode(self, mode: Mode) -> Run:
        """The same run in a mode, all its stacks."""
        companions = tuple(replace(each, stack=as_stack(each.stack, mode)) for each in self.companions)
        return replace(self, mode=mode, stack=as_stack(self.stack, mode), companions=companions)

    @property
    def output(self) -> StageOutput | None:
        """What the last stage that is done has made."""
        return self.stage2 or self.stage1

    @property
    def denoised(self) -> ComputedArray | None:
        """The best result so far, shape of the input."""
        return None if self.output is None else self.output.denoised(self.recovery)

    @property
    def model(self) -> Model | None:
        """The model that made :attr:`denoised`."""
        return None if self.output is None else self.output.model

    @property
    def done(self) -> bool:
        """Whether there is nothing more to do: stage 2 is done or skipped."""
        return self.stage2 is not None or self.skipped

    @property
    def autosaved(self) -> bool:
        """Whether the run is on this computer's disk, so that it can be resumed if the program ends now."""
        return self.folder is not None and self.folder.begun


@dataclass(frozen=True, eq=False)
class Attempt:
    """A result of the second stage. Each training, with its kernel and settings, makes another attempt."""

    number: int
    output: StageOutput

    @property
    def words(self) -> str:
        """How it was made: size of the kernel, its number of pixels if it is not full, training steps."""
        model = self.output.model
        size, pixels = " × ".join(map(str, model.kernel.shape)), int(model.kernel.sum())
        some = "" if pixels == model.kernel.size else f" ({pixels} px)"
        notch = "" if model.notch is None else " + notch"
        steps = model.provenance.get("steps", model.config.steps)
        return f"Attempt {self.number}: {size}{some}{notch}, {steps} steps"
