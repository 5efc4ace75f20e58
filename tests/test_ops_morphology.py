"""Erosion and closing."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ops.morphology import close, erode


@st.composite
def images(draw: Callable) -> np.ndarray:
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    levels = np.random.default_rng(draw(st.integers(0, 10**6))).integers(0, 5, (height, width)) * 60
    return levels.astype(np.uint8) if draw(st.booleans()) else (levels / 240).astype(np.float32)


kernels, iterations = st.sampled_from([1, 3, 5]), st.integers(0, 4)


def test_erosion_leaves_the_middle_of_a_square() -> None:
    square = np.zeros((5, 5), np.uint8)
    square[1:4, 1:4] = 9
    eroded = np.zeros((5, 5), np.uint8)
    eroded[2, 2] = 9
    assert (erode(square, kernel_px=3, iterations=1) == eroded).all()


def test_erosion_starts_at_the_crack_and_not_at_the_border() -> None:
    full = np.ones((4, 6), np.float32)
    assert (erode(full, kernel_px=3, iterations=4) == 1).all()


def test_closing_fills_a_gap_of_one_pixel() -> None:
    line = np.zeros((5, 9), np.uint8)
    line[2, [2, 3, 5, 6]] = 200
    closed = line.copy()
    closed[2, 4] = 200
    assert (close(line, kernel_px=3, iterations=1) == closed).all()


@given(images(), kernels, iterations)
@settings(deadline=None)
def test_closing_contains_its_input(image: np.ndarray, kernel: int, times: int) -> None:
    assert (close(image, kernel_px=kernel, iterations=times) >= image).all()


@given(images(), kernels)
@settings(deadline=None)
def test_closing_twice_is_closing_once(image: np.ndarray, kernel: int) -> None:
    once = close(image, kernel_px=kernel, iterations=1)
    assert (close(once, kernel_px=kernel, iterations=1) == once).all()


@given(images(), kernels, iterations)
@settings(deadline=None)
def test_erosion_removes_only(image: np.ndarray, kernel: int, times: int) -> None:
    assert (erode(image, kernel_px=kernel, iterations=times) <= image).all()


@given(images(), kernels, iterations)
@settings(deadline=None)
def test_rotating_the_image_rotates_the_result(image: np.ndarray, kernel: int, times: int) -> None:
    for change in (erode, close):
        turned = change(np.rot90(image), kernel_px=kernel, iterations=times)
        assert (turned == np.rot90(change(image, kernel_px=kernel, iterations=times))).all()


@given(images())
@settings(deadline=None)
def test_no_iteration_changes_nothing_and_shares_nothing(image: np.ndarray) -> None:
    for change in (erode, close):
        same = change(image, kernel_px=3, iterations=0)
        assert (same == image).all() and same.dtype == image.dtype
        assert not np.shares_memory(same, image)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        close(np.zeros((4, 4), np.uint8), kernel_px=2, iterations=1)
