"""A trained model, in memory and on disk.

On disk it is one zip file: ``weights.safetensors`` holds the tensors, ``model.json`` the rest. Both are
data: nothing in a bundle is ever executed, and loading one never unpickles.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_autostructn2v.config import Mode, TrainingConfig
from napari_autostructn2v.disk.atomic import write_atomically
from napari_autostructn2v.errors import FileError, ModelError
from napari_autostructn2v.kernel import validate_kernel
from napari_autostructn2v.noise.notch import NotchDescription, NotchRule
from napari_autostructn2v.scale import Normalisation
from napari_autostructn2v.stack import Stack

if TYPE_CHECKING:
    from napari_autostructn2v.learning.network import UNet

FORMAT_VERSION = 3
MAX_JSON_BYTES = 16 * 2**20
MAX_WEIGHT_BYTES = 2 * 2**30
MAX_PACKING = 32
"""How much larger than its file a member of a bundle can be: someone may have packed the bundle again."""


@dataclass(eq=False)
class Model:
    """A trained network with all that is needed to use it again.

    Attributes
    ----------
    network
        On the CPU, in evaluation mode.
    kernel
        The blind spot it was trained with: bool (K, K), or (3, K, K) for 2.5D.
    notch
        Long-range patterns that it was trained without, to be taken from every stack it is given; None if
        there were none.
    config
        How it was trained.
    normalisation
        Mean and standard deviation of the stack it was trained on; of the first of several.
    each_normalised
        Whether it was trained on several stacks, each normalised by itself: so is every stack it is given.
    provenance
        Versions, seed, name and shape of the input, scores: JSON-able values.
    """

    network: UNet
    kernel: np.ndarray
    notch: NotchRule | None
    config: TrainingConfig
    normalisation: Normalisation
    provenance: dict[str, Any] = field(default_factory=dict)
    each_normalised: bool = False

    def weights_digest(self) -> str:
        """A fingerprint of the weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def normalisation_of(self, stack: Stack) -> Normalisation:
        """Mean and standard deviation by which a stack is normalised.

        Parameters
        ----------
        stack
            That the network is shown, without its notch. All of it is read if it is normalised by itself.
        """
        return stack.normalisation if self.each_normalised else self.normalisation

    @property
    def mode(self) -> Mode:
        """``2.5d`` if the network sees three slices: the kernel says so."""
        return "2.5d" if self.kernel.ndim == 3 else "2d"

    @property
    def in_brief(self) -> str:
        """Mode and size of the kernel, such as ``2.5D kernel 3x1x19``, for headers of files."""
        return f"{self.mode.upper()} kernel {'x'.join(map(str, self.kernel.shape))}"

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the model to one .zip file.

        Parameters
        ----------
        path
            Of the file.
        overwrite
            Whether a file that exists is replaced.

        Returns
        -------
        pathlib.Path
            ``path``.

        Raises
        ------
        FileError
            If the file exists and ``overwrite`` is False, or cannot be written.
        """
        from safetensors.torch import save

        description = _Description(
            format="autostructn2v-model",
            version=FORMAT_VERSION if self.each_normalised else 2,
            kernel=self.kernel.astype(int).tolist(),
            notch=None if self.notch is None else NotchDescription.of(self.notch),
            config=self.config,
            mean=self.normalisation.mean,
            std=self.normalisation.std,
            provenance=self.provenance,
            each_normalised=self.each_normalised,
        )
        # programs before version 3 know nothing of it, and read all other models
        left_out = None if self.each_normalised else {"each_normalised"}
        weights = {name: tensor.cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        path = Path(path)
        with (
            write_atomically(path, overwrite=overwrite) as beside,
            zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive,
        ):
            archive.writestr("model.json", description.model_dump_json(indent=1, exclude=left_out))
            archive.writestr("weights.safetensors", save(weights))
        return path


class _Description(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    format: Literal["autostructn2v-model"]
    version: int
    kernel: list[Any]
    notch: NotchDescription | None = None  # version 1 knew none
    config: TrainingConfig
    mean: float
    std: float = Field(gt=0)
    provenance: dict[str, Any]
    each_normalised: bool = False


def load_model(path: str | Path) -> Model:
    """Read a model bundle.

    Parameters
    ----------
    path
        A .zip file that :meth:`Model.save` has written.

    Raises
    ------
    FileError
        If there is no such file or it cannot be opened.
    ModelError
        If it is no model bundle, is damaged, or was written by a newer version.
    """
    path = Path(path)
    if path.is_dir():
        raise FileError(f"{path} is a folder. The model of a run is the file stage2/model.zip in its folder.")
    damaged = f"The model {path.name} is damaged or no model of this program. Save it again, or train anew."
    try:
        with zipfile.ZipFile(path) as archive:
            description = _description(_read_member(archive, "model.json", MAX_JSON_BYTES), path)
            kernel = validate_kernel(description.kernel)
            network = _empty_network(kernel, description.config)
            parameters = sum(tensor.nbytes for tensor in network.state_dict().values())
            weights = _read_member(
                archive, "weights.safetensors", min(2 * parameters, MAX_WEIGHT_BYTES) + 2**20
            )
        _fill(network, weights)
        notch = None if description.notch is None else description.notch.rule()
    except (FileError, MemoryError):
        raise
    except OSError as error:
        raise FileError(f"The model {path} cannot be opened: {error.strerror or error}.") from error
    except Exception as error:  # zip, JSON and safetensors each have errors of their own for damaged files
        if isinstance(error, ModelError):
            raise
        raise ModelError(damaged) from error
    return Model(
        network=network.eval(),
        kernel=kernel,
        notch=notch,
        config=description.config,
        normalisation=Normalisation(description.mean, description.std),
        provenance=description.provenance,
        each_normalised=description.each_normalised,
    )


def check_start(model: Model, mode: Mode, config: TrainingConfig) -> None:
    """Check that a training can go on from the weights of a model.

    Parameters
    ----------
    model
        Trained before.
    mode
        In which is trained now.
    config
        Of the training.

    Raises
    ------
    ModelError
        If its network is of another mode or size.
    """
    if model.mode != mode:
        raise ModelError(
            f"The model to start from is of {model.mode.upper()}, and this is {mode.upper()}. Choose the "
            "other mode, or another model."
        )
    there, asked = model.config, config
    if (there.features, there.depth) != (asked.features, asked.depth):
        raise ModelError(
            f"The model to start from has {there.features} features and depth {there.depth}, and the "
            f"settings ask for {asked.features} and {asked.depth}. Leave these settings out, or choose "
            "another model."
        )


def model_digest(path: Path) -> str:
    """A fingerprint of all in a model bundle that decides what it makes of a stack: not of its provenance.

    Parameters
    ----------
    path
        Of a bundle that :func:`load_model` reads.

    Raises
    ------
    ModelError
        If it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            description = json.loads(archive.read("model.json"))
            weights = archive.read("weights.safetensors")
        del description["provenance"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"The model {path} is damaged. Save it again, or train anew.") from error
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    digest.update(weights)
    return digest.hexdigest()


