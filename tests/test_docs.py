"""What README and docs/ say can be done as they say it."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import typer

from napari_autostructn2v.cli import app
from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.synthetic import sample

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHORT = TrainingConfig(steps=4, batch_size=2, patch_size=32, features=8, depth=1)

FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`(autostructn2v [^`]+)`(?!`)")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page that are of a language."""
    return [code for found, code in FENCED.findall(page.read_text(encoding="utf-8")) if found == language]


def commands(page: Path) -> Iterator[str]:
    """The commands of ours that a page shows, in blocks and in sentences, but for those cut short by …."""
    for block in blocks(page, "sh") + blocks(page, ""):
        for line in block.replace("\\\n", " ").splitlines():
            ours = re.search(r"\bautostructn2v [a-z].*", line)
            if ours and "pip install" not in line:
                yield re.sub(r" (>|#) .*| &$", "", ours[0]).strip()
    for text in INLINE.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if "…" not in text:
            yield re.sub(" > .*", "", text)


COMMANDS = sorted({text for page in PAGES for text in commands(page)})


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name
)
def test_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Config, "from_preset", classmethod(lambda cls, _: cls(stage1=SHORT, stage2=SHORT)))
    made = sample("scan_lines", shape=(20, 64, 64))
    again = sample("scan_lines", shape=(20, 64, 64), seed=1)
    names = {"stack": made.noisy, "stack_recorded_again": made.clean + again.noisy - again.clean}
    for block in blocks(page, "python"):
        exec(re.sub(r'"steps": \d+', '"steps": 4', block), names)


def test_commands_are_found():
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("text", COMMANDS)
def test_a_command_that_a_page_shows_is_one(text):
    _, *words = shlex.split(text, comments=True)
    group = typer.main.get_command(app)
    if words[0].startswith("--"):
        group.make_context("autostructn2v", [*words, "info", "x"], resilient_parsing=True)
        return
    assert words[0] in group.commands, f"there is no command {words[0]}"
    if "--help" in words or words[1:] == []:
        return
    group.commands[words[0]].make_context(words[0], words[1:])


def said() -> list[str]:
    """Every text in the sources, with … where a value goes."""
    texts = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def test_messages_of_the_troubleshooting_page_are_those_of_the_program():
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    own = page[page.index("## Opening a stack") :]
    quoted = re.findall(r"^\| `([^`]+)` \|", own, re.MULTILINE)
    assert len(quoted) > 20
    texts = said()
    for message in quoted:
        parts = [part.strip() for part in message.split("…") if part.strip()]
        assert any(all(part in text for part in parts) for text in texts), message


def test_words_are_met_where_their_page_says():
    texts, group = said(), typer.main.get_command(app)
    options = {option for each in group.commands.values() for known in each.params for option in known.opts}
    rows = re.findall(r"^\| [^|]+ \| [^|]+ \| ?([^|]*)\|$", (ROOT / "docs/words.md").read_text("utf-8"), re.M)
    places = [place for row in rows for place in re.findall(r"\*\*([^*]+)\*\*|`(\S+)", row)]
    assert len(places) > 30
    for label, command in places:
        found = label in texts if label else command.strip("`") in {*options, *group.commands}
        assert found, label or command


@pytest.mark.parametrize(
    "module", ["napari_autostructn2v", "napari_autostructn2v.io", "napari_autostructn2v.synthetic"]
)
def test_every_public_name_is_in_the_reference(module):
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "api").glob("*.md"))
    for name in import_module(module).__all__:
        if not name.startswith("__"):
            assert f"::: {module}.{name}\n" in pages, f"{module}.{name}"


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert f": {page.relative_to(ROOT / 'docs').as_posix()}\n" in navigation, page
