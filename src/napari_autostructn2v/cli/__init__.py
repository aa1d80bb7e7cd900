"""The command line: the functions of the package, with progress bars and exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.text import Text

from napari_autostructn2v._version import __version__
from napari_autostructn2v.cli.computer import doctor
from napari_autostructn2v.cli.models import apply, export
from napari_autostructn2v.cli.noise import analyze, config, estimate, info, score
from napari_autostructn2v.cli.progress import ExitCode, console
from napari_autostructn2v.cli.runs import demo, resume, run
from napari_autostructn2v.cli.series import batch, watch
from napari_autostructn2v.error_report import log_and_explain

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    run,
    resume,
    analyze,
    score,
    apply,
    batch,
    watch,
    export,
    estimate,
    config,
    info,
    demo,
    doctor,
):
    app.command()(command)


def _say_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is."),
    ] = False,
) -> None:
    """Remove structured noise from electron tomograms and other image stacks, with no clean data."""


def main() -> None:
    """Run the command line and exit with a code that a script can use."""
    try:
        app()
    except Exception as error:
        console.print(Text("Error:", "red"), log_and_explain(error), soft_wrap=True)
        sys.exit(ExitCode.FAILED)
