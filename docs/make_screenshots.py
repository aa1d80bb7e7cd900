"""Drive the real window through both stages by clicks and strokes, and photograph each step.

Run it where there is a display (``xvfb-run -s "-screen 0 1400x900x24" python docs/make_screenshots.py``). It
takes the built-in sample, or a stack file; pictures go to ``docs/images``.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QBuffer

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "gui"))

from hands import Hand  # noqa: E402 - the same hands that test the window

from napari_autostructn2v import synthetic  # noqa: E402
from napari_autostructn2v._napari.files import image_layer  # noqa: E402
from napari_autostructn2v._napari.main_widget import StructuredDenoisingWidget  # noqa: E402
from napari_autostructn2v._napari.review_layers import KERNEL, PEAKS  # noqa: E402
from napari_autostructn2v._napari.session import Phase  # noqa: E402
from napari_autostructn2v.io import read_stack  # noqa: E402

STAGE_SECONDS = 3600.0


def main() -> None:
    """Walk the whole way."""
    options = parse()
    viewer = napari.Viewer()
    viewer.theme = options.theme
    viewer.window._qt_window.resize(1280, 800)
    hand = Hand(viewer)
    add_image(viewer, options)
    dock = StructuredDenoisingWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Structured denoising")
    session = dock.session
    options.out.mkdir(parents=True, exist_ok=True)

    def photograph(name: str) -> None:
        hand.rest(1.0)
        save(viewer, options.out / f"{name}.png")

    def wait_for(phase: Phase) -> None:
        hand.wait(lambda: session.phase is phase or session.error, STAGE_SECONDS)
        if session.error:
            sys.exit(session.error)

    def wait_for_half_a_training() -> None:
        hand.wait(lambda: dock.workspace.images.preview is not None or session.error, STAGE_SECONDS)
        if session.error:
            sys.exit(session.error)
        hand.wait(lambda: session.progress.done >= 0.6 * session.progress.total, STAGE_SECONDS)

    dock.data.mode.value = options.mode
    dock.data.preset.value = options.preset
    if options.steps:
        dock.data.steps.value = options.steps
    hand.wait(lambda: session.device)
    photograph("1-data")

    hand.click(dock.stage1.run)
    wait_for_half_a_training()
    photograph("2-stage1")
    wait_for(Phase.REVIEW)
    photograph("3-review")
    if session.review.analysis.notch:
        hand.click(dock.review.pattern)
        hand.rest(1.0)
        photograph("notch")
        hand.click(dock.review.pattern)

    hand.click(dock.review.to_spectrum)
    hand.rest(1.0)
    peaks = dock.workspace.review.labels(PEAKS)
    side = peaks.data.shape[0]
    hand.stroke(peaks, (0.2 * side, 0.15 * side), (0.2 * side, 0.25 * side))
    hand.undo()
    hand.click(dock.review.to_kernel)
    hand.rest(1.0)
    edit_kernel(hand, dock.workspace.review.labels(KERNEL), session.review.kernel_grid.shape)
    photograph("4-edited")

    hand.click(dock.review.reset_kernel)  # these edits were for the picture: the kernel as found is better
    hand.click(dock.review.to_image)
    hand.click(dock.review.approve)
    wait_for_half_a_training()
    photograph("5-stage2")
    wait_for(Phase.RESULT)
    photograph("6-result")
    print(f"{dock.review.verdict.text()}\n{dock.review.numbers.text()}\nPictures are in {options.out}")
    viewer.close()


def edit_kernel(hand: Hand, kernel: Any, grid: tuple[int, ...]) -> None:
    """Take the pixel farthest from the centre away and set two neighbours instead, as a person might."""
    middle = np.array(kernel.data.shape) // 2
    pixels = np.argwhere(kernel.data)
    farthest = pixels[np.abs(pixels - middle).sum(axis=1).argmax()]
    if (farthest != middle).any():
        kernel.mode = "erase"
        hand.stroke(kernel, tuple(farthest))
    kernel.mode = "paint"
    hand.stroke(kernel, (middle[0] + 1, middle[1]), (middle[0] + 2, middle[1]))


def add_image(viewer: Any, options: argparse.Namespace) -> None:
    """Open the stack, or the sample."""
    if options.stack is not None:
        data, meta, _ = image_layer(read_stack(options.stack))
    else:
        made = synthetic.sample(options.sample)
        data, meta = made.noisy, {"name": "tomogram", "scale": (made.voxel_size,) * 3, "units": ("nm",) * 3}
    viewer.add_image(data, **meta)


def save(viewer: Any, path: Path) -> None:
    """Photograph the window with 256 colours: small files for a repository."""
    buffer = QBuffer()
    buffer.open(QBuffer.OpenModeFlag.WriteOnly)
    viewer.window._qt_window.grab().save(buffer, "PNG")
    picture = Image.open(io.BytesIO(bytes(buffer.data().data()))).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack", nargs="?", type=Path, help="a stack file instead of the sample")
    parser.add_argument("--sample", default="reconstruction", choices=["reconstruction", "scan_lines", "hum"])
    parser.add_argument("--out", type=Path, default=HERE / "images")
    parser.add_argument("--mode", default="2d", choices=["2d", "2.5d"])
    parser.add_argument("--preset", default="fast", choices=["fast", "balanced", "high"])
    parser.add_argument("--steps", type=int, default=0, help="training steps of each stage; 0: as the preset")
    parser.add_argument("--theme", default="dark", choices=["dark", "light"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
