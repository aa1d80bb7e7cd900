"""How much of what repeats in the sample a result keeps: the spots of its spectrum, before and after.

::

    python benchmarks/detail_kept.py                    # a generated filament whose wall repeats; minutes
    python benchmarks/detail_kept.py --stack STACK      # a stack of yours, .mrc or .tif
    python benchmarks/detail_kept.py --quick            # the smallest form: only shows that it works

A spot is a frequency whose power, averaged over the tiles of all slices, stands out of the ring around zero
frequency by at least one in the logarithm. What it has above the ring is the sample's; kept is how much of
that the result has above its own ring. Ripples that a result adds to the background are given beside.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_autostructn2v import denoise
from napari_autostructn2v.config import AnalysisConfig, Config, TrainingConfig
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import read_stack
from napari_autostructn2v.metrics import assess_quality
from napari_autostructn2v.noise.detail import recover
from napari_autostructn2v.noise.rings import frequency_radius, ring_median
from napari_autostructn2v.noise.spectrum import full_from_rfft2_centred, power, tile_spectra
from napari_autostructn2v.noise.tiles import tile_corners, tile_side
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import degraded, filament

LOWEST, HIGHEST = 0.12, 0.45
"""Cycles per pixel between which spots are looked for: coarser is what any network keeps."""

MIN_LOG_EXCESS, SPOTS = 1.0, 6

WHITE = 4.2
"""Standard deviation of the noise beside the filament, in those of its image: hardly to be seen."""


def spectrum(stack: np.ndarray) -> np.ndarray:
    """Power averaged over the tiles of all slices, (T, T), centred."""
    slices = as_stack(stack)
    side = tile_side(slices, AnalysisConfig())
    corners = tile_corners(slices, side)
    half = np.mean([power(tile_spectra(slices.plane(z), corners, side)).mean(axis=0)
                    for z in range(slices.shape[0])], axis=0)  # fmt: skip
    return full_from_rfft2_centred(half)


def spots(power_of_raw: np.ndarray) -> list[tuple[int, int]]:
    """The bins that stand out most, one of each mirrored pair."""
    excess = np.log(power_of_raw / ring_median(power_of_raw))
    side, radius = len(excess), frequency_radius(len(excess))
    shown = (radius >= LOWEST) & (radius <= HIGHEST) & (excess >= MIN_LOG_EXCESS)
    shown &= excess == ndimage.maximum_filter(excess, 3)
    shown[: side // 2] = False
    return sorted(map(tuple, np.argwhere(shown).tolist()), key=lambda bin_: -excess[bin_])[:SPOTS]


def kept(before: np.ndarray, after: np.ndarray, spot: tuple[int, int]) -> float:
    """The share of a spot that is left, from the spectra before and after."""
    return float((after - ring_median(after))[spot] / (before - ring_median(before))[spot])


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stack", type=Path, help="a stack whose sample repeats")
    parser.add_argument("--preset", choices=("fast", "balanced", "high"), default="fast")
    parser.add_argument("--mode", choices=("2d", "2.5d"), default="2d")
    parser.add_argument("--quick", action="store_true", help="only show that it works")
    options = parser.parse_args()
    config = Config.from_preset(options.preset)
    if options.quick:
        tiny = TrainingConfig(steps=4, batch_size=2, patch_size=32, features=8, validation_interval=2)
        config = Config(stage1=tiny, stage2=tiny)
    if options.stack is not None:
        raw = np.asarray(read_stack(options.stack).array)
    else:
        rng, shape = np.random.default_rng(0), (2, 96, 96) if options.quick else (24, 192, 192)
        raw = degraded(filament(shape, rng), "white", structured=0, white=WHITE, rng=rng).noisy
    ours = denoise(raw, mode=options.mode, config=config.model_copy(update={"recovery": 0.0}))
    detail = finish(recover(raw, ours.denoised, ours.model.notch))
    results = {
        "Stage 1": ours.stage1,
        "the last network": ours.denoised,
        "with detail": ours.denoised + detail,
    }
    before = spectrum(raw)
    side, found = len(before), spots(before)
    print(ours.analysis.verdict.brief)
    print(f"| period, px | log excess | {' | '.join(results)} |\n|---|---|" + "---|" * len(results))
    after = {name: spectrum(result) for name, result in results.items()}
    for spot in found:
        period = side / np.hypot(*(index - side // 2 for index in spot))
        shares = " | ".join(f"{kept(before, each, spot):.2f}" for each in after.values())
        print(f"| {period:.2f} | {np.log(before / ring_median(before))[spot]:.2f} | {shares} |")
    for name, result in results.items():
        quality = finish(assess_quality(raw, result, ours.analysis))
        print(f"{name}: {quality.about_pattern}")


if __name__ == "__main__":
    main()
