"""Commands that look and change nothing: analyze, score, estimate, config, info."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_autostructn2v.cli.options import (
    BackgroundOption,
    ConfigOption,
    DeviceOption,
    FindKernelOption,
    LeaveOutOption,
    ModeOption,
    NotchOption,
    OverwriteOption,
    PresetOption,
    QuietOption,
    ResolutionLimitOption,
    SetOption,
    region_of,
    settings_of,
)
from napari_autostructn2v.cli.progress import follow, say
from napari_autostructn2v.config import Config
from napari_autostructn2v.errors import StackError


def analyze(
    input: Annotated[Path, typer.Argument(help="The raw stack.")],
    denoised: Annotated[
        Path | None, typer.Option(help="The same stack after Stage 1, if there is one.")
    ] = None,
    mode: ModeOption = "2d",
    notch: NotchOption = None,
    resolution_limit: ResolutionLimitOption = None,
    find_kernel: FindKernelOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    background: BackgroundOption = None,
    leave_out: LeaveOutOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to. Default: INPUT's name + _noise.")
    ] = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say what structure the noise has; write the kernel (.tif) and a picture (.png)."""
    from napari_autostructn2v.disk.atomic import check_place, make_folder
    from napari_autostructn2v.figures.report import draw_analysis
    from napari_autostructn2v.io import read_stack
    from napari_autostructn2v.io.left_out import LeftOut
    from napari_autostructn2v.kernel import save_kernel
    from napari_autostructn2v.noise.analysis import analyze

    settings = settings_of(
        "balanced",
        config,
        assignments,
        notch=notch,
        resolution_limit=resolution_limit,
        find_kernel=find_kernel,
    )
    image = read_stack(input)
    folder = out or Path(f"{image.name}_noise")
    if folder.is_dir():
        for name in ("kernel.tif", "noise.png"):
            check_place(folder / name, overwrite=overwrite)
    analysis = analyze(
        image.array,
        None if denoised is None else read_stack(denoised).array,
        mode=mode,
        config=settings.analysis,
        region=region_of(background, image.array.shape),
        left_out=LeftOut.from_texts(leave_out or ()).of(image.array.shape),
        voxel_size=image.voxel_size,
    )
    make_folder(folder)
    save_kernel(folder / "kernel.tif", analysis.kernel, overwrite=overwrite)
    draw_analysis(folder / "noise.png", analysis, overwrite=overwrite)
    if not quiet:
        say(*image.notices)
        typer.echo(analysis.verdict.brief)
        typer.echo(analysis.verdict.summary)
        for z in analysis.kernel if analysis.kernel.ndim == 3 else [analysis.kernel]:
            typer.echo("\n".join(" ".join("█" if pixel else "·" for pixel in row) for row in z) + "\n")
        typer.echo(f"Written: {folder / 'kernel.tif'}, {folder / 'noise.png'}")


