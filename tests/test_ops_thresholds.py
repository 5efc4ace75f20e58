"""Local multi-Otsu: golden windows, laws, and equality with scikit-image in a plain loop."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters import threshold_otsu

from pipeline.ops.thresholds import local_multi_otsu, plain_dark, plain_local_multi_otsu

DATASETS = Path(__file__).resolve().parents[2] / "shared" / "datasets"
CLASSES = pytest.mark.parametrize("classes", [2, 3])
seeds = st.integers(0, 10**6)


def by_skimage(grey: np.ndarray, window_px: int, stride_px: int, classes: int) -> np.ndarray:
    return plain_local_multi_otsu(grey, window_px=window_px, stride_px=stride_px, classes=classes)


def nasty(rng: np.random.Generator, size: int) -> np.ndarray:
    """A size×size image of the kinds that photos never show; see the list."""
    n, low = size * size, int(rng.integers(0, 255))
    high = int(rng.integers(low + 1, 256))
    if rng.random() < 0.3:
        low, high = 0, 255
    ends = np.unique(np.r_[0, rng.integers(0, 4, 2), 255 - rng.integers(0, 4, 2), 255])
    kinds = [
        lambda: rng.integers(low, high + 1, n),  # flat noise
        lambda: rng.choice(rng.integers(low, high + 1, rng.integers(1, 7)), n),  # few levels
        lambda: np.r_[rng.integers(low, high + 1, 3), high, np.full(n, low)][:n],  # spikes
        lambda: rng.choice(ends, n, p=rng.dirichlet(np.full(ends.size, 0.3))),  # both ends
        lambda: np.r_[ends, ends[:4], np.full(n, rng.choice(ends))][:n],  # one heap and strays: round-off decides
        lambda: rng.normal(rng.integers(0, 256), rng.uniform(0.3, 60), n).clip(0, 255),  # clipped bell
        lambda: np.where(rng.random(n) < rng.random(), rng.normal(60, 9, n), rng.normal(180, 9, n)).clip(0, 255),
        lambda: np.arange(n) % 256,  # every level
        lambda: rng.choice([low, low + 1, min(low + 2, high), high], n),  # neighbours
        lambda: low + (high - low) * np.minimum(rng.geometric(0.2, n) - 1, 40) / 40,  # a comb
        lambda: rng.choice([0, 3, 5, 255], n),  # equal distances: ties between cuts
    ]
    values = np.asarray(kinds[rng.integers(len(kinds))]()).astype(np.uint8)
    return rng.permutation(values).reshape(size, size)


def assert_nasty_windows_agree(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        size, classes = int(rng.choice([2, 3, 5, 7, 8, 16, 24, 31, 32, 33, 48])), int(rng.integers(2, 4))
        window = nasty(rng, size)
        ours = local_multi_otsu(window, window_px=size, stride_px=size, classes=classes)
        assert (ours == plain_dark(window, classes)).all(), (size, classes, np.unique(window, True))


def test_the_darkest_of_three_groups_is_dark() -> None:
    grey = np.array([[200, 10, 100, 203], [201, 10, 102, 200], [200, 10, 101, 202], [203, 10, 100, 200]], np.uint8)
    assert (local_multi_otsu(grey, window_px=4, stride_px=4, classes=3) == (grey == 10)).all()


def test_the_brightest_of_the_first_class_is_not_dark_when_it_lies_above_the_centre_of_its_bin() -> None:
    grey = np.array([[200, 10, 100, 200], [200, 12, 100, 200], [200, 11, 100, 200], [200, 10, 100, 200]], np.uint8)
    assert (local_multi_otsu(grey, window_px=4, stride_px=4, classes=3) == (grey < 12)).all()
    assert (plain_dark(grey, 3) == (grey < 12)).all()


@CLASSES
def test_a_window_of_one_level_has_no_crack(classes: int) -> None:
    assert not local_multi_otsu(np.full((8, 8), 9, np.uint8), window_px=4, stride_px=2, classes=classes).any()


@CLASSES
@pytest.mark.parametrize(("dark", "bright"), [(0, 1), (0, 255), (254, 255), (7, 130)])
def test_of_two_levels_the_darker_is_dark(dark: int, bright: int, classes: int) -> None:
    grey = np.full((4, 4), bright, np.uint8)
    grey[1, 2] = dark
    assert (local_multi_otsu(grey, window_px=4, stride_px=4, classes=classes) == (grey == dark)).all()


def test_of_three_levels_in_three_classes_the_darkest_is_dark() -> None:
    grey = np.array([[5, 6, 200], [6, 6, 6], [200, 200, 5]], np.uint8)
    assert (local_multi_otsu(grey, window_px=3, stride_px=3, classes=3) == (grey == 5)).all()


def test_a_pixel_is_crack_only_when_all_windows_agree() -> None:
    grey = np.array([[90, 90, 50, 90, 90, 10, 90, 90]] * 4, np.uint8)
    left, middle = grey[:, :4], grey[:, 2:6]  # 50 is the darker of two levels, then the middle one of three
    assert local_multi_otsu(left, window_px=4, stride_px=4, classes=3)[0].tolist() == [False, False, True, False]
    assert local_multi_otsu(middle, window_px=4, stride_px=4, classes=3)[0].tolist() == [False, False, False, True]
    assert (local_multi_otsu(grey, window_px=4, stride_px=2, classes=3) == (grey == 10)).all()


def test_nasty_windows_agree_with_scikit_image() -> None:
    assert_nasty_windows_agree(2_000, seed=0)


@pytest.mark.slow
def test_very_many_nasty_windows_agree_with_scikit_image() -> None:
    assert_nasty_windows_agree(20_000, seed=1)


HEAPS = [
    {0: 2, 1: 3, 254: 3, 255: 2296},
    {0: 2, 1: 1, 254: 956, 255: 2},
    {0: 3, 2: 378, 253: 2, 255: 1921},
    {0: 3, 1: 2, 2: 3, 253: 4086, 254: 1, 255: 1},
    {0: 4, 3: 4, 5: 4, 255: 4},
    {1: 4, 3: 3, 4: 4, 253: 2, 254: 3},
    {2: 15, 160: 17, 246: 14, 247: 18},
]


@CLASSES
@pytest.mark.parametrize("counts", HEAPS, ids=str)
def test_round_off_and_ties_fall_as_in_scikit_image(counts: dict[int, int], classes: int) -> None:
    size = round(sum(counts.values()) ** 0.5)
    window = np.repeat(list(counts), list(counts.values())).astype(np.uint8).reshape(size, size)
    ours = local_multi_otsu(window, window_px=size, stride_px=size, classes=classes)
    assert (ours == plain_dark(window, classes)).all()


@CLASSES
@pytest.mark.parametrize(("window", "stride"), [(8, 2), (8, 8), (12, 4), (9, 6), (7, 3), (10, 7), (5, 1)])
def test_overlapping_windows_agree_with_scikit_image(window: int, stride: int, classes: int) -> None:
    rng = np.random.default_rng(window * stride)
    for height, width in [(24, 24), (19, 30), (1, 17), (4, 3)]:
        grey = nasty(rng, 30)[:height, :width]
        ours = local_multi_otsu(grey, window_px=window, stride_px=stride, classes=classes)
        assert ours.shape == grey.shape
        assert (ours == by_skimage(grey, window, stride, classes)).all()


@given(seeds, st.sampled_from([2, 3]))
@settings(deadline=None, max_examples=30)
def test_more_windows_only_remove_pixels(seed: int, classes: int) -> None:
    grey = nasty(np.random.default_rng(seed), 24)
    coarse = local_multi_otsu(grey, window_px=8, stride_px=8, classes=classes)
    fine = local_multi_otsu(grey, window_px=8, stride_px=4, classes=classes)
    assert not (fine & ~coarse).any()


@given(seeds, st.sampled_from([2, 3]), st.data())
@settings(deadline=None, max_examples=60)
def test_brightness_and_contrast_change_nothing(seed: int, classes: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    grey = nasty(rng, 16) // np.uint8(rng.integers(1, 9))
    factor = data.draw(st.integers(1, 255 // max(int(grey.max()), 1)))
    added = data.draw(st.integers(-factor * int(grey.min()), 255 - factor * int(grey.max())))
    changed = (grey.astype(int) * factor + added).astype(np.uint8)
    before = local_multi_otsu(grey, window_px=8, stride_px=4, classes=classes)
    assert (local_multi_otsu(changed, window_px=8, stride_px=4, classes=classes) == before).all()


@given(seeds, st.sampled_from([2, 3]), st.integers(1, 3), st.integers(1, 3))
@settings(deadline=None, max_examples=30)
def test_rotating_the_image_rotates_the_result(seed: int, classes: int, rows: int, cols: int) -> None:
    grey = nasty(np.random.default_rng(seed), 24)[: 8 * rows, : 8 * cols]
    turned = local_multi_otsu(np.rot90(grey), window_px=8, stride_px=4, classes=classes)
    assert (turned == np.rot90(local_multi_otsu(grey, window_px=8, stride_px=4, classes=classes))).all()


@pytest.mark.parametrize("seed", range(50))
def test_two_class_multi_otsu_is_otsu(seed: int) -> None:
    rng = np.random.default_rng(seed)
    window = rng.normal(np.where(rng.random((32, 32)) < 0.3, 70, 170), 15).clip(0, 255).astype(np.uint8)
    normalised = (window - window.min()) / float(window.max() - window.min())
    ours = local_multi_otsu(window, window_px=32, stride_px=32, classes=2)
    assert (ours == (normalised < threshold_otsu(normalised, nbins=256))).all()


def test_the_image_is_left_alone_and_need_not_be_contiguous() -> None:
    grey = nasty(np.random.default_rng(3), 32)
    copy = grey.copy()
    turned = local_multi_otsu(grey[::-1, ::2], window_px=8, stride_px=4, classes=3)
    straight = local_multi_otsu(grey[::-1, ::2].copy(), window_px=8, stride_px=4, classes=3)
    assert (turned == straight).all()
    assert (grey == copy).all()


def test_what_is_not_allowed_is_said() -> None:
    grey = np.zeros((8, 8), np.uint8)
    with pytest.raises(ValueError, match="4 classes; 2 or 3"):
        local_multi_otsu(grey, window_px=8, stride_px=4, classes=4)
    with pytest.raises(ValueError, match="stride"):
        local_multi_otsu(grey, window_px=4, stride_px=5, classes=3)
    with pytest.raises(ValueError, match="uint8"):
        local_multi_otsu(grey / 2, window_px=8, stride_px=4, classes=3)


def assert_photos_agree(photos: list[Path], classes: int, part: tuple[slice, ...]) -> None:
    if not photos:
        pytest.skip(f"no photos below {DATASETS}")
    for photo in photos:
        grey = cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE)[part]
        ours = local_multi_otsu(grey, window_px=32, stride_px=8, classes=classes)
        assert (ours == by_skimage(grey, 32, 8, classes)).all(), photo


@pytest.mark.real
@CLASSES
def test_real_photos_agree_with_scikit_image(classes: int) -> None:
    assert_photos_agree(sorted(DATASETS.glob("*/*/*.jpg"))[::700], classes, np.s_[:192, :257])


@pytest.mark.real
@pytest.mark.slow
@CLASSES
def test_thirty_whole_photos_agree_with_scikit_image(classes: int) -> None:
    photos = [photo for name in ("crack500", "deepcrack", "cfd") for photo in sorted((DATASETS / name).glob("*/*.jpg"))]
    assert_photos_agree(photos[:: max(len(photos) // 30, 1)][:30], classes, np.s_[:, :])


@pytest.mark.slow
def test_it_is_a_hundred_times_faster_than_scikit_image() -> None:
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.normal(0, 60, (384, 544)), (0, 0), 2) + rng.normal(128, 12, (384, 544))
    grey = noise.clip(0, 255).astype(np.uint8)

    def seconds(times: int, work: object) -> float:
        spans = []
        for _ in range(times):
            start = time.process_time()
            work(grey)
            spans.append(time.process_time() - start)
        return min(spans)

    local_multi_otsu(grey, window_px=32, stride_px=8, classes=3)  # compiled
    ours = seconds(9, lambda image: local_multi_otsu(image, window_px=32, stride_px=8, classes=3))
    theirs = seconds(2, lambda image: by_skimage(image, 32, 8, 3))
    print(f"local multi-Otsu: {1e3 * ours:.1f} ms against {1e3 * theirs:.0f} ms, {theirs / ours:.0f} times")
    assert theirs / ours > 100
