"""The README of an exported model: what it does, what it was made from, and what it does not do."""

from __future__ import annotations

import json

import numpy as np

from napari_autostructn2v._version import __version__
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.model_zoo.description import BUNDLE, About, Tiling, training_facts


def notch_notice(model: Model) -> str | None:
    """A warning for a model whose notch other programs cannot apply, or None.

    Parameters
    ----------
    model
        What is exported.
    """
    if model.notch is None:
        return None
    return (
        "This model was trained on stacks whose long-range patterns (rows, columns, hum) had been taken away "
        "by a notch. Other programs of the Model Zoo do not do that: there, such patterns stay in the image. "
        f"For the whole method use {BUNDLE}, which is inside the package, with napari-autostructn2v."
    )


def model_card(model: Model, about: About, example: str) -> str:
    """The README in Markdown.

    Parameters
    ----------
    model
        What is exported.
    about
        What a person says about it.
    example
        Where the test image comes from, in words.
    """
    scale, tiling = model.normalisation, Tiling.of(model.config.depth)
    parts = [
        f"# {about.name}",
        about.description,
        "A U-Net trained without clean data: pixels were hidden together with the neighbours that share "
        "their noise, and predicted from what lies around (Noise2Void, StructN2V).",
        "## Input and output",
        _inputs(model),
        "Values are those of the microscope. The package takes away the mean of the training data, "
        f"{scale.mean:.7g}, and divides by their standard deviation, {scale.std:.7g}; the output is scaled "
        "back. Use it for images of the same microscope, detector and processing.",
        f"Tiles have sides of {tiling.smallest} pixels or {tiling.step}, {2 * tiling.step}, … more. "
        f"{tiling.halo} pixels on each side are halo, and no pixel sees farther, so that tiles equal the "
        "whole image. Next to the border of an image results depend on how a program pads.",
        "## Blind spot",
        f"Pixels hidden together in the training, {_shape(model.kernel)}, {int(model.kernel.sum())} in all:",
        _drawn(model.kernel),
        "## What this package leaves out",
        "\n".join(f"- {limit}" for limit in _limits(model)),
        "## Validation",
        "Look at input minus output: it should hold noise and its patterns, but no structure of the sample. "
        "Another microscope makes other patterns: train anew for it.",
        f"The test image, `input.npy`, is {example}; `output.npy` is what napari-autostructn2v makes of it.",
        "## Training",
        "\n".join(_facts(model)),
        "## Authors and licence",
        f"{', '.join(about.authors)}. The model: {about.license}. `network.py` is a part of "
        "napari-autostructn2v, BSD-3-Clause, and its contributors hold the copyright.",
        f"Exported by napari-autostructn2v {__version__}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(model: Model) -> list[str]:
    return [
        f"- {key.replace('_', ' ')}: {value if isinstance(value, str) else json.dumps(value)}"
        for key, value in training_facts(model).items()
    ]


def _inputs(model: Model) -> str:
    if model.mode == "2d":
        return "One slice (batch, 1, y, x) gives one denoised slice of the same size."
    return (
        "Three neighbouring slices as channels (batch, 3, y, x): the one below, the one to denoise, the one "
        "above. Out comes the middle one, denoised. For the first and the last slice of a stack give its "
        "only neighbour twice."
    )


def _shape(kernel: np.ndarray) -> str:
    return " × ".join(map(str, kernel.shape))


def _drawn(kernel: np.ndarray) -> str:
    planes = kernel if kernel.ndim == 3 else [kernel]
    drawn = ["\n".join("".join("█" if pixel else "·" for pixel in row) for row in plane) for plane in planes]
    return "```text\n" + "\n\n".join(drawn) + "\n```"


def _limits(model: Model) -> list[str]:
    notch = notch_notice(model)
    return [
        *([notch] if notch is not None else []),
        "Detail that denoising loses is not brought back from the residual, as napari-autostructn2v does "
        f"afterwards: `autostructn2v apply {BUNDLE} STACK --out FOLDER` does both.",
    ]
