"""One window for the tests of a module that begin where Stage 1 has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hands import Hand, live, open_dock, threads_at_work, through_stage1
from napari.qt import QtViewer

from napari_autostructn2v._napari.canvas.layer_names import KERNEL, PEAKS
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget

DRAWN_WITH = ("mode", "brush_size", "selected_label", "opacity")


@contextmanager
def window_of_a_module(name: str) -> Iterator[Any]:
    """What ``make_napari_viewer`` gives a test, for longer."""
    from napari import Viewer
    from napari._app_model._app import NapariApplication, _napari_names
    from napari._qt._qapp_model.qactions import init_qactions
    from napari.plugins import _initialize_plugins
    from napari.settings import get_settings

    app = NapariApplication(name)
    app.injection_store.namespace = _napari_names
    with (
        patch.object(NapariApplication, "get_app_model", return_value=app),
        patch("napari._qt.threads.status_checker.StatusChecker.start"),
    ):
        get_settings().reset()
        _initialize_plugins.cache_clear()
        init_qactions.cache_clear()
        viewer: Any = Viewer(show=False)
        try:
            yield viewer
        finally:
            with patch.object(viewer.window._qt_window, "_save_current_window_settings"):
                viewer.close()
            NapariApplication.destroy(name)
            _initialize_plugins.cache_clear()
            init_qactions.cache_clear()


class ReviewWindow:
    """A window in which Stage 1 was trained once; each test finds it as that left it.

    Parameters
    ----------
    viewer
        A viewer that is empty.
    image, placed
        What is denoised, and the options of its layer.
    """

    def __init__(self, viewer: Any, image: np.ndarray, **placed: Any) -> None:
        self.viewer, self.hand = viewer, Hand(viewer)
        viewer.add_image(image, **placed)
        dock = open_dock(viewer, 2)
        through_stage1(self.hand, dock)
        self.workspace, self.session = dock.workspace, dock.session
        self.found = self.session.run, self.session.review, self.session.choice.settings
        self.layers = list(viewer.layers)
        self.active = viewer.layers.selection.active
        self.drawn_with = {
            key: {name: getattr(self.workspace.review.labels(key), name) for name in DRAWN_WITH}
            for key in (PEAKS, KERNEL)
        }
        self.camera = viewer.scene.camera.center, viewer.scene.camera.zoom
        self.hand.over_noise()
        QtViewer._instances.clear()  # windows that a test opens besides are counted alone
        self.point = viewer.dims.current_step
        self.hand.close_dock(dock)

    @contextmanager
    def dock(self) -> Iterator[StructuredDenoisingWidget]:
        """A new dock in review; what is done with it is forgotten."""
        self.put_back()
        dock = StructuredDenoisingWidget(self.viewer)
        name = "Structured denoising"
        self.viewer.window.add_dock_widget(dock, name=name)
        yield dock
        self.hand.wait(lambda: not (threads_at_work() or self.workspace.noise.flight.flying))
        for each in self.viewer.window._qt_window.findChildren(StructuredDenoisingWidget):
            self.hand.close_dock(each)

    def put_back(self) -> None:
        """Let all be as Stage 1 has left it."""
        viewer, session, workspace = self.viewer, self.session, self.workspace
        run, review, settings = self.found
        session.choice.configure(**vars(settings))
        session.messages.clear()
        workspace.review.mirrored = True
        workspace.spectrum.choose("background")
        # a test may have had the image put back as another layer
        kept = [*self.layers, workspace.source_layer]
        for layer in list(viewer.layers):
            if layer not in kept:
                viewer.layers.remove(layer)
        self.hand.wait(lambda: not threads_at_work())
        session.run = run
        session._take_in_stage1(run.stage1, review)
        for key, options in self.drawn_with.items():
            layer = workspace.review.labels(key)
            for name, value in options.items():
                setattr(layer, name, value)
            layer._reset_history()
        workspace.picked.pick(None)
        workspace.views.show("side")
        viewer.scene.camera.center, viewer.scene.camera.zoom = self.camera
        viewer.dims.current_step = self.point
        if self.active in viewer.layers:
            viewer.layers.selection.active = self.active
        live()


@pytest.fixture(scope="module")
def window_in_review(request: pytest.FixtureRequest, qapp: Any) -> Iterator[ReviewWindow]:
    """The window of the module, with the ``reviewed`` image of it."""
    with window_of_a_module(request.module.__name__) as viewer:
        made = ReviewWindow(viewer, **request.getfixturevalue("reviewed"))
        yield made
        made.hand.wait(lambda: not threads_at_work())
