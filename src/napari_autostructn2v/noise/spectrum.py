"""Averaged power spectra of the background of a stack, and what stands out from their rings.

Spectra have odd sides, with zero frequency in the middle, so that seeing one through its centre is a flip.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby

import numpy as np
from scipy import fft, ndimage

from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.stack import Stack
from napari_autostructn2v.threads import THREADS, in_background

EULER_GAMMA = 0.5772156649
"""How far the mean log of a periodogram lies below the log of its mean."""

HANN_CORRELATION = 1.2
"""By how much the standard error of averaged Hann-windowed bins exceeds that of independent ones."""

NOISELESS = 2e-3
"""Power at the highest frequencies, over that of all that varies in the background, below which there is
hardly any noise."""

COARSEST = 0.04
"""Below this frequency (cycles per pixel) is only the image's shading."""

REGIONS = 4
"""The field is divided into this many regions along Y and along X, to see whether they agree."""

MIN_SLICES, MAX_SLICES, ENOUGH_TILES = 16, 64, 6000
"""Slices and tiles looked at: noise is alike all over a stack, and more only cost time. With so many tiles,
errors are far below the smallest departure that is a peak, and below the smallest correlation in a kernel."""

TILES_AT_ONCE = 32
"""Tiles transformed together: as many of the usual size as a processor's cache holds."""

SMALLEST_TILE = 15
"""Side in pixels down to which tiles shrink to fit an outlined background."""

INSIDE = 0.98
"""Share of a tile that has to lie in the outlined background."""


@dataclass(frozen=True, eq=False)
class BackgroundSpectrum:
    """Spectra of the flattest tiles of a stack.

    Attributes
    ----------
    log_power
        Mean log power, float64 (T, T), free of the bias of the logarithm.
    standard_error
        Of ``log_power`` at any one frequency, from the number of tiles.
    regional_error
        Standard error of ``log_power`` less its ring median, float64 (T, T), from the scatter between the
        regions of the field, and no less than ``standard_error``.
    power
        Mean power, tiles scaled to equal power so that none outweighs the rest, float64 (T, T).
    coherence
        Share of the noise power that two neighbouring slices have in common, -1 to 1; 0 for one slice.
    cross_power
        Real part of the mean cross-spectrum of neighbouring slices, scaled alike, float64 (T, T);
        None for one slice.
    tiles
        How many tiles were averaged, as if they overlapped by half.
    """

    log_power: np.ndarray
    standard_error: float
    regional_error: np.ndarray
    power: np.ndarray
    coherence: float
    cross_power: np.ndarray | None
    tiles: int

    @cached_property
    def noiseless(self) -> bool:
        """Whether there is hardly any noise: what stands out is the image."""
        radius = frequency_radius(len(self.log_power))
        floor = np.exp(np.median(self.log_power[radius > 0.4]))
        return bool(floor < NOISELESS * np.exp(self.log_power[radius > COARSEST]).mean())


@dataclass(frozen=True)
class Tiles:
    """Where a stack shows its background.

    Attributes
    ----------
    side
        Of a tile in pixels, odd.
    corners
        Slice, first row and first column of each tile, in the order of the slices.
    independent
        As how many tiles they count that overlap by half; in small slices they overlap by more.
    outlined
        Whether a person has said where the background is.
    """

    side: int
    corners: tuple[tuple[int, int, int], ...]
    independent: float
    outlined: bool


