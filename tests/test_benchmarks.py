"""Each benchmark runs, by the command that its page names, in its smallest form."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.events import finish
from napari_autostructn2v.learning.training import train
from napari_autostructn2v.synthetic import sample

ROOT = Path(__file__).parents[1]
PAGES = [page.read_text() for page in sorted((ROOT / "docs").glob("*.md"))]
FOUND = [found for page in PAGES for found in re.findall(r"python (benchmarks/[^`;#\n]+)", page)]
COMMANDS = sorted({command.strip() for command in FOUND})
PEERS = os.environ.get("PEERS")
"""What ``benchmarks/peers/install.sh`` made, if the other programs are to be run as well."""


def test_every_benchmark_is_named_on_a_page():
    programs = {path for path in (ROOT / "benchmarks").glob("*.py") if "main()\n" in path.read_text()}
    named = {ROOT / command.split()[0] for command in COMMANDS}
    assert programs == named


@pytest.mark.parametrize("command", COMMANDS)
def test_it_runs(command, tmp_path):
    # without the data and programs that are no part of the project, it leaves out what needs them
    wanted = re.sub(r"(--\w+ )?(FOLDER|STACK|FIRST SECOND)\b", "", command)
    program, *arguments = wanted.split()
    if PEERS is not None:
        arguments += [
            word for option in ("--careamics", "--peers") if option in command for word in (option, PEERS)
        ]
    done = subprocess.run(
        [sys.executable, ROOT / program, *arguments, "--quick"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for section in set(arguments) & {"training", "precision", "prediction", "processes", "race", "presets"}:
        assert f"## {section}\n" in done.stdout
    assert "| " in done.stdout or list(tmp_path.rglob("quality.md")), done.stdout
    assert "| nan" not in done.stdout


def test_trained_from_other_batches_is_trained_as_ever():
    """The benchmark of the choices makes the steps itself: with the batches as shipped it is ``train``."""
    from training_choices import OtherData, trained, zeros

    made = sample("scan_lines", shape=(4, 64, 64))
    kernel = made.oracle_kernel()
    config = TrainingConfig(steps=4, features=8, batch_size=2, patch_size=32, validation_interval=2)
    shipped = finish(train(made.noisy, kernel, config)).network.state_dict()
    same = trained(made.noisy, kernel, config, OtherData(made.noisy, kernel, config))
    other = trained(made.noisy, kernel, config, OtherData(made.noisy, kernel, config, replaced=zeros))
    assert all(torch.equal(value, shipped[key]) for key, value in same.network.state_dict().items())
    assert not all(torch.equal(value, shipped[key]) for key, value in other.network.state_dict().items())
