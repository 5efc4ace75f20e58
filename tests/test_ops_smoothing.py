"""The bilateral filter and the grey image."""

import numpy as np
import pytest

from pipeline.ops.filters import bilateral, to_grey


def photo(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)


def test_a_flat_image_stays_flat() -> None:
    flat = np.full((8, 9, 3), 77, np.uint8)
    assert (bilateral(flat, diameter_px=5, sigma_colour=120, sigma_space=120) == 77).all()


def test_a_far_colour_has_no_weight() -> None:
    step = np.zeros((9, 9), np.uint8)
    step[:, 5:] = 255
    assert (bilateral(step, diameter_px=5, sigma_colour=10, sigma_space=120) == step).all()


def test_a_wide_colour_sigma_blurs() -> None:
    dot = np.zeros((9, 9), np.uint8)
    dot[4, 4] = 200
    smooth = bilateral(dot, diameter_px=5, sigma_colour=1e4, sigma_space=1e4)
    assert smooth[4, 4] == round(200 / 13)  # 13 pixels lie within 2 px
    assert smooth[0, 0] == 0


@pytest.mark.parametrize("image", [photo(), photo()[..., 0]])
def test_a_rotated_image_is_smoothed_to_the_rotated_result(image: np.ndarray) -> None:
    settings = {"diameter_px": 5, "sigma_colour": 120.0, "sigma_space": 120.0}
    turned = bilateral(np.rot90(image), **settings).astype(int)
    assert abs(turned - np.rot90(bilateral(image, **settings))).max() <= 1  # sums in another order


def test_smoothing_leaves_its_input_alone() -> None:
    image = photo()
    bilateral(image, diameter_px=5, sigma_colour=120, sigma_space=120)
    assert (image == photo()).all()


def test_green_is_brighter_than_red_is_brighter_than_blue() -> None:
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert to_grey(primaries).tolist() == [[76, 150, 29, 255]]


def test_images_that_are_not_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        bilateral(np.zeros((4, 4)), diameter_px=5, sigma_colour=1, sigma_space=1)
    with pytest.raises(ValueError, match="uint8"):
        to_grey(np.zeros((4, 4), np.uint8))
