"""The referee's definitions: golden cases, definitions written out as loops, and what official scripts said."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.morphology import skeletonize, thin

from pipeline.ops.bootstrap import interval, weights_of
from pipeline.ops.judged_columns import Judged, resampled, shape_scores
from pipeline.ops.judged_definitions import CURVES, of_pixels, of_shapes
from pipeline.ops.near import near, strip
from pipeline.ops.ods_ois_ap import ScoreSheet
from pipeline.ops.other_papers_scores import MetricSheet, count_image
from pipeline.ops.shape_counts import Reach, shape_counts
from pipeline.ops.thinning import centreline, skeleton
from tests.referee_cases import cases, digest

REACH = Reach(cliou_px=4, nsd_px=2, edge_px=2, buffer_px=2, tolerances_px=[2, 5], strip_share=0.02)
SMALL = Reach(cliou_px=1, nsd_px=1, edge_px=1, buffer_px=1, tolerances_px=[2], strip_share=0.1)
REGIONS: dict[str, float] = {"region_px": 4, "region_crack_share": 0.1, "region_hit_share": 0.5}
OFFICIAL = json.loads((Path(__file__).parent / "data" / "referee.json").read_text())


def picture(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def random_masks(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of masks: sparse, dense, empty, full, equal, of one pixel."""
    rng = np.random.default_rng(3)
    for number in range(count):
        shape = (1, 1) if number % 20 == 0 else tuple(rng.integers(1, 14, 2))
        one, other = (rng.random(shape) < rng.choice([0, 0.05, 0.3, 0.7, 1]) for _ in range(2))
        yield one, one.copy() if number % 9 == 0 else other


# Golden cases


def scores_of(found: np.ndarray, mask: np.ndarray, reach: Reach = REACH) -> dict[str, float]:
    counts = {name: np.array([value], float) for name, value in shape_counts(found, mask, reach).items()}
    return {name: float(value[0]) for name, value in shape_scores(counts, reach.tolerances_px, of_images=True).items()}


def test_a_line_one_pixel_beside_the_mask_is_right_within_a_tolerance_and_wrong_to_the_pixel() -> None:
    mask = picture("......", "######", "......", "......", "......")
    found = np.roll(mask, 1, axis=0)
    scores = scores_of(found, mask)
    assert (scores["cliou"], scores["f1_2px"], scores["f1_5px"], scores["boundary_f1"]) == (1, 1, 1, 1)
    assert (scores["quality"], scores["boundary_iou"], scores["cldice"]) == (0, 0, 0)
    assert scores_of(np.roll(mask, 3, axis=0), mask)["precision_2px"] == 0


def test_half_a_line_has_half_the_recall_and_all_of_the_precision() -> None:
    mask = picture("........", "########", "........")
    found = picture("........", "####....", "........")
    scores = scores_of(found, mask, SMALL)
    counts = shape_counts(found, mask, SMALL)
    assert scores["correctness"] == 1
    assert scores["completeness"] == scores["quality"] == 0.5
    assert scores["cliou"] == 5 / 8, "one pixel more is within reach"
    assert scores["cldice"] == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert (counts["mask_line"], counts["found_line"], counts["line_difference"]) == (8, 4, 4)


def test_two_masks_without_a_crack_are_equal_and_one_alone_is_all_wrong() -> None:
    nothing, mask = np.zeros((4, 4), bool), np.eye(4, dtype=bool)
    equal, jtfn = scores_of(nothing, nothing), ("correctness", "completeness", "quality")
    assert {name: value for name, value in equal.items() if value != 1} == dict.fromkeys(jtfn, 0.0)
    for pair in ((nothing, mask), (mask, nothing)):
        assert set(scores_of(*pair).values()) == {0.0}


def test_the_outline_of_a_square_is_its_sides_less_its_corners() -> None:
    mask = picture("....", ".##.", ".##.", "....")
    counts = shape_counts(mask, mask, SMALL)
    assert (counts["straight"], counts["across"]) == (2 * 4, 2 * 4), "four sides, four corners, of both masks"


# Definitions as loops


def near_by_loops(points: np.ndarray, others: np.ndarray, reach: float) -> np.ndarray:
    """All distances at once: slow for large images, and short."""
    found = np.zeros_like(points)
    steps = np.argwhere(points)[:, None] - np.argwhere(others)[None]
    found[points] = ((steps**2).sum(axis=2) <= reach**2).any(axis=1)
    return found


