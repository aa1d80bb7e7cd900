"""The description of an exported model in the terms of the BioImage Model Zoo, format 0.5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_autostructn2v._version import __version__
from napari_autostructn2v.learning.model import Model

if TYPE_CHECKING:
    from bioimageio.spec.model.v0_5 import ModelDescr

BUNDLE = "autostructn2v_model.zip"
"""The name of the whole model inside the package."""

CHANNELS = {"2d": ["slice"], "2.5d": ["below", "slice", "above"]}

TOLERANCE = 1e-2
"""How far, in standard deviations of the training data, the test may miss on another processor. GPUs that
round to TF32 miss by 0.0014 in a small network."""


@dataclass(frozen=True)
class Citation:
    """A publication to cite."""

    text: str
    doi: str


METHODS = (
    Citation(
        "Krull, Buchholz, Jug. Noise2Void - Learning Denoising From Single Noisy Images. CVPR 2019.",
        "10.1109/CVPR.2019.00223",
    ),
    Citation(
        "Broaddus, Krull, Weigert, Schmidt, Myers. Removing Structured Noise with Self-Supervised Blind-Spot "
        "Networks. ISBI 2020.",
        "10.1109/ISBI45749.2020.9098336",
    ),
    Citation(
        "Höck, Buchholz, Brachmann, Jug, Freytag. N2V2 - Fixing Noise2Void Checkerboard Artifacts with "
        "Modified Sampling Strategies and a Tweaked Network Architecture. ECCV Workshops 2022.",
        "10.1007/978-3-031-25069-9_33",
    ),
)
"""What every model of this package builds on."""


@dataclass(frozen=True)
class About:
    """What a person says about a model: see :func:`~napari_autostructn2v.model_zoo.export_model_zoo`."""

    name: str
    authors: Sequence[str]
    description: str
    license: str
    cite: Sequence[Citation]


@dataclass(frozen=True)
class Tiling:
    """Sides of tiles in pixels: ``smallest`` or steps of ``step`` more, with ``halo`` to cut off all round.

    The step is four times what the U-Net needs and the halo is rounded up to half a step, so that the sides
    are multiples of the step with and without the halo. Runners take the smallest side and ten steps as their
    tile, half of which is then more than halo.
    """

    smallest: int
    step: int
    halo: int

    @classmethod
    def of(cls, depth: int) -> Tiling:
        """For a U-Net of that depth.

        Parameters
        ----------
        depth
            As for :class:`~napari_autostructn2v.learning.network.UNet`.
        """
        from napari_autostructn2v.learning.network import halo

        step = 4 * 2**depth
        margin = -(-halo(depth) // (step // 2)) * (step // 2)
        return cls(2 * margin + step, step, margin)


def training_facts(model: Model) -> dict[str, Any]:
    """Settings and provenance of a model: JSON-able values by name.

    Parameters
    ----------
    model
        What is exported.
    """
    provenance = {key: value for key, value in model.provenance.items() if key != "edits"}
    return model.config.model_dump(mode="json") | provenance


def describe(folder: Path, model: Model, about: About) -> ModelDescr:
    """The description of the files in ``folder``: README.md, cover, weights, test tensors, bundle.

    Parameters
    ----------
    folder
        Where the files are.
    model
        What is exported.
    about
        What a person says about it.

    Raises
    ------
    pydantic.ValidationError
        If the zoo does not take it.
    """
    from bioimageio.spec.model import v0_5

    file = v0_5.FileDescr
    return v0_5.ModelDescr(
        name=about.name,
        description=about.description,
        authors=[v0_5.Author(name=author) for author in about.authors],
        cite=[v0_5.CiteEntry(text=entry.text, doi=entry.doi) for entry in about.cite],
        license=about.license,
        documentation=file(source=folder / "README.md"),
        covers=[file(source=folder / "cover.png")],
        attachments=[file(source=folder / BUNDLE)],
        tags=["electron-microscopy", "2d", "denoising", "image-restoration", "unet", "pytorch", "n2v"],
        version="1.0.0",
        inputs=[_input(folder, model)],
        outputs=[_output(folder, model)],
        weights=v0_5.WeightsDescr(pytorch_state_dict=_weights(folder, model)),
        config=v0_5.Config(
            bioimageio=v0_5.BioimageioConfig(
                architecture_type="2D U-Net",
                modality="electron microscopy",
                task="denoising",
                model_parameter_count=sum(p.numel() for p in model.network.parameters()),
                reproducibility_tolerance=[_tolerance(folder, model)],
            ),
            napari_autostructn2v={
                "version": __version__,
                "mode": model.mode,
                "kernel": model.kernel.astype(int).tolist(),
                "has_notch": model.notch is not None,
                "training": training_facts(model),
            },
        ),
    )


def _weights(folder: Path, model: Model) -> Any:
    import torch
    from bioimageio.spec.model import v0_5

    from napari_autostructn2v.learning import network

    return v0_5.PytorchStateDictWeightsDescr(
        source=folder / "weights.pt",
        architecture=v0_5.ArchitectureFromFileDescr(
            source=Path(network.__file__),
            callable="ChannelUNet",
            kwargs={
                "channels": len(CHANNELS[model.mode]),
                "features": model.config.features,
                "depth": model.config.depth,
            },
        ),
        pytorch_version=torch.__version__.split("+")[0],
    )


def _input(folder: Path, model: Model) -> Any:
    from bioimageio.spec.model import v0_5

    tiling = Tiling.of(model.config.depth)
    scale = model.normalisation
    return v0_5.InputTensorDescr(
        id="noisy",
        description="The image as the microscope gives it",
        axes=[
            v0_5.BatchAxis(),
            v0_5.ChannelAxis(channel_names=CHANNELS[model.mode]),
            *(
                v0_5.SpaceInputAxis(
                    id=axis,
                    size=v0_5.ParameterizedSize(min=tiling.smallest, step=tiling.step),
                    concatenable=True,
                )
                for axis in "yx"
            ),
        ],
        test_tensor=v0_5.FileDescr(source=folder / "input.npy"),
        data=v0_5.IntervalOrRatioDataDescr(type="float32"),
        # in two steps, as predict does it; the zoo's fixed_zero_mean_unit_variance adds 1e-6 to the standard
        # deviation, which tomograms in physical units may not even have
        preprocessing=[*_linear(offset=-scale.mean), *_linear(gain=1 / scale.std)],
    )


def _output(folder: Path, model: Model) -> Any:
    from bioimageio.spec.model import v0_5

    scale = model.normalisation
    return v0_5.OutputTensorDescr(
        id="denoised",
        description="The slice without its noise, in the values of the input",
        axes=[
            v0_5.BatchAxis(),
            v0_5.ChannelAxis(channel_names=["slice"]),
            *(
                v0_5.SpaceOutputAxisWithHalo(
                    id=axis,
                    size=v0_5.SizeReference(tensor_id="noisy", axis_id=axis),
                    halo=Tiling.of(model.config.depth).halo,
                )
                for axis in "yx"
            ),
        ],
        test_tensor=v0_5.FileDescr(source=folder / "output.npy"),
        data=v0_5.IntervalOrRatioDataDescr(type="float32"),
        postprocessing=_linear(gain=scale.std, offset=scale.mean),
    )


def _linear(gain: float = 1.0, offset: float = 0.0) -> list[Any]:
    """One step of scaling, or none where it would change nothing, which the zoo refuses."""
    from bioimageio.spec.model import v0_5

    if (gain, offset) == (1.0, 0.0):
        return []
    return [v0_5.ScaleLinearDescr(kwargs=v0_5.ScaleLinearKwargs(gain=gain, offset=offset))]


def _tolerance(folder: Path, model: Model) -> Any:
    """What the test may miss, on the scale of the data: the zoo's own numbers know none."""
    from bioimageio.spec.model import v0_5

    wanted = TOLERANCE * model.normalisation.std
    # the zoo refuses more than a hundredth of the largest value, even if that is far from typical
    absolute = min(wanted, max(0.0, 0.0099 * float(np.load(folder / "output.npy").max())))
    relative = 1e-6 if absolute > 0.2 * wanted else 1e-3
    return v0_5.ReproducibilityTolerance(absolute_tolerance=absolute, relative_tolerance=relative)
