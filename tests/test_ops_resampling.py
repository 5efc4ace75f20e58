"""Stretching coarse maps."""

import numpy as np
import pytest

from pipeline.ops.coarse_maps import upsample_lanczos


def test_the_map_takes_the_size_of_the_image() -> None:
    assert upsample_lanczos(np.zeros((3, 4), np.float32), (30, 47)).shape == (30, 47)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_constant_stays_constant(value: float) -> None:
    fine = upsample_lanczos(np.full((2, 3), value, np.float32), (20, 30))
    np.testing.assert_allclose(fine, value, atol=1e-6)


def test_a_single_cell_fills_the_image() -> None:
    np.testing.assert_allclose(upsample_lanczos(np.full((1, 1), 0.7, np.float32), (9, 5)), 0.7, atol=1e-6)


def test_the_same_size_is_the_identity() -> None:
    coarse = np.random.default_rng(0).random((5, 6), np.float32)
    np.testing.assert_allclose(upsample_lanczos(coarse, (5, 6)), coarse, atol=1e-6)


def test_overshoots_beside_a_step_are_clipped() -> None:
    step = np.repeat(np.array([[0, 0, 0, 0, 1, 1, 1, 1]], np.float32), 8, axis=0)
    fine = upsample_lanczos(step, (64, 64))
    assert fine.dtype == np.float32
    assert fine.min() == 0
    assert fine.max() == 1


def test_a_rotated_map_is_stretched_to_the_rotated_image() -> None:
    coarse = np.random.default_rng(0).random((4, 6), np.float32)
    turned = upsample_lanczos(np.rot90(coarse), (48, 32))
    np.testing.assert_allclose(turned, np.rot90(upsample_lanczos(coarse, (32, 48))), atol=1e-5)


def test_an_empty_map_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 px"):
        upsample_lanczos(np.zeros((0, 3), np.float32), (4, 4))
