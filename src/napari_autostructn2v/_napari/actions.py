"""What can be done by a key or from the command palette, with any dock open or none.

The manifest puts the commands into the palette. Their shortcuts are napari's own, listed and changed in its
Preferences ▸ Shortcuts.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from app_model.types import KeyBinding, KeyCode, KeyMod
from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.notifications import show_info
from napari.viewer import Viewer

from napari_autostructn2v._napari import PLUGIN
from napari_autostructn2v._napari.canvas.layer_names import KERNEL, LAGS, PEAKS, SPECTRUM
from napari_autostructn2v._napari.canvas.views import View
from napari_autostructn2v._napari.napari_private import unwrapped
from napari_autostructn2v._napari.widgets.plugin_dock import show_dock
from napari_autostructn2v._napari.workspace import Workspace, workspace_of

NO_RESULT = "There is nothing to compare the image with yet. Run stage 1 first."
NO_REVIEW = "There is nothing to review yet. Run stage 1 first, and wait until it is done."


def run_stage1(viewer: Viewer) -> None:
    """Train on single hidden pixels and denoise; opens the dock if no data are chosen yet."""
    workspace = workspace_of(viewer)
    session = workspace.session
    if session.choice.source is None:
        show_dock(unwrapped(viewer), "Structured denoising")
    if session.ready:
        workspace.start_stage1()
    else:
        problem = session.choice.problem or session.choice.problem_together
        show_info(problem or "Stage 1 cannot start: a job runs, or there is no image layer.")


def approve(viewer: Viewer) -> None:
    """Train again with the reviewed kernel."""
    workspace = workspace_of(viewer)
    _decide(workspace, workspace.approve)


def skip(viewer: Viewer) -> None:
    """Take the result of stage 1."""
    workspace = workspace_of(viewer)
    _decide(workspace, workspace.session.skip)


def cancel(viewer: Viewer) -> None:
    """Drop the running job; the queue of stacks if there is none."""
    workspace = workspace_of(viewer)
    if workspace.session.runner.job is not None:
        workspace.session.cancel()
    else:
        workspace.batch.cancel_all()


def edit_peaks(viewer: Viewer) -> None:
    """Show the spectrum, with a brush in hand."""
    workspace = workspace_of(viewer)
    _if(workspace.session.review is not None, lambda: workspace.paint_in(PEAKS, SPECTRUM))


def edit_kernel(viewer: Viewer) -> None:
    """Show the kernel, with a brush in hand."""
    workspace = workspace_of(viewer)
    _if(workspace.session.review is not None, lambda: workspace.paint_in(KERNEL, LAGS))


def toggle_pattern(viewer: Viewer) -> None:
    """Show or hide what the notch takes away."""
    workspace = workspace_of(viewer)
    review = workspace.session.review
    if review is not None and not review.analysis.notch and workspace.pattern is None:
        show_info("No pattern was found, so none is taken away.")
        return
    _if(review is not None, workspace.toggle_pattern)


def view_original(viewer: Viewer) -> None:
    """Look at the image alone."""
    _show(viewer, "original")


def view_stage1(viewer: Viewer) -> None:
    """Look at the result of stage 1 alone."""
    _show(viewer, "stage1")


def view_denoised(viewer: Viewer) -> None:
    """Look at the denoised image alone."""
    _show(viewer, "denoised")


def view_side_by_side(viewer: Viewer) -> None:
    """Look at the image and its results, each in a pane."""
    _show(viewer, "side")


def view_noise(viewer: Viewer) -> None:
    """Show or hide the spectrum and the kernel below the image."""
    workspace = workspace_of(viewer)
    _if(workspace.session.review is not None or workspace.noise.shown, workspace.toggle_noise)


def blink(viewer: Viewer) -> Generator[None, None, None]:
    """Show original and result in turn while the key is held."""
    views = workspace_of(viewer).views
    views.blink(True)
    yield
    views.blink(False)


def _show(viewer: Viewer, view: View) -> None:
    views = workspace_of(viewer).views
    if views.available(view):
        views.show(view)
    else:
        show_info(NO_RESULT)


def _decide(workspace: Workspace, action: Callable[[], object]) -> None:
    """End the review, if it is of the image that is chosen."""
    run = workspace.session.run
    if run is not None and workspace.of_another:
        show_info(f"The review is of {run.source.name}. Choose that image under Data first.")
    else:
        _if(workspace.decidable, action)


def _if(possible: bool, act: Callable[[], object]) -> None:
    if possible:
        act()
    else:
        show_info(NO_REVIEW)


SHORTCUTS: dict[str, tuple[Callable[[Viewer], Any], str, KeyCode]] = {
    "run_stage1": (run_stage1, "Denoising: run stage 1", KeyCode.KeyR),
    "approve": (approve, "Denoising: approve and run stage 2", KeyCode.KeyA),
    "skip": (skip, "Denoising: keep stage 1", KeyCode.KeyN),
    "cancel": (cancel, "Denoising: cancel", KeyCode.KeyX),
    "edit_peaks": (edit_peaks, "Denoising: edit peaks", KeyCode.KeyE),
    "edit_kernel": (edit_kernel, "Denoising: edit kernel", KeyCode.KeyK),
    "toggle_pattern": (toggle_pattern, "Denoising: show or hide pattern", KeyCode.KeyG),
    "view_original": (view_original, "Denoising: look at the original", KeyCode.Digit1),
    "view_stage1": (view_stage1, "Denoising: look at stage 1", KeyCode.Digit2),
    "view_denoised": (view_denoised, "Denoising: look at the denoised image", KeyCode.Digit3),
    "view_side_by_side": (view_side_by_side, "Denoising: look side by side", KeyCode.Digit4),
    "view_noise": (view_noise, "Denoising: show or hide the noise", KeyCode.Digit5),
    "blink": (blink, "Denoising: blink original and result while held", KeyCode.KeyB),
}
"""Command, description and the letter that means it together with Ctrl+Alt (Cmd+Option on a Mac)."""


def register() -> None:
    """Give the commands their shortcuts: those of the person's settings, else the default ones."""
    chosen = get_settings().shortcuts.shortcuts
    for key, (command, description, letter) in SHORTCUTS.items():
        name = f"{PLUGIN}:{key}"
        default = KeyBinding.from_int(KeyMod.CtrlCmd | KeyMod.Alt | letter)
        action_manager.register_action(name, command, description, ViewerModel)
        action_manager.unbind_shortcut(name)
        for shortcut in chosen.get(name, [default]):
            action_manager.bind_shortcut(name, shortcut)
