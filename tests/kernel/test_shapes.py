"""Drawing on a kernel's grid: where the pixels go, and that it stays a kernel."""

from __future__ import annotations

import numpy as np
import pytest

from napari_autostructn2v.errors import KernelError
from napari_autostructn2v.kernel import validate_kernel
from napari_autostructn2v.kernel.shapes import box, cross, line, thickened, thinned
from napari_autostructn2v.noise.direction import extent

SIDE = 15
MIDDLE = SIDE // 2


def point(*shape: int) -> np.ndarray:
    grid = np.zeros(shape or (SIDE, SIDE), dtype=bool)
    grid[tuple(n // 2 for n in grid.shape)] = True
    return grid


def picture(grid: np.ndarray) -> list[str]:
    return ["".join(".#"[int(pixel)] for pixel in row) for row in grid]


def test_a_line_rises_to_the_right_as_seen_on_the_screen() -> None:
    assert picture(line(point(5, 5), 45, 5)) == ["....#", "...#.", "..#..", ".#...", "#...."]
    assert picture(line(point(5, 5), 0, 3)) == [".....", ".....", ".###.", ".....", "....."]
    assert picture(line(point(3, 3), 90, 3)) == [".#.", ".#.", ".#."]


@pytest.mark.parametrize("angle", range(0, 180, 7))
@pytest.mark.parametrize("length", [3, 7, 13])
def test_a_line_has_the_angle_and_length_that_a_verdict_reads_off_it(angle: int, length: int) -> None:
    drawn = line(point(), angle, length)
    validate_kernel(drawn)
    assert drawn.sum() == length
    direction, measured = extent(drawn)
    assert measured == length and direction is not None
    off = abs((direction - angle + 90) % 180 - 90)
    assert off <= np.degrees(np.arctan(0.5 / (length // 2))) + 1e-6, "within half a pixel at its end"


def test_box_and_cross() -> None:
    assert picture(box(point(5, 5), 3, 5)) == [".....", "#####", "#####", "#####", "....."]
    assert picture(cross(point(5, 5), 3)) == [".....", "..#..", ".###.", "..#..", "....."]


def test_an_even_size_is_the_next_odd_one_and_none_is_an_error() -> None:
    np.testing.assert_array_equal(line(point(), 30, 6), line(point(), 30, 7))
    with pytest.raises(KernelError, match="1 or more"):
        box(point(), 0, 3)


def test_what_reaches_beyond_the_grid_is_cut_off() -> None:
    np.testing.assert_array_equal(box(point(5, 5), 99, 99), np.ones((5, 5), bool))
    assert line(point(5, 5), 0, 99).sum() == 5


def test_drawing_adds_erasing_takes_away_and_the_grid_given_stays() -> None:
    grid = line(point(), 0, 9)
    before = grid.copy()
    crossed = line(grid, 90, 9)
    assert crossed.sum() == 17
    back = line(crossed, 90, 9, value=False)
    np.testing.assert_array_equal(back, before)  # the centre, which both lines have, stays
    np.testing.assert_array_equal(grid, before)
    assert picture(cross(np.ones((3, 3), bool), 3, value=False)) == ["#.#", ".#.", "#.#"]


@pytest.mark.parametrize("angle", [0, 26, 45, 90, 123])
def test_thinning_undoes_thickening(angle: int) -> None:
    grid = line(point(), angle, 9)
    thick = thickened(grid)
    assert thick[grid].all() and thick.sum() > 2 * grid.sum()
    np.testing.assert_array_equal(thinned(thick), grid)


def test_thinning_takes_one_pixel_off_a_box_and_leaves_lines() -> None:
    np.testing.assert_array_equal(thinned(box(point(), 5, 9)), box(point(), 3, 7))
    for thin in (line(point(), 0, 9), line(point(), 33, 9), cross(point(), 9), point()):
        np.testing.assert_array_equal(thinned(thin), thin)


def test_thinning_leaves_a_line_out_of_a_thick_part_attached() -> None:
    grid = line(box(point(), 3, 5), 0, 13)
    np.testing.assert_array_equal(thinned(grid), line(point(), 0, 13))


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_drawn_stays_a_kernel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = rng.random((3, SIDE, SIDE)) < 0.3
    grid |= np.flip(grid)
    grid[1, MIDDLE, MIDDLE] = True
    for slices in ("middle", "all"):
        for drawn in (
            line(grid, rng.uniform(-360, 360), 9, slices=slices),
            line(grid, rng.uniform(-360, 360), 9, slices=slices, value=False),
            box(grid, 3, 5, slices=slices, value=False),
            cross(grid, 7, slices=slices),
            thickened(grid, slices=slices),
            thinned(grid, slices=slices),
            thinned(thickened(grid, slices=slices), slices=slices),
        ):
            validate_kernel(drawn, "2.5d")
        assert (thinned(grid, slices=slices) <= grid).all()
        assert (thickened(grid, slices=slices) >= grid).all()


def test_in_three_slices_drawing_goes_to_those_chosen() -> None:
    grid = point(3, 7, 7)
    middle, everywhere = box(grid, 3, 3), box(grid, 3, 3, slices="all")
    assert middle.sum(axis=(1, 2)).tolist() == [0, 9, 0]
    assert everywhere.sum(axis=(1, 2)).tolist() == [9, 9, 9]
    assert box(everywhere, 3, 3, slices="all", value=False).sum(axis=(1, 2)).tolist() == [0, 1, 0]
    assert thickened(everywhere).sum(axis=(1, 2)).tolist() == [9, 25, 9]
    assert thinned(everywhere, slices="all").sum(axis=(1, 2)).tolist() == [1, 1, 1]
