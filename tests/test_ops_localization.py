"""The merged localization map."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ops.coarse_maps import merge_maps, normalise_by_maximum


def test_the_mean_of_both_maps_survives_only_above_the_threshold() -> None:
    patch_map = np.array([[1.0, 1.0, 0.0]], np.float32)
    cam = np.array([[1.0, 0.0, 0.25]], np.float32)
    assert merge_maps(patch_map, cam, cam_weight=0.5, threshold=0.5).tolist() == [[1.0, 0.0, 0.0]]


def test_the_weight_belongs_to_the_cam() -> None:
    one, zero = np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)
    assert (merge_maps(zero, one, cam_weight=0.75, threshold=0) == 0.75).all()
    assert (merge_maps(one, zero, cam_weight=0.75, threshold=0) == 0.25).all()


@given(st.integers(0, 999), st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None)
def test_merged_values_are_zero_or_above_the_threshold(seed: int, weight: float, threshold: float) -> None:
    patch_map, cam = np.random.default_rng(seed).random((2, 4, 5), np.float32)
    merged = merge_maps(patch_map, cam, cam_weight=weight, threshold=threshold)
    assert merged.dtype == np.float32
    assert ((merged == 0) | (merged > np.float32(threshold))).all()
    turned = merge_maps(np.rot90(patch_map), np.rot90(cam), cam_weight=weight, threshold=threshold)
    assert (turned == np.rot90(merged)).all()


def test_maps_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="agree"):
        merge_maps(np.zeros((2, 2), np.float32), np.zeros((2, 3), np.float32), cam_weight=0.5, threshold=0)


def test_the_maximum_becomes_one() -> None:
    assert normalise_by_maximum(np.array([[0.0, 2.0, 4.0]])).tolist() == [[0.0, 0.5, 1.0]]


@pytest.mark.parametrize("value", [0.0, 1e-30, 0.3, 1.0])
def test_a_constant_map_is_no_evidence_and_is_not_stretched_to_one(value: float) -> None:
    assert (normalise_by_maximum(np.full((3, 3), value, np.float32)) == 0).all()


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_maps_below_zero_or_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        normalise_by_maximum(np.array([[0.5, value]]))
