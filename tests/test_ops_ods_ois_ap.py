"""ODS, OIS, AP and the classifier's scores against definitions written out as loops."""

import math
import time
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from pipeline.ops.ods_ois_ap import Empty, ScoreSheet, classification_scores

Pair = tuple[np.ndarray, np.ndarray]
EMPTY = pytest.mark.parametrize("empty", ["zero", "one", "skip"])


def ods_ois_ap(
    predictions: Iterable[np.ndarray], masks: Iterable[np.ndarray], *, empty: Empty = "zero"
) -> dict[str, float]:
    """Scores of pairs of prediction and mask, each looked at once and let go; see `ScoreSheet`."""
    sheet = ScoreSheet(empty=empty)
    for prediction, mask in zip(predictions, masks, strict=True):
        sheet.add(prediction, mask)
    return sheet.totals()


def values(prediction: np.ndarray) -> np.ndarray:
    """The prediction in [0, 1] as float64."""
    return prediction.astype(np.float64) / {"uint8": 255, "uint16": 65535}.get(prediction.dtype.name, 1)


def counts(prediction: np.ndarray, mask: np.ndarray, k: int) -> tuple[int, int, int]:
    """TP, FP, FN at the threshold k/100."""
    predicted = values(prediction) > k / 100
    return int((predicted & mask).sum()), int((predicted & ~mask).sum()), int((~predicted & mask).sum())


def ratio(part: int, whole: int, undefined: float = 0.0) -> float:
    return part / whole if whole else undefined


def average_precision(at: list[tuple[int, int, int]]) -> float:
    recall = [ratio(tp, tp + fn) for tp, _, fn in at] + [0.0]
    return math.fsum((recall[k] - recall[k + 1]) * ratio(tp, tp + fp) for k, (tp, fp, _) in enumerate(at))


def by_loops(pairs: list[Pair], empty: str) -> dict[str, float]:
    scored = [pair for pair in pairs if empty != "skip" or pair[1].any()]
    at = [[counts(*pair, k) for k in range(1, 100)] for pair in scored]
    undefined = 1.0 if empty == "one" else 0.0
    f1 = [[ratio(2 * tp, 2 * tp + fp + fn, undefined) for tp, fp, fn in image] for image in at]
    n, empties = len(scored), sum(not mask.any() for _, mask in pairs)
    if not n:
        names = ("ods", "ois", "ap", "ods_threshold", "ap_mean_of_images", "pooled_f1")
        return dict.fromkeys(names, math.nan) | {"images": len(pairs), "empty_images": empties}
    mean = [sum(image[k] for image in f1) / n for k in range(99)]
    pooled = [tuple(sum(image[k][i] for image in at) for i in range(3)) for k in range(99)]
    return {
        "ods": max(mean),
        "ois": sum(max(image) for image in f1) / n,
        "ap": average_precision(pooled),
        "ods_threshold": (mean.index(max(mean)) + 1) / 100,
        "ap_mean_of_images": sum(average_precision(image) for image in at) / n,
        "pooled_f1": max(ratio(2 * tp, 2 * tp + fp + fn) for tp, fp, fn in pooled),
        "images": len(pairs),
        "empty_images": empties,
    }


def random_image(rng: np.random.Generator) -> Pair:
    """Any type of prediction, with values on the thresholds, empty masks and empty predictions."""
    shape = tuple(rng.integers(1, 7, 2))
    kind = rng.choice(["uint8", "uint16", "float32", "float64", "bool"])
    if kind == "bool":
        prediction = rng.random(shape) < 0.4
    elif kind == "uint8":
        prediction = rng.choice([0, 51, 102, 153, 204, 255, *rng.integers(0, 256, 4)], shape).astype(kind)
    elif kind == "uint16":
        prediction = rng.choice([0, 13107, 26214, 65535, *rng.integers(0, 65536, 4)], shape).astype(kind)
    else:
        prediction = (rng.integers(0, 101, shape) / 100).astype(kind)
    if rng.random() < 0.2:
        prediction = np.zeros_like(prediction)
    return prediction, rng.random(shape) < rng.choice([0.0, 0.2, 0.7])


