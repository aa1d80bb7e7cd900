"""Each kind of trouble that a computer can give, and that the doctor sees it and says what to do."""

from __future__ import annotations

import errno
import importlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from napari_autostructn2v.cli import app
from napari_autostructn2v.doctor import Finding, cores, device, examine, libraries, places, window

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer on which nothing is wrong, whatever this one is."""
    monkeypatch.setattr(cores, "usable_cores", lambda: 8)
    monkeypatch.setattr(cores, "QUOTA", Path("no such file"))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr("napari_autostructn2v.learning.device.free_memory", lambda device: 2**34)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 0, 2**40))
    monkeypatch.setattr(shutil, "which", lambda program: None)
    monkeypatch.setattr(window, "_loads", lambda library: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("QT_API", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def troubles(folder: Path) -> list[Finding]:
    """What is found to be wrong."""
    return [finding for finding in examine(folder) if finding.trouble]


def only(folder: Path) -> str:
    """The one thing that is wrong, with what to do."""
    (finding,) = troubles(folder)
    return finding.trouble


def installed(monkeypatch: pytest.MonkeyPatch, **others: str | None) -> None:
    """Have libraries of these versions, None for missing ones."""
    real = libraries.version_of

    def version_of(library: str) -> str | None:
        return others.get(library, real(library)) if library in others else real(library)

    for module in (libraries, window):
        monkeypatch.setattr(module, "version_of", version_of)


def test_nothing_is_wrong_with_a_healthy_computer(tmp_path: Path) -> None:
    names = [finding.name for finding in examine(tmp_path)]
    assert {"program", "libraries", "window", "results", "cores", "memory", "computes on"} <= set(names)
    assert troubles(tmp_path) == []


def test_a_library_that_is_missing(tmp_path, monkeypatch):
    installed(monkeypatch, mrcfile=None)
    assert "pip install 'mrcfile>=" in only(tmp_path)


def test_an_extra_that_is_missing_is_no_trouble(tmp_path, monkeypatch):
    installed(monkeypatch, ncempy=None, distributed=None)
    assert troubles(tmp_path) == []


@pytest.mark.parametrize(("library", "version"), [("zarr", "2.18.0"), ("napari", "0.5.6")])
def test_a_library_that_is_too_old(tmp_path, monkeypatch, library, version):
    installed(monkeypatch, **{library: version})
    assert re.search(rf"needs {library}>=.*pip install '{library}>=", only(tmp_path))


def test_a_library_that_does_not_load(tmp_path, monkeypatch):
    real = importlib.import_module

    def broken(name: str) -> object:
        if name == "imagecodecs":
            raise ImportError("libjpeg.so.9: cannot open shared object file")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", broken)
    assert "libjpeg.so.9" in only(tmp_path) and "--force-reinstall" in only(tmp_path)


@pytest.mark.parametrize(
    ("bindings", "chosen", "word"),
    [
        ({"PySide6": None}, "", "pip install PySide6"),
        ({"PyQt5": "5.15.11"}, "", "QT_API=pyside6"),
        ({"PyQt5": "5.15.11"}, "pyside6", ""),
        ({}, "pyqt5", "QT_API asks for pyqt5"),
    ],
)
def test_bindings_of_qt(tmp_path, monkeypatch, bindings, chosen, word):
    installed(monkeypatch, **{"PyQt6": None, "PyQt5": None, "PySide2": None} | bindings)
    monkeypatch.setenv("QT_API", chosen)
    found = [finding.trouble for finding in window.look() if finding.trouble]
    assert word in "".join(found)
    assert bool(found) == bool(word)


def test_without_napari_no_window_is_asked_for(tmp_path, monkeypatch):
    installed(monkeypatch, napari=None, PySide6=None)
    (finding,) = window.look()
    assert "command line" in finding.value and not finding.trouble


@pytest.mark.parametrize("screen", ["", ":0"])
def test_libraries_of_the_system_that_qt_needs(tmp_path, monkeypatch, screen):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", screen)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(window, "_loads", lambda library: library != "libxcb-cursor.so.0")
    found = [finding.trouble for finding in window.look() if finding.trouble]
    if screen:
        assert "apt install libxcb-cursor0" in found[0]
    else:
        assert found == [], "a node of a cluster has no screen, and needs none"


def test_a_folder_that_may_not_be_written_to(tmp_path, monkeypatch):
    real = tempfile.NamedTemporaryFile

    def refused(*, dir: Path, **options: object) -> object:
        if Path(dir) == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(dir=dir, **options)

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refused)
    assert "Permission denied" in only(tmp_path) and "another folder" in only(tmp_path)
    assert "Permission denied" in only(tmp_path / "new" / "folder"), "the one that is to hold it is looked at"


def test_a_disk_that_is_nearly_full(tmp_path, monkeypatch):
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: Usage(2**40, 0, 2**28 if Path(path) == tmp_path else 2**40)
    )
    assert "seven times its stack" in only(tmp_path)


def test_a_disk_that_knows_no_locks(tmp_path, monkeypatch):
    real = places._can_lock
    monkeypatch.setattr(places, "_can_lock", lambda path: path.parent != tmp_path and real(path))
    assert "Start one at a time" in only(tmp_path)


def test_nothing_is_left_in_a_folder_that_was_looked_at(tmp_path):
    list(examine(tmp_path))
    list(examine(tmp_path / "not" / "there"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("threads", "quota", "variable", "word"),
    [
        (8, None, "", ""),
        (8, "max 100000", "", ""),
        (8, "200000 100000", "", "Set OMP_NUM_THREADS=2."),
        (64, None, "", "Set OMP_NUM_THREADS=8."),
        (1, None, "1", "leaves all cores but one idle"),
        (4, None, "4", ""),
    ],
)
def test_threads(tmp_path, monkeypatch, threads, quota, variable, word):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
        monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    found = [finding.trouble for finding in cores.look() if finding.trouble]
    assert word in "".join(found)
    assert bool(found) == bool(word)


def test_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_autostructn2v.learning.device.free_memory", lambda device: 2**29)
    assert "Close other programs" in only(tmp_path)


@pytest.mark.parametrize(
    ("cuda", "hidden", "word"),
    [
        (None, None, "built without CUDA"),
        ("12.8", None, "the driver is too old"),
        ("12.8", "", "CUDA_VISIBLE_DEVICES hides the card"),
    ],
)
def test_a_card_that_lies_idle(tmp_path, monkeypatch, cuda, hidden, word):
    monkeypatch.setattr(shutil, "which", lambda program: program)
    answer = subprocess.CompletedProcess([], 0, "NVIDIA RTX A4000, 550.54\n", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    (finding,) = [finding for finding in device.look() if finding.trouble]
    assert "RTX A4000" in finding.value and word in finding.trouble


@pytest.mark.parametrize(
    ("platform", "card", "cuda", "works", "word"),
    [
        ("linux", "", None, False, "in a build that computes on the processor alone"),
        ("linux", "NVIDIA RTX A4000", None, False, "the card lies idle"),
        ("win32", "NVIDIA RTX A4000", "12.8", False, "driver is too old"),
        ("linux", "NVIDIA RTX A4000", "12.8", True, ""),
        ("linux", "", "12.8", False, ""),  # a build for cards where there are none
        ("darwin", "", None, False, ""),  # there is one build alone
    ],
)
def test_how_to_get_a_build_for_graphics_cards(monkeypatch, platform, card, cuda, works, word):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(device, "_nvidia_card", lambda: card)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: works)
    advice = device.gpu_advice()
    assert word in advice and bool(word) == bool(advice)


def test_a_driver_that_does_not_answer_is_no_card(monkeypatch):
    def hangs(command: list[str], *, timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(shutil, "which", lambda program: program)
    monkeypatch.setattr(subprocess, "run", hangs)
    assert [finding.name for finding in device.look()] == ["computes on"]


@pytest.mark.parametrize("factor", [1.5, float("nan")])
def test_a_device_that_computes_wrong_numbers(tmp_path, monkeypatch, factor):
    real = torch.nn.functional.conv2d

    def wrong(image: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return real(image, weights) * (1 if image.dtype == torch.float64 else factor)

    monkeypatch.setattr(torch.nn.functional, "conv2d", wrong)
    assert "wrong numbers" in only(tmp_path)


def test_a_device_that_fails(tmp_path, monkeypatch):
    def fails(*_: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(torch.nn.functional, "conv2d", fails)
    assert "no kernel image" in only(tmp_path) and "--device cpu" in only(tmp_path)


def test_the_command(tmp_path, monkeypatch):
    well = CliRunner().invoke(app, ["doctor", str(tmp_path)])
    assert well.exit_code == 0 and "Nothing is wrong." in well.output
    assert str(Path.home()) not in well.output, "it is copied into issues"
    installed(monkeypatch, mrcfile=None)
    ill = CliRunner().invoke(app, ["doctor", str(tmp_path)])
    assert ill.exit_code == 3 and "→ It is needed. Install it: pip install 'mrcfile" in ill.output
