"""The "Analysis settings" part of the review: thresholds that peaks and kernel follow as they are moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import FloatSlider, FloatSpinBox, Slider
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_autostructn2v._napari.widgets.panel_parts import explain_slider

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace


class AnalysisPanel(QWidget):
    """Sliders over the settings of the analysis; what is edited by hand stays on top."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._session = workspace.session
        self.sensitivity = FloatSlider(
            min=1, max=30, step=0.5,
            tooltip="How far a peak must stand out from its surroundings, in standard errors: "
            "lower finds more peaks, and more by chance. Your edits are kept",
        )  # fmt: skip
        self.min_excess = FloatSlider(
            min=0, max=2, step=0.05,
            tooltip="Smallest departure of log power from its ring that is a peak, however certain it is: "
            "higher leaves out faint patterns",
        )  # fmt: skip
        self.min_correlation = FloatSlider(
            min=0.01, max=0.5, step=0.01,
            tooltip="Smallest autocorrelation that makes a pixel of the kernel: lower makes the kernel "
            "larger, which hides more of the image from the network",
        )  # fmt: skip
        self.max_pixels = Slider(
            min=1, max=225, step=2,
            tooltip="Most pixels of a slice of the kernel; the most correlated ones are taken. Lower it if "
            "stage 2 loses detail",
        )  # fmt: skip
        self.resolution_limit = FloatSpinBox(
            min=0, max=1000, step=0.01,
            tooltip="Shortest period in nanometres that the microscope resolves: where the voxel size is "
            "known, the notch takes a finer wave for noise, unless it belongs to a lattice. 0.05 is safe for "
            "all, 0.5 to 1 suits SEM and FIB-SEM, 0 says that it is not known",
        )  # fmt: skip
        self.sliders: dict[str, Any] = {
            "sensitivity": self.sensitivity,
            "min_excess": self.min_excess,
            "min_correlation": self.min_correlation,
            "max_pixels": self.max_pixels,
            "resolution_limit_nm": self.resolution_limit,
        }
        form = QFormLayout(self)
        form.setContentsMargins(2, 4, 2, 4)
        titles = ("Peak certainty", "Peak height", "Correlation", "Kernel pixels", "Resolution limit (nm)")
        for title, (name, slider) in zip(titles, self.sliders.items(), strict=True):
            explain_slider(slider)
            slider.changed.connect(lambda value, name=name: self._session.choice.configure(**{name: value}))
            form.addRow(title, slider.native)

    def refresh(self) -> None:
        """Show the session."""
        session = self._session
        analysing = session.runner.job is not None and session.runner.job.kind == "analysis"
        free = session.review is not None and (session.runner.job is None or analysing)
        for name, slider in self.sliders.items():
            with slider.changed.blocked():
                slider.value = min(max(getattr(session.choice.settings, name), slider.min), slider.max)
            slider.enabled = free
