"""The examples run as they stand, but for the length of their trainings."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

from napari_autostructn2v import load_model
from napari_autostructn2v.io import read_stack

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_script(tmp_path):
    command = [sys.executable, EXAMPLES / "denoise_a_tomogram.py", "--steps", "3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Before any training: " in done.stdout
    assert read_stack(tmp_path / "denoised.tif").array.shape == (8, 128, 128)
    assert load_model(tmp_path / "denoised.model.zip").mode == "2d"


def test_the_notebook(capsys):
    mpl.use("agg")
    notebook = json.loads((EXAMPLES / "noise_and_kernel.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert any("STEPS = 250" in cell for cell in cells)
    names: dict[str, object] = {}
    for cell in cells:
        exec(cell.replace("STEPS = 250", "STEPS = 150"), names)
    assert "Stage 2" in capsys.readouterr().out
    assert names["analysis"].kernel.shape == (1, 31)
    psnr = names["psnr"]
    assert psnr(names["stage2"], names["made"].clean) > psnr(names["stage1"], names["made"].clean)


@pytest.mark.parametrize("name", ["noise_and_kernel.ipynb"])
def test_notebooks_are_kept_without_output(name):
    notebook = json.loads((EXAMPLES / name).read_text())
    assert not any(cell.get("outputs") for cell in notebook["cells"])
