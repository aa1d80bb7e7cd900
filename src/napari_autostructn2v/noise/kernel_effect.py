"""What a kernel hides of the correlation of the noise and what it leaves, in words for one set by hand."""

from __future__ import annotations

import numpy as np

from napari_autostructn2v.kernel import centre, embed_kernel, mirrored
from napari_autostructn2v.noise.findings import Findings

MIN_ENERGY = 0.02
"""Autocorrelation that is too small to matter to the network."""

HELPFUL = 0.5
"""Share of the correlation measured in the noise that a kernel set by hand has to hide in order to help."""

NO_SCATTER = 1e-6
"""Scatter of the autocorrelation below which it is nothing but rounding."""


def about_kernel_by_hand(found: Findings) -> list[str]:
    """Sentences on a kernel of several pixels: what it hides, what it leaves, whether that will help."""
    share = covered(found)
    sentences = [
        f"The kernel set by hand, {int(found.kernel.sum())} pixels, hides {share:.0%} of the correlation "
        "measured in the noise.",
        *_left_visible(found),
    ]
    if opposite := int((mirrored(found.kernel) & ~found.kernel).sum()):
        sentences.append(
            "It is one-sided: one mirrored neighbour, which shares the same noise, stays visible and lets "
            "it pass."
            if opposite == 1
            else f"It is one-sided: {opposite} mirrored neighbours, which share the same noise, stay visible "
            "and let it pass."
        )
    if not structured(found):
        sentences.append(
            "No correlation is certain enough to need a kernel: it only costs detail"
            + ("." if found.notch else ", and Stage 2 is not expected to help.")
        )
    elif share >= HELPFUL:
        sentences.append("Stage 2 is expected to help.")
    else:
        end = ", but for what the notch takes away." if found.notch else ": Stage 2 is not expected to help."
        sentences.append(f"Most of the noise's structure would stay{end}")
    return sentences


def about_point_by_hand(found: Findings) -> list[str]:
    """Sentences on a kernel of which nothing but the centre was left, where the noise is correlated."""
    end = ", but for what the notch takes away." if found.notch else ", as Stage 1 did."
    return [
        "The kernel set by hand is a single pixel and hides none of the correlation measured in the noise: "
        f"Stage 2 would leave that structure{end}",
        *_left_visible(found),
    ]


def structured(found: Findings) -> bool:
    """Whether any neighbours certainly share noise."""
    return bool(_certain(found).any())


def _left_visible(found: Findings) -> list[str]:
    """The strongest neighbour that a kernel does not hide, in words, if there is one."""
    left = np.where(_on_lags(found), 0, _certain(found, errors=8.0))
    if not left.any():
        return []
    place = np.unravel_index(np.abs(left).argmax(), left.shape)
    *_, y, x = np.array(place) - centre(left.shape)
    beside = " in the next slice" if found.stacked and place[0] != 1 else ""
    return [
        f"Of the neighbours left visible, the one at dx {x:+d}, dy {y:+d}{beside} shares most of the noise "
        f"({left[place]:+.2f})."
    ]


def covered(found: Findings) -> float:
    """Share of the squared autocorrelation, beyond chance, at the kernel's pixels."""
    energy = np.square(_certain(found))
    total = float(energy.sum())
    return float(energy[_on_lags(found)].sum() / total) if total else 0.0


def _certain(found: Findings, errors: float = 3.0) -> np.ndarray:
    """The autocorrelation without lag 0, chance, and what is too small to matter."""
    correlation = found.correlation.copy()
    correlation[centre(correlation.shape)] = 0
    correlation[np.abs(correlation) < max(errors * found.far_scatter, MIN_ENERGY)] = 0
    # where nothing stands out in the spectrum there is nothing to correlate, and not even a scatter
    return correlation if found.far_scatter > NO_SCATTER or found.isotropic else np.zeros_like(correlation)


def _on_lags(found: Findings) -> np.ndarray:
    """The kernel on the grid of the autocorrelation, bool; what is larger is cut off."""
    side = found.correlation.shape[-1]
    hidden = embed_kernel(found.kernel, max(side, *found.kernel.shape[-2:]))
    margin = (hidden.shape[-1] - side) // 2
    return hidden[..., margin : margin + side, margin : margin + side]
