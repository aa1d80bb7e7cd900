"""The sentences of a verdict."""

from __future__ import annotations

import numpy as np

from napari_autostructn2v.kernel import centre, mirrored
from napari_autostructn2v.noise.direction import along
from napari_autostructn2v.noise.verdict_input import (
    FEW_TILES,
    LONG_RANGE_SCATTER,
    VerdictInput,
    certain_correlation,
    covered,
    hides_enough,
    hides_mostly_detail,
    kernel_on_lags,
    middle_correlation,
    structured,
    weak,
)

BLUR = "It hides more than the detail around it: expect blur."

AXIS_DEGREES = 4.0
"""Degrees from an axis within which streaks are said to run along it."""


def headline(found: VerdictInput, direction: float | None, length: int) -> str:
    """What was found, as one plain sentence: what an eye sees in the noise, and how large it is.

    Parameters
    ----------
    found
        What the analysis has found.
    direction, length
        Of the kernel, in degrees and pixels; no direction if it is alike in all, or only in other slices.
    """
    pixels = int(found.kernel.sum())
    parts = _patterns_seen(found)
    if found.by_hand:
        parts.append(f"a kernel set by hand, {'a single pixel' if pixels == 1 else f'{pixels} pixels'}")
    elif pixels > 1 and found.round:
        parts.append(f"blur alike in all directions, about {_size(found, length, 0.0)} wide")
    elif pixels > 1 and direction is None:
        parts.append("noise that neighbouring slices share")
    elif pixels > 1 and direction is not None:
        size = _size(found, length, direction)
        farthest = length >= found.correlation.shape[-1]
        long = f"{size} or longer" if farthest else f"about {size} long"
        parts.append(f"streaks along {_axis(direction)}, {long}")
    if not parts:
        parts.append(_nothing_seen(found))
    text = " and ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _patterns_seen(found: VerdictInput) -> list[str]:
    """What the notch takes away, as an eye sees it."""
    parts = [
        f"whole {'rows' if each.axis == 0 else 'columns'} too bright or too dark"
        for each in found.notch.offsets
    ]
    parts += [f"curtains along {'X' if each.axis == 0 else 'Y'}" for each in found.notch.curtains]
    waves = found.notch.waves
    if len(waves) == 1:
        period, direction = waves[0].period_px, waves[0].direction_deg
        parts.append(f"a wave every {_size(found, period, direction)} along {_axis(direction)}")
    elif waves:
        parts.append(f"a pattern of {len(waves)} waves across the field")
    return parts


def _nothing_seen(found: VerdictInput) -> str:
    """What to say where there is neither kernel nor notch."""
    if found.tiles < FEW_TILES:
        return "too little background to tell noise from chance"
    if found.given_up is not None:
        return "faint structure that no small kernel hides"
    if found.noiseless:
        return "hardly any noise"
    if found.any_peaks and found.far_scatter > LONG_RANGE_SCATTER:
        return "a regular pattern across the whole field"
    if found.lattice:
        return "a regular pattern that may be a lattice of the sample"
    if found.stacked:
        return "grain without structure, which the slices above and below help to take away"
    if found.isotropic is None:
        return "grain without structure that can be told from fine detail"
    return "grain without structure, independent from pixel to pixel"


def _axis(direction: float) -> str:
    """A direction in words, from X towards Y."""
    if min(direction, 180 - direction) <= AXIS_DEGREES:
        return "X"
    return "Y" if abs(direction - 90) <= AXIS_DEGREES else f"{direction:.0f}°"


def _size(found: VerdictInput, pixels: float, direction: float) -> str:
    """A length for a reader: in nanometres if they are known, else in pixels."""
    edge = _nanometres(found, direction)
    size, unit = (pixels, "px") if edge is None else (pixels * edge, "nm")
    if size >= 10:
        return f"{size:.0f} {unit}"
    return f"{size:.2g} {unit}"


def about_kernel(found: VerdictInput, direction: float | None, length: int) -> list[str]:
    """Sentences on a kernel of several pixels.

    Parameters
    ----------
    found
        What the analysis has found.
    direction, length
        Of the kernel, in degrees and pixels; no direction if it is alike in all, or only in other slices.
    """
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
        line = _axis(direction)
        lag, strongest = _strongest(found, direction)
        where = f"along {line}, over {_length(found, length, direction)}, most at {lag} px ({strongest:+.2f})"
        if min(found.middle.shape) == 1:
            where += f", and not along {'Y' if line == 'X' else 'X'}"
        if beside:
            where += "; neighbouring slices share it"
    sentences = [
        f"{rest} is correlated {where}.",
        f"A kernel of {pixels} hides {share} of that correlation.",
        "So wide a kernel hides much of serial sections as well, and may cost more than it gives: take a "
        "quick look before you approve it."
        if found.risky
        else "That is weak: Stage 2 takes it away, and with it about as much detail. Compare with Stage 1."
        if weak(found)
        else "Stage 2 is expected to help.",
    ]
    if found.far_scatter > LONG_RANGE_SCATTER:
        sentences.append("Part of the pattern reaches farther than a kernel can and will stay.")
    return sentences


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
    if hides_mostly_detail(found):
        sentences.append(BLUR)
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
    elif hides_enough(found):
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


def about_patterns(found: VerdictInput) -> str:
    """The notch in words, without an end.

    Parameters
    ----------
    found
        What the analysis has found.
    """
    parts = []
    for part in found.notch.offsets:
        lines = "rows" if part.axis == 0 else "columns"
        parts.append(
            f"whole {lines} are lifted or lowered" + (", alike in all slices" if part.fixed.any() else "")
        )
    for curtains in found.notch.curtains:
        line = "X" if curtains.axis == 0 else "Y"
        parts.append(f"curtains run along {line}, stripes that start and end anywhere")
    waves = sorted(found.notch.waves, key=lambda wave: wave.share, reverse=True)
    if len(waves) == 1:
        every = _length(found, waves[0].period_px, waves[0].direction_deg)
        parts.append(f"a wave repeats every {every} along {waves[0].direction_deg:.0f}°")
    elif waves:
        period = max(wave.period_px for wave in waves)
        parts.append(f"a pattern of {len(waves)} waves, the longest of {period:.1f} px, covers the field")
    text = " and ".join(parts)
    return text[0].upper() + text[1:]


def _length(found: VerdictInput, pixels: float, direction: float) -> str:
    text = f"{pixels:.0f} px" if pixels == round(pixels) else f"{pixels:.1f} px"
    edge = _nanometres(found, direction)
    return text if edge is None else f"{text} ({pixels * edge:.3g} nm)"


def _nanometres(found: VerdictInput, direction: float) -> float | None:
    """Length of a pixel along a direction, if it is known."""
    size = found.voxel_size
    if size is None or size.unit == "pixel":
        return None
    turn = np.radians(direction)
    return float(np.hypot(np.cos(turn) * size.to("nm").x, np.sin(turn) * size.to("nm").y))


def _strongest(found: VerdictInput, direction: float | None = None) -> tuple[int, float]:
    """Lag in pixels at which the kernel's own slice has the strongest correlation, and that correlation.

    Of what lies nearer to a direction than to the one across it, if one is given.
    """
    hidden = np.where(found.middle, middle_correlation(found), 0)
    hidden[centre(hidden.shape)] = 0
    if direction is not None:
        hidden[~along(np.indices(hidden.shape).T - centre(hidden.shape), direction).T] = 0
    place = np.unravel_index(np.abs(hidden).argmax(), hidden.shape)
    return int(np.abs(np.array(place) - centre(hidden.shape)).max()), float(hidden[place])
