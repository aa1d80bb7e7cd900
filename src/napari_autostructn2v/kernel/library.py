"""Kernels that a person keeps under names, for other stacks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from platformdirs import user_data_path

from napari_autostructn2v.disk.atomic import make_folder
from napari_autostructn2v.errors import FileError
from napari_autostructn2v.kernel import load_kernel, save_kernel

MAX_NAME = 80
"""Characters of a name: with its suffix it has to suit every file system."""


@dataclass(frozen=True)
class KernelLibrary:
    """A folder of kernels, one .json file each, named as the file without its suffix.

    What a file name cannot hold becomes ``_`` in a name, so that no name leads out of the folder.
    """

    folder: Path

    @classmethod
    def of_user(cls) -> KernelLibrary:
        """The library in the user's data directory."""
        return cls(user_data_path("napari-autostructn2v", appauthor=False) / "kernels")

    def names(self) -> list[str]:
        """Names of all kernels, sorted; a damaged one shows when it is loaded."""
        return sorted((path.stem for path in self.folder.glob("[!.]*.json")), key=str.casefold)

    def save(self, name: str, kernel: np.ndarray) -> str:
        """Keep a kernel; return the name it has now.

        Parameters
        ----------
        name
            What a file name cannot hold is replaced by ``_``.
        kernel
            bool (K, K) or (3, K, K).

        Raises
        ------
        FileError
            If there is nothing left of the name, it is taken, or the folder cannot be written.
        KernelError
            If it is no kernel.
        """
        path = self._path(name)
        if path.exists():
            raise FileError(f"There is a kernel {path.stem!r} already. Forget it, or take another name.")
        make_folder(self.folder)
        return save_kernel(path, kernel).stem

    def load(self, name: str) -> np.ndarray:
        """The kernel of that name.

        Parameters
        ----------
        name
            As :meth:`names` gives it.

        Raises
        ------
        FileError
            If there is none, or its file cannot be read.
        KernelError
            If what the file holds is no kernel.
        """
        path = self._path(name)
        if not path.exists():
            raise FileError(f"No kernel is kept as {path.stem!r} in {self.folder}.")
        return load_kernel(path)

    def forget(self, name: str) -> None:
        """Delete the kernel of that name, if there is one.

        Parameters
        ----------
        name
            As :meth:`names` gives it.

        Raises
        ------
        FileError
            If the file cannot be deleted.
        """
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"{path} cannot be deleted: {error.strerror or error}.") from error

    def _path(self, name: str) -> Path:
        safe = re.sub(r"[^\w .,()+-]", "_", name)[:MAX_NAME].strip(" .")
        if not safe.strip("_"):
            raise FileError("The kernel needs a name of letters or digits.")
        return self.folder / f"{safe}.json"
