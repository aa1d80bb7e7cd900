"""The recipe for conda-forge asks for what pyproject.toml asks for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from napari_autostructn2v import __version__

ROOT = Path(__file__).parents[1]
RECIPE = yaml.safe_load((ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

CALLED = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""Names that differ on conda-forge."""


def test_it_is_of_this_version():
    assert RECIPE["context"]["version"] == __version__
    assert PROJECT["project"]["requires-python"] == f">={RECIPE['context']['python_min']}"


def test_it_runs_with_the_same_libraries():
    extras = PROJECT["project"]["optional-dependencies"]
    wanted: dict[str, SpecifierSet] = {}
    for text in PROJECT["project"]["dependencies"] + extras["all"] + extras["em"]:
        asked = Requirement(text)
        name = CALLED.get(asked.name, asked.name.lower())
        wanted[name] = wanted.get(name, SpecifierSet()) & asked.specifier
    pairs = [text.split(maxsplit=1) for text in RECIPE["requirements"]["run"][1:]]
    assert {name: SpecifierSet(bounds) for name, bounds in pairs} == wanted


def test_it_is_built_with_the_same_tools():
    built_with = {Requirement(text).name for text in PROJECT["build-system"]["requires"]}
    assert built_with <= {text.split()[0] for text in RECIPE["requirements"]["host"]}