def strip_by_loops(mask: np.ndarray, depth: int) -> np.ndarray:
    padded, found = np.pad(mask, depth), np.zeros_like(mask)
    for row, col in np.argwhere(mask):
        found[row, col] = not padded[row : row + 2 * depth + 1, col : col + 2 * depth + 1].all()
    return found


def contour_by_loops(mask: np.ndarray) -> dict[tuple[int, int], float]:
    """The length of the outline at each corner of a pixel, as marching squares draw it."""
    padded, lengths = np.pad(mask, 1).astype(int), {}
    for row in range(mask.shape[0] + 1):
        for col in range(mask.shape[1] + 1):
            four = padded[row : row + 2, col : col + 2]
            if 0 < four.sum() < 4:
                diagonal = four[0, 0] == four[1, 1] and four.sum() == 2
                lengths[row, col] = math.sqrt(2) if diagonal else 1.0 if four.sum() == 2 else math.sqrt(0.5)
    return lengths


def nsd_by_loops(one: np.ndarray, other: np.ndarray, reach: float) -> float:
    outlines = contour_by_loops(one), contour_by_loops(other)
    close = 0.0
    for mine, theirs in (outlines, outlines[::-1]):
        for place, length in mine.items():
            if any(math.dist(place, there) <= reach for there in theirs):
                close += length
    total = sum(sum(lengths.values()) for lengths in outlines)
    return close / total if total else 1.0


def share(part: float, whole: float, neither: bool) -> float:
    return part / whole if whole else float(neither)


