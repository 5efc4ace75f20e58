"""The signed distance to the edge of the crack."""

import math

import numpy as np
import pytest

from pipeline.ops.morphology import signed_distance


def test_distances_by_eye() -> None:
    mask = np.zeros((7, 7), bool)
    mask[1:6, 1:6] = True
    expected = np.array(
        [
            [2**0.5, 1, 1, 1, 1, 1, 2**0.5],
            [1, 0, 0, 0, 0, 0, 1],
            [1, 0, -2, -2, -2, 0, 1],
            [1, 0, -2, -3, -2, 0, 1],
            [1, 0, -2, -2, -2, 0, 1],
            [1, 0, 0, 0, 0, 0, 1],
            [2**0.5, 1, 1, 1, 1, 1, 2**0.5],
        ]
    )
    expected /= np.where(expected > 0, 2**0.5, 3)  # in px until here
    assert np.allclose(signed_distance(mask), expected, atol=1e-6)


def test_the_border_of_the_image_is_no_edge() -> None:
    assert np.allclose(signed_distance(np.array([[0, 1, 1, 1]], bool)), [[1, 0, -2 / 3, -1]])


@pytest.mark.parametrize("value", [False, True])
def test_one_class_alone_has_no_edge(value: bool) -> None:
    assert not signed_distance(np.full((4, 5), value)).any()


def test_distances_equal_the_nearest_pixel_of_the_other_class() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = rng.random(tuple(rng.integers(1, 12, 2))) < rng.choice([0.05, 0.5, 0.9])
        if mask.all() or not mask.any():
            continue
        places = list(np.ndindex(mask.shape))
        nearest = np.zeros(mask.shape)
        for here in places:
            nearest[here] = min(math.dist(here, there) for there in places if mask[here] != mask[there])
        signed = np.where(mask, -nearest / nearest[mask].max(), nearest / nearest[~mask].max())
        signed[mask & (nearest == 1)] = 0
        assert np.allclose(signed_distance(mask), signed, atol=1e-6)


def test_a_mask_is_bool_and_flat() -> None:
    with pytest.raises(ValueError, match="bool H×W is needed"):
        signed_distance(np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match="bool H×W is needed"):
        signed_distance(np.zeros((1, 3, 3), bool))
