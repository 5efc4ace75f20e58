"""The scores of other papers against definitions written out as loops."""

import math
import time

import numpy as np
import pytest

from pipeline.ops.ods_ois_ap import ScoreSheet
from pipeline.ops.other_papers_scores import DEFINITIONS, MetricSheet

Pair = tuple[np.ndarray, np.ndarray]
Numbers = dict[str, float]
SCNET: Numbers = {"threshold": 0.5, "region_px": 32, "region_crack_share": 0.05, "region_hit_share": 0.5}
SMALL: Numbers = {"threshold": 0.5, "region_px": 2, "region_crack_share": 0.5, "region_hit_share": 0.5}
NAN = math.nan


def measured(pairs: list[Pair], numbers: Numbers) -> dict[str, float]:
    sheet = MetricSheet(**numbers)  # type: ignore[arg-type]
    for pair in pairs:
        sheet.add(*pair)
    return dict(sheet.totals())


def picture(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


# Loops


def values(prediction: np.ndarray) -> np.ndarray:
    return prediction.astype(np.float64) / {"uint8": 255, "uint16": 65535}.get(prediction.dtype.name, 1)


def counts(prediction: np.ndarray, mask: np.ndarray, t: float) -> tuple[int, int, int, int]:
    """TP, FP, FN, TN at a threshold."""
    predicted = values(prediction) > t
    both = ((True, True), (True, False), (False, True), (False, False))
    tp, fp, fn, tn = (int(((predicted == p) & (mask == m)).sum()) for p, m in both)
    return tp, fp, fn, tn


def ratio(part: float, whole: float, undefined: float = 0.0) -> float:
    return part / whole if whole else undefined


def f1(tp: int, fp: int, fn: int) -> float:
    return ratio(2 * tp, 2 * tp + fp + fn)


def regions(pairs: list[Pair], t: float, numbers: Numbers) -> float:
    side = int(numbers["region_px"])
    tp = fp = fn = 0
    for prediction, mask in pairs:
        margins = [(0, -size % side) for size in mask.shape]
        predicted, cracked = np.pad(values(prediction) > t, margins), np.pad(mask, margins)
        for row in range(0, cracked.shape[0], side):
            for column in range(0, cracked.shape[1], side):
                here = (slice(row, row + side), slice(column, column + side))
                if cracked[here].mean() >= numbers["region_crack_share"]:
                    found = (predicted & cracked)[here].sum() / cracked[here].sum() >= numbers["region_hit_share"]
                    tp, fn = tp + int(found), fn + int(not found)
                else:
                    fp += int(predicted[here].mean() >= numbers["region_crack_share"])
    return f1(tp, fp, fn) if tp + fp + fn else NAN


def areas(recall: list[float], precision: list[float]) -> tuple[float, float]:
    """From t = 1, where R = 0 and P = 1, down to t = 0."""
    r, p = [*recall, 0.0], [*precision, 1.0]
    steps = math.fsum((r[k] - r[k + 1]) * p[k] for k in range(100))
    return steps, math.fsum((r[k] - r[k + 1]) * (p[k] + p[k + 1]) / 2 for k in range(100))


def mean(numbers: list[float]) -> float:
    return math.fsum(numbers) / len(numbers)


def by_loops(pairs: list[Pair], numbers: Numbers) -> dict[str, float]:
    at = [[counts(*pair, k / 100) for pair in pairs] for k in range(100)]
    pooled = [tuple(sum(image[i] for image in images) for i in range(4)) for images in at]
    tp, fp, fn, tn = pooled[round(100 * numbers["threshold"])]
    fixed = at[round(100 * numbers["threshold"])]
    pixel = [f1(*each[:3]) for each in pooled]
    threshold = pixel.index(max(pixel)) / 100
    precision = [mean([ratio(tp, tp + fp) for tp, fp, _, _ in images]) for images in at]
    recall = [mean([ratio(tp, tp + fn) for tp, _, fn, _ in images]) for images in at]
    macro = [ratio(2 * p * r, p + r) for p, r in zip(precision, recall, strict=True)]
    ious = [part / whole for part, whole in ((tn, tn + fp + fn), (tp, tp + fp + fn)) if whole]
    shares = [part / whole for part, whole in ((tn, tn + fp), (tp, tp + fn)) if whole]
    steps, trapezoid = areas(
        [ratio(tp, tp + fn) for tp, _, fn, _ in pooled], [ratio(tp, tp + fp, 1.0) for tp, fp, _, _ in pooled]
    )
    cracked = {
        "pixel_f1": max(pixel),
        "pixel_f1_threshold": threshold,
        "auprc": steps,
        "auprc_trapezoid": trapezoid,
        "region_f1": regions(pairs, threshold, numbers),
    }
    return (cracked if tp + fn else dict.fromkeys(cracked, NAN)) | {
        "macro_f1": max(macro),
        "miou": mean(ious),
        "miou_classes": len(ious),
        "iou": mean([ratio(tp, tp + fp + fn, 1.0) for tp, fp, fn, _ in fixed]),
        "dice": mean([ratio(2 * tp, 2 * tp + fp + fn, 1.0) for tp, fp, fn, _ in fixed]),
        "aiu": mean([ratio(tp, tp + fp + fn, 1.0) for images in at[1:] for tp, fp, fn, _ in images]),
        "accuracy": (tp + tn) / (tp + fp + fn + tn),
        "class_accuracy": mean(shares),
    }


def random_image(rng: np.random.Generator) -> Pair:
    """Any type of prediction, with values on the thresholds, empty and full masks and predictions."""
    shape = tuple(rng.integers(1, 9, 2))
    kind = rng.choice(["uint8", "uint16", "float16", "float32", "float64", "bool"])
    if kind == "bool":
        prediction = rng.random(shape) < 0.4
    elif kind == "uint8":
        prediction = rng.choice([0, 1, 51, 102, 153, 204, 255, *rng.integers(0, 256, 4)], shape).astype(kind)
    elif kind == "uint16":
        prediction = rng.choice([0, 1, 13107, 26214, 65535, *rng.integers(0, 65536, 4)], shape).astype(kind)
    else:
        prediction = (rng.integers(0, 101, shape) / rng.choice([100, 101])).astype(kind)
    if rng.random() < 0.2:
        prediction = np.zeros_like(prediction)
    return prediction, rng.random(shape) < rng.choice([0.0, 0.2, 0.7, 1.0])


def test_totals_equal_the_loops() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        pairs = [random_image(rng) for _ in range(rng.integers(1, 5))]
        numbers = {
            "threshold": rng.integers(0, 100) / 100,
            "region_px": int(rng.integers(1, 6)),
            "region_crack_share": rng.choice([0.05, 0.25, 0.5, 1]),
            "region_hit_share": rng.choice([0.1, 0.5, 1]),
        }
        totals = measured(pairs, numbers)
        for name, value in by_loops(pairs, numbers).items():
            assert totals[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_regions_of_real_size_equal_the_loops() -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        shape = tuple(rng.integers(20, 110, 2))
        smooth = np.kron(rng.random((14, 14)), np.ones((8, 8)))[: shape[0], : shape[1]]
        pairs = [(np.clip(smooth + rng.normal(0, 0.2, shape), 0, 1), smooth > limit) for limit in (0.7, 0.9, 1)]
        totals = measured(pairs, SCNET)
        assert 0 < totals["region_f1"] < 1
        assert totals["region_f1"] == pytest.approx(regions(pairs, totals["pixel_f1_threshold"], SCNET), abs=1e-12)


def test_the_row_of_an_image_is_its_own_total() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        pair = random_image(rng)
        row, total = MetricSheet(**SMALL).add(*pair), measured([pair], SMALL)  # type: ignore[arg-type]
        assert row == {name: total[name] for name in ("iou", "dice", "aiu")}


# By hand


def test_every_metric_is_defined_in_one_sentence() -> None:
    mask = np.eye(4, dtype=bool)
    assert list(DEFINITIONS) == list(measured([(mask, mask)], SMALL))
    for sentence in DEFINITIONS.values():
        assert sentence.endswith(".") and ". " not in sentence


def test_a_perfect_prediction_has_one_everywhere() -> None:
    mask = picture("##..", "....")
    totals = measured([(mask, mask)], SMALL)
    thresholds = {"pixel_f1_threshold": 0, "macro_f1_threshold": 0}
    assert totals == {**dict.fromkeys(DEFINITIONS, 1), **thresholds, "miou_classes": 2}


def test_one_image_by_hand() -> None:
    mask, prediction = picture("##..", "##.."), picture("#...", "#.#.")  # TP 2, FP 1, FN 2, TN 3
    totals = measured([(prediction, mask)], SMALL)
    for name in ("pixel_f1", "dice", "macro_f1"):
        assert totals[name] == pytest.approx(4 / 7)
    assert totals["iou"] == pytest.approx(2 / 5)
    assert totals["aiu"] == pytest.approx(2 / 5)
    assert totals["miou"] == pytest.approx((2 / 5 + 3 / 6) / 2)
    assert totals["accuracy"] == 5 / 8
    assert totals["class_accuracy"] == pytest.approx((2 / 4 + 3 / 4) / 2)
    assert totals["auprc"] == pytest.approx(2 / 4 * 2 / 3)
    assert totals["auprc_trapezoid"] == pytest.approx(2 / 4 * (1 + 2 / 3) / 2)
    assert totals["region_f1"] == 1  # half of the cracked one is found; one pixel of four is no false alarm


def test_regions_by_hand() -> None:
    mask = picture("##....#", "##.....", "##..##.")
    prediction = picture("......#", "#.##.#.", "....##.")
    # 2×2 from the left, above: a quarter of the crack: missed; two of four pixels: false; one: none; half: none, since
    # neither the one crack pixel nor the one predicted fills half of a region that is half beyond the border.
    # below, half of each beyond the border: cracked and missed; nothing; cracked and found; nothing.
    totals = measured([(prediction, mask)], SMALL)
    assert totals["region_f1"] == 2 * 1 / (2 * 1 + 1 + 2)


def test_five_per_cent_of_a_region_of_32_are_52_pixels() -> None:
    for pixels, expected in ((52, 1.0), (51, NAN)):
        mask = np.zeros((32, 32), bool)
        mask.flat[:pixels] = True
        assert measured([(mask, mask)], SCNET)["region_f1"] == pytest.approx(expected, nan_ok=True)


def test_pooled_metrics_weigh_pixels_and_the_others_images() -> None:
    large, small = picture("####", "####"), picture("##..", "....")
    pairs = [(large, large), (picture("#.#.", "...."), small)]  # F1 1 and 1/2
    totals = measured(pairs, SMALL)
    assert totals["dice"] == (1 + 1 / 2) / 2
    assert totals["pixel_f1"] == 18 / (18 + 2)
    assert totals["iou"] == pytest.approx((1 + 1 / 3) / 2)
    assert totals["macro_f1"] == (1 + 1 / 2) / 2


def test_empty_masks_count_as_the_definitions_say() -> None:
    nothing, crack = picture("....", "...."), picture("##..", "....")
    totals = measured([(nothing, nothing)], SMALL)
    for name in ("pixel_f1", "pixel_f1_threshold", "auprc", "auprc_trapezoid", "region_f1"):
        assert math.isnan(totals[name])
    assert (totals["iou"], totals["dice"], totals["aiu"]) == (1, 1, 1)
    assert (totals["miou"], totals["miou_classes"], totals["macro_f1"]) == (1, 1, 0)
    false = measured([(crack, crack), (crack, nothing)], SMALL)
    assert false["pixel_f1"] == 2 * 2 / (2 * 2 + 2)
    assert (false["iou"], false["dice"]) == (0.5, 0.5)
    assert false["macro_f1"] == 0.5  # both means are of 1 and 0
    missed = measured([(nothing, crack)], SMALL)
    assert (missed["pixel_f1"], missed["auprc"], missed["iou"], missed["dice"], missed["macro_f1"]) == (0, 0, 0, 0, 0)


def test_zero_is_a_threshold_and_what_lies_on_one_is_not_predicted() -> None:
    mask = picture("#.")
    faint = measured([(np.array([[0.004, 0]]), mask)], SMALL)
    assert (faint["pixel_f1"], faint["pixel_f1_threshold"], faint["aiu"]) == (1, 0, 0)
    for level, iou in ((128, 1), (127, 0)):  # 127/255 < 1/2 < 128/255
        assert measured([(np.array([[level, 0]], np.uint8), mask)], SMALL)["iou"] == iou
    assert measured([(np.array([[0.5, 0]]), mask)], SMALL)["iou"] == 0


def test_arrays_need_not_be_contiguous() -> None:
    rng = np.random.default_rng(0)
    prediction, mask = rng.integers(0, 256, (9, 14), np.uint8).T, (rng.random((18, 14)) < 0.4).T[:, ::2]
    assert measured([(prediction, mask)], SMALL) == measured([(prediction.copy("C"), mask.copy("C"))], SMALL)


def test_what_is_not_allowed_is_said() -> None:
    mask = np.zeros((2, 2), bool)
    sheet = MetricSheet(**SMALL)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no image"):
        sheet.totals()
    with pytest.raises(ValueError, match="bool mask"):
        sheet.add(mask, mask.astype(np.uint8))
    with pytest.raises(ValueError, match="H×W"):
        sheet.add(mask[:1], mask)
    for wrong in (np.full((2, 2), 1.5), np.full((2, 2), np.nan), np.full((2, 2), 7)):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            sheet.add(wrong, mask)
    for name, number in (("threshold", 0.123), ("threshold", 1.0)):
        with pytest.raises(ValueError, match=r"allowed: 0.00, 0.01, … 0.99"):
            MetricSheet(**{**SMALL, name: number})  # type: ignore[arg-type]
    for name in ("region_px", "region_crack_share", "region_hit_share"):
        with pytest.raises(ValueError, match="at least 1 px and shares above 0"):
            MetricSheet(**{**SMALL, name: 0})  # type: ignore[arg-type]


def seconds(sheet: MetricSheet | ScoreSheet, prediction: np.ndarray, mask: np.ndarray) -> float:
    spans = []
    for _ in range(20):
        start = time.process_time()
        sheet.add(prediction, mask)
        spans.append(time.process_time() - start)
    return min(spans)


@pytest.mark.slow
def test_all_metrics_together_cost_about_twice_the_scores() -> None:
    rng = np.random.default_rng(0)
    prediction, mask = rng.integers(0, 256, (384, 544), np.uint8), rng.random((384, 544)) < 0.05
    ours = seconds(MetricSheet(**SCNET), prediction, mask)  # type: ignore[arg-type]
    scores = seconds(ScoreSheet(empty="zero"), prediction, mask)
    print(f"metrics: {1e3 * ours:.2f} ms, scores: {1e3 * scores:.2f} ms, {ours / scores:.1f} times")
    assert ours / scores < 4  # about 2.3 on a quiet machine
