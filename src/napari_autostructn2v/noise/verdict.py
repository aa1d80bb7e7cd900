"""What an analysis means, in words and numbers: for the person who decides what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_autostructn2v.kernel import centre, mirrored
from napari_autostructn2v.noise.lattice_words import about_lattices
from napari_autostructn2v.noise.patterns import Wave
from napari_autostructn2v.noise.verdict_input import (
    VerdictInput,
    certain_correlation,
    covered,
    kernel_on_lags,
    middle_correlation,
    structured,
)

LONG_RANGE_SCATTER = 0.03
"""Scatter of the autocorrelation at far lags above which a pattern reaches beyond any small kernel."""

SHARED_NOISE_SHARE = 0.1
"""Share of noise in common from which neighbouring slices are said to share it."""

DOUBTFUL_CONFIRMED_SHARE = 0.3
"""Share of the peaks confirmed by the residual below which a person should look."""

FEW_TILES = 8
"""Tiles below which a spectrum is too rough to tell structure from chance."""

Kind = Literal["none", "kernel", "long_range", "isotropic", "unclear"]


Advice = Literal["2.5d", "all_patterns", "quick_look"]
"""What to try that may do better: the other mode, a notch of all patterns, or a look before anything."""


@dataclass(frozen=True)
class Verdict:
    """What the analysis means.

    Attributes
    ----------
    kind
        ``none``: no structure in the noise. ``kernel``: structure that a kernel hides. ``isotropic``: the
        same, but alike in all directions. ``long_range``: a pattern that reaches farther than a small kernel,
        for the notch, with or without a kernel for the rest. ``unclear``: too little background to tell.
    summary
        A few sentences for the user.
    expect_gain
        Whether Stage 2 is expected to help.
    direction_deg
        Of the kernel's longest extent, or else of the strongest wave, from X towards Y, 0 to 180 degrees;
        None if there is neither.
    length_px
        Of the kernel's longest extent, in pixels.
    period_px
        Of the strongest wave that the notch takes away, in pixels, or None.
    covered
        Share of the noise's squared autocorrelation that the kernel hides, 0 to 1.
    notched
        Share of the background's variance that the notch takes away, 0 to 1.
    confirmed
        Share of the peaks at which the residual of Stage 1 departs from its rings as well, up or down, 0 to
        1; None without Stage 1 or peaks.
    advice
        What the summary says may do better, if anything.
    """

    kind: Kind
    summary: str
    expect_gain: bool
    direction_deg: float | None
    length_px: int
    period_px: float | None
    covered: float
    notched: float
    confirmed: float | None
    advice: Advice | None = None


def judge(found: VerdictInput) -> Verdict:
    """Say what an analysis means, and what to do.

    Parameters
    ----------
    found
        What the analysis has found.
    """
    direction, length = extent(found.middle, np.square(middle_correlation(found)))
    direction = None if found.round else direction
    has_kernel = bool(found.kernel.sum() > 1)
    sentences: list[str] = []
    kind: Kind = "none"
    gain = has_kernel or bool(found.notch)
    if found.notch:
        kind = "long_range"
        sentences.append(
            f"{_patterns(found)}. No small kernel can hide that; the notch takes it away before Stage 2, "
            f"{found.notched:.0%} of the variance of the background."
        )
    if has_kernel:
        kind = kind if found.notch else "isotropic" if found.round else "kernel"
        sentences += _about_kernel(found, direction, length)
        gain = bool(found.notch) or not (
            found.risky or (found.by_hand and covered(found) < HELPFUL_COVERED_SHARE)
        )
    elif found.by_hand and structured(found):
        sentences += about_point_by_hand(found)
    elif not found.notch:
        kind, gain, sentence = _about_nothing(found)
        sentences.append(sentence)
    else:
        sentences.append(
            "What is left is independent from pixel to pixel, so that a kernel of one pixel does. Stage 2 is "
            "expected to help."
        )
    if gain and found.confirmed is not None and found.confirmed < DOUBTFUL_CONFIRMED_SHARE:
        sentences.append(
            f"But the residual of Stage 1 confirms only {found.confirmed:.0%} of the peaks: look at them "
            "before you go on."
        )
    if has_kernel and _shared_unseen(found):
        sentences.append(
            f"Neighbouring slices share {abs(found.coherence):.0%} of the noise: 2.5D may do better."
        )
    sentences += about_lattices(found)
    wave = max(found.notch.waves, key=lambda wave: wave.share, default=None)
    return Verdict(
        kind=kind,
        summary=" ".join(sentences),
        expect_gain=gain,
        direction_deg=direction if direction is not None or wave is None else _wave_direction(wave),
        length_px=length,
        period_px=None if wave is None else float(1 / np.hypot(*wave.frequency)),
        covered=covered(found),
        notched=found.notched,
        confirmed=found.confirmed,
        advice=_advice(found, kind),
    )


def _about_kernel(found: VerdictInput, direction: float | None, length: int) -> list[str]:
    if found.by_hand:
        return about_kernel_by_hand(found)
    share = f"{covered(found):.0%}"
    pixels = f"{int(found.kernel.sum())} pixels"
    rest = "The rest of the noise" if found.notch else "The noise"
    beside = found.stacked and bool(found.kernel[0].any())
    if found.round:
        where = (
            f"alike in all directions ({_strongest(found)[1]:.2f} from pixel to pixel), as interpolation or "
            "a detector's blur leaves it"
        )
    elif direction is None:
        where = "only with the neighbouring slices"
    else:
        along = {0: "X", 90: "Y"}.get(round(direction), f"{direction:.0f}°")
        lag, strongest = _strongest(found, direction)
        where = (
            f"along {along}, over {_length(found, length, direction)}, most at {lag} px ({strongest:+.2f})"
        )
        if min(found.middle.shape) == 1:
            where += f", and not along {'Y' if along == 'X' else 'X'}"
        if beside:
            where += "; neighbouring slices share it"
    sentences = [
        f"{rest} is correlated {where}.",
        f"A kernel of {pixels} hides {share} of that correlation.",
        "So wide a kernel hides much of serial sections as well, and may cost more than it gives: take a "
        "quick look before you approve it."
        if found.risky
        else "Stage 2 is expected to help.",
    ]
    if found.far_scatter > LONG_RANGE_SCATTER:
        sentences.append("Part of the pattern reaches farther than a kernel can and will stay.")
    return sentences


def _shared_unseen(found: VerdictInput) -> bool:
    """Whether neighbouring slices share noise and are not looked at."""
    return not found.stacked and abs(found.coherence) >= SHARED_NOISE_SHARE


def _advice(found: VerdictInput, kind: Kind) -> Advice | None:
    """What to try that may do better, the first of what the sentences say."""
    if found.lattice or (kind == "long_range" and not found.notch):
        return "all_patterns"
    if found.kernel.sum() > 1 and _shared_unseen(found):
        return "2.5d"
    return "quick_look" if found.risky else None


def _about_nothing(found: VerdictInput) -> tuple[Kind, bool, str]:
    """Kind, whether Stage 2 helps all the same, and the sentence, where there is neither kernel nor notch."""
    if found.tiles < FEW_TILES:
        return "unclear", False, (
            f"There are only {found.tiles} tiles of background to measure: too few to tell structure from "
            "chance. Outline some background, take more slices, or draw the kernel by hand."
        )  # fmt: skip
    if found.given_up is not None:
        return "unclear", False, (
            f"A kernel would hide only {found.given_up:.0%} of the correlation that is measured. Most of it "
            "would stay; it may be fine detail of the image. Outline some empty background to find out, or "
            "draw the kernel by hand. Stage 2 is not expected to help."
        )  # fmt: skip
    if found.noiseless:
        return "none", False, (
            "There is hardly any noise, or the stack was resampled to finer pixels than it was recorded "
            "with, which hides it: then bin it back. Stage 2 would add nothing."
        )  # fmt: skip
    if found.any_peaks and found.far_scatter > LONG_RANGE_SCATTER:
        return "long_range", False, (
            "The background has a regular pattern that reaches across the whole field. A small kernel cannot "
            "hide it, so Stage 2 is not expected to help."
        )  # fmt: skip
    if found.stacked:
        return "none", True, (
            "No structure found in the noise, and neighbouring slices do not share it. Stage 2 can use them "
            "to predict the slice between, with a single blind pixel."
        )  # fmt: skip
    return "none", False, (
        "No structure found in the noise: it is independent from pixel to pixel. Stage 1 has done what can "
        "be done; Stage 2 would add nothing."
        if found.isotropic is not None
        else "No structure found in the noise: it is independent from pixel to pixel, or alike in all "
        "directions, which here cannot be told from fine detail; outline some empty background to find out. "
        "Stage 2 is not expected to add anything."
    )  # fmt: skip


def _patterns(found: VerdictInput) -> str:
    """The notch in words."""
    parts = []
    for part in found.notch.offsets:
        lines = "rows" if part.axis == 0 else "columns"
        parts.append(
            f"whole {lines} are lifted or lowered" + (", alike in all slices" if part.fixed.any() else "")
        )
    for curtains in found.notch.curtains:
        along = "X" if curtains.axis == 0 else "Y"
        parts.append(f"curtains run along {along}, stripes that start and end anywhere")
    waves = sorted(found.notch.waves, key=lambda wave: wave.share, reverse=True)
    if len(waves) == 1:
        period = float(1 / np.hypot(*waves[0].frequency))
        every = _length(found, period, _wave_direction(waves[0]))
        parts.append(f"a wave repeats every {every} along {_wave_direction(waves[0]):.0f}°")
    elif waves:
        period = float(1 / min(np.hypot(*wave.frequency) for wave in waves))
        parts.append(f"a pattern of {len(waves)} waves, the longest of {period:.1f} px, covers the field")
    text = " and ".join(parts)
    return text[0].upper() + text[1:]


def _length(found: VerdictInput, pixels: float, direction: float) -> str:
    text = f"{pixels:.0f} px" if pixels == round(pixels) else f"{pixels:.1f} px"
    size = found.voxel_size
    if size is None or size.unit == "pixel":
        return text
    turn = np.radians(direction)
    edge = float(np.hypot(np.cos(turn) * size.to("nm").x, np.sin(turn) * size.to("nm").y))
    return f"{text} ({pixels * edge:.3g} nm)"


def _wave_direction(wave: Wave) -> float:
    # image rows run downwards; microscopists measure angles upwards from X
    return float(np.degrees(np.arctan2(-wave.frequency[0], wave.frequency[1])) % 180)


def _strongest(found: VerdictInput, direction: float | None = None) -> tuple[int, float]:
    """Lag in pixels at which the kernel's own slice has the strongest correlation, and that correlation.

    Of what lies nearer to a direction than to the one across it, if one is given.
    """
    hidden = np.where(found.middle, middle_correlation(found), 0)
    hidden[centre(hidden.shape)] = 0
    if direction is not None:
        hidden[~_along(np.indices(hidden.shape).T - centre(hidden.shape), direction).T] = 0
    place = np.unravel_index(np.abs(hidden).argmax(), hidden.shape)
    return int(np.abs(np.array(place) - centre(hidden.shape)).max()), float(hidden[place])


def extent(kernel: np.ndarray, weights: np.ndarray | None = None) -> tuple[float | None, int]:
    """Direction in degrees along which a (K, K) kernel mostly lies, and its length in pixels along that.

    The direction is the principal axis of its pixels.

    Parameters
    ----------
    kernel
        bool (K, K), at least its centre set.
    weights
        What each pixel counts, of the same shape; all alike if None.
    """
    offsets = np.argwhere(kernel) - centre(kernel.shape)
    counts = np.ones(len(offsets)) if weights is None or not weights[kernel].any() else weights[kernel]
    moments = (counts[:, None] * offsets).T @ offsets
    if not moments.any():
        return None, 1
    y, x = np.linalg.eigh(moments)[1][:, 1]
    # image rows run downwards; microscopists measure angles upwards from X
    direction = float(np.degrees(np.arctan2(-y, x)).round(9) % 180)
    return direction, int(2 * np.abs(offsets[_along(offsets, direction)]).max(initial=0) + 1)


def _along(offsets: np.ndarray, direction: float) -> np.ndarray:
    """Which offsets (…, 2), in y and x, lie nearer to a direction in degrees than to the one across it."""
    turn = np.radians(direction)
    along = offsets[..., 1] * np.cos(turn) - offsets[..., 0] * np.sin(turn)
    across = offsets[..., 1] * np.sin(turn) + offsets[..., 0] * np.cos(turn)
    return np.asarray(np.abs(along) >= np.abs(across))


HELPFUL_COVERED_SHARE = 0.5
"""Share of the correlation measured in the noise that a kernel set by hand has to hide in order to help."""


def about_kernel_by_hand(found: VerdictInput) -> list[str]:
    """Sentences on a kernel of several pixels: what it hides, what it leaves, whether that will help.

    Parameters
    ----------
    found
        What the analysis has found.
    """
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
    elif share >= HELPFUL_COVERED_SHARE:
        sentences.append("Stage 2 is expected to help.")
    else:
        end = ", but for what the notch takes away." if found.notch else ": Stage 2 is not expected to help."
        sentences.append(f"Most of the noise's structure would stay{end}")
    return sentences


def about_point_by_hand(found: VerdictInput) -> list[str]:
    """Sentences on a kernel of which nothing but the centre was left, where the noise is correlated.

    Parameters
    ----------
    found
        What the analysis has found.
    """
    end = ", but for what the notch takes away." if found.notch else ", as Stage 1 did."
    return [
        "The kernel set by hand is a single pixel and hides none of the correlation measured in the noise: "
        f"Stage 2 would leave that structure{end}",
        *_left_visible(found),
    ]


def _left_visible(found: VerdictInput) -> list[str]:
    """The strongest neighbour that a kernel does not hide, in words, if there is one."""
    left = np.where(kernel_on_lags(found), 0, certain_correlation(found, errors=8.0))
    if not left.any():
        return []
    place = np.unravel_index(np.abs(left).argmax(), left.shape)
    *_, y, x = np.array(place) - centre(left.shape)
    beside = " in the next slice" if found.stacked and place[0] != 1 else ""
    return [
        f"Of the neighbours left visible, the one at dx {x:+d}, dy {y:+d}{beside} shares most of the noise "
        f"({left[place]:+.2f})."
    ]
