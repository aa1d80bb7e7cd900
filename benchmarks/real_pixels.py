"""Error elsewhere when a part of a stack was never measured: kind by kind, with and without.

::

    python benchmarks/real_pixels.py            # the table of docs/method.md; a quarter of an hour
    python benchmarks/real_pixels.py --quick    # the smallest form: only shows that it works

A tomogram with noise that is dragged over five pixels along X gets a frame, blank slices, hot pixels and so
on, and goes through ``denoise(..., preset="fast")``. The error is the mean squared distance from the truth in
all other pixels, that of the noise being 1; beside it that of the same stack untouched, in the same pixels.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from napari_autostructn2v import denoise
from napari_autostructn2v.config import Config
from napari_autostructn2v.runs.result import Result
from napari_autostructn2v.synthetic import tomogram

SHAPE = (12, 128, 128)

DETECTORS = {"uint8": (120, 15), "uint16": (30_000, 1000), "float32": (0, 1)}
"""Level and standard deviation of the noise, by the type of a recording."""


@dataclass(frozen=True)
class Kind:
    """A way in which a stack may not have been measured everywhere.

    Attributes
    ----------
    dtype
        Of the stack.
    spoil
        Takes values in units of the noise, and returns them as they are recorded, and where they are wrong.
        What is only added elsewhere, as flicker, is taken off the result again.
    """

    dtype: str
    spoil: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def _where(mask: np.ndarray, value: float) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    def spoil(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        everywhere = np.broadcast_to(mask, values.shape)
        return np.where(everywhere, value, values), everywhere

    return spoil


def _turned(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A field of which corners are missing, with a rim that interpolation has mixed."""
    height, width = values.shape[1:]
    inside = ndimage.rotate(np.ones((height, width)), 10, reshape=False, order=1)
    return values * inside - 20 * (1 - inside), np.broadcast_to(inside < 1, values.shape)


def _frame(shape: tuple[int, int, int], width: int) -> np.ndarray:
    mask = np.ones(shape[1:], dtype=bool)
    mask[width:-width, width:-width] = False
    return mask


