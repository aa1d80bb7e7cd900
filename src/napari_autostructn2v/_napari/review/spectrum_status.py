"""What the status bar says of a bin of the spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pint

if TYPE_CHECKING:
    from napari_autostructn2v._napari.canvas.placement import Placement


class FrequencyText:
    """Frequency, period and log power of a bin, in words.

    Parameters
    ----------
    spectrum
        Layer of log power (T, T).
    placement
        Says how large a pixel of the image is.
    """

    def __init__(self, spectrum: Any, placement: Placement) -> None:
        self._spectrum = spectrum
        self._edges = edges_in_nm(placement)

    def __call__(self, index: np.ndarray, shape: tuple[int, ...], *_: Any) -> str:
        """Of the bin at ``index`` of a spectrum of ``shape``. Another thread asks: it reads numbers only."""
        power = f"log power {self._spectrum.data[tuple(index)]:.2f}"
        cycles = (index - np.array(shape) // 2) / np.array(shape)  # per pixel
        if not cycles.any():
            return f"DC: the mean of the image  {power}"
        frequency = float(np.hypot(*cycles))
        text = f"{frequency:.3f} cycles/px  period {1 / frequency:.3g} px"
        if self._edges is not None:
            text += f" = {1 / np.hypot(*(cycles / self._edges)):.3g} nm"
        return f"{text}  {power}"


def edges_in_nm(placement: Placement) -> np.ndarray | None:
    """Height and width of a pixel in nanometres, or None if the image has no unit of length."""
    quantity = pint.application_registry.Quantity
    units = placement.units[-2:]
    edges = [quantity(abs(float(s)), str(u)) for s, u in zip(placement.scale[-2:], units, strict=True)]
    if not all(edge.is_compatible_with("nm") for edge in edges):
        return None
    return np.array([edge.to("nm").magnitude for edge in edges])
