"""Errors in words, in the log and in a report for an issue."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

import pytest

from napari_autostructn2v import error_report
from napari_autostructn2v.cli.progress import ExitCode
from napari_autostructn2v.error_report import log_and_explain, problem_report
from napari_autostructn2v.errors import FileError, explain, is_foreseen

PROGRAM = "from napari_autostructn2v.cli import main; main()"


class OutOfMemoryError(RuntimeError):
    """As torch names its own."""


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (FileError("Copy it again."), "Copy it again."),
        (MemoryError(), "crop the stack"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            "crop the stack",
        ),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "smaller patch"),
        (RuntimeError("MPS backend out of memory"), "smaller patch"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/a.tif"), "disk is full (/data/a.tif)"),
        (OSError(errno.EROFS, "Read-only file system"), "read-only"),
        (PermissionError(errno.EACCES, "Permission denied"), "no permission"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "not there any more"),
        (OSError(errno.EIO, "Input/output error"), "disk connected"),
    ],
)
def test_what_can_be_acted_on_is_told_in_words(error: Exception, word: str) -> None:
    assert is_foreseen(error)
    assert word in explain(error)
    assert "Error:" not in explain(error) and "Errno" not in explain(error)


def test_what_nobody_foresaw_says_where_the_details_are() -> None:
    error = TypeError("unsupported operand")
    assert not is_foreseen(error)
    assert "TypeError: unsupported operand" in log_and_explain(error) and "report it" in log_and_explain(
        error
    )
    assert str(error_report.log_path()) in log_and_explain(error)


def broken() -> None:
    secret = Path.home() / "patient.mrc"
    raise ValueError(f"bad value in {secret}")


def test_the_report_holds_what_helps_and_no_home_folder() -> None:
    with pytest.raises(ValueError, match="bad value") as caught:
        broken()
    report = problem_report(caught.value, {"mode": "2d", "shape": [3, 4, 5]})
    for part in (
        "napari-autostructn2v 0.",
        "Python 3.",
        "numpy 2",
        "torch",
        '"mode": "2d"',
        "in broken",
        "Log:",
    ):
        assert part in report
    assert str(Path.home()) not in report and "~" in report
    assert "secret = Path" not in report, "the line that raised is quoted, not what it worked on"


def test_the_log_is_rotated_and_never_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_report, "log_path", lambda: tmp_path / "logs" / "log.txt")
    monkeypatch.setattr(error_report, "MAX_BYTES", 2000)
    package = logging.getLogger("napari_autostructn2v")
    before = list(package.handlers)
    error_report.start_log.cache_clear()
    error_report.start_log()
    (handler,) = [each for each in package.handlers if each not in before]
    assert isinstance(handler, RotatingFileHandler)
    try:
        for number in range(50):
            log_and_explain(ValueError(f"number {number}"))
        names = sorted(path.name for path in (tmp_path / "logs").iterdir())
        assert names == ["log.txt", "log.txt.1", "log.txt.2"]
        assert all(path.stat().st_size < 4000 for path in (tmp_path / "logs").iterdir())
        assert "number 49" in (tmp_path / "logs" / "log.txt").read_text()
        handler.close()
        for path in (tmp_path / "logs").iterdir():
            path.unlink()
        (tmp_path / "logs").rmdir()
        (tmp_path / "logs").write_text("a file where the folder was")
        assert "number 50" in log_and_explain(ValueError("number 50"))
    finally:
        package.removeHandler(handler)
        handler.close()
        error_report.start_log.cache_clear()
        monkeypatch.undo()
        error_report.start_log()


def run(tmp_path: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=environment
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the log lies elsewhere there")
def test_the_command_line_tells_and_logs_what_nobody_foresaw(tmp_path: Path) -> None:
    bad = "import napari_autostructn2v.io as io; io.read_stack = lambda path: 1 / 0; " + PROGRAM
    result = run(tmp_path, bad, "info", "a[b].mrc")
    assert result.returncode == ExitCode.FAILED
    (log,) = tmp_path.rglob("log.txt")
    assert "ZeroDivisionError" in result.stderr and str(log) in result.stderr.replace("\n", "")
    assert "Traceback" not in result.stderr
    assert "Traceback" in log.read_text() and "division by zero" in log.read_text()

    full = bad.replace("1 / 0", "(_ for _ in ()).throw(OSError(28, 'No space left on device'))")
    result = run(tmp_path, full, "info", "a[b].mrc")
    assert "The disk is full" in result.stderr and "log.txt" not in result.stderr
    missing = run(tmp_path, PROGRAM, "info", "a[b].mrc")
    assert "a[b].mrc" in missing.stderr, "brackets in names are no markup"
