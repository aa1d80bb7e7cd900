"""What tells a hum from a lattice of the sample, in words: why a wave is taken, or left alone."""

from __future__ import annotations

import numpy as np

from napari_autostructn2v.noise.patterns import Wave
from napari_autostructn2v.noise.verdict_input import VerdictInput


def about_lattices(found: VerdictInput) -> list[str]:
    """Sentences on waves that are taken though they may look like a lattice, and on those left alone.

    Parameters
    ----------
    found
        What the analysis has found.
    """
    sentences, taken = [], found.notch.waves
    finer = [wave for wave in taken if wave.finer_than(found.limit_px)]
    alone = [wave for wave in taken if wave.of_lattice is False and wave not in finer]
    for some, why in (
        (finer, "finer than the microscope resolves, and so none of the sample"),
        (alone, "no part of the sample's lattice, and finer than all of that"),
    ):
        if some:
            which = (
                "The wave that is taken" if len(taken) == 1 else f"Of the waves that are taken, {len(some)}"
            )
            sentences.append(f"{which} {'is' if len(some) == 1 else 'are'} {why}.")
    if found.left_alone:
        sentences.append(_about_left_alone(found))
    return sentences


def _about_left_alone(found: VerdictInput) -> str:
    waves = found.left_alone.waves
    strongest = max(waves, key=lambda wave: wave.log_excess)
    what = f"{_period(found, strongest)} along {strongest.direction_deg:.0f}°"
    what = f"A wave of {what}" if len(waves) == 1 else f"A pattern of {len(waves)} waves, most of all {what},"
    take_all = "let the notch take all patterns, and look at what it takes."
    if all(wave.of_lattice for wave in waves):
        return f"{what} makes up a lattice and is left alone; if it is the detector's, {take_all}"
    if any(wave.asked_about for wave in waves):
        return (
            f"{what} is left alone: the detector's or the sample's? {found.slices_do_not_tell}. If it is "
            f"noise, {take_all}"
        )
    return (
        f"{what} goes on through the slices, as a lattice of the sample would, and is left alone; if it is "
        f"noise, {take_all}"
    )


def _period(found: VerdictInput, wave: Wave) -> str:
    text, size = f"{wave.period_px:.1f} px", found.voxel_size
    if size is None or size.unit == "pixel":
        return text
    edges = size.to("nm")
    return f"{text} ({1 / np.hypot(wave.frequency[0] / edges.y, wave.frequency[1] / edges.x):.3g} nm)"