def test_a_perfect_prediction_scores_one() -> None:
    mask = np.eye(4, dtype=bool)
    scores = ods_ois_ap([mask, mask], [mask, mask])
    assert (scores["ods"], scores["ois"], scores["ap"], scores["ap_mean_of_images"]) == (1, 1, 1, 1)
    assert (scores["ods_threshold"], scores["images"], scores["empty_images"]) == (0.01, 2, 0)


def test_a_binary_prediction_has_precision_times_recall_as_ap_and_its_f1_as_ods_and_ois() -> None:
    prediction, mask = np.array([[1, 1, 1, 0]], bool), np.array([[1, 1, 0, 1]], bool)
    scores = ods_ois_ap([prediction], [mask])
    assert scores["ap"] == pytest.approx(2 / 3 * 2 / 3)
    assert scores["ods"] == scores["ois"] == 2 / 3


def test_ois_may_choose_a_threshold_for_each_image_and_ods_may_not() -> None:
    mask = np.array([[True, False]])
    low, high = np.array([[0.3, 0.1]]), np.array([[0.9, 0.7]])  # perfect below 0.3 and above 0.7
    scores = ods_ois_ap([low, high], [mask, mask])
    assert scores["ois"] == 1
    assert scores["ods"] == (1 + 2 / 3) / 2
    assert scores["ods_threshold"] == 0.10


def test_a_value_on_the_threshold_is_not_predicted() -> None:
    mask = np.ones((1, 1), bool)
    for fifth in (51, 102, 153, 204):  # k/5 is a threshold
        sheet = ScoreSheet(empty="zero")
        sheet.add(np.array([[fifth]], np.uint8), mask)
        assert sheet.curve()["recall"].sum() == fifth * 100 // 255 - 1
    sheet = ScoreSheet(empty="zero")
    sheet.add(np.array([[0.07]]), mask)
    assert sheet.curve()["recall"].sum() == 6


@pytest.mark.parametrize(("empty", "ods", "ois"), [("zero", 0.5, 0.5), ("one", 1.0, 1.0), ("skip", 1.0, 1.0)])
def test_an_empty_image_without_prediction_counts_as_named(empty: str, ods: float, ois: float) -> None:
    mask, nothing = np.ones((2, 2), bool), np.zeros((2, 2), bool)
    scores = ods_ois_ap([mask, nothing], [mask, nothing], empty=empty)
    assert (scores["ods"], scores["ois"]) == (ods, ois)
    assert (scores["images"], scores["empty_images"]) == (2, 1)


