"""A disk that loses its power: what of a folder would be there afterwards, for certain or by luck.

A file system promises little: the bytes of a file that was flushed, and the names of a folder that was. Of
what came later any page of a file may have reached the disk, and of a folder any number of the changes, in
their order. :class:`Disk` watches what a program flushes, and at chosen moments writes down one of the
folders that a cut could leave.
"""

from __future__ import annotations

import os
import random
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

PAGE_BYTES = 4096
"""What reaches the disk at once."""

MOMENTS = ("fsync", "rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir")


class Disk:
    """What is known to be on the disk of a folder.

    Parameters
    ----------
    root
        The folder; what is in it now is on the disk.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[int, dict[str, int]] = {}
        """By the inode of a folder: what it holds for certain."""
        self._later: dict[int, list[dict[str, int]]] = {}
        """Likewise: what it held then, one after the other."""
        self._bytes: dict[int, bytes] = {}
        """By the inode of a file: what it holds for certain."""
        self._open: dict[int, int] = {}
        """A descriptor of each inode: so that no other file gets its number while this one counts."""
        self.moments = 0
        for folder, _, files in os.walk(root):
            for name in (".", *files):
                self._flushed(os.open(Path(folder, name), os.O_RDONLY))

    def close(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)

    @contextmanager
    def watching(self, at: Callable[[int], None]) -> Iterator[None]:
        """Call ``at`` with the number of the moment, from 1, after each thing done to files or folders."""
        really = {name: getattr(os, name) for name in MOMENTS}
        looking = False
        # libraries write from several threads: none may rename what another one is listed by
        one_by_one = threading.RLock()

        def watched(name: str) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal looking
                with one_by_one:
                    answer = really[name](*arguments, **options)
                    if looking:  # what ``at`` itself does is none of the program's doing
                        return answer
                    if name == "fsync":
                        self._flushed(os.dup(arguments[0]))
                    self._note_names()
                    self.moments += 1
                    looking = True
                    at(self.moments)
                    looking = False
                    return answer

            return call

        with mock.patch.multiple(os, **{name: watched(name) for name in MOMENTS}):
            yield

    def _flushed(self, descriptor: int) -> None:
        about = os.fstat(descriptor)
        self._hold(about.st_ino, descriptor)
        if stat.S_ISDIR(about.st_mode):
            self._names[about.st_ino] = self._names_now(about.st_ino)
            self._later[about.st_ino] = []
        elif stat.S_ISREG(about.st_mode):
            self._bytes[about.st_ino] = self._bytes_now(about.st_ino)

    def _hold(self, inode: int, descriptor: int) -> None:
        if inode in self._open:
            os.close(descriptor)
        else:  # anew: the program's own may be for writing only
            self._open[inode] = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
            os.close(descriptor)

    def _names_now(self, inode: int) -> dict[str, int]:
        names = {}
        folder = self._open[inode]
        for name in os.listdir(folder):  # noqa: PTH208 - by its descriptor
            descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=folder)
            names[name] = os.fstat(descriptor).st_ino
            self._hold(names[name], descriptor)
        return names

    def _note_names(self) -> None:
        """Take note of what folders hold now, where that is new."""
        for inode, descriptor in list(self._open.items()):
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                before = [self._names.get(inode, {}), *self._later.setdefault(inode, [])][-1]
                if (now := self._names_now(inode)) != before:
                    self._later[inode].append(now)

    def _bytes_now(self, inode: int) -> bytes:
        return os.pread(self._open[inode], os.fstat(self._open[inode]).st_size, 0)

    def leave(self, place: Path, luck: float, dice: random.Random) -> None:
        """Write to ``place`` what a cut now could leave.

        Parameters
        ----------
        luck
            The probability that a page, or the next change of a folder, is there though it was not flushed.
        """
        self._leave(self._root.stat().st_ino, place, luck, dice)

    def _leave(self, inode: int, place: Path, luck: float, dice: random.Random) -> None:
        if not stat.S_ISDIR(os.fstat(self._open[inode]).st_mode):
            place.write_bytes(self._torn(inode, luck, dice))
            return
        place.mkdir()
        states = [self._names.get(inode, {}), *self._later.get(inode, [])]
        reached = sum(dice.random() < luck for _ in states[1:])
        for name, there in states[reached].items():
            self._leave(there, place / name, luck, dice)

    def _torn(self, inode: int, luck: float, dice: random.Random) -> bytes:
        certain, now = self._bytes.get(inode, b""), self._bytes_now(inode)
        if certain == now:
            return now
        size = len(now if dice.random() < luck else certain)
        pages = (
            (now if dice.random() < luck else certain)[at : min(at + PAGE_BYTES, size)].ljust(
                min(PAGE_BYTES, size - at), b"\0"
            )
            for at in range(0, size, PAGE_BYTES)
        )
        return b"".join(pages)
