"""A trained model as a package of the BioImage Model Zoo, for other programs to run.

The package does to a tile what :func:`~napari_autostructn2v.learning.prediction.predict` does: scale,
network, scale back. The notch and the recovery of detail have no place in the format; the README says so, and
the whole model goes along inside the package.

References
----------
Ouyang, W. et al. BioImage Model Zoo: A Community-Driven Resource for Accessible Deep Learning in BioImage
Analysis. bioRxiv 2022.07.07.495102.
"""

from __future__ import annotations

import gc
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pydantic import ValidationError

from napari_autostructn2v.config import SHARED_LICENSE
from napari_autostructn2v.disk.atomic import write_atomically
from napari_autostructn2v.errors import ConfigError, FileError, MissingLibraryError, ModelError, StackError
from napari_autostructn2v.events import finish
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.model_zoo.card import model_card
from napari_autostructn2v.model_zoo.description import BUNDLE, METHODS, About, Citation, Tiling, describe
from napari_autostructn2v.scale import float32_holds
from napari_autostructn2v.stack import as_stack

DESCRIPTION = (
    "Removes random and structured noise from electron microscopy images, trained without clean data."
)

EXAMPLE_SIDE = 256
"""Largest side in pixels of the test image."""


def export_model_zoo(
    model: Model,
    path: str | Path,
    *,
    name: str,
    authors: Sequence[str],
    description: str = DESCRIPTION,
    license: str = SHARED_LICENSE,
    cite: Sequence[Citation] = METHODS,
    example: Any = None,
    overwrite: bool = False,
) -> Path:
    """Write a model as a package of the BioImage Model Zoo.

    The package appears under its name only after it has passed the zoo's own test run.

    Parameters
    ----------
    model
        What is exported. Its notch cannot be: see :func:`~napari_autostructn2v.model_zoo.card.notch_notice`.
    path
        A .zip file.
    name
        5 to 128 letters, digits, spaces and ``_+-()``.
    authors
        Names of those who trained the model, at least one.
    description
        In a sentence, at most 1024 characters.
    license
        SPDX identifier.
    cite
        Publications to cite.
    example
        A stack (Z, Y, X) or slice (Y, X); the middle of it is published as the test image. A generated image
        if None.
    overwrite
        Replace what is there.

    Raises
    ------
    MissingLibraryError
        If bioimageio.core is not installed.
    ConfigError
        If name, authors, description or licence are not what the zoo takes.
    StackError
        If the example does not suit the model.
    ModelError
        If it works on values that the zoo's float32 cannot hold, or the zoo's test run refuses the package.
    FileError
        If the file exists and ``overwrite`` is False, or cannot be written.
    """
    path = Path(path)
    check_zoo_library()
    about = About(name, authors, description, license, cite)
    check_words(name, authors)
    if model.each_normalised:
        raise ModelError(
            "This model was trained on several stacks, each normalised by itself, which a package of the "
            "Model Zoo cannot say. Export one that was trained on a single stack."
        )
    scale = model.normalisation
    if not float32_holds(scale.mean, scale.std):
        raise ModelError(
            f"This model was trained on values around {scale.mean:g} that differ by {scale.std:g}. The Model "
            "Zoo gives a model float32, which cannot hold them. Train it on the stack in other units."
        )
    if path.suffix.lower() != ".zip":
        raise FileError(f"{path.name} does not end in .zip, as a package of the Model Zoo does. Rename it.")
    with (
        write_atomically(path, overwrite=overwrite) as beside,
        TemporaryDirectory(ignore_cleanup_errors=True) as made,  # Windows: the zoo may still hold a file
    ):
        folder = Path(made)
        image = _test_image(model, example)
        source = "generated" if example is None else "from the stack of the authors"
        (folder / "README.md").write_text(model_card(model, about, source), encoding="utf-8")
        _write_tensors(folder, model, image)
        shutil.copyfile(_package(folder, model, about), beside)
    return path


def check_zoo_library() -> None:
    """Check that the zoo's own library is there, without the seconds that importing it takes.

    Raises
    ------
    MissingLibraryError
        If it is not.
    """
    try:
        there = find_spec("bioimageio.core") is not None
    except ModuleNotFoundError:
        there = False
    if not there:
        raise MissingLibraryError(
            "The Model Zoo's own library, bioimageio.core, is not installed. Install it with: "
            "pip install 'napari-autostructn2v[zoo]'"
        )


def zoo_name(text: str) -> str:
    """A name that the zoo takes, from any text: other characters become spaces.

    Parameters
    ----------
    text
        Such as the name of a file. All after 128 characters is left out.
    """
    return " ".join(re.sub(r"[^A-Za-z0-9_+\-() ]", " ", text).split())[:128]


