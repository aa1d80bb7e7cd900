"""What the window needs: napari, one binding of Qt, a screen, and libraries of the system."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator

from napari_autostructn2v.doctor.finding import Finding
from napari_autostructn2v.doctor.libraries import version_of

BINDINGS = ("PySide6", "PyQt6", "PySide2", "PyQt5")
"""Bindings of Qt; the window is tested with the first."""

ON_LINUX = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
}
"""Libraries without which Qt or napari opens no window on Linux, and Debian's packages that bring them."""


def look() -> Iterator[Finding]:
    """Look at what the window needs.

    Yields
    ------
    Finding
        napari, its binding of Qt, the screen, and libraries that are missing.
    """
    napari = version_of("napari")
    found = {name: number for name in BINDINGS if (number := version_of(name)) is not None}
    if napari is None:
        yield Finding("window", "napari is not installed: the command line and Python alone")
        return
    names = ", ".join(f"{name} {number}" for name, number in found.items())
    yield Finding("window", f"napari {napari}, Qt by {names or 'nothing'}", _wrong_binding(list(found)))
    if not sys.platform.startswith("linux"):
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        yield Finding("screen", "none here: the command line works, the window needs a desktop")
        return
    missing = [package for library, package in ON_LINUX.items() if found and not _loads(library)]
    if missing:
        yield Finding(
            "screen",
            "libraries of the system are missing",
            f"Qt opens no window without them. On Debian and Ubuntu: sudo apt install {' '.join(missing)}",
        )


def _wrong_binding(found: list[str]) -> str:
    """What is wrong with the bindings of Qt; empty if nothing is."""
    chosen = os.environ.get("QT_API", "").lower()
    if not found:
        return f"napari opens no window without Qt. Install it: pip install {BINDINGS[0]}"
    if chosen and chosen not in map(str.lower, found):
        return f"QT_API asks for {chosen}, which is not installed. Unset it, or set it to {found[0].lower()}."
    if len(found) > 1 and not chosen:
        return (
            f"Libraries may each take another one of {', '.join(found)}. Set QT_API={found[0].lower()}, or "
            "uninstall all but one."
        )
    return ""


def _loads(library: str) -> bool:
    """Whether a library of the system is there."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
