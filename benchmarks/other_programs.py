"""Runs other programs on a case, each in an environment of its own that ``peers/install.sh FOLDER`` made."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

PEERS = {
    "CAREamics StructN2V": ("careamics", "careamics_structn2v.py"),
    "pystripe → NLM": ("pystripe", "pystripe_nlm.py"),
    "BM3D, true spectrum": ("bm3d", "bm3d_true.py"),
}


def run_peer(folder: Path | None, method: str, **case: Any) -> tuple[np.ndarray, dict[str, Any]] | None:
    """What a program makes of a case, and how; None where it is not installed, or fails.

    Parameters
    ----------
    folder
        Of the environments.
    method
        One of :data:`PEERS`.
    **case
        The attributes of ``Case`` in ``peers/_case.py``.
    """
    environment, script = PEERS[method]
    if folder is None or not (python := folder / environment / "bin" / "python").exists():
        return None
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch, "case.npz"), Path(scratch, "out.npz")
        np.savez(source, **case)
        command = [python, Path(__file__).with_name("peers") / script, source, target]
        done = subprocess.run(
            command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            print(f"{method} failed: {done.stderr[-500:]}", flush=True)
            return None
        with np.load(target) as file:
            return file["denoised"], {"settings": str(file["settings"]), "seconds": float(file["seconds"])}
