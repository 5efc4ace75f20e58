"""The guided filter against its definition, window by window."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ops.filters import guided_filter, refine_guided


def mirrored(place: int, size: int) -> int:
    """… 2 1 0 | 0 1 2 | 2 1 0 …"""
    place %= 2 * size
    return min(place, 2 * size - 1 - place)


def windows(image: np.ndarray, radius: int) -> np.ndarray:
    """H×W×(2r+1)²: the values around each pixel, one index at a time."""
    around = range(-radius, radius + 1)
    height, width = image.shape
    return np.array(
        [
            [
                [
                    image[mirrored(row + down, height), mirrored(column + right, width)]
                    for down in around
                    for right in around
                ]
                for column in range(width)
            ]
            for row in range(height)
        ]
    )


def by_definition(guide: np.ndarray, source: np.ndarray, radius: int, eps: float) -> np.ndarray:
    of_guide, of_source = windows(guide.astype(float), radius), windows(source.astype(float), radius)
    guide_off = of_guide - of_guide.mean(2, keepdims=True)
    source_off = of_source - of_source.mean(2, keepdims=True)
    a = (guide_off * source_off).mean(2) / ((guide_off**2).mean(2) + eps)
    b = of_source.mean(2) - a * of_guide.mean(2)
    return windows(a, radius).mean(2) * guide + windows(b, radius).mean(2)


@st.composite
def maps(draw: Callable) -> tuple[np.ndarray, np.ndarray]:
    """A guide and a source of one size, in [0, 1]."""
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return rng.random(shape), rng.random(shape)


radii, epsilons = st.integers(0, 12), st.sampled_from([1e-6, 1e-3, 0.1])


def test_a_jagged_edge_snaps_to_the_guide() -> None:
    guide = np.zeros((9, 9))
    guide[:, 4:] = 1
    source = guide.copy()
    source[2, 4] = source[6, 5] = 0  # two pixels missing on the bright side
    refined = guided_filter(guide, source, radius_px=2, eps=1e-6)
    assert (np.round(refined) == guide).all()
    assert np.abs(refined[:, :4]).max() < 1e-3  # the dark side knows nothing of them


def test_with_a_flat_guide_the_result_is_a_mean_of_means() -> None:
    point = np.zeros((7, 7))
    point[3, 3] = 81
    pyramid = [[0] * 7, *[[0, *[a * b for b in (1, 2, 3, 2, 1)], 0] for a in (1, 2, 3, 2, 1)], [0] * 7]
    refined = guided_filter(np.full((7, 7), 0.5), point, radius_px=1, eps=1e-6)
    assert np.allclose(refined, pyramid)


@given(maps(), radii, epsilons)
@settings(deadline=None, max_examples=50)
def test_the_filter_is_its_definition(pair: tuple[np.ndarray, np.ndarray], radius: int, eps: float) -> None:
    refined = guided_filter(*pair, radius_px=radius, eps=eps)
    assert refined.dtype == np.float64
    assert np.allclose(refined, by_definition(*pair, radius, eps), rtol=0, atol=1e-9)


@given(maps(), st.integers(1, 3))
@settings(deadline=None, max_examples=30)
def test_bytes_are_taken_as_they_are(pair: tuple[np.ndarray, np.ndarray], radius: int) -> None:
    guide, source = ((255 * each).astype(np.uint8) for each in pair)
    expected = by_definition(guide, source, radius, 0.065)
    assert np.allclose(guided_filter(guide, source, radius_px=radius, eps=0.065), expected, rtol=0, atol=1e-6)


@given(maps(), radii, epsilons)
@settings(deadline=None, max_examples=50)
def test_the_filter_is_linear_in_its_source_and_keeps_a_constant(
    pair: tuple[np.ndarray, np.ndarray], radius: int, eps: float
) -> None:
    guide, source = pair
    refined = guided_filter(guide, source, radius_px=radius, eps=eps)
    assert np.allclose(guided_filter(guide, 3 * source + 2, radius_px=radius, eps=eps), 3 * refined + 2, atol=1e-8)


@given(maps(), radii, epsilons)
@settings(deadline=None, max_examples=50)
def test_rotating_both_maps_rotates_the_result(pair: tuple[np.ndarray, np.ndarray], radius: int, eps: float) -> None:
    turned = guided_filter(*map(np.rot90, pair), radius_px=radius, eps=eps)
    assert np.allclose(turned, np.rot90(guided_filter(*pair, radius_px=radius, eps=eps)), atol=1e-8)


def test_a_window_of_one_pixel_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    guide, source = rng.random((5, 6)), rng.random((5, 6))
    assert np.allclose(guided_filter(guide, source, radius_px=0, eps=0.1), source)


def test_refining_filters_the_thresholded_prediction_and_stays_in_its_range() -> None:
    rng = np.random.default_rng(0)
    prediction = np.linspace(0, 0.62, 14) + rng.normal(0, 0.05, (12, 1)).clip(-0.1, 0.1)
    prediction = prediction.clip(0, 1)
    guide = (prediction + rng.normal(0, 0.05, (12, 14))).clip(0, 1)
    refined = refine_guided(guide, prediction, threshold=0.31, radius_px=2, eps=1e-6)
    bare = by_definition(guide, prediction > 0.31, 2, 1e-6)
    assert bare.min() < 0 and bare.max() > 1
    assert refined.dtype == np.float32 and np.allclose(refined, np.clip(bare, 0, 1), atol=1e-6)


def test_a_byte_map_is_the_same_map_in_255_steps() -> None:
    rng = np.random.default_rng(0)
    guide, prediction = rng.integers(0, 256, (2, 12, 14), np.uint8)
    numbers = {"threshold": 0.2, "radius_px": 2, "eps": 1e-6}
    refined = refine_guided(guide, prediction, **numbers)
    assert np.array_equal(refined, refine_guided(guide / 255, prediction / 255, **numbers))
    wide = [(each.astype(np.uint16) * 257) for each in (guide, prediction)]
    assert np.allclose(refined, refine_guided(*wide, **numbers), atol=1e-6)


def test_a_value_on_the_threshold_is_not_predicted() -> None:
    guide = np.full((3, 3), 0.5)
    on, above = np.full((3, 3), 51, np.uint8), np.full((3, 3), 52, np.uint8)
    assert not refine_guided(guide, on, threshold=0.2, radius_px=1, eps=1e-6).any()
    assert np.allclose(refine_guided(guide, above, threshold=0.2, radius_px=1, eps=1e-6), 1)


def test_what_is_not_allowed_is_said() -> None:
    half = np.full((3, 3), 0.5)
    with pytest.raises(ValueError, match="both H×W are needed"):
        guided_filter(half, half[:2], radius_px=1, eps=0.1)
    with pytest.raises(ValueError, match="eps above 0"):
        guided_filter(half, half, radius_px=1, eps=0)
    with pytest.raises(ValueError, match="a radius of at least 0"):
        guided_filter(half, half, radius_px=-1, eps=0.1)
    with pytest.raises(ValueError, match="finite numbers are needed"):
        guided_filter(half, np.full((3, 3), np.nan), radius_px=1, eps=0.1)
    for wrong in (half.astype(int), half + 1):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            refine_guided(half, wrong, threshold=0.5, radius_px=1, eps=0.1)
