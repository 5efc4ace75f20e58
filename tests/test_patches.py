"""The index of patches and their labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataset_to_patches import bag_side, cut_patch, index_patches
from pipeline.knobs import PatchesKnobs
from pipeline.learning.augmentation import turn


def knobs(patch_px: int = 2, stride_px: int = 2, min_crack_pixels: int = 1) -> PatchesKnobs:
    return PatchesKnobs("patch", patch_px, stride_px, min_crack_pixels, "eightfold", 0, 1)


def mask_of(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def test_patches_with_a_crack_pixel_are_crack() -> None:
    mask = mask_of("#...", "....", "....", "...#")
    index = index_patches([(mask.shape, mask, None)], knobs(), eightfold=False)
    rows = zip(index.row.tolist(), index.col.tolist(), index.label.tolist(), strict=True)
    assert list(rows) == [(0, 0, 1), (0, 2, 0), (2, 0, 0), (2, 2, 1)]


def test_overlapping_patches_share_their_crack_pixels() -> None:
    mask = mask_of("....", ".#..", "....", "....")
    index = index_patches([(mask.shape, mask, None)], knobs(stride_px=1), eightfold=False)
    assert index.label.reshape(3, 3).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_fewer_crack_pixels_than_asked_for_make_no_crack() -> None:
    mask = mask_of("##..", "..#.")
    index = index_patches([(mask.shape, mask, None)], knobs(min_crack_pixels=2), eightfold=False)
    assert index.label.tolist() == [1, 0]


def test_mirrored_pixels_count() -> None:
    mask = mask_of(".#.")  # padded to .#.# over .#.#: nothing to mirror downwards, so the row is repeated
    index = index_patches([(mask.shape, mask, None)], knobs(min_crack_pixels=2), eightfold=False)
    assert index.label.tolist() == [1, 1]


def test_an_image_of_640_by_360_has_45_patches_in_each_geometry() -> None:
    paper = PatchesKnobs("patch", 128, 64, 1, "eightfold", 0, 1)
    assert len(index_patches([((360, 640), None, 0)], paper, eightfold=False)) == 45
    index = index_patches([((360, 640), None, 0)], paper, eightfold=True)
    assert np.bincount(index.geometry).tolist() == [45] * 8
    assert (index.row.max(), index.col.max()) == (512, 512)


def test_without_a_mask_every_patch_has_the_label_of_its_image() -> None:
    index = index_patches([((4, 4), None, 1), ((2, 4), None, 0)], knobs(), eightfold=False)
    assert index.image.tolist() == [0, 0, 0, 0, 1, 1]
    assert index.label.tolist() == [1, 1, 1, 1, 0, 0]


def test_an_index_keeps_its_types_even_when_empty() -> None:
    for examples in ([], [((4, 4), None, 1)]):
        index = index_patches(examples, knobs(), eightfold=True)
        kinds = [column.dtype.name for column in vars(index).values()]
        assert kinds == ["int32", "uint8", "int32", "int32", "uint8"]
        assert len(index) == len(index.row)


def test_an_image_needs_a_mask_of_its_size_or_a_label() -> None:
    with pytest.raises(ValueError, match="image 0 has no mask and the label None"):
        index_patches([((4, 4), None, None)], knobs(), eightfold=False)
    with pytest.raises(ValueError, match="image 0 has no mask and the label 2"):
        index_patches([((4, 4), None, 2)], knobs(), eightfold=False)
    with pytest.raises(ValueError, match=r"image 0 is \(4, 4\) and its mask \(4, 5\)"):
        index_patches([((4, 4), np.zeros((4, 5), bool), None)], knobs(), eightfold=False)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.data())
def test_a_label_is_what_the_cut_mask_shows(height: int, width: int, patch_px: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, patch_px))
    least = data.draw(st.integers(1, 3))
    mask = np.random.default_rng(data.draw(st.integers(0, 99))).random((height, width)) < 0.2
    index = index_patches([(mask.shape, mask, None)], knobs(patch_px, stride, least), eightfold=True)
    for geometry, row, col, label in zip(index.geometry, index.row, index.col, index.label, strict=True):
        patch = cut_patch(mask, int(geometry), int(row), int(col), patch_px)
        assert label == (patch.sum() >= least)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
def test_patches_as_far_apart_as_wide_cover_every_pixel(height: int, width: int, patch_px: int) -> None:
    index = index_patches([((height, width), None, 1)], knobs(patch_px, patch_px), eightfold=True)
    for geometry in range(8):
        rows = index.geometry == geometry
        sides = turn(np.zeros((height, width)), geometry).shape
        assert index.row[rows].max() + patch_px >= sides[0]
        assert index.col[rows].max() + patch_px >= sides[1]
        assert len(set(zip(index.row[rows], index.col[rows], strict=True))) == rows.sum()


def test_a_photo_as_a_bag_is_one_row_for_each_geometry_with_its_own_answer() -> None:
    crack = np.zeros((3, 5), np.bool_)
    crack[1, 4] = True
    photos = PatchesKnobs("photo", 128, 64, 1, "eightfold", 0, 1)
    index = index_patches([((3, 5), crack, None), ((4, 4), None, 0)], photos, eightfold=True)
    assert index.label.tolist() == [1] * 8 + [0] * 8
    assert index.geometry.tolist() == [*range(8), *range(8)]
    assert set(index.row.tolist()) == set(index.col.tolist()) == {0}


def test_a_bag_is_as_large_as_the_largest_photo_and_a_patch_as_large_as_it_says() -> None:
    photos = PatchesKnobs("photo", 128, 64, 1, "eightfold", 0, 1)
    assert bag_side([(360, 640), (227, 227)], photos) == 640
    assert bag_side([(361, 241)], photos) == 384
    assert bag_side([(361, 241)], PatchesKnobs("patch", 128, 64, 1, "eightfold", 0, 1)) == 128
    with pytest.raises(ValueError, match=r"photo of 4,000 px; allowed: at most 2,048 px, .* answer for tiles"):
        bag_side([(3000, 4000)], photos)