def _footer(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height = values.shape[1]
    mask = np.zeros(values.shape, dtype=bool)
    mask[:, -height // 6 :] = True
    values = np.where(mask, -10.0, values)
    text = np.random.default_rng(3).random((6, values.shape[2] // 2)) < 0.5
    values[:, -8:-2, 4 : 4 + text.shape[1]][:, text] = 10
    return values, mask


def _lines(shape: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(shape[1:], dtype=bool)
    mask[shape[1] // 3] = mask[:, shape[2] // 2 : shape[2] // 2 + 2] = True
    return mask


def kinds(shape: tuple[int, int, int]) -> dict[str, Kind]:
    """All of them.

    Parameters
    ----------
    shape
        Of the stack.
    """
    depth, height, width = shape
    y, x = np.indices((height, width))
    rng = np.random.default_rng(5)
    outside = np.hypot(y - height / 2, x - width / 2) > 0.49 * height
    last = np.zeros(shape, dtype=bool)
    last[depth - depth // 3 :] = True
    hot = rng.random(shape) < 1e-4
    in_all = rng.random((height, width)) < 1e-3
    flicker = rng.normal(0, 3, depth)[:, None, None]
    slope = np.linspace(0, 20, depth)[:, None, None]

    def changing(added: np.ndarray) -> Kind:
        return Kind("float32", lambda values: (values + added, np.zeros(shape, dtype=bool)))

    return {
        "nothing": Kind("float32", lambda values: (values, np.zeros(shape, dtype=bool))),
        "black frame, 8-bit": Kind("uint8", _where(_frame(shape, 12), -100)),
        "black frame, 16-bit": Kind("uint16", _where(_frame(shape, 12), -100)),
        "white frame, 8-bit": Kind("uint8", _where(_frame(shape, 12), 100)),
        "frame of the mean": Kind("float32", _where(_frame(shape, 12), 0.5)),
        "turned field": Kind("float32", _turned),
        "outside of a cylinder": Kind("float32", _where(outside, 0)),
        "border of no numbers": Kind("float32", _where(np.arange(width) < 8, np.nan)),
        "a third of the slices blank": Kind("float32", _where(last, 0)),
        "dead row and columns": Kind("uint16", _where(_lines(shape), -30)),
        "hot pixels, full scale": Kind("uint16", _where(hot, 1000)),
        "X-ray hits of 30 sd": Kind("uint16", _where(hot, 30)),
        "hot pixels in all slices": Kind("uint16", _where(in_all, 1000)),
        "footer": Kind("uint8", _footer),
        "flicker of 3 sd": changing(flicker),
        "slope of 20 sd along Z": changing(slope),
    }


def recorded(values: np.ndarray, dtype: str) -> np.ndarray:
    """Values in units of the noise, as a detector has them.

    Parameters
    ----------
    values
        (Z, Y, X).
    dtype
        Of the detector.
    """
    level, noise = DETECTORS[dtype]
    scaled = level + noise * values
    if dtype == "float32":
        return scaled.astype(np.float32)
    return np.clip(scaled.round(), 0, np.iinfo(dtype).max).astype(dtype)


def in_units(values: np.ndarray, dtype: str) -> np.ndarray:
    """What was made of a recording, in units of the noise.

    Parameters
    ----------
    values
        (Z, Y, X).
    dtype
        Of the detector.
    """
    level, noise = DETECTORS[dtype]
    return np.asarray((values - level) / noise, dtype=np.float64)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the smallest form: only shows that it works")
    parser.add_argument("kinds", nargs="*", help="only these")
    options = parser.parse_args()
    shape = (6, 64, 64) if options.quick else SHAPE
    config = Config.from_preset("fast")
    if options.quick:
        tiny = config.stage1.model_copy(update={"steps": 4, "features": 8, "patch_size": 32, "batch_size": 2})
        config = config.model_copy(update={"stage1": tiny, "stage2": tiny})
    clean = tomogram(shape, np.random.default_rng(0)).astype(np.float64)
    clean = (clean - clean.mean()) / clean.std()
    white = np.random.default_rng(1).normal(size=shape)
    noisy = clean + np.sqrt(5) * ndimage.uniform_filter1d(white, 5, axis=2, mode="wrap")
    untouched: dict[str, Result] = {}

    def result(values: np.ndarray, dtype: str) -> Result:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that parts are left out is what is measured here
            return denoise(recorded(values, dtype), config=config, device="cpu")

    print("| kind | error | untouched | ratio | kernel the same |\n|---|---|---|---|---|")
    every = kinds(shape)
    for name in options.kinds or list(every)[: 2 if options.quick else None]:
        kind = every[name]
        spoiled, wrong = kind.spoil(noisy)
        if kind.dtype not in untouched:
            untouched[kind.dtype] = result(noisy, kind.dtype)
        found, good = result(spoiled, kind.dtype), untouched[kind.dtype]
        added = np.where(wrong, 0, spoiled - noisy)
        error, without = (
            _error(in_units(each.denoised, kind.dtype) - shift, clean, ~wrong)
            for each, shift in ((found, added), (good, 0))
        )
        same = np.array_equal(found.analysis.kernel, good.analysis.kernel)
        print(
            f"| {name} | {error:.3f} | {without:.3f} | {error / without:.2f} | {_words(same, found)} |",
            flush=True,
        )


def _error(values: np.ndarray, clean: np.ndarray, where: np.ndarray) -> float:
    return float(np.square(values - clean)[where].mean())


def _words(same: bool, found: Any) -> str:
    return "yes" if same else f"no, {' × '.join(map(str, found.analysis.kernel.shape))}"


if __name__ == "__main__":
    main()
