"""Run folders within the folder of a run: of the other stacks that are trained on together with its own.

The command line keeps the folder of each stack beside its result. The window keeps them in one place, so that
one entry of its list is all of the run.
"""

from __future__ import annotations

from napari_autostructn2v.runs.folder import RunFolder


def companion_folder(folder: RunFolder, number: int) -> RunFolder:
    """The folder of one of the other stacks; who holds the folder of the run holds it as well.

    Parameters
    ----------
    folder
        Of the run.
    number
        Of the stack, from 2: the run's own is the first.
    """
    return RunFolder(folder.path / "together" / str(number))


def companion_folders(folder: RunFolder) -> list[RunFolder]:
    """The folders of the other stacks, in their order, as many as there are.

    Parameters
    ----------
    folder
        Of the run.
    """
    found = list[RunFolder]()
    while (next_one := companion_folder(folder, len(found) + 2)).begun:
        found.append(next_one)
    return found
