"""Settings of the training and the noise analysis: validated, frozen, JSON in and out.

Every default of the package stands here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_autostructn2v.errors import ConfigError

Mode = Literal["2d", "2.5d"]
"""``2d`` denoises slice by slice; ``2.5d`` predicts slice z from slices z-1, z and z+1."""

NotchChoice = Literal["auto", "all", "off"]
"""``auto`` takes away long-range patterns but for those that may be a lattice of the sample; ``all`` those as
well."""

ResultType = Literal["float32", "uint16", "uint8"]
"""What results can be saved as."""

Preset = Literal["fast", "balanced", "high"]

PRESETS: tuple[Preset, ...] = get_args(Preset)

MIN_TILE, MAX_TILE = 15, 511
"""Sides in pixels that the tiles of an analysis, and so its spectra, may have."""

GOING_ON = 4
"""A training that goes on from a model of the same noise makes one step for so many from nothing, and its
learning rate is so many times lower."""

SHARED_LICENSE = "CC-BY-4.0"
"""SPDX identifier of what a model is shared under, if nothing else is said."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TrainingConfig(_Settings):
    """How one stage is trained. The kernel is not a setting: it is an argument of the training."""

    steps: int = Field(400, ge=1, le=1_000_000, description="optimiser steps")
    batch_size: int = Field(12, ge=1, le=4096, description="patches a step")
    patch_size: int = Field(64, ge=16, le=1024, description="side of a square patch in pixels")
    features: int = Field(32, ge=8, le=512, description="channels of the first U-Net level")
    depth: int = Field(2, ge=1, le=5, description="times the U-Net halves the resolution")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="peak of the one-cycle schedule")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="AdamW weight decay")
    masked_share: float = Field(
        0.15, gt=0, le=0.5, description="share of the pixels hidden under kernels in a step"
    )
    centre_share: float = Field(
        0.05, gt=0, le=0.5, description="upper limit on the share of pixels that are kernel centres"
    )
    validation_interval: int = Field(25, ge=1, description="steps from one validation to the next")
    validation_patches: int = Field(64, ge=1, le=1024, description="held-out patches")

    @model_validator(mode="after")
    def _patch_fits_the_network(self) -> Self:
        if self.patch_size % 2**self.depth:
            raise ValueError(
                f"patch_size {self.patch_size} must be a multiple of {2**self.depth} for depth {self.depth}"
            )
        return self


QUICK_LOOK = TrainingConfig(
    steps=150, batch_size=8, patch_size=48, features=16, validation_interval=15, validation_patches=16
)
"""A training of seconds that shows what a kernel does, no more."""


class AnalysisConfig(_Settings):
    """How noise is measured and turned into a kernel (see docs/decisions.md)."""

    tile_size: int = Field(
        63, ge=MIN_TILE, le=MAX_TILE, description="side of the tiles whose spectra are averaged, odd"
    )
    flat_share: float = Field(
        0.5, gt=0, le=1, description="share of the tiles, the flattest ones, taken as background"
    )
    min_tiles: int = Field(32, ge=1, description="fewest tiles to average, flat or not")
    min_frequency: float = Field(
        0.04, ge=0, lt=0.5, description="below this (cycles/pixel) the image hides the noise"
    )
    sensitivity: float = Field(
        6.0,
        gt=0,
        le=100,
        description="standard errors by which a peak departs from its ring; lower finds more, some by chance",
    )
    min_excess: float = Field(
        0.25, ge=0, description="smallest departure of log power from its ring that is a peak"
    )
    min_correlation: float = Field(
        0.05, gt=0, lt=1, description="smallest autocorrelation that makes a kernel pixel"
    )
    max_lag: int = Field(15, ge=1, le=63, description="farthest kernel pixel from the centre")
    notch: NotchChoice = Field("auto", description="which long-range patterns are taken away before Stage 2")
    resolution_limit_nm: float = Field(
        0.05,
        ge=0,
        le=1e6,
        description="shortest period in nm that the microscope resolves: where the voxel size is known, a "
        "finer wave is no sample's; 0.05 is safe for all, 0.5 to 1 suits SEM and FIB-SEM; 0: not known",
    )
    find_kernel: bool = Field(True, description="whether to look for a kernel; if not, it is one pixel")
    max_pixels: int = Field(
        61,
        ge=1,
        description="most pixels that analysis gives a slice of the kernel, the most correlated ones",
    )

    @model_validator(mode="after")
    def _tile_is_odd(self) -> Self:
        if self.tile_size % 2 == 0:
            raise ValueError(
                f"tile_size must be odd, so that the spectrum has a centre, got {self.tile_size}"
            )
        if self.max_lag > self.tile_size // 2:
            raise ValueError(f"max_lag {self.max_lag} does not fit a tile of {self.tile_size} pixels")
        return self


class Config(_Settings):
    """Settings of a whole run: both stages and the analysis between them."""

    stage1: TrainingConfig = TrainingConfig()
    stage2: TrainingConfig = TrainingConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    recovery: float = Field(
        1.0, ge=0, le=1, description="how much of the detail found in the residual is brought back"
    )

    @classmethod
    def from_preset(cls, preset: Preset) -> Config:
        """Settings by name: ``fast`` to try things, ``balanced`` as the default, ``high`` to publish.

        Parameters
        ----------
        preset
            One of :data:`PRESETS`.

        Raises
        ------
        ConfigError
            If there is no such preset.
        """
        # Training length is what separates the presets: the network has to see a patch a few hundred times
        # before structure is gone, and gains little after a few thousand steps.
        if preset == "fast":
            training = TrainingConfig(steps=250, features=16)
        elif preset == "balanced":
            training = TrainingConfig()
        elif preset == "high":
            training = TrainingConfig(steps=2000, batch_size=16, features=48, validation_interval=50)
        else:
            raise ConfigError(f"There is no preset {preset!r}. Choose one of {', '.join(PRESETS)}.")
        return cls(stage1=training, stage2=training)

    def going_on_from(self, training: TrainingConfig) -> Config:
        """The same for networks that are trained already: of their size, shorter and at a lower rate.

        At the whole learning rate they forget first: 28.6 dB where the model as it was gives 28.9.

        Parameters
        ----------
        training
            How the model was trained whose weights are gone on from.
        """
        size = {"features": training.features, "depth": training.depth}
        return self.with_values(
            {
                name: size
                | {
                    "steps": max(1, stage.steps // GOING_ON),
                    "learning_rate": stage.learning_rate / GOING_ON,
                }
                for name, stage in (("stage1", self.stage1), ("stage2", self.stage2))
            }
        )

    def with_values(self, values: Mapping[str, Any]) -> Config:
        """The same settings with some others.

        Parameters
        ----------
        values
            By name; of a stage or of the analysis a mapping with some of theirs.

        Raises
        ------
        ConfigError
            If a setting is unknown or out of range; the message names it.
        """
        merged = self.model_dump()
        for name, value in values.items():
            own = merged.get(name)
            merged[name] = {**own, **value} if isinstance(own, dict) and isinstance(value, Mapping) else value
        try:
            return Config.model_validate(merged)
        except ValidationError as error:
            raise _in_words(error) from error


def _in_words(error: ValidationError) -> ConfigError:
    problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors())
    return ConfigError(f"The settings cannot be used: {problems}.")
