"""A run that is killed at any moment goes on to the same result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from napari_autostructn2v.io import VoxelSize, write_stack
from napari_autostructn2v.synthetic import sample

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forks")


@pytest.mark.parametrize(
    ("kills", "seed"),
    [(4, 0), pytest.param(60, 1, marks=pytest.mark.long), pytest.param(60, 2, marks=pytest.mark.long)],
)
def test_a_killed_run_goes_on_to_the_same_result(tmp_path: Path, kills: int, seed: int) -> None:
    noisy = sample("scan_lines", shape=(4, 80, 80)).noisy
    write_stack(tmp_path / "noisy.mrc", noisy, voxel_size=VoxelSize(2.0, 1.0, 1.0))
    victim = [sys.executable, str(Path(__file__).with_name("victim.py"))]
    ended = subprocess.run(
        [*victim, str(tmp_path), str(kills), str(seed)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    outcome = json.loads(ended.stdout)
    print(outcome)
    assert outcome["whole"] == 0 and "message" not in outcome, outcome
    assert outcome["killed"].count(-signal.SIGKILL) >= kills / 2, "many were hit while they worked"
    assert outcome["killed"][-1] == 0
    assert all(outcome["same"]), outcome
    assert max(outcome["lost"]) <= 1, "a checkpoint is written at each step here"
    assert not list(tmp_path.rglob(".partial-*"))
    # a run that was killed with its result in place was not gone on with: its lock is a dead one
    assert not [lock for lock in tmp_path.rglob("*.lock*") if not lock.parent.name.startswith("done_")]
