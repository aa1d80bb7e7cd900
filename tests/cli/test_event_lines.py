"""A line for each event: what a scheduler reads is what the page says."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_autostructn2v import cli, events
from napari_autostructn2v.cli.event_lines import EventLines
from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.io import write_stack
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.scale import Normalisation
from napari_autostructn2v.synthetic import sample

PAGE = (Path(__file__).parents[2] / "docs" / "series.md").read_text()
KINDS = {kind.__name__: kind for kind in (*get_args(events.Event), events.Surveyed)}
DOCUMENTED = {
    name: re.findall(r"`(\w+)`", fields)
    for name, fields in re.findall(r"^\| `(\w+)` \| ([^|]*) \|", PAGE, re.MULTILINE)
    if name in KINDS
}


def test_the_page_says_what_each_event_has() -> None:
    assert {
        name: [field.name for field in dataclasses.fields(kind)]
        for name, kind in KINDS.items()
        if kind is not events.Preview
    } == DOCUMENTED


def test_apply_in_lines(tmp_path: Path) -> None:
    network = UNet(1, features=8, depth=2).eval()
    model = Model(network, np.ones((1, 3), bool), None, TrainingConfig(features=8), Normalisation(0.5, 0.3))
    model.save(tmp_path / "model.zip")
    for name in ("a.mrc", "b.mrc"):
        write_stack(tmp_path / name, sample("hum", shape=(3, 40, 40)).noisy)
    arguments = ["apply", "model.zip", "a.mrc", "b.mrc", "--out", "out"]
    whole = [str(tmp_path / word) if "." in word or word == "out" else word for word in arguments]
    result = CliRunner().invoke(cli.app, [*whole, "--progress", "json", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    lines: list[dict[str, Any]] = [json.loads(line) for line in result.stdout.splitlines()]
    for line in lines:
        assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
        assert list(line) == ["event", *DOCUMENTED[line["event"]]]
    assert [line["name"] for line in lines if line["event"] == "StackDone"] == ["a.mrc", "b.mrc"]
    assert [line["done"] for line in lines if line["event"] == "SliceDone"][:3] == [1, 2, 3]


def test_pictures_have_no_line_and_a_reason_to_wait_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    lines = EventLines()
    lines.show(events.Preview(step=1, z=0, denoised=torch.zeros(2, 2).numpy()))
    for reason in ("full", "full", "full", "empty", "empty"):
        lines.show(events.Waiting(reason))
    lines.show(events.Step(1, 2, 0.5))
    lines.show(events.Waiting("empty"))
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("reason", line["event"]) for line in said] == ["full", "empty", "Step", "empty"]
