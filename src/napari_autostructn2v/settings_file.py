"""Settings as a file that people read and change: TOML with a line on each, or JSON."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from napari_autostructn2v.config import Config
from napari_autostructn2v.errors import ConfigError, FileError


def as_toml(config: Config) -> str:
    """Settings as TOML, each after a line that says what it is.

    Parameters
    ----------
    config
        All of them are written.
    """
    head = [
        "# Settings of napari-autostructn2v: autostructn2v run INPUT OUTPUT --config THIS_FILE.",
        "# What is left out is as the preset has it.",
        "",
    ]
    return "\n".join([*head, *_lines(config, "")]) + "\n"


def _lines(settings: BaseModel, section: str) -> list[str]:
    """Of one table: its own values first, as TOML wants it, then the tables in it."""
    lines, tables = [f"[{section}]"] if section else [], []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            tables += ["", *_lines(value, f"{section}.{name}" if section else name)]
            continue
        lines += [f"# {field.description}", f"{name} = {json.dumps(value)}"]
    return lines + tables


def read_settings(path: Path, base: Config) -> Config:
    """Settings over others.

    Parameters
    ----------
    path
        A .toml or .json file with some or all of the settings.
    base
        What is not in the file.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range; the message names it.
    FileError
        If the file cannot be read.
    """
    try:
        text = path.read_text()
        values = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # of either format, and of bytes that are no text
        raise FileError(f"{path} is no {path.suffix[1:].upper() or 'TOML'} file: {error}.") from error
    if not isinstance(values, dict):
        raise FileError(f"{path} holds no settings. autostructn2v config writes a file to begin with.")
    return base.with_values(values)


def with_assignments(config: Config, assignments: Iterable[str]) -> Config:
    """Settings with single ones set.

    Parameters
    ----------
    config
        All the others.
    assignments
        Such as ``stage2.steps=800``.

    Raises
    ------
    ConfigError
        If one is none, is unknown or out of range.
    """
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"{assignment!r} sets nothing. Write NAME=VALUE, for example stage2.steps=800.")
        value: Any
        try:
            value = json.loads(text)
        except ValueError:
            value = text.strip()
        for part in reversed(name.strip().split(".")):
            value = {part: value}
        config = config.with_values(value)
    return config
