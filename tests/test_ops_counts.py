"""Counting pixels at 99 thresholds with one look at each."""

import numpy as np
import pytest

from pipeline.ops.counts import THRESHOLDS, count_pixels


def test_the_thresholds_are_the_numbers_that_people_write() -> None:
    assert THRESHOLDS.tolist() == [float(f"0.{k:02d}") for k in range(1, 100)]


def test_counts_by_eye() -> None:
    prediction = np.array([[0.0, 0.2], [0.5, 1.0]])
    hits, predicted, crack = count_pixels(prediction, np.array([[True, False], [False, True]]))
    assert crack == 2
    assert predicted.tolist() == [3] * 19 + [2] * 30 + [1] * 50  # to 0.19, to 0.49, to 0.99
    assert hits.tolist() == [1] * 99


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_floats_beside_a_threshold_fall_on_their_side_of_it(dtype: type) -> None:
    near = THRESHOLDS.astype(dtype)
    values = np.r_[0, near, np.nextafter(near, dtype(0)), np.nextafter(near, dtype(1)), 1].astype(dtype)[None]
    _, predicted, _ = count_pixels(values, np.ones(values.shape, bool))
    assert predicted.tolist() == [int((values.astype(np.float64) > t).sum()) for t in THRESHOLDS]


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535), (np.bool_, 1)])
def test_every_level_counts_as_its_fraction(dtype: type, top: int) -> None:
    levels = np.arange(top + 1).astype(dtype)[None]
    _, predicted, _ = count_pixels(levels, np.zeros(levels.shape, bool))
    assert predicted.tolist() == [int((np.arange(top + 1) / top > t).sum()) for t in THRESHOLDS]


def test_arrays_need_not_be_contiguous() -> None:
    rng = np.random.default_rng(0)
    prediction, mask = rng.integers(0, 256, (9, 14), np.uint8)[:, ::2], (rng.random((9, 14)) < 0.4)[:, ::2]
    for view, copy in zip(count_pixels(prediction, mask), count_pixels(prediction.copy(), mask.copy()), strict=True):
        assert np.array_equal(view, copy)
