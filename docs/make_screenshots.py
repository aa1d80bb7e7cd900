"""Lead the real window from a sample to a result by clicks and strokes, and make the pictures of the guide.

``make tour`` runs it on a virtual screen, once for each theme and size of the window.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

# pictures show napari as installed, whatever the person who makes them has set; their own runs stay theirs
os.environ["XDG_DATA_HOME"] = os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp()
os.environ["NAPARI_CONFIG"] = str(Path(os.environ["XDG_DATA_HOME"]) / "settings.yaml")

import numpy as np
from photographs import HERE, PLUGIN, SIZES, Window

from napari_autostructn2v._napari.canvas.layer_names import KERNEL, PEAKS
from napari_autostructn2v._napari.session.state import Phase


def main() -> None:
    """Take the tours that are asked for."""
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.tours:
        window = Window(options.theme, options.size, options.out)
        TOURS[name](window, options.steps)
        window.close()


def from_data_to_result(window: Window, steps: int) -> None:
    """Both stages in 2D, every section of the dock, then the two other docks."""
    window.sample("reconstruction_noise")
    dock = window.dock("Structured denoising")
    session = dock.session
    set_up(window, dock, steps)
    window.photograph("data")
    advanced = dock.data.training.parentWidget()
    window.hand.click(advanced.button)
    window.reveal(advanced)
    window.photograph("advanced")
    window.hand.click(advanced.button)

    train(window, dock, dock.stage1.run, "stage1")
    window.wait(session, lambda: session.phase is Phase.REVIEW)
    window.photograph("review")
    window.hand.click(dock.strip.noise)
    window.hand.over_noise()
    window.photograph("noise")
    edit_peaks(window, dock)
    edit_kernel(window, dock)

    window.hand.click(dock.review.reset_kernel)  # these edits were for the pictures
    window.hand.click(dock.strip.noise)
    window.reveal(dock.sections[Phase.REVIEW])
    train(window, dock, dock.review.approve, "stage2")
    window.wait(session, lambda: session.phase is Phase.RESULT)
    window.wait(session, lambda: dock.workspace.appraisal.found is not None)
    window.reveal(dock.sections[Phase.RESULT])
    window.photograph("result")
    compare(window, dock)
    apply(window)


def set_up(window: Window, dock: Any, steps: int, mode: str = "2d") -> None:
    """Choose a short training."""
    dock.data.mode.value, dock.data.preset.value, dock.data.steps.value = mode, "fast", steps
    window.hand.wait(lambda: dock.session.monitor.device)


def train(window: Window, dock: Any, button: Any, name: str) -> None:
    """Start a stage and photograph it past its middle, when a best network and a preview are there."""
    session = dock.session
    window.hand.click(button)
    window.wait(session, lambda: dock.workspace.images.preview is not None)
    window.wait(session, lambda: session.monitor.progress.done >= 0.7 * session.monitor.progress.total)
    window.photograph(name)


def edit_peaks(window: Window, dock: Any) -> None:
    """The table with a peak picked; then one painted and one erased."""
    hand, section = window.hand, dock.parts["Peaks"]
    hand.click(dock.review.to_spectrum)
    hand.click(section.button)
    dock.peaks.table.selectRow(0)
    window.reveal(section)
    window.photograph("peaks")
    peaks = dock.workspace.review.labels(PEAKS)
    side = peaks.data.shape[0]
    peaks.mode = "paint"
    hand.stroke(peaks, (0.1 * side, 0.03 * side), (0.1 * side, 0.12 * side))
    peaks.mode = "erase"
    hand.stroke(peaks, (0.6 * side, 0.03 * side), (0.6 * side, 0.12 * side))
    window.photograph("peaks-edited")
    hand.undo()
    hand.undo()
    hand.click(section.button)


def edit_kernel(window: Window, dock: Any) -> None:
    """The tools with a shape drawn; then single pixels, with the quick look beside the kernel."""
    hand, section = window.hand, dock.parts["Kernel tools"]
    window.reveal(dock.review)
    hand.click(dock.review.to_kernel)
    hand.click(section.button)
    dock.kernel.angle.setValue(45)
    hand.click(dock.kernel.draw)
    window.reveal(section)
    window.photograph("kernel-tools")
    hand.undo()
    hand.click(section.button)

    look = dock.workspace.quick_look.look
    window.reveal(dock.sections[Phase.REVIEW])
    hand.click(dock.review.quick_look)
    kernel = dock.workspace.review.labels(KERNEL)
    middle = np.array(kernel.data.shape) // 2
    hand.rest(1.2)  # a flight moves what is painted on
    kernel.mode = "paint"
    hand.stroke(kernel, (middle[0] + 1, middle[1]), (middle[0] + 2, middle[1]))
    hand.wait(lambda: look.picture is not None and look.runner.job is None, 300)
    window.photograph("kernel-quick-look")
    hand.click(dock.review.quick_look)


def compare(window: Window, dock: Any) -> None:
    """Original and result under a divider; then what was removed, measured."""
    window.hand.click(dock.result.compare)
    window.hand.rest(0.5)
    widget = window.dock("Compare")
    window.hand.click(widget.ways.ways["swipe"])
    window.photograph("compare-swipe")
    window.hand.click(widget.ways.ways["row"])
    window.hand.click(widget.difference.show_layer)
    window.hand.click(widget.difference.measure)
    window.hand.wait(lambda: widget.difference.at_work.runner.job is None, 300)
    window.reveal(widget.sections[2])
    window.photograph("compare-removed")
    window.hand.click(widget.ways.ways[None])
    window.hand.click(widget.difference.show_layer)


def apply(window: Window) -> None:
    """The model of this session on two more stacks."""
    widget = window.dock("Apply trained model", tabify=True)
    widget.model.value = True
    layers = [window.sample("reconstruction_noise"), window.sample("scan_lines")]
    window.viewer.layers.selection = set(layers)
    window.hand.click(widget.add_layers)
    window.hand.click(widget.run)
    window.hand.wait(lambda: not widget._batch.going, 300)
    window.photograph("apply")


def hum(window: Window, steps: int) -> None:
    """A pattern across the field, and what the notch takes away."""
    window.sample("hum")
    dock = window.dock("Structured denoising")
    set_up(window, dock, max(steps // 3, 2))
    window.hand.click(dock.stage1.run)
    window.wait(dock.session, lambda: dock.session.phase is Phase.REVIEW)
    window.hand.click(dock.review.pattern)
    window.photograph("hum-pattern")


def three_slices(window: Window, steps: int) -> None:
    """The review in 2.5D: a kernel of three slices."""
    window.sample("reconstruction_noise")
    dock = window.dock("Structured denoising")
    set_up(window, dock, max(steps // 3, 2), mode="2.5d")
    window.hand.click(dock.stage1.run)
    window.wait(dock.session, lambda: dock.session.phase is Phase.REVIEW)
    window.hand.click(dock.review.to_kernel)
    window.photograph("kernel-2.5d")


def left_out(window: Window, steps: int) -> None:
    """A stack with a black frame and hot pixels, part of which is left out by hand as well."""
    layer = window.sample("reconstruction_noise")
    framed, rng = layer.data.copy(), np.random.default_rng(0)
    depth, height, width = framed.shape
    framed[:, :, : width // 10] = framed[:, -height // 16 :] = framed.min()
    hot = tuple(rng.integers(0, size, 20 * depth) for size in framed.shape)
    framed[hot] = 10 * framed.max()
    layer.data = framed
    corners = np.array([(0.1, 0.55), (0.1, 0.9), (0.4, 0.9), (0.4, 0.55)]) * (height, width)
    outline = window.viewer.add_shapes(
        [corners], shape_type="ellipse", name="torn resin", scale=layer.scale[-2:], units=layer.units[-2:]
    )
    dock = window.dock("Structured denoising")
    set_up(window, dock, max(steps // 3, 2))
    dock.data.left_out.choose(outline)
    window.hand.click(dock.stage1.run)
    window.wait(dock.session, lambda: dock.session.phase is Phase.REVIEW)
    window.hand.click(dock.left_out.show_pixels)
    outline.visible = False
    window.photograph("left-out")


def judge(window: Window, steps: int) -> None:
    """A real recording, denoised and judged by the second scan of the same scene."""
    first, second = window.viewer.open_sample(PLUGIN, "two_scans")
    dock = window.dock("Structured denoising")
    dock.data.layer.choose(first)
    set_up(window, dock, steps)
    dock.data.unattended.value = True
    window.hand.click(dock.stage1.run)
    window.wait(dock.session, lambda: dock.session.phase is Phase.RESULT)
    widget = window.dock("Compare", tabify=True)
    for section in widget.sections:
        section.button.setChecked(section is widget.sections[3])
    widget.judge.recording.choose(second)
    window.hand.click(widget.judge.judge)
    window.hand.wait(lambda: widget.judge.at_work.runner.job is None, 300)
    window.hand.click(widget.sections[0].button)
    window.hand.click(widget.ways.ways["row"])
    window.hand.click(widget.sections[0].button)
    window.photograph("judge")


TOURS = {
    "main": from_data_to_result,
    "hum": hum,
    "2.5d": three_slices,
    "left-out": left_out,
    "judge": judge,
}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "tours", nargs="*", default=list(TOURS), help=f"some of {', '.join(TOURS)}; all if none"
    )
    parser.add_argument("--theme", default="dark", choices=["dark", "light"])
    parser.add_argument("--size", default="1280", choices=list(SIZES), help="width of the window")
    parser.add_argument("--out", type=Path, default=HERE / "images" / "guide")
    parser.add_argument("--steps", type=int, default=150, help="training steps of each stage")
    return parser.parse_args()


if __name__ == "__main__":
    main()
