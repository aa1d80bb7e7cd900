"""Denoise a stack without a window: find the kernel, look at the verdict, train, save.

    python examples/denoise_a_tomogram.py                       # on a generated tomogram
    python examples/denoise_a_tomogram.py tomogram.mrc clean.mrc

The model is saved beside the result, to denoise more data of the same microscope with it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_autostructn2v import Config, analyze, denoise
from napari_autostructn2v.io import ImageFile, VoxelSize, read_stack, write_stack
from napari_autostructn2v.synthetic import sample


def main() -> None:
    """Go the whole way with one stack."""
    options = parse()
    image = generated() if options.input is None else read_stack(options.input)
    print(f"{image.name}: {image.array.shape}, voxels of {image.voxel_size}")

    # What does its noise look like? Seconds, and nothing is trained yet.
    print("Before any training:", analyze(image.array, voxel_size=image.voxel_size).verdict.summary)

    # Both stages. With Stage 1's result the noise is measured better, so the kernel is found anew.
    config = Config.from_preset(options.preset)
    if options.steps is not None:
        short = config.stage1.model_copy(update={"steps": options.steps})
        config = config.model_copy(update={"stage1": short, "stage2": short})
    result = denoise(image.array, mode=options.mode, config=config)
    print("With Stage 1:", result.analysis.verdict.summary)

    write_stack(options.output, result.denoised, voxel_size=image.voxel_size, overwrite=True)
    model = result.model.save(options.output.with_suffix(".model.zip"), overwrite=True)
    print(f"Written: {options.output} and {model}")


def generated() -> ImageFile:
    """A tomogram with the noise of a limited tilt, voxels of 1 nm."""
    made = sample("reconstruction", shape=(8, 128, 128))
    size = VoxelSize(made.voxel_size, made.voxel_size, made.voxel_size)
    return ImageFile(made.noisy, size, "generated", Path(), "generated")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", nargs="?", type=Path, help="MRC, TIFF or OME-Zarr; none: a generated one")
    parser.add_argument("output", nargs="?", type=Path, default=Path("denoised.tif"))
    parser.add_argument("--mode", default="2d", choices=["2d", "2.5d"])
    parser.add_argument("--preset", default="fast", choices=["fast", "balanced", "high"])
    parser.add_argument("--steps", type=int, help="training steps of each stage, instead of the preset's")
    return parser.parse_args()


if __name__ == "__main__":
    main()