def check_words(name: str, authors: Sequence[str]) -> None:
    """Check what a person calls a model and its authors.

    Parameters
    ----------
    name, authors
        As for :func:`export_model_zoo`.

    Raises
    ------
    ConfigError
        If the zoo does not take it.
    """
    if not re.fullmatch(r"[A-Za-z0-9_+\-() ]{5,128}", name):
        raise ConfigError(
            f"The Model Zoo does not take the name {name!r}. "
            "Use 5 to 128 letters without accents, digits, spaces and _+-()."
        )
    if not authors or not all(author.strip() for author in authors):
        raise ConfigError("A shared model needs the name of at least one author. Give it.")
    if any(set(author) & set("/\\") for author in authors):
        raise ConfigError("The Model Zoo takes no slash in the name of an author. Leave it out.")


def _test_image(model: Model, example: Any) -> np.ndarray:
    """The middle of the example, float32 (1, Y, X) or, for 2.5D, (3, Y, X)."""
    tiling = Tiling.of(model.config.depth)
    largest = max(EXAMPLE_SIDE, tiling.smallest)
    stack = as_stack(_generated(model, largest) if example is None else example, model.mode)
    height, width = stack.shape[1:]
    if min(height, width) < tiling.smallest:
        raise StackError(
            f"The example has {height} × {width} pixels and this network needs at least {tiling.smallest} × "
            f"{tiling.smallest}. Choose a larger one, or none: then a generated image is taken."
        )
    box = []
    for size in (height, width):
        side = min(size, largest) // tiling.step * tiling.step
        box.append(slice((size - side) // 2, (size - side) // 2 + side))
    middle = stack.shape[0] // 2
    planes = stack.neighbours(middle) if model.mode == "2.5d" else (middle,)
    return np.stack([stack.scale.outer(stack.plane(z))[tuple(box)].astype(np.float32) for z in planes])


def _generated(model: Model, side: int) -> np.ndarray:
    """A stack with the mean and the standard deviation of what the model was trained on."""
    from napari_autostructn2v.synthetic import sample

    noisy = sample("scan_lines", shape=(3, side, side)).noisy
    noisy = (noisy - noisy.mean()) / noisy.std()
    return noisy * np.float32(model.normalisation.std) + np.float32(model.normalisation.mean)


def _write_tensors(folder: Path, model: Model, image: np.ndarray) -> None:
    """Weights, test image, what becomes of it, and a picture of both."""
    import torch
    from matplotlib.image import imsave

    from napari_autostructn2v.learning.prediction import predict

    without_notch = replace(model, notch=None)
    denoised: np.ndarray = finish(predict(image, without_notch, device="cpu", mixed=False))
    middle = len(image) // 2
    np.save(folder / "input.npy", image[None])
    np.save(folder / "output.npy", denoised[None, middle : middle + 1])
    low, high = np.percentile(image, (0.5, 99.5))
    imsave(
        folder / "cover.png", np.hstack([image[middle], denoised[middle]]), cmap="gray", vmin=low, vmax=high
    )
    # The format's runner reads weights by torch.load, not safetensors, so they are a pickle, the only one we
    # write. It holds tensors alone: the runner reads it with weights_only=True, which executes nothing.
    weights = {key: tensor.cpu().contiguous() for key, tensor in model.network.state_dict().items()}
    torch.save(weights, folder / "weights.pt")
    model.save(folder / BUNDLE)


def _package(folder: Path, model: Model, about: About) -> Path:
    """The zip file of what is in the folder, which the zoo's test run has passed."""
    from bioimageio.core import test_model
    from bioimageio.spec import save_bioimageio_package

    package = folder / "package.zip"
    try:
        content = describe(folder, model, about)
        save_bioimageio_package(content, output_path=package)
    except ValidationError as error:
        raise ConfigError(f"The Model Zoo does not take this package. {_complaints(error)}.") from error
    except ValueError as error:
        raise ModelError(f"The Model Zoo does not take this package: {error}") from error
    with _old_objects_left_alone():
        summary = test_model(package, devices=["cpu"])
    if summary.status != "passed":
        failures = "; ".join(error.msg for detail in summary.details for error in detail.errors)
        raise ModelError(f"The package did not pass the test run of the Model Zoo: {failures}")
    return package


@contextmanager
def _old_objects_left_alone() -> Iterator[None]:
    """Keep all objects there are from garbage collections.

    The zoo's program collects after each of its runs. In a thread beside a window, that would delete objects
    of the window, which only its own thread may, and make it wait: looking at all of them takes most of a
    test run's time.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _complaints(error: ValidationError) -> str:
    problems = {str(each["loc"][0]): each["msg"] for each in error.errors() if each["loc"]}
    if "license" in problems:
        problems["license"] = "give an SPDX identifier, such as CC-BY-4.0, CC0-1.0 or MIT"
    return "; ".join(f"{place}: {message}" for place, message in problems.items()) or str(error)
