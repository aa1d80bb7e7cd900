"""The command that looks at the computer: doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_autostructn2v.cli.progress import ExitCode


def doctor(
    folder: Annotated[Path, typer.Argument(help="Where results are to be written.")] = Path(),
) -> None:
    """Say what this computer has for the program, and what is wrong with it and what to do.

    Ends with 3 if something is wrong. Nothing is changed, nothing is sent.
    """
    from napari_autostructn2v.doctor import examine

    home = str(Path.home())
    wrong = 0
    for finding in examine(folder):
        typer.echo(f"{finding.name + ':':20s} {finding.value}".replace(home, "~"))
        if finding.trouble:
            wrong += 1
            typer.echo(f"{'':20s} → {finding.trouble}".replace(home, "~"))
    typer.echo("Nothing is wrong." if wrong == 0 else f"{wrong} of these are wrong: see the arrows.")
    if wrong:
        raise typer.Exit(ExitCode.FAILED)
