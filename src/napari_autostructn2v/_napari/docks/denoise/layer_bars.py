"""What is to be decided about a layer before it is denoised: which of its stacks, which voxel size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_autostructn2v._napari.canvas.slices import stack_at, stacks_in
from napari_autostructn2v._napari.widgets.bindings import Bindings
from napari_autostructn2v._napari.widgets.panel_parts import button, message_label, show_message
from napari_autostructn2v._napari.widgets.plugin_dock import show_dock

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace
    from napari_autostructn2v.io import VoxelSize

TAKE_TIP = "Give the layer this voxel size. napari has opened the file without it"


class SeveralStacksBar(QWidget):
    """Which stack of a layer that holds several, as times or channels."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.take = button(
            "", "Show this one as a layer of its own, to denoise it", workspace.take_stack_shown
        )
        self.queue = button(
            "Queue all",
            "Put all of them on the queue of the dock Apply, to denoise them with one trained model",
            self._queue,
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.take, 1)
        row.addWidget(self.queue, 1)
        Bindings(self).connect(workspace.viewer.dims.events.current_step, self.refresh)

    def refresh(self, event: Any = None) -> None:
        """Show the layer chosen."""
        layer = self._workspace.chosen
        several = layer is not None and bool(stacks_in(layer))
        self.setVisible(several)
        if layer is not None and several:
            self.take.setText(f"Take number {', '.join(map(str, stack_at(self._workspace.viewer, layer)))}")

    def _queue(self) -> None:
        self._workspace.batch_layers.add([self._workspace.chosen])
        show_dock(self._workspace.viewer, "Apply trained model")


class VoxelSizeBar(QWidget):
    """The voxel size that a file says and its layer does not have."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace, self._file = workspace, workspace.file_voxel_size
        self.text = message_label()
        self.change = button("", TAKE_TIP, self._change)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.text, 1)
        row.addWidget(self.change, 0, Qt.AlignmentFlag.AlignTop)
        Bindings(self).connect(self._file.changed, self.refresh)

    def refresh(self) -> None:
        """Show what is offered."""
        size = None if self._file.offer is None else self._file.offer.voxel_size
        # once there are results, the image lies as they do
        ready = self._workspace.source_layer is not self._workspace.chosen
        self.setVisible(size is not None and ready)
        if size is None:
            return
        taken = self._file.taken
        words = f"{_in_words(size)}, as the file says." if taken else f"The file says {_in_words(size)}."
        show_message(self.text, words, "text", self._workspace.viewer.theme)
        self.change.setText("Undo" if taken else "Take over")
        self.change.setToolTip("Give the layer back what it had before" if taken else TAKE_TIP)

    def _change(self) -> None:
        if self._file.taken:
            self._file.undo()
        else:
            self._file.take()


def _in_words(size: VoxelSize) -> str:
    edges = " × ".join(f"{edge:.4g}" for edge in (size.z, size.y, size.x))
    return f"a voxel of {edges} {'µm' if size.unit == 'um' else size.unit}"
