"""What a release is made of: its notes, and that nothing is left to fill in."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from napari_autostructn2v import __version__

ROOT = Path(__file__).parents[1]

_spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
assert _spec is not None and _spec.loader is not None
release = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(release)

CHANGES = """# Changelog

## [Unreleased]

- Next.

## [1.2.0] - 2027-01-31

### Added

- A thing.

## [1.2.0rc1] - 2027-01-01

- An older one.
"""
CITATION = """version: 1.2.0
date-released: 2027-01-31
authors:
  - family-names: Person
    orcid: https://orcid.org/0000-0002-1825-0097
repository-code: "https://github.com/OWNER/napari-autostructn2v"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that lacks nothing but its address."""
    package = tmp_path / "src" / "napari_autostructn2v"
    package.mkdir(parents=True)
    (package / "_version.py").write_text('"""The version."""\n\n__version__ = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    (tmp_path / "CITATION.cff").write_text(CITATION)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfeOWNER/napari-autostructn2v")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    return tmp_path


def test_notes_are_those_of_the_version(project):
    assert release.notes(project, "1.2.0") == "### Added\n\n- A thing.\n"
    assert release.notes(project, "1.2.0rc1") == "- An older one.\n"
    assert release.notes(project, None) == "- Next.\n"
    with pytest.raises(SystemExit, match="nothing under"):
        release.notes(project, "1.3.0")


def test_the_address_is_filled_in_everywhere_at_once(project):
    (lack,) = release.lacking(project, "v1.2.0")
    assert "CITATION.cff" in lack and "picture.png" not in lack
    assert release.set_address(project, "microscopists") == [project / "CITATION.cff"]
    assert "github.com/microscopists/napari-autostructn2v" in (project / "CITATION.cff").read_text()
    assert release.lacking(project, "v1.2.0") == []


@pytest.mark.parametrize(
    ("name", "old", "new", "word"),
    [
        ("src/napari_autostructn2v/_version.py", "1.2.0", "1.3.0", "The tag is v1.2.0"),
        ("CHANGELOG.md", "## [1.2.0] - 2027-01-31", "## [1.2.0]", "no heading"),
        ("CITATION.cff", "version: 1.2.0", "version: 1.1.0", "not of version"),
        ("CITATION.cff", "date-released: 2027-01-31\n", "", "date-released"),
        ("CITATION.cff", "    orcid: https://orcid.org/0000-0002-1825-0097\n", "", "ORCID"),
    ],
)
def test_what_is_lacking_is_told(project, name, old, new, word):
    release.set_address(project, "microscopists")
    path = project / name
    path.write_text(path.read_text().replace(old, new))
    assert any(word in lack for lack in release.lacking(project, "v1.2.0"))


def test_the_citation_is_of_this_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_project_has_one_address():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode != 0:
        pytest.skip("no repository")
    owners = set()
    for name in tracked.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            text = (ROOT / name).read_bytes()
            owners |= set(re.findall(rb"github\.com/([\w-]+)/napari-autostructn2v", text))
    assert len(owners) == 1, owners