def score(
    result: Annotated[Path, typer.Argument(help="What was made of the recording.")],
    raw: Annotated[Path, typer.Option(help="The recording.")],
    second: Annotated[
        Path | None,
        typer.Option(
            help="Another one of the same scene, which judges the result: a repeated scan, the half of the "
            "odd tilts."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for what the second recording says. Default: RESULT's name + _score."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as JSON, for programs, and no sentences.")
    ] = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say how good a result is: structured noise, image taken, pattern added; and by a second recording.

    With a second recording its figures and curves are written as well.
    """
    import json

    from napari_autostructn2v.figures.score import check_score_place, write_score
    from napari_autostructn2v.io import read_stack
    from napari_autostructn2v.judge import refuse_other_shape, scoring
    from napari_autostructn2v.metrics import assess_quality

    made, first = read_stack(result), read_stack(raw)
    other = None if second is None else read_stack(second)
    folder = out or Path(f"{made.name}_score")
    if other is not None:
        refuse_other_shape("second recording", other.array, first.array)
        check_score_place(folder, overwrite=overwrite)
    report = follow(assess_quality(first.array, made.array), quiet, label="Measuring")
    figures: dict[str, Any] = {"appraisal": report.as_dict()}
    sentences, written = [*report.sentences], list[Path]()
    if other is not None:
        events = scoring(made.array, first.array, other.array, voxel_size=first.voxel_size)
        found = follow(events, quiet, label="Judging by the other recording")
        written = write_score(folder, found, overwrite=overwrite)
        figures["score"] = found.as_dict()
        sentences += found.sentences
    if as_json:
        typer.echo(json.dumps(figures, indent=1))
    elif not quiet:
        for sentence in sentences:
            typer.echo(sentence)
        if written:
            typer.echo(f"Written: {', '.join(map(str, written))}")


def estimate(
    input: Annotated[Path, typer.Argument(help="The stack of the run.")],
    mode: ModeOption = "2d",
    preset: PresetOption = "balanced",
    config: ConfigOption = None,
    assignments: SetOption = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Say what a run will take on this machine, from a measurement of seconds: time, memory, disk."""
    import shutil

    from napari_autostructn2v.estimate import estimate
    from napari_autostructn2v.io import read_stack

    settings = settings_of(preset, config, assignments)
    events = estimate(read_stack(input).array, mode=mode, config=settings, device=device)
    found = follow(events, quiet, label="Measuring")
    for name, seconds in found.seconds.items():
        typer.echo(f"{name + ':':28s}{_duration(seconds):>10s}")
    typer.echo(f"{'All of it:':28s}{_duration(found.total_seconds):>10s}  on {found.device}")
    typer.echo(f"{'Memory:':28s}{found.memory / 1e9:7.1f} GB")
    free = shutil.disk_usage(input.parent).free
    typer.echo(f"{'Disk:':28s}{found.disk / 1e9:7.1f} GB  of {free / 1e9:.1f} GB that are free there")


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def config(
    preset: PresetOption = "balanced",
    schema: Annotated[
        bool, typer.Option("--schema", help="Print what such a file may hold, as JSON Schema.")
    ] = False,
) -> None:
    """Print all settings with a line on each: a file to change, and to give to run or analyze."""
    import json

    from napari_autostructn2v.settings_file import as_toml

    if schema:
        typer.echo(json.dumps(Config.model_json_schema(), indent=2))
    else:
        typer.echo(as_toml(Config.from_preset(preset)), nl=False)


def info(file: Annotated[Path, typer.Argument(help="A stack or a model bundle.")]) -> None:
    """Say what a stack or a model bundle holds."""
    notices: tuple[str, ...] = ()
    if file.suffix.lower() == ".zip":
        from napari_autostructn2v.learning.model import load_model

        model = load_model(file)
        shape = " × ".join(map(str, model.kernel.shape))
        facts = {
            "model": file.name,
            "mode": model.mode.upper(),
            "kernel": f"{shape}, {int(model.kernel.sum())} pixels",
            "notch": "none" if model.notch is None else f"{int(model.notch.peaks.sum())} peak bins",
            "network": f"U-Net, {model.config.features} features, depth {model.config.depth}",
            **{key.replace("_", " "): value for key, value in model.provenance.items()},
        }
    else:
        from napari_autostructn2v.io import read_stack
        from napari_autostructn2v.stack import as_stack
        from napari_autostructn2v.survey import survey

        image = read_stack(file)
        size = image.voxel_size
        try:
            found = follow(survey(as_stack(image.array)), quiet=False, label="Looking through the stack")
            not_measured = str(found) or "nothing"
        except StackError as error:
            not_measured = f"cannot be told. {error}"
        facts = {
            "file": file.name,
            "format": image.format,
            "shape": " × ".join(map(str, image.array.shape)) + " (" + "ZYX"[-len(image.array.shape) :] + ")",
            "values": str(image.array.dtype),
            "voxel size": "unknown"
            if size is None
            else f"{size.z:g} × {size.y:g} × {size.x:g} {size.unit} (ZYX)",
            "not measured": not_measured,
        }
        notices = image.notices
    for key, value in facts.items():
        typer.echo(f"{key + ':':18s} {value}")
    say(*notices)