def _read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    member = archive.getinfo(name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is packed in a way that may take any memory")
    packed = os.fstat(archive.fp.fileno()).st_size if archive.fp is not None else 0
    # a packed size beyond the file is taken as memory to read it into
    if member.compress_size > packed or member.file_size > min(limit, MAX_PACKING * packed):
        raise ValueError(f"{name} is larger than it can be")
    return archive.read(member)


def _description(text: bytes, path: Path) -> _Description:
    header = json.loads(text)
    if header.get("version", 0) > FORMAT_VERSION:
        raise ModelError(
            f"The model {path.name} was written by a newer version of this program. "
            "Update it to load the model."
        )
    return _Description.model_validate(header)


def _empty_network(kernel: np.ndarray, config: TrainingConfig) -> UNet:
    """The network that a description asks for, without memory: it may ask for more than there is."""
    import torch

    from napari_autostructn2v.learning.network import UNet

    with torch.device("meta"):
        return UNet(3 if kernel.ndim == 3 else 1, config.features, config.depth)


def _fill(network: UNet, weights: bytes) -> None:
    """Give a network its memory and its weights, once these are known to be all there and numbers."""
    from safetensors.torch import load

    tensors, expected = load(weights), network.state_dict()
    if {name: t.shape for name, t in tensors.items()} != {name: t.shape for name, t in expected.items()}:
        raise ValueError("the weights do not fit the network")
    if not all(tensor.is_floating_point() and bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise ValueError("some weights are no numbers")
    network.to_empty(device="cpu").load_state_dict(tensors)