def harmonic(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other else 0.0


def by_loops(found: np.ndarray, mask: np.ndarray, reach: Reach) -> dict[str, float]:
    neither = not found.any() and not mask.any()
    line, other = thin(mask), thin(found)
    hits = near_by_loops(line, other, reach.cliou_px).sum()
    false = (other & ~near_by_loops(other, line, reach.cliou_px)).sum()
    bones, others = skeletonize(mask), skeletonize(found)

    def matched(one: np.ndarray, two: np.ndarray, px: int) -> tuple[float, float]:
        """Precision and recall of two against one."""
        precision = share(near_by_loops(two, one, px).sum(), two.sum(), neither)
        return precision, share(near_by_loops(one, two, px).sum(), one.sum(), neither)

    depth = max(round(reach.strip_share * math.hypot(*mask.shape)), 1)
    strips = strip_by_loops(mask, depth), strip_by_loops(found, depth)
    correct, complete = matched(bones, others, reach.buffer_px)
    both = int((bones & others).sum())
    scores = {
        "cliou": share(hits, line.sum() + false, neither),
        "cldice": harmonic(
            share((others & mask).sum(), others.sum(), neither), share((bones & found).sum(), bones.sum(), neither)
        ),
        "nsd": nsd_by_loops(mask, found, reach.nsd_px),
        "boundary_f1": harmonic(*matched(strip_by_loops(mask, 1), strip_by_loops(found, 1), reach.edge_px)),
        "boundary_iou": share((strips[0] & strips[1]).sum(), (strips[0] | strips[1]).sum(), neither),
        "correctness": share(both, others.sum(), False),
        "completeness": share(both, bones.sum(), False),
        "quality": share(both, (bones | others).sum(), False),
        "correctness_buffer": correct,
        "completeness_buffer": complete,
        "quality_buffer": correct * complete / ((correct + complete - correct * complete) or 1),
    }
    for px in reach.tolerances_px:
        precision, recall = matched(mask, found, px)
        scores |= {f"precision_{px}px": precision, f"recall_{px}px": recall, f"f1_{px}px": harmonic(precision, recall)}
    return scores


def test_every_shape_score_is_its_definition_written_out_as_loops() -> None:
    for found, mask in random_masks(200):
        expected = by_loops(found, mask, SMALL)
        assert scores_of(found, mask, SMALL) == pytest.approx(expected, abs=1e-12), (found, mask)


def test_centrelines_and_skeletons_are_those_of_skimage_to_the_pixel() -> None:
    rng = np.random.default_rng(1)
    for number in range(200):
        mask = rng.random(tuple(rng.integers(1, 30, 2))) < rng.choice([0, 0.1, 0.5, 0.9, 1])
        mask = near(np.ones_like(mask), mask, 2) if number % 2 else mask
        assert (centreline(mask) == thin(mask)).all()
        assert (skeleton(mask) == skeletonize(mask)).all()


def test_near_pixels_and_strips_are_whole_numbers_without_any_rounding() -> None:
    for one, other in random_masks(200):
        assert (near(one, other, 3) == near_by_loops(one, other, 3)).all()
        assert (strip(one, 2) == strip_by_loops(one, 2)).all()


# Sets of images


def random_images(count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(count):
        shape = (1, 1) if number % 7 == 0 else tuple(rng.integers(2, 12, 2))
        mask = rng.random(shape) < rng.choice([0, 0.2, 0.6, 1])
        values = rng.choice([0, 51, 102, 153, 204, 255, *rng.integers(0, 256, 6)], shape)
        pairs.append(((values * rng.choice([0, 1, 1])).astype(np.uint8), mask))
    return pairs


def judged(pairs: list[tuple[np.ndarray, np.ndarray]], threshold: int = 50) -> list[Judged]:
    regions = (4, 0.1, 0.5)
    return [
        Judged(
            count_image(prediction, mask, *regions),
            {"fixed": shape_counts(prediction / 255 > threshold / 100, mask, SMALL)},
        )
        for prediction, mask in pairs
    ]


def values(images: list[Judged], weights: np.ndarray, empty: Any = "zero") -> dict[str, np.ndarray]:
    sums = resampled(images, weights, empty, SMALL.tolerances_px)
    every = [*CURVES, *of_pixels("fixed", 50), *of_shapes("fixed", SMALL.tolerances_px)]
    return {definition.name: definition.statistic(sums).max(axis=1) for definition in every}


def sheets(pairs: list[tuple[np.ndarray, np.ndarray]], empty: Any) -> dict[str, float]:
    """The plain definitions, image by image."""
    sheet, others = ScoreSheet(empty=empty), MetricSheet(threshold=0.5, **REGIONS)  # type: ignore[arg-type]
    for prediction, mask in pairs:
        sheet.add(prediction, mask)
        others.add(prediction, mask)
    return {**others.totals(), **sheet.totals()}


NAMES = (
    "ods",
    "ois",
    "ap",
    "ap_mean_of_images",
    "pixel_f1",
    "auprc",
    "auprc_trapezoid",
    "region_f1",
    "macro_f1",
    "aiu",
)
AT = ("iou", "dice", "miou", "accuracy", "class_accuracy")


@pytest.mark.parametrize("empty", ["zero", "one", "skip"])
def test_scores_of_drawn_images_are_those_of_a_list_in_which_they_are_repeated(empty: str) -> None:
    for seed in range(8):
        pairs = random_images(9, seed)
        weights = np.stack([np.ones(9, int), np.random.default_rng(seed).integers(0, 4, 9), [0] * 8 + [1]])
        found = values(judged(pairs), weights, empty)
        for draw, times in enumerate(weights):
            drawn = [pair for pair, count in zip(pairs, times, strict=True) for _ in range(count)]
            plain = sheets(drawn, empty)
            mine = {name: found[name][draw] for name in (*NAMES, *AT)} | {"pooled_f1": found["ods_pooled"][draw]}
            expected = {name: plain[name] for name in mine}
            assert mine == pytest.approx(expected, abs=1e-9, nan_ok=True), (seed, draw)


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def plain_counts(pairs: list[tuple[np.ndarray, np.ndarray]], t: float) -> list[tuple[int, int, int, int]]:
    cut = [(prediction / 255 > t, mask) for prediction, mask in pairs]
    both = ((True, True), (True, False), (False, True), (False, False))
    return [tuple(int(((p == a) & (m == b)).sum()) for a, b in both) for p, m in cut]  # type: ignore[misc]


def test_what_no_sheet_has_is_its_definition_written_out_as_loops() -> None:
    for seed in range(6):
        pairs = random_images(8, seed + 100)
        found = {name: value[0] for name, value in values(judged(pairs), np.ones((1, 8), int)).items()}
        tp, fp, fn, _ = (sum(each) for each in zip(*plain_counts(pairs, 0.5), strict=True))
        free = [(prediction, mask) for prediction, mask in pairs if not mask.any()]
        alarms = [(prediction / 255 > 0.5) for prediction, _ in free]
        best = []
        for pair in pairs:
            at = [plain_counts([pair], k / 100)[0] for k in range(1, 100)]
            best.append(max(at, key=lambda counts: 2 * counts[0] / (sum(counts[:3]) + counts[0] or 1)))
        hits, false, missed, _ = (sum(each) for each in zip(*best, strict=True))
        expected = {
            "precision": tp / (tp + fp) if tp + fp else 0,
            "recall": tp / (tp + fn) if tp + fn else 0,
            "iou_pooled": ratio(tp, tp + fp + fn),
            "false_photos": ratio(sum(alarm.any() for alarm in alarms), len(free)),
            "false_pixels": ratio(sum(alarm.sum() for alarm in alarms), sum(mask.size for _, mask in free)),
            "ois_pooled": ratio(2 * hits, 2 * hits + false + missed),
        }
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12, nan_ok=True)
        mean = np.mean([list(by_loops(p / 255 > 0.5, m, SMALL).values()) for p, m in pairs], axis=0)
        names = list(by_loops(*(np.zeros((1, 1), bool),) * 2, SMALL))
        assert [found[name] for name in names] == pytest.approx(list(mean), abs=1e-12)


def test_images_of_one_group_are_drawn_together_and_the_seed_decides() -> None:
    weights = weights_of(["a", "a", "b", "c"], 50, seed=1)
    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[1:, [0, 2, 3]].sum(axis=1) == 3).all(), "as many groups as there are"
    assert (weights == weights_of(["a", "a", "b", "c"], 50, seed=1)).all()
    assert (weights != weights_of(["a", "a", "b", "c"], 50, seed=2)).any()