def choose_tiles(
    stack: Stack, denoised: Stack | None, config: AnalysisConfig, region: np.ndarray | None = None
) -> Tiles:
    """Find the background: the flattest tiles, or those of an outlined region.

    Only there is noise alone: with all tiles, real structure that has a direction (a microtubule) is taken
    for noise.

    Parameters
    ----------
    stack
        The raw data.
    denoised
        What Stage 1 made of it: it shows better than the raw data where there is nothing. None if there is
        no Stage 1.
    config
        Tile size and share of background.
    region
        Outlined background, bool (Y, X) or (Z, Y, X). The tiles get smaller where it asks for that.

    Raises
    ------
    StackError
        If the region does not have the shape of the stack, or holds no tile.
    """
    side = tile_side(stack, config)
    if region is None:
        flattest = _flattest_tiles(stack, denoised, side, config)
        return Tiles(side, tuple(flattest), len(flattest) * _novelty(stack, side), False)
    region = check_region(region, stack)
    smallest = min(SMALLEST_TILE, side)
    while True:
        inside = _tiles_inside(region, stack, side, _step(side))
        if len(inside) >= config.min_tiles or side == smallest:
            break
        side = max(side // 3 * 2 + 1, smallest)
    if len(inside) > ENOUGH_TILES:
        inside = _tiles_inside(region, stack, side, _step(side, len(inside)))
    if not inside:
        raise StackError(
            f"The outlined background is too small: it holds no square of {smallest} × {smallest} pixels. "
            "Outline more of it."
        )
    return Tiles(side, tuple(inside), len(inside) * _novelty(stack, side), True)


def _tiles_inside(region: np.ndarray, stack: Stack, side: int, step: int) -> list[tuple[int, int, int]]:
    """Corners (z, y, x) of the tiles in an outlined background, in the order of the slices."""
    return [
        (z, y, x)
        for z in looked_at(stack, side)
        for y, x in _grid(stack.shape[1:], side, step)
        if (region if region.ndim == 2 else region[z])[y : y + side, x : x + side].mean() > INSIDE
    ]


def tile_side(stack: Stack, config: AnalysisConfig) -> int:
    """Side of the tiles in pixels, odd: smaller where slices are."""
    return min(config.tile_size, (min(stack.shape[1:]) - 1) // 2 * 2 + 1)


def check_region(region: np.ndarray, stack: Stack) -> np.ndarray:
    """The region as bool (Y, X) or (Z, Y, X).

    Raises
    ------
    StackError
        If it has neither shape, or nothing is in it.
    """
    region = np.asarray(region, dtype=bool)
    if region.shape not in (stack.shape, stack.shape[1:]):
        raise StackError(
            f"The background region has shape {region.shape}, the stack {stack.shape}. "
            "Outline it on the stack itself."
        )
    if not region.any():
        raise StackError("The background region is empty. Outline some background, or choose none.")
    return region


def background_spectrum(stack: Stack, tiles: Tiles) -> BackgroundSpectrum:
    """Average the spectra of tiles.

    Parameters
    ----------
    stack
        The raw data, or what a notch leaves of them.
    tiles
        Its background.
    """
    side = tiles.side
    log_power = np.zeros((REGIONS**2, side, side // 2 + 1))
    members = np.zeros(REGIONS**2)
    total, cross = np.zeros((2, side, side // 2 + 1))
    for corners, own, beside in _with_neighbours(stack, tiles):
        regions = [_region(corner, stack.shape[1:], side) for corner in corners]
        np.add.at(members, regions, 1)
        for some in batches(corners):
            spectra = _spectra(own[some])
            powers = power(spectra) + np.finfo(float).tiny
            # all columns but the first stand for two
            scale = side**2 / (2 * powers.sum(axis=(1, 2)) - powers[:, :, 0].sum(axis=1))[:, None, None]
            for region, log in zip(regions[some], np.log(powers), strict=True):
                log_power[region] += log
            total += (powers * scale).sum(axis=0)
            for neighbour in beside:
                shared = np.real(spectra * _spectra(neighbour[some]).conj())
                cross += (shared * scale).sum(axis=0) / len(beside)
    count = len(tiles.corners)
    mean, cross = complete(total / count), complete(cross / count)
    # where the image is weakest, at high frequency, what two slices share is noise
    high = frequency_radius(side) > 0.2
    # sqrt(pi^2 / 6) is the scatter of a log periodogram; tiles that overlap tell less than they count
    standard_error = float(np.pi / np.sqrt(6 * max(1.0, 0.76 * tiles.independent)))
    return BackgroundSpectrum(
        log_power=complete(log_power.sum(axis=0) / count) + EULER_GAMMA,
        standard_error=standard_error,
        regional_error=np.maximum(_regional_error(log_power, members), standard_error),
        power=mean,
        coherence=float(cross[high].sum() / mean[high].sum()),
        cross_power=cross if stack.shape[0] > 1 else None,
        tiles=round(tiles.independent),
    )


def _with_neighbours(
    stack: Stack, tiles: Tiles
) -> Iterator[tuple[list[tuple[int, int]], np.ndarray, list[np.ndarray]]]:
    """Of each slice with tiles: their corners, the tiles (n, T, T), and the same of the slices beside it.

    Each slice is read once, since it may have to be computed, and nothing but its tiles is kept.
    """
    corners = {
        z: [(y, x) for _, y, x in group] for z, group in groupby(tiles.corners, key=lambda tile: tile[0])
    }
    last = stack.shape[0] - 1
    read = sorted({n for z in corners for n in (z - 1, z, z + 1) if 0 <= n <= last})

    def cut(z: int) -> dict[int, np.ndarray]:
        plane = stack.plane(z)
        return {of: _cut(plane, corners[of], tiles.side) for of in (z - 1, z, z + 1) if of in corners}

    pieces: dict[int, dict[int, np.ndarray]] = {z: {} for z in corners}
    for z, cuts in zip(read, in_background(cut, read, threads=THREADS), strict=True):
        for of, piece in cuts.items():
            pieces[of][z] = piece
        for of in (z - 1, z):
            if of in corners and z == min(of + 1, last):
                beside = pieces.pop(of)
                yield corners[of], beside.pop(of), list(beside.values())


def batches(corners: Sequence[tuple[int, int]]) -> Iterator[slice]:
    """The tiles of a slice, so many at a time that their transforms need little memory."""
    return (slice(first, first + TILES_AT_ONCE) for first in range(0, len(corners), TILES_AT_ONCE))


def tile_spectra(plane: np.ndarray, corners: list[tuple[int, int]], side: int) -> np.ndarray:
    """Transforms of tiles of a slice, (n, T, T // 2 + 1): the half that ``rfft2`` gives."""
    return _spectra(_cut(plane, corners, side))


def _spectra(tiles: np.ndarray) -> np.ndarray:
    return np.asarray(fft.rfft2(_window(tiles.shape[-1]) * _detrended(tiles)))


def power(spectrum: np.ndarray) -> np.ndarray:
    """Square of the absolute value."""
    return np.asarray(np.square(spectrum.real) + np.square(spectrum.imag))


def complete(half: np.ndarray) -> np.ndarray:
    """The centred power spectrum (T, T), T odd, of which ``rfft2`` gives the half.

    What two real tiles have in common, the real part of their cross-spectrum, is as symmetric.
    """
    other = np.roll(np.flip(half[:, 1:]), 1, axis=0)
    return np.asarray(fft.fftshift(np.concatenate([half, other], axis=1)))


def _region(corner: tuple[int, int], shape: tuple[int, ...], side: int) -> int:
    y, x = (start * REGIONS // (size - side + 1) for start, size in zip(corner, shape, strict=True))
    return y * REGIONS + x


def _regional_error(log_power: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Standard error of the mean log power at each frequency, (T, T), from tiles clustered by region.

    Noise is the same all over the field; structure that got into the background differs from place to place,
    but goes on through the slices, so that many tiles show it and counting them says too little. For the
    cluster-robust variance see Liang & Zeger, Biometrika 73 (1986), 13-22.

    Parameters
    ----------
    log_power
        Sum over the tiles of each region, (regions, T, T // 2 + 1), as ``rfft2`` lays it out.
    members
        Tiles of each region.
    """
    count = members.sum()
    used = members > 0
    if used.sum() < 2:
        return np.zeros((log_power.shape[1],) * 2)
    means = [complete(total / n) for total, n in zip(log_power[used], members[used], strict=True)]
    excess = np.array([mean - ring_median(mean) for mean in means])
    weights = (members[used] / count)[:, None, None]
    deviation = excess - (weights * excess).sum(axis=0)
    variance = (weights**2 * deviation**2).sum(axis=0) * used.sum() / (used.sum() - 1)
    # neighbouring frequencies share a window's width: their mean is a steadier estimate
    return np.sqrt(ndimage.uniform_filter(variance, 3, mode="wrap"))


def _symmetric(image: np.ndarray) -> np.ndarray:
    return (image + np.flip(image)) / 2


def _flattest_tiles(
    stack: Stack, denoised: Stack | None, side: int, config: AnalysisConfig
) -> list[tuple[int, int, int]]:
    """Corners (z, y, x) of the flattest tiles, in the order of the slices."""
    corners = tile_corners(stack, side)
    slices = looked_at(stack, side)

    def spreads(z: int) -> list[float]:
        level = (denoised or stack).plane(z)
        level -= level.mean()  # which would cost digits
        smooth = ndimage.gaussian_filter(level, 2.0)
        return [
            spread
            for some in batches(corners)
            for spread in _detrended(_cut(smooth, corners[some], side)).std(axis=(1, 2))
        ]

    rough = in_background(spreads, slices, threads=THREADS)
    roughness = [
        (spread, z, *corner)
        for z, of_slice in zip(slices, rough, strict=True)
        for corner, spread in zip(corners, of_slice, strict=True)
    ]
    keep = max(round(config.flat_share * len(roughness)), min(config.min_tiles, len(roughness)))
    return sorted(tile[1:] for tile in sorted(roughness)[:keep])


def looked_at(stack: Stack, side: int) -> list[int]:
    """Slices spread over the stack, fewer of them where each has many tiles."""
    tiles = len(_grid(stack.shape[1:], side, _step(side)))
    count = int(np.clip(ENOUGH_TILES // tiles, MIN_SLICES, MAX_SLICES))
    return np.unique(
        np.linspace(0, stack.shape[0] - 1, min(stack.shape[0], count)).round().astype(int)
    ).tolist()


def _novelty(stack: Stack, side: int) -> float:
    """Share of a tile that is new to it, over that of tiles which overlap by half, at most 1."""
    step = _step(side)
    shares = ((1 + (size - side) / step) / len(_starts(size, side, step)) for size in stack.shape[1:])
    return math.prod(min(1.0, share) for share in shares)


def tile_corners(stack: Stack, side: int) -> list[tuple[int, int]]:
    """First row and column of the tiles at which each of the slices is looked at.

    They overlap by half. Where these are more than enough, they lie farther apart, all over the slice.
    """
    overlapping = _grid(stack.shape[1:], side, _step(side))
    return _grid(stack.shape[1:], side, _step(side, len(overlapping) * len(looked_at(stack, side))))


def _step(side: int, tiles: int = 0) -> int:
    """Pixels from tile to tile, of so many in all if they overlapped by half."""
    return math.ceil(max(1, side // 2) * math.sqrt(max(1.0, tiles / ENOUGH_TILES)))


def _grid(shape: tuple[int, ...], side: int, step: int) -> list[tuple[int, int]]:
    rows, columns = (_starts(size, side, step) for size in shape)
    return [(y, x) for y in rows for x in columns]


def _starts(size: int, side: int, step: int) -> list[int]:
    """First pixels of tiles from end to end, about ``step`` apart, the same seen from either end."""
    last = size - side
    if last == 0:
        return [0]
    count = -(-last // step) + 1
    if count % 2 and last % 2:  # an odd number of them has one right in the middle
        count += 1 if last >= 0.75 * step * count else -1
    half = [last * i // (count - 1) for i in range(-(-count // 2))]
    return half + [last - start for start in reversed(half[: count // 2])]


def _cut(plane: np.ndarray, corners: list[tuple[int, int]], side: int) -> np.ndarray:
    view = np.lib.stride_tricks.sliding_window_view(plane, (side, side))
    rows, columns = np.array(corners).T
    return view[rows, columns]


def _detrended(tiles: np.ndarray) -> np.ndarray:
    """Tiles (n, T, T) less their quadratic trend: slow shading is neither noise nor structure."""
    basis = _quadratic_basis(tiles.shape[-1])
    flat = tiles.reshape(len(tiles), -1).astype(np.float64)
    return (flat - (flat @ basis) @ basis.T).reshape(tiles.shape)


@lru_cache(maxsize=4)
def _quadratic_basis(side: int) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].reshape(2, -1)
    basis, _ = np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))
    return basis


@lru_cache(maxsize=4)
def _window(side: int) -> np.ndarray:
    hann = np.hanning(side + 2)[1:-1]
    return np.outer(hann, hann)


@lru_cache(maxsize=4)
def window_autocorrelation(side: int) -> np.ndarray:
    """Circular autocorrelation of the tile's window, 1 at lag 0 in the middle, shape (T, T)."""
    correlation = fft.ifft2(np.abs(fft.fft2(_window(side))) ** 2).real
    return np.asarray(fft.fftshift(correlation / correlation[0, 0]))


@lru_cache(maxsize=8)
def frequency_radius(side: int) -> np.ndarray:
    """Distance of each bin from zero frequency, in cycles per pixel, shape (T, T)."""
    axis = fft.fftshift(fft.fftfreq(side))
    return np.hypot(axis[:, None], axis[None])


@lru_cache(maxsize=8)
def _rings(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rings of 0, 1, 2 ... bins around the centre, of the centre and the bins after it.

    Returns
    -------
    own
        Ring of each of these bins, (T * T // 2 + 1,).
    order
        Bins, ring after ring.
    starts
        Where each ring begins in that order, and where the last one ends.
    """
    own = np.rint(frequency_radius(side) * side).astype(int).ravel()[side * side // 2 :]
    order = np.argsort(own, kind="stable")
    return own, order, np.searchsorted(own[order], np.arange(own.max() + 2))


def ring_quantiles(image: np.ndarray, quantile: float, beside: int = 0) -> np.ndarray:
    """Quantile of a centred, point-symmetric (T, T) image over each of its rings, from the centre on.

    Parameters
    ----------
    image
        Its first half is the mirror image of the second, which alone is looked at.
    quantile
        0 to 1; between two values it is interpolated.
    beside
        So many rings inside and outside of each count as well.
    """
    _, order, starts = _rings(len(image))
    values = image.ravel()[image.size // 2 :][order]
    last = len(starts) - 1
    made = np.empty(last)
    for ring in range(beside + 1):  # with the centre, which stands for itself alone
        some = values[: starts[min(ring + beside + 1, last)]]
        made[ring] = np.quantile(np.concatenate([some, some[1:]]), quantile)
    for ring in range(beside + 1, last):
        some = values[starts[ring - beside] : starts[min(ring + beside + 1, last)]].copy()
        # each value stands for two, as that of the other half is the same
        below, share = divmod(quantile * (2 * len(some) - 1), 1)
        low, high = int(below) // 2, (int(below) + 1) // 2
        some.partition(high)
        upper = some[high]
        made[ring] = upper if low == high else share * upper + (1 - share) * some[:high].max()
    return made


def ring_median(image: np.ndarray) -> np.ndarray:
    """Median of a centred, point-symmetric (T, T) image over each ring and its two neighbours.

    It is what is the same all around.
    """
    return on_rings(ring_quantiles(image, 0.5, beside=1), len(image))


def on_rings(values: np.ndarray, side: int) -> np.ndarray:
    """The image (T, T) that has these values on its rings, from the centre on."""
    half = values[_rings(side)[0]]
    return np.concatenate([np.flip(half[1:]), half]).reshape(side, side)


def departure(background: BackgroundSpectrum) -> np.ndarray:
    """Log power above, or below, its ring, (T, T), point-symmetric."""
    return _symmetric(background.log_power - ring_median(background.log_power))


def find_peaks(background: BackgroundSpectrum, config: AnalysisConfig) -> np.ndarray:
    """Frequencies whose power departs from their ring, up or down: bool (T, T), point-symmetric.

    Up *or down*: the noise of a back-projection lacks the frequencies that a ramp filter takes away, and that
    is as much a structure as a peak is. Seeds have to be large, certain, and alike all over the field; what
    touches a seed needs half the size and half the certainty.
    """
    log_power = background.log_power
    if background.noiseless:
        return np.zeros(log_power.shape, dtype=bool)
    excess = np.abs(departure(background))
    # neighbours of a Hann-windowed bin are correlated with it, which averaging ±f does not help
    certain = config.sensitivity * HANN_CORRELATION
    usable = frequency_radius(log_power.shape[0]) >= config.min_frequency
    seeds = usable & (excess >= np.maximum(certain * background.regional_error, config.min_excess))
    grown = usable & (excess >= max(certain * background.standard_error, config.min_excess) / 2)
    return np.asarray(ndimage.binary_propagation(seeds & grown, structure=np.ones((3, 3)), mask=grown))
