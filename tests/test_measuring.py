"""Lengths and widths: what a reader can count by eye, then cracks of known geometry as a camera sees them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from pipeline.drawing.ruler import Light, as_networks_draw, curve, drawn
from pipeline.knobs import MeasuringKnobs
from pipeline.ops.centrelines import Chain, length_of, smoothed, traced, without_spurs
from pipeline.ops.cracks import Crack, Reading
from pipeline.ops.types import Mask
from pipeline.prediction_to_cracks import cracks_of, mask_of
from pipeline.speed.width_bench import cases, table
from tests.conftest import resolved

_SCENE_HW = 120, 300


@pytest.fixture
def knobs() -> MeasuringKnobs:
    found: MeasuringKnobs = resolved("Measuring", "demo")
    return found


def pixels(picture: str) -> list[tuple[int, int]]:
    rows = picture.split()
    return [(row, col) for row, line in enumerate(rows) for col, letter in enumerate(line) if letter == "#"]


def test_a_stair_is_one_line_without_junctions() -> None:
    (chain,) = traced(pixels("##... .##.. ..##. ...##"))
    assert chain.pixels == ((0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (3, 4))
    assert chain.ends == (True, True)


def test_a_fork_is_three_lines_that_meet_in_one_pixel() -> None:
    chains = traced(pixels("#...# .#.#. ..#.. ..#.. ..#.."))
    assert sorted(len(chain.pixels) for chain in chains) == [3, 3, 3]
    assert all((2, 2) in (chain.pixels[0], chain.pixels[-1]) for chain in chains)


def test_a_ring_is_one_closed_line_and_a_single_pixel_is_one_too() -> None:
    (ring,) = traced(pixels(".##. #..# #..# .##."))
    assert ring.is_loop and len(ring.pixels) == 9
    (dot,) = traced([(3, 4)])
    assert dot.pixels == ((3, 4),) and length_of(smoothed(dot, 5)) == 0


def test_a_side_branch_goes_and_the_line_is_whole_again() -> None:
    picture = "....#.... ....#.... #########"
    kept = without_spurs(pixels(picture), lambda chain: len(chain.pixels) <= 3)
    assert [len(chain.pixels) for chain in kept] == [9]


def test_both_corners_of_a_blunt_end_go_but_the_last_branch_never_does() -> None:
    picture = "#....... .#...... ..###### .#...... #......."
    kept = without_spurs(pixels(picture), lambda chain: len(chain.pixels) <= 3)
    assert [chain.pixels for chain in kept] == [tuple((2, col) for col in range(2, 8))]
    assert len(without_spurs(pixels("###"), lambda chain: True)) == 1


def test_smoothing_keeps_the_ends_and_takes_the_steps_of_pixels_out_of_the_length() -> None:
    oblique = Chain(tuple((round(col * 0.4), col) for col in range(200)), (True, True))
    rough, calm = (length_of(smoothed(oblique, points)) for points in (1, 7))
    true = float(np.hypot(199, round(199 * 0.4)))
    assert rough > 1.03 * true
    assert calm == pytest.approx(true, rel=0.005)
    assert np.array_equal(smoothed(oblique, 7)[[0, -1]], [[0, 0], [199, 80]])


def rendered(
    width: float, angle: float = 0.3, size: tuple[int, int] = (160, 200), seed: int = 0
) -> tuple[np.ndarray, Mask]:
    line = curve((size[1] / 2, size[0] / 2), 120, angle, 5, 1.0)
    seen = drawn([line], width, size, Light(170, 90, 0.8, 1.5), np.random.default_rng(seed))
    return seen.grey, as_networks_draw(seen.mask, 2.5, np.random.default_rng(seed)) >= 0.5


def test_a_width_is_that_of_the_grey_valley_and_not_of_the_mask(knobs: MeasuringKnobs) -> None:
    grey, wide = rendered(4.0)
    _, (crack,) = cracks_of(wide.astype(np.float32), grey, knobs)
    assert crack.width_median.value == pytest.approx(4.0, abs=0.25)
    assert crack.width_median.low <= 4.0 <= crack.width_median.high
    assert crack.mask_width == pytest.approx(9.0, abs=1.5)
    assert crack.length == pytest.approx(length_of(curve((0, 0), 120, 0.3, 5, 1.0)), rel=0.02)
    assert crack.measurable > 0.7 and not crack.at_border


def test_where_the_photo_shows_nothing_nothing_is_measured(knobs: MeasuringKnobs) -> None:
    _, wide = rendered(4.0)
    flat = np.full(wide.shape, 120, np.uint8)
    _, (crack,) = cracks_of(wide.astype(np.float32), flat, knobs)
    assert np.isnan([crack.width_median.value, crack.width_max.low]).all()
    assert crack.measurable == 0 and crack.length > 100


def test_a_turned_photo_has_the_same_widths_and_lengths(knobs: MeasuringKnobs) -> None:
    grey, wide = rendered(5.0)
    _, (crack,) = cracks_of(wide.astype(np.float32), grey, knobs)
    _, (turned,) = cracks_of(np.rot90(wide).astype(np.float32), np.ascontiguousarray(np.rot90(grey)), knobs)
    assert turned.width_median.value == pytest.approx(crack.width_median.value, abs=0.05)
    assert turned.length == pytest.approx(crack.length, rel=0.01)
    assert (turned.orientation_deg - crack.orientation_deg) % 180 == pytest.approx(90, abs=2)


def test_a_crack_that_the_border_cuts_says_so_and_ends_there(knobs: MeasuringKnobs) -> None:
    mask, grey = np.zeros((80, 100), np.bool_), np.full((80, 100), 170, np.uint8)
    mask[38:43], grey[39:42] = True, 80
    _, (crack,) = cracks_of(mask.astype(np.float32), grey, knobs)
    assert crack.at_border
    assert crack.length == pytest.approx(100, abs=2.5)
    assert crack.orientation_deg % 180 == pytest.approx(0, abs=0.5)
    assert crack.box == (0, 38, 100, 43)
    assert crack.width_median.value == pytest.approx(3, abs=0.25)
    assert crack.measurable > 0.9  # profiles that leave the photo spoil no others


def test_an_oblique_crack_from_border_to_border_is_measured_but_for_its_ends(knobs: MeasuringKnobs) -> None:
    line = curve((100, 80), 400, 0.4, 0, 1.0)
    seen = drawn([line], 4.0, (160, 200), Light(170, 90, 0.8, 1.5), np.random.default_rng(0))
    _, (crack,) = cracks_of(as_networks_draw(seen.mask, 2.0, np.random.default_rng(0)), seen.grey, knobs)
    assert crack.at_border and crack.measurable > 0.75
    assert crack.width_median.value == pytest.approx(4, abs=0.2)


def test_small_pieces_are_no_cracks_and_small_holes_are_filled(knobs: MeasuringKnobs) -> None:
    mask = np.zeros((60, 60), np.bool_)
    mask[5:8, 5:8] = True
    mask[20:31, 5:55] = True
    mask[25, 30] = False
    found = mask_of(mask.astype(np.float32), knobs)
    assert not found[5:8, 5:8].any()
    assert found[20:31, 5:55].all()
    assert len(cracks_of(mask.astype(np.float32), np.full(mask.shape, 128, np.uint8), knobs)[1]) == 1
    assert not cracks_of(np.zeros((9, 9), np.float32), np.zeros((9, 9), np.uint8), knobs)[1]


def test_cracks_come_longest_first_and_one_does_not_know_of_another(knobs: MeasuringKnobs) -> None:
    (grey, wide), (other, small) = rendered(4.0), rendered(3.0, angle=1.2, size=(160, 90))
    both, greys = np.hstack([small, wide]), np.hstack([other, grey])
    _, cracks = cracks_of(both.astype(np.float32), greys, knobs)
    assert [crack.length for crack in cracks] == sorted((crack.length for crack in cracks), reverse=True)
    _, (alone,) = cracks_of(wide.astype(np.float32), grey, knobs)
    beside = next(crack for crack in cracks if crack.box[0] >= 90)
    assert beside.length == pytest.approx(alone.length, rel=1e-5)
    assert beside.width_median.value == pytest.approx(alone.width_median.value, abs=1e-4)


class Scene:
    """A light ground to draw on, and the mask of what was drawn, too wide by some pixels."""

    def __init__(self) -> None:
        self.grey = np.full(_SCENE_HW, 160.0)
        self.mask = np.zeros(_SCENE_HW, bool)

    def bar(self, top: int, high: int, left: int = 40, right: int = 260, dark: float = 80) -> Scene:
        self.grey[top : top + high, left:right] = dark
        self.mask[max(top - 3, 0) : top + high + 3, max(left - 3, 0) : right + 3] = True
        return self

    def photo(self) -> npt.NDArray[np.uint8]:
        noise = np.random.default_rng(0).normal(0, 1.5, _SCENE_HW)
        return np.clip(cv2.GaussianBlur(self.grey, (0, 0), 0.9) + noise, 0, 255).astype(np.uint8)

    def cracks(self, knobs: MeasuringKnobs) -> list[Crack]:
        return cracks_of(self.mask.astype(np.float32), self.photo(), knobs)[1]


@pytest.mark.parametrize("turned", [False, True])
def test_a_straight_crack_along_the_rows_or_columns_is_measured(knobs: MeasuringKnobs, turned: bool) -> None:
    """Its mask fills its own box, which once left it without a border."""
    scene = Scene().bar(50, 4)
    said, photo = scene.mask.astype(np.float32), scene.photo()
    (crack,) = cracks_of(said.T.copy(), photo.T.copy(), knobs)[1] if turned else cracks_of(said, photo, knobs)[1]
    assert crack.width_median.value == pytest.approx(4, abs=0.1)
    assert crack.width_median.low <= 4 <= crack.width_median.high
    assert crack.measurable > 0.95
    assert crack.length == pytest.approx(220, rel=0.02)
    assert crack.mask_width == pytest.approx(10, abs=1)
    assert crack.orientation_deg == pytest.approx(90 if turned else 0, abs=1)
    left, top, right, bottom = (37, 47, 263, 57)
    assert crack.box == ((top, left, bottom, right) if turned else (left, top, right, bottom))


def test_a_mask_beside_the_crack_finds_its_width_all_the_same(knobs: MeasuringKnobs) -> None:
    scene = Scene().bar(50, 4)
    scene.mask = np.roll(scene.mask, 3, axis=0)
    (crack,) = scene.cracks(knobs)
    assert crack.width_median.value == pytest.approx(4, abs=0.15)


def test_a_ring_is_as_long_as_its_circle(knobs: MeasuringKnobs) -> None:
    scene, (rows, cols) = Scene(), np.mgrid[:120, :300]
    away = np.abs(np.hypot(cols - 150, rows - 60) - 40)
    scene.grey[away < 2], scene.mask = 80, away < 5
    (crack,) = scene.cracks(knobs)
    assert crack.length == pytest.approx(2 * np.pi * 40, rel=0.02)
    assert crack.width_median.value == pytest.approx(4, abs=0.2)


@pytest.mark.parametrize("gap", [3, 5, 8, 12])
def test_two_cracks_in_one_mask_are_not_one_wide_crack(knobs: MeasuringKnobs, gap: int) -> None:
    scene = Scene().bar(50, 3).bar(53 + gap, 3)
    scene.mask[50 : 56 + gap, 40:260] = True
    (crack,) = scene.cracks(knobs)
    assert crack.measurable == 0
    assert np.isnan(crack.width_median.value)


def test_where_there_is_nothing_dark_no_width_is_told(knobs: MeasuringKnobs) -> None:
    nothing, light = Scene().bar(50, 4, dark=160), Scene().bar(50, 4, dark=200)
    shadow = Scene().bar(50, 4)
    shadow.grey[:] = 160
    shadow.grey[52:] = 110
    for scene in (nothing, light, shadow):
        (crack,) = scene.cracks(knobs)
        assert crack.measurable == 0
        assert np.isnan([crack.width_median.value, crack.width_p95.low, crack.width_max.high]).all()


def test_the_share_that_could_be_read_is_one_of_the_length(knobs: MeasuringKnobs) -> None:
    scene = Scene().bar(50, 4)
    scene.grey[:, 150:] = 160
    (crack,) = scene.cracks(knobs)
    assert crack.measurable == pytest.approx(0.5, abs=0.05)
    assert crack.width_median.value == pytest.approx(4, abs=0.15)


def test_a_crack_is_the_same_wherever_it_lies_in_a_photo(knobs: MeasuringKnobs) -> None:
    """So a photo that was predicted tile by tile has the cracks of one that was not."""
    scene = Scene().bar(50, 4)
    said, photo = scene.mask.astype(np.float32), scene.photo()
    (alone,) = cracks_of(said, photo, knobs)[1]
    around = ((37, 91), (53, 11))
    (within,) = cracks_of(np.pad(said, around), np.pad(photo, around, mode="edge"), knobs)[1]
    assert within.length == pytest.approx(alone.length, abs=1e-3)
    assert within.width_median == alone.width_median
    assert within.box == tuple(side + shift for side, shift in zip(alone.box, (53, 37, 53, 37), strict=True))


def test_a_single_pixel_is_measured_without_falling_over(knobs: MeasuringKnobs) -> None:
    scene = Scene()
    scene.mask[50, 100] = True
    (crack,) = scene.cracks(replace(knobs, min_pixels=1, min_length_px=0.0))
    assert (crack.length, crack.pixels, crack.box) == (0, 1, (100, 50, 101, 51))


def test_a_photo_without_crack_has_none_and_one_that_is_all_crack_has_no_width(knobs: MeasuringKnobs) -> None:
    scene = Scene()
    assert scene.cracks(knobs) == []
    scene.mask[:] = True
    assert all(np.isnan(crack.width_median.value) for crack in scene.cracks(knobs))


def test_another_unit_takes_its_own_error_along() -> None:
    assert Reading(10, 8, 12).times(0.5, 0.1) == Reading(5, pytest.approx(3.6), pytest.approx(6.6))


@pytest.mark.slow
def test_widths_and_lengths_of_known_geometry_are_right_and_intervals_hold_the_truth(knobs: MeasuringKnobs) -> None:
    """A seed that nothing was chosen on."""
    found = list(cases(knobs, seed=77, count=16))
    for row in table(found):
        print({name: round(value, 3) for name, value in row.items()})
    errors = np.array([case.error for case in found if case.truth.width >= 2 and np.isfinite(case.error)])
    assert np.median(np.abs(errors)) <= 0.25
    assert np.percentile(np.abs(errors), 95) <= 0.8
    assert abs(errors.mean()) <= 0.1
    for name in ("width_median", "width_p95", "width_max"):
        readings = [(getattr(case.crack, name), case.truth.width) for case in found if np.isfinite(case.error)]
        held = [reading.low <= width <= reading.high for reading, width in readings]
        assert np.mean(held) >= 0.9, name
    lengths = np.array([case.crack.length / case.truth.length - 1 for case in found if case.crack])
    assert np.percentile(np.abs(lengths), 95) <= 0.02
    rows = [row for row in table(found) if row["width_px"] >= 2]
    assert all(row["mask_median_error"] > 4 * row["median_error"] for row in rows)