@EMPTY
def test_scores_equal_the_loops_bit_for_bit(empty: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        pairs = [random_image(rng) for _ in range(rng.integers(1, 5))]
        assert_same(ods_ois_ap(*zip(*pairs, strict=True), empty=empty), by_loops(pairs, empty))


def assert_same(ours: dict, expected: dict) -> None:
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        assert ours[name] == value or (math.isnan(ours[name]) and math.isnan(value)), name


@EMPTY
def test_the_row_of_an_image_is_its_own_score(empty: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        prediction, mask = random_image(rng)
        row = ScoreSheet(empty=empty).add(prediction, mask)
        alone = by_loops([(prediction, mask)], empty)
        expected = {"f1": alone["ois"], "threshold": alone["ods_threshold"], "ap": alone["ap"]}
        assert_same(row, expected | {"crack_pixels": int(mask.sum())})


def test_the_curve_is_of_pooled_counts() -> None:
    rng = np.random.default_rng(2)
    pairs, sheet = [random_image(rng) for _ in range(5)], ScoreSheet(empty="zero")
    for pair in pairs:
        sheet.add(*pair)
    curve = sheet.curve()
    for k in range(1, 100):
        tp, fp, fn = np.sum([counts(*pair, k) for pair in pairs], axis=0).tolist()
        assert curve["threshold"][k - 1] == k / 100
        assert curve["precision"][k - 1] == ratio(tp, tp + fp)
        assert curve["recall"][k - 1] == ratio(tp, tp + fn)
        assert curve["f1_pooled"][k - 1] == ratio(2 * tp, 2 * tp + fp + fn)
    assert curve["f1_mean"].max() == sheet.totals()["ods"]


def test_images_are_looked_at_once_and_let_go() -> None:
    alive = 0

    def images() -> Iterator[np.ndarray]:
        nonlocal alive
        for _ in range(3):
            alive += 1
            yield np.eye(3, dtype=bool)

    assert ods_ois_ap(images(), images())["images"] == 3
    assert alive == 6


def test_what_is_not_allowed_is_said() -> None:
    mask = np.zeros((2, 2), bool)
    with pytest.raises(ValueError, match="no image"):
        ods_ois_ap([], [])
    with pytest.raises(ValueError, match="bool mask"):
        ods_ois_ap([mask], [mask.astype(np.uint8)])
    with pytest.raises(ValueError, match="H×W"):
        ods_ois_ap([mask[:1]], [mask])
    with pytest.raises(ValueError, match="longer"):
        ods_ois_ap([mask], [mask, mask])
    with pytest.raises(ValueError, match="allowed: zero, one, skip"):
        ScoreSheet(empty="maybe")
    for wrong in (np.full((2, 2), 1.5), np.full((2, 2), np.nan), np.full((2, 2), 7)):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            ods_ois_ap([wrong], [mask])


def test_classification_counts_by_eye() -> None:
    labels = np.array([True, True, True, False, False])
    scores = classification_scores(labels, np.array([0.9, 0.8, 0.2, 0.7, 0.5]), 0.5)
    assert (scores["tp"], scores["fp"], scores["tn"], scores["fn"]) == (2, 1, 1, 1)
    assert scores["f1"] == scores["precision"] == scores["recall"] == 2 / 3
    assert scores["auc"] == 4 / 6


def test_the_area_under_the_roc_counts_pairs_and_ties_half() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        labels, probabilities = rng.random(30) < 0.4, rng.integers(0, 6, 30) / 5
        crack, other = probabilities[labels][:, None], probabilities[~labels][None]
        pairs = np.mean((crack > other) + 0.5 * (crack == other))
        assert classification_scores(labels, probabilities, 0.5)["auc"] == pytest.approx(pairs, abs=1e-12)


@pytest.mark.parametrize("labels", [np.zeros(3, bool), np.ones(3, bool), np.zeros(0, bool)])
def test_a_missing_class_leaves_zeros_and_no_area(labels: np.ndarray) -> None:
    scores = classification_scores(labels, np.zeros(labels.size), 0.5)
    assert (scores["f1"], scores["precision"], scores["recall"]) == (0, 0, 0)
    assert math.isnan(scores["auc"])


@pytest.mark.slow
def test_counting_is_far_faster_than_the_loop() -> None:
    rng = np.random.default_rng(0)
    prediction, mask = rng.integers(0, 256, (384, 544), np.uint8), rng.random((384, 544)) < 0.05
    sheet, spans = ScoreSheet(empty="zero"), []
    for _ in range(20):
        start = time.process_time()
        sheet.add(prediction, mask)
        spans.append(time.process_time() - start)
    start = time.process_time()
    for k in range(1, 100):
        counts(prediction, mask, k)
    loop = time.process_time() - start
    print(f"scores: {1e3 * min(spans):.2f} ms against {1e3 * loop:.0f} ms, {loop / min(spans):.0f} times")
    assert loop / min(spans) > 100  # about 260 on a quiet machine
