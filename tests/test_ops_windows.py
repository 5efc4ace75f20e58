"""Padding, cutting and averaging of windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ops.windows import mean_of_overlaps, pad_to_multiple, pad_to_windows, window_starts

sides = st.integers(1, 12)


def numbered(height: int, width: int, *channels: int) -> np.ndarray:
    shape = (height, width, *channels)
    return np.arange(np.prod(shape), dtype=np.int32).reshape(shape)


def test_padding_mirrors_the_bottom_and_the_right() -> None:
    padded = pad_to_multiple(np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), 4)
    assert padded.tolist() == [[1, 2, 3, 2], [4, 5, 6, 5], [7, 8, 9, 8], [4, 5, 6, 5]]


def test_a_single_pixel_is_repeated() -> None:
    assert pad_to_multiple(np.array([[7]]), 3).tolist() == [[7, 7, 7]] * 3


def test_padding_leaves_colours_alone() -> None:
    assert pad_to_multiple(numbered(3, 4, 3), 4).shape == (4, 4, 3)


def test_padding_to_windows_makes_the_last_window_end_at_the_border() -> None:
    assert pad_to_windows(numbered(5, 7), 4, 2).shape == (6, 8)
    assert pad_to_windows(numbered(1, 4), 4, 3).shape == (4, 4)


@given(sides, sides, sides, st.data())
@settings(deadline=None)
def test_padding_adds_no_more_than_needed_and_keeps_the_image(
    height: int, width: int, window: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, window))
    image = numbered(height, width)
    padded = pad_to_windows(image, window, stride)
    assert (padded[:height, :width] == image).all()
    for before, after in zip(image.shape, padded.shape, strict=True):
        assert (after - window) % stride == 0
        assert after == window or after - stride < before <= after
        assert window_starts(after, window, stride)[-1] + window == after


def test_window_starts_are_listed_in_order() -> None:
    assert window_starts(10, 4, 3) == [0, 3, 6]
    assert window_starts(3, 4, 3) == []


def test_a_stride_larger_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="stride"):
        pad_to_windows(numbered(7, 6), 4, 5)


def test_each_cell_is_the_mean_of_the_windows_that_cover_it() -> None:
    windows = np.array([[0.0, 1.0], [0.0, 0.0]])
    cells = [[0.0, 0.5, 1.0], [0.0, 0.25, 0.5], [0.0, 0.0, 0.0]]
    assert mean_of_overlaps(windows, 4, 2).tolist() == cells


def test_windows_side_by_side_are_their_own_cells() -> None:
    values = np.array([[0.25, 1.0]])
    assert mean_of_overlaps(values, 4, 4).tolist() == values.tolist()


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
@settings(deadline=None)
def test_overlap_means_agree_with_painting_every_window(span: int, rows: int, cols: int, seed: int) -> None:
    stride, window = 3, 3 * span
    values = np.random.default_rng(seed).random((rows, cols))
    shape = ((rows - 1) * stride + window, (cols - 1) * stride + window)
    total, covering = np.zeros(shape), np.zeros(shape)
    for row, col in np.ndindex(rows, cols):
        place = np.s_[row * stride : row * stride + window, col * stride : col * stride + window]
        total[place] += values[row, col]
        covering[place] += 1
    cells = mean_of_overlaps(values, window, stride)
    assert cells.dtype == np.float32
    painted = np.kron(cells, np.ones((stride, stride)))
    np.testing.assert_allclose(painted, total / covering, rtol=1e-6)


def test_rotated_windows_give_rotated_cells() -> None:
    values = np.random.default_rng(0).random((4, 6))
    np.testing.assert_allclose(
        mean_of_overlaps(np.rot90(values), 8, 4), np.rot90(mean_of_overlaps(values, 8, 4)), rtol=1e-6
    )


def test_cells_need_a_stride_that_divides_the_window() -> None:
    with pytest.raises(ValueError, match="must divide"):
        mean_of_overlaps(np.zeros((2, 2)), 5, 2)
