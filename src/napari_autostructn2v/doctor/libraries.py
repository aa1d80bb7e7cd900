"""The libraries: which versions are there, whether the program can do with them, and whether they load."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from napari_autostructn2v._version import __version__
from napari_autostructn2v.doctor.finding import Finding

PACKAGE = "napari-autostructn2v"

NAMED = (
    *("torch", "numpy", "scipy", "zarr", "tifffile", "mrcfile", "imagecodecs", "h5py", "ncempy"),
    *("napari", "PySide6"),
)
"""Those whose versions are told: what most errors come from."""

COMPILED = ("numpy", "scipy.ndimage", "imagecodecs", "torch")
"""Modules that hold compiled code: installed is not loaded, where a library of the system is missing."""


def version_of(library: str) -> str | None:
    """The version that is installed; None if it is not.

    Parameters
    ----------
    library
        Its name for pip.
    """
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def system() -> str:
    """The program, Python and the operating system, with their versions."""
    return f"{PACKAGE} {__version__}, Python {platform.python_version()}, {platform.platform()}"


def versions() -> str:
    """The versions of the libraries that are there."""
    return ", ".join(f"{name} {found}" for name in NAMED if (found := version_of(name)) is not None)


def look() -> Iterator[Finding]:
    """Look at the libraries.

    Yields
    ------
    Finding
        The program, its libraries, and each that is missing, too old, or does not load.
    """
    yield Finding("program", system())
    yield Finding("Python", sys.executable)
    yield Finding("libraries", versions())
    for requirement in _requirements():
        found = version_of(requirement.name)
        wanted = f"{requirement.name}{requirement.specifier}"
        if found is None and not _is_extra(requirement):
            yield Finding(requirement.name, "missing", f"It is needed. Install it: pip install '{wanted}'")
        elif found is not None and not requirement.specifier.contains(found, prereleases=True):
            yield Finding(
                requirement.name,
                found,
                f"The program needs {wanted}. Install such a version: pip install '{wanted}'",
            )
    for module in COMPILED:
        library = module.partition(".")[0]
        if version_of(library) is None:
            continue
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever a broken installation raises
            yield Finding(
                library,
                "does not load",
                f"{error}. Install it anew: pip install --force-reinstall --no-deps {library}",
            )


def _requirements() -> Iterator[Requirement]:
    """What the program needs with this Python on this system, and what its extras need."""
    try:
        texts = requires(PACKAGE) or []
    except PackageNotFoundError:  # run from its sources
        return
    for text in texts:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}) or any(map(marker.evaluate, _extras())):
            yield requirement


def _is_extra(requirement: Requirement) -> bool:
    """Whether the program starts without it."""
    return requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})


def _extras() -> list[dict[str, str]]:
    """The extras that change what people run, each as markers know it."""
    return [{"extra": name} for name in ("all", "cluster", "em", "zoo")]
