"""Removes structured noise from electron tomograms and other image stacks, with no clean data.

The public names are loaded when they are first used, so that importing the package (as napari does to list
its plugins) does not import PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from napari_autostructn2v._version import __version__

if TYPE_CHECKING:
    from napari_autostructn2v.box import Box
    from napari_autostructn2v.config import AnalysisConfig, Config, TrainingConfig
    from napari_autostructn2v.judge import Score, score
    from napari_autostructn2v.learning.model import Model, load_model
    from napari_autostructn2v.learning.prediction import predict
    from napari_autostructn2v.learning.training import train
    from napari_autostructn2v.noise.analysis import NoiseAnalysis, analyze
    from napari_autostructn2v.pipeline import denoise
    from napari_autostructn2v.runs.result import Result
    from napari_autostructn2v.together import Together

_HOMES = {
    "AnalysisConfig": "config",
    "Box": "box",
    "Config": "config",
    "Model": "learning.model",
    "NoiseAnalysis": "noise.analysis",
    "Result": "runs.result",
    "Score": "judge",
    "Together": "together",
    "TrainingConfig": "config",
    "analyze": "noise.analysis",
    "denoise": "pipeline",
    "load_model": "learning.model",
    "predict": "learning.prediction",
    "score": "judge",
    "train": "learning.training",
}

__all__ = [
    "AnalysisConfig",
    "Box",
    "Config",
    "Model",
    "NoiseAnalysis",
    "Result",
    "Score",
    "Together",
    "TrainingConfig",
    "__version__",
    "analyze",
    "denoise",
    "load_model",
    "predict",
    "score",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
