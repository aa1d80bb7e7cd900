"""What a release needs besides its files: that all is filled in, and its notes.

python .ci/release.py check             what a release still lacks
python .ci/release.py check v0.1.0      the same for this tag; ends with 1 if anything is lacking
python .ci/release.py notes 0.1.0       its part of CHANGELOG.md; without a version, what is unreleased
python .ci/release.py address OWNER     put the owner of the repository wherever its address stands
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACEHOLDER = re.compile(r"\bOWNER(?=/napari-autostructn2v\b|\.github\.io\b)")


def notes(root: Path, version: str | None) -> str:
    """The part of CHANGELOG.md that belongs to a version, without its heading."""
    title = "Unreleased" if version is None else version
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## \[{re.escape(title)}\][^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise SystemExit(f"CHANGELOG.md has nothing under [{title}]. Write it there.")
    return found[1].strip() + "\n"


def lacking(root: Path, tag: str | None) -> list[str]:
    """What a release still lacks, in sentences."""
    source = (root / "src/napari_autostructn2v/_version.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    lacks = []
    places = [str(path.relative_to(root)) for path in with_placeholder(root)]
    if places:
        lacks.append(f"The address of the repository is not set in {', '.join(places)}: release.py address …")
    if tag is not None and tag != f"v{version}":
        lacks.append(f"The tag is {tag}, and _version.py says {version}.")
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changes, re.MULTILINE):
        lacks.append(f"CHANGELOG.md has no heading '## [{version}] - date'.")
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    if not re.search(rf"^version: {re.escape(version)}$", citation, re.MULTILINE):
        lacks.append(f"CITATION.cff is not of version {version}.")
    if not re.search(r"^date-released: \d{4}-\d\d-\d\d$", citation, re.MULTILINE):
        lacks.append("CITATION.cff has no date-released.")
    if "orcid: https://orcid.org/" not in citation:
        lacks.append("CITATION.cff names no author with an ORCID.")
    return lacks


def with_placeholder(root: Path) -> list[Path]:
    """The files in which the owner of the repository is still to be filled in."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
    paths = (root / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file() and PLACEHOLDER.search(_text(path))]


def set_address(root: Path, owner: str) -> list[Path]:
    """Fill in the owner of the repository; the files that were changed."""
    changed = with_placeholder(root)
    for path in changed:
        path.write_text(PLACEHOLDER.sub(owner, _text(path)), encoding="utf-8", newline="\n")
    return changed


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:  # a picture
        return ""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check").add_argument("tag", nargs="?")
    commands.add_parser("notes").add_argument("version", nargs="?")
    commands.add_parser("address").add_argument("owner")
    options = parser.parse_args()
    if options.command == "notes":
        print(notes(ROOT, options.version), end="")
    elif options.command == "address":
        print("\n".join(str(path.relative_to(ROOT)) for path in set_address(ROOT, options.owner)))
    else:
        lacks = lacking(ROOT, options.tag)
        print("\n".join(lacks) or "A release lacks nothing.")
        sys.exit(1 if lacks and options.tag else 0)


if __name__ == "__main__":
    main()
