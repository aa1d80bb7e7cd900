"""What is told once on a computer, and not each time."""

from __future__ import annotations

from platformdirs import user_data_path


def told_before(what: str) -> bool:
    """Whether this was told before on this computer. From now on it was.

    Parameters
    ----------
    what
        A name for it, fit for a file.
    """
    mark = user_data_path("napari-autostructn2v", appauthor=False) / "told" / what
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch(exist_ok=False)
    except OSError:  # it is there; or nothing can be kept, and better never told than at every start
        return True
    return False