def test_an_interval_leaves_out_the_same_share_at_both_ends() -> None:
    assert interval(np.arange(101.0), 0.9) == pytest.approx((5.0, 95.0))
    assert interval(np.array([1.0, np.nan, 3.0]), 0.5) == (1.5, 2.5)
    assert np.isnan(interval(np.array([np.nan]), 0.95)).all()


# What official scripts said of the same images


def test_the_cases_are_those_that_the_official_scripts_saw() -> None:
    assert digest() == OFFICIAL["cases"]


def test_the_script_of_scsegamba_and_mixercseg_says_the_same() -> None:
    found = {name: value[0] for name, value in values(judged(cases()), np.ones((1, 12), int)).items()}
    for script in ("scsegamba", "mixercseg"):
        theirs = OFFICIAL[script]
        ours = {"miou": found["miou_of_images"], "ods": found["ods_from_zero"], "ois": found["ois_from_zero"]}
        assert ours == pytest.approx({name: theirs[name] for name in ours}, abs=1e-6)
    theirs = OFFICIAL["scsegamba"]
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx(
        [theirs[name] for name in ("precision", "recall", "f1")], abs=1e-6
    )


def test_the_script_of_omnicrack30k_says_the_same_for_each_image_and_all_together() -> None:
    counts = [shape_counts(prediction / 255 > 0.5, mask, REACH) for prediction, mask in cases()]
    every = {name: np.array([[each[name]] for each in counts], float) for name in counts[0]}
    images = shape_scores(every, REACH.tolerances_px, of_images=True)["cliou"][:, 0]
    assert list(images) == pytest.approx(OFFICIAL["omnicrack30k"]["per_image"], abs=1e-6)
    pooled = {name: column.sum(axis=0) for name, column in every.items()}
    together = shape_scores(pooled, REACH.tolerances_px, of_images=True)["cliou"]
    assert together[0] == pytest.approx(OFFICIAL["omnicrack30k"]["cliou"], abs=1e-6)


@pytest.mark.parametrize("tolerance", [0, 1, 2, 3])
def test_surface_distance_says_the_same_of_outlines(tolerance: int) -> None:
    reach = Reach(cliou_px=4, nsd_px=tolerance, edge_px=2, buffer_px=2, tolerances_px=[], strip_share=0.02)
    ours = [scores_of(prediction / 255 > 0.5, mask, reach)["nsd"] for prediction, mask in cases() if mask.any()]
    assert ours == pytest.approx(OFFICIAL["nsd"][str(tolerance)], abs=1e-6)


def test_the_scripts_of_cldice_boundary_iou_jtfn_and_metrics_delin_say_the_same() -> None:
    scores = [scores_of(prediction / 255 > 0.5, mask) for prediction, mask in cases() if mask.any()]
    for name in ("cldice", "boundary_iou"):
        assert [each[name] for each in scores] == pytest.approx(OFFICIAL[name], abs=1e-6)
    for script, suffix in (("jtfn", ""), ("metrics_delin", "_buffer")):
        names = [f"{name}{suffix}" for name in ("correctness", "completeness", "quality")]
        assert [[each[name] for name in names] for each in scores] == [
            pytest.approx(theirs, abs=1e-6) for theirs in OFFICIAL[script]
        ]
