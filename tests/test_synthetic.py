"""The demo data set: what its photos promise to a first run and to the tests of the whole flow."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.demo.photos import SIZES_PX, DemoPhoto, demo_photo, demo_photos, is_uncracked
from pipeline.knobs import DemoPhotosKnobs

Mask = NDArray[np.bool_]


def knobs(train: int = 16, val: int = 4, test: int = 4, seed: int = 7, share: float = 0.25) -> DemoPhotosKnobs:
    return DemoPhotosKnobs(seed=seed, train_images=train, val_images=val, test_images=test, uncracked_share=share)


@pytest.fixture(scope="module")
def photos() -> list[DemoPhoto]:
    return list(demo_photos(knobs()))


@pytest.fixture(scope="module")
def cracked(photos: list[DemoPhoto]) -> list[DemoPhoto]:
    return [photo for photo in photos if photo.mask.any()]


def same(one: DemoPhoto, other: DemoPhoto) -> bool:
    return (
        one.name == other.name
        and one.image_rgb.tobytes() == other.image_rgb.tobytes()
        and one.mask.tobytes() == other.mask.tobytes()
    )


def grey(photo: DemoPhoto) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(photo.image_rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def widened(mask: Mask, by_px: int) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by_px + 1, 2 * by_px + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def locally_dark(photo: DemoPhoto) -> Mask:
    """At least 15 grey levels below the Gaussian mean of 35 × 35 pixels."""
    method, kind = cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY_INV
    return np.asarray(cv2.adaptiveThreshold(grey(photo), 255, method, kind, 35, 15) > 0)


def f1(found: Mask, mask: Mask) -> float:
    return 2 * float((found & mask).sum()) / float(found.sum() + mask.sum())


# --- which photos there are


def test_every_split_has_the_number_of_photos_asked_for(photos: list[DemoPhoto]) -> None:
    assert [photo.split for photo in photos] == ["train"] * 16 + ["val"] * 4 + ["test"] * 4


def test_names_tell_split_surface_and_index(photos: list[DemoPhoto]) -> None:
    assert all(re.fullmatch(r"(train|val|test)/(asphalt|concrete)_\d{3}", photo.name) for photo in photos)
    assert [int(photo.name[-3:]) for photo in photos] == [*range(16), *range(4), *range(4)]
    assert {photo.name.split("/")[1].split("_")[0] for photo in photos} == {"asphalt", "concrete"}


def test_a_split_may_be_empty() -> None:
    assert [photo.split for photo in demo_photos(knobs(train=1, val=0, test=1))] == ["train", "test"]


def test_uncracked_photos_are_spread_over_the_split() -> None:
    assert [index for index in range(20) if is_uncracked(index, 0.2)] == [2, 7, 12, 17]


@given(count=st.integers(0, 60), share=st.floats(0, 1))
@settings(deadline=None)
def test_exactly_the_rounded_share_of_photos_is_uncracked(count: int, share: float) -> None:
    assert sum(is_uncracked(index, share) for index in range(count)) == round(share * count)


def test_masks_are_empty_exactly_in_uncracked_photos(photos: list[DemoPhoto]) -> None:
    for photo in photos:
        assert photo.mask.any() == (not is_uncracked(int(photo.name[-3:]), 0.25)), photo.name


# --- what a seed fixes


def test_the_same_seed_gives_the_same_bytes(photos: list[DemoPhoto]) -> None:
    assert all(same(*pair) for pair in zip(photos, demo_photos(knobs()), strict=True))


def test_a_photo_does_not_depend_on_how_many_others_are_asked_for(photos: list[DemoPhoto]) -> None:
    fewer = list(demo_photos(knobs(train=3, val=1, test=2)))
    by_name = {photo.name: photo for photo in photos}
    assert len(fewer) == 6
    assert all(same(photo, by_name[photo.name]) for photo in fewer)


def test_seed_split_and_index_each_change_the_photo() -> None:
    first = demo_photo(1, "train", 0, cracked=True)
    others = [demo_photo(2, "train", 0, True), demo_photo(1, "val", 0, True), demo_photo(1, "train", 1, True)]
    assert len({photo.image_rgb.tobytes() for photo in (first, *others)}) == 4


# --- what the arrays look like


def test_photos_are_eight_bit_rgb_with_a_mask_of_their_size(photos: list[DemoPhoto]) -> None:
    for photo in photos:
        assert photo.image_rgb.dtype == np.uint8 and photo.mask.dtype == np.bool_
        assert photo.image_rgb.shape == (*photo.mask.shape, 3)
        assert photo.mask.shape[::-1] in SIZES_PX


def test_all_sizes_occur_and_two_are_no_multiple_of_32(photos: list[DemoPhoto]) -> None:
    assert {photo.mask.shape[::-1] for photo in photos} == set(SIZES_PX)
    assert sum(width % 32 != 0 or height % 32 != 0 for width, height in SIZES_PX) >= 2


def test_photos_are_neither_black_nor_burnt_out(photos: list[DemoPhoto]) -> None:
    for photo in photos:
        assert 60 < photo.image_rgb.mean() < 190, photo.name
        assert (photo.image_rgb == 255).mean() < 0.02, photo.name


# --- what cracks look like


def test_cracks_cover_one_to_eight_percent(cracked: list[DemoPhoto]) -> None:
    assert all(0.01 <= photo.mask.mean() <= 0.08 for photo in cracked)


def test_crack_widths_run_from_hairlines_to_about_a_dozen_pixels(cracked: list[DemoPhoto]) -> None:
    """Twice the distance to the background, on the ridge of the distances; wider only where cracks meet."""
    widths = np.concatenate([ridge_widths_px(photo.mask) for photo in cracked])
    assert widths.min() <= 2
    assert 7 <= np.percentile(widths, 99) <= 13
    assert widths.max() <= 22


def ridge_widths_px(mask: Mask) -> NDArray[np.float32]:
    depth = np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    ridge = mask & (depth >= cv2.dilate(depth, np.ones((3, 3), np.uint8)))
    return 2 * depth[ridge] - 1


def test_cracks_of_a_photo_vary_in_width(cracked: list[DemoPhoto]) -> None:
    assert all(np.ptp(ridge_widths_px(photo.mask)) >= 2 for photo in cracked)


def test_cracks_are_darker_than_what_surrounds_them(cracked: list[DemoPhoto]) -> None:
    for photo in cracked:
        ring = widened(photo.mask, 6) & ~widened(photo.mask, 1)
        assert grey(photo)[photo.mask].mean() < 0.85 * grey(photo)[ring].mean(), photo.name


def test_one_threshold_for_the_whole_photo_does_not_find_the_cracks(cracked: list[DemoPhoto]) -> None:
    scores = []
    for photo in cracked:
        threshold, _ = cv2.threshold(grey(photo), 0, 255, cv2.THRESH_OTSU)
        scores.append(f1(grey(photo) <= threshold, photo.mask))
    assert np.mean(scores) < 0.5


def test_a_local_threshold_near_the_cracks_finds_them(cracked: list[DemoPhoto]) -> None:
    scores = [f1(locally_dark(photo) & widened(photo.mask, 4), photo.mask) for photo in cracked]
    assert np.mean(scores) > 0.6


def test_a_local_threshold_alone_is_fooled_in_uncracked_photos(photos: list[DemoPhoto]) -> None:
    uncracked = [photo for photo in photos if not photo.mask.any()]
    dark = [locally_dark(photo).mean() for photo in uncracked]
    assert np.mean(dark) > 0.01


def test_the_crack_is_the_only_thing_the_mask_knows() -> None:
    """The same ground without its crack: the surface is drawn first, so the photos agree in size and name."""
    with_crack, without = (demo_photo(3, "test", 5, cracked) for cracked in (True, False))
    assert with_crack.name == without.name and with_crack.mask.shape == without.mask.shape
    assert with_crack.mask.any() and not without.mask.any()


@pytest.mark.slow
def test_hundreds_of_photos_keep_every_promise() -> None:
    photos = list(demo_photos(knobs(train=300, val=0, test=1, seed=99)))
    shares = [float(photo.mask.mean()) for photo in photos if photo.mask.any()]
    assert min(shares) >= 0.01 and max(shares) <= 0.08
    assert len({photo.image_rgb.tobytes() for photo in photos}) == len(photos)
