"""What is promised to pip, napari and the shell."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import napari_autostructn2v

ROOT = Path(__file__).parents[1]
PACKAGE = Path(napari_autostructn2v.__file__).parent
MANIFEST = PluginManifest.from_file(PACKAGE / "napari.yaml")
COMMANDS = {command.id: command for command in MANIFEST.contributions.commands or ()}


def test_version_is_that_of_the_installed_package() -> None:
    assert napari_autostructn2v.__version__ == version("napari-autostructn2v")


def test_napari_finds_the_manifest() -> None:
    (entry,) = entry_points(group="napari.manifest", name="napari-autostructn2v")
    assert entry.value == "napari_autostructn2v:napari.yaml"
    found = PluginManifest.from_distribution("napari-autostructn2v")
    assert found.name == "napari-autostructn2v"
    assert found.contributions == MANIFEST.contributions


def test_manifest_at_the_top_is_the_one_in_the_package() -> None:
    link = ROOT / "napari.yaml"
    if sys.platform == "win32" and not link.is_symlink():
        pytest.skip("checked out without symbolic links")
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == (PACKAGE / "napari.yaml").resolve()


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_there(command: str) -> None:
    python_name = COMMANDS[command].python_name
    assert python_name is not None
    assert callable(import_python_name(python_name))


def test_one_dock_however_it_is_opened() -> None:
    # napari calls a dock "widget (display name)" from the menu and "widget (name)" from code
    assert MANIFEST.display_name == MANIFEST.name
    assert [widget.display_name for widget in MANIFEST.contributions.widgets or ()] == [
        "Structured denoising",
        "Apply trained model",
        "Compare",
    ]


def test_manifest_names_every_format_that_napari_does_not_open() -> None:
    from napari_autostructn2v._napari.files import OPENED_BY_OTHERS
    from napari_autostructn2v.io.formats import FORMATS

    ours = [known for known in FORMATS if known not in OPENED_BY_OTHERS]
    written = [known for known in ours if known.is_written]
    patterns = [f"*{suffix}" for known in ours for suffix in known.patterns]
    readers = MANIFEST.contributions.readers or ()
    assert [(reader.filename_patterns, reader.accepts_directories) for reader in readers] == [
        (patterns, True)
    ]
    writers = MANIFEST.contributions.writers or ()
    assert [(writer.display_name, writer.filename_extensions[0]) for writer in writers] == [
        (known.name, known.suffixes[0]) for known in written
    ]
    for writer, known in zip(writers, written, strict=True):
        assert set(writer.filename_extensions) <= set(known.suffixes)


@pytest.mark.parametrize(("module", "more"), [("", []), (".cli", ["scipy", "napari_autostructn2v.io"])])
def test_import_is_cheap(module: str, more: list[str]) -> None:
    """Of the command line all the more: each command, and --help, begins with it."""
    heavy = ["torch", "napari", "qtpy", "PySide6", "matplotlib", "zarr", *more]
    code = f"import sys, napari_autostructn2v{module}; print(*set({heavy}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_command_line_is_installed() -> None:
    (entry,) = entry_points(group="console_scripts", name="autostructn2v")
    assert callable(entry.load())


def test_type_hints_are_published() -> None:
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-oldest.txt"])
def test_versions_that_are_named_are_allowed(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    named = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [
        text for extra in ("all", "em", "cluster", "zoo") for text in extras[extra]
    ]
    for asked in map(Requirement, wanted):
        if asked.marker is None or asked.marker.evaluate({"python_version": "3.11"}):
            assert asked.specifier.contains(named[canonicalize_name(asked.name)]), f"{asked} in {name}"


def test_an_extra_that_the_installation_page_names_is_there() -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    assert set(re.findall(r"^\| `\[(\w+)\]`", page, re.MULTILINE)) == set(extras) - {"dev", "docs", "test"}
