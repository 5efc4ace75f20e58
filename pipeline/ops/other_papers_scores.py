"""The scores of other papers, each as its name is meant there; those of the method itself are in `ods_ois_ap`.

A pixel is predicted crack when its value is > t, strictly, at the thresholds 0.00, 0.01, … 0.99.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.ops.counts import Bytes, Counts, Floats, compiled, levels_of
from pipeline.ops.ods_ois_ap import divide
from pipeline.ops.types import Mask

THRESHOLDS_FROM_ZERO: Floats = np.arange(100) / 100

DEFINITIONS: dict[str, str] = {
    "pixel_f1": "Best F1 = 2TP/(2TP + FP + FN) over t = 0.00 … 0.99 of the counts of all images together; an image "
    "with an empty mask adds its false positives and cannot gain; no value if no mask has a crack (SCNet, DeepCrack).",
    "pixel_f1_threshold": "The least t at which pixel_f1 is reached.",
    "auprc": "Area under precision over recall, counts of all images together, in steps: Σ (R_t − R_{t+0.01})·P_t "
    "over t = 0.00 … 0.99 with R_{1.00} = 0; no value if no mask has a crack.",
    "auprc_trapezoid": "The same area as trapezoids, from R = 0, P = 1 at t = 1.00; P is 1 where nothing is predicted.",
    "region_f1": "F1 of regions of region_px × region_px from the top left corner (the last ones filled up with "
    "background), counted over all images at pixel_f1_threshold; a region is cracked if at least region_crack_share of "
    "its pixels are; it is found if at least region_hit_share of them are predicted; a region that is not cracked is a "
    "false positive if at least region_crack_share of its pixels are predicted; no value if no region is cracked or "
    "predicted, or if no mask has a crack.",
    "macro_f1": "Precision and recall of each image, 0 where they are 0/0 (so that an empty mask counts as 0, found or "
    "not), their means over the images at each t = 0.00 … 0.99, F1 of these means, the best over t (the script of the "
    "method's authors).",
    "macro_f1_threshold": "The least t at which macro_f1 is reached.",
    "miou": "Mean over crack and background of TP/(TP + FP + FN), of the counts of all images together at the fixed "
    "threshold; a class that is neither in a mask nor in a prediction is left out: see miou_classes.",
    "miou_classes": "How many classes miou is the mean of.",
    "iou": "TP/(TP + FP + FN) of crack in each image at the fixed threshold, then the mean over the images; 1 if mask "
    "and prediction are both empty, 0 if one of them is.",
    "dice": "2TP/(2TP + FP + FN) of crack in each image at the fixed threshold, then the mean over the images; 1 if "
    "mask and prediction are both empty, 0 if one of them is.",
    "aiu": "iou at each t = 0.01 … 0.99, then the mean over the thresholds (CSSR's way with empty masks; FPHBN "
    "has 0 where both are empty; both take values equal to t as crack, here they are not).",
    "accuracy": "Share of all pixels of all images on their right side of the fixed threshold.",
    "class_accuracy": "Mean over crack and background of the share of their pixels on the right side of the fixed "
    "threshold, all images together; a class without a pixel is left out.",
}


class ImageCounts(NamedTuple):
    hits: Counts  # at each of the 100 thresholds, crack pixels predicted as such
    predicted: Counts  # at each threshold
    crack: int
    pixels: int
    regions: Counts  # (2, 101): not cracked and cracked, by at how many thresholds predicted


def count_image(
    prediction: npt.NDArray[Any], mask: Mask, region_px: int, crack_share: float, hit_share: float
) -> ImageCounts:
    """All that `MetricSheet` and `ScoreSheet` need to know of an image; see `MetricSheet.add`."""
    if mask.dtype != np.bool_ or mask.ndim != 2 or prediction.shape != mask.shape:
        raise ValueError(
            f"a prediction of shape {prediction.shape}, a mask of {mask.dtype}, shape {mask.shape}; "
            "both H×W and a bool mask are needed"
        )
    levels, ranks = _ranked(prediction)
    mask = np.ascontiguousarray(mask)
    by_rank, regions = _count(levels.reshape(mask.shape), mask, ranks, region_px, crack_share, hit_share)
    exceeding = by_rank[:, ::-1].cumsum(axis=1)[:, ::-1]  # rank ≥ 0, ≥ 1, … ≥ 100
    return ImageCounts(exceeding[1, 1:], exceeding.sum(axis=0)[1:], int(exceeding[1, 0]), mask.size, regions)


class MetricSheet:
    """Collects the counts of one image after the other; its size does not grow with their number."""

    def __init__(self, *, threshold: float, region_px: int, region_crack_share: float, region_hit_share: float) -> None:
        """`threshold`: the fixed one, of 0.00, 0.01, … 0.99; the region's numbers: see `DEFINITIONS`."""
        if threshold not in THRESHOLDS_FROM_ZERO:
            raise ValueError(f"threshold = {threshold!r}; allowed: 0.00, 0.01, … 0.99")
        if region_px < 1 or not (0 < region_crack_share <= 1 and 0 < region_hit_share <= 1):
            raise ValueError(
                f"regions of {region_px} px, shares {region_crack_share:g} and {region_hit_share:g}; "
                "at least 1 px and shares above 0 and up to 1 are needed"
            )
        self._at = int(THRESHOLDS_FROM_ZERO.searchsorted(threshold))
        self._region = (region_px, region_crack_share, region_hit_share)
        self._images = self._crack = self._pixels = 0
        self._hits, self._predicted = np.zeros(100, np.int64), np.zeros(100, np.int64)
        self._precision_sum, self._recall_sum = np.zeros(100), np.zeros(100)
        self._regions = np.zeros((2, 101), np.int64)  # not cracked and cracked, by at how many thresholds predicted
        self._iou_sum = self._dice_sum = self._aiu_sum = 0.0

    def add(self, prediction: npt.NDArray[Any], mask: Mask) -> dict[str, float]:
        """Score one image, as in `DEFINITIONS`, and add it to the total.

        prediction: H×W in [0, 1] as floats, or as uint8 (p/255), uint16 (p/65535) or bool. mask: bool H×W.
        """
        return self.add_counts(count_image(prediction, mask, *self._region))

    def add_counts(self, image: ImageCounts) -> dict[str, float]:
        """The same of an image that was counted elsewhere."""
        hits, predicted, crack = image.hits, image.predicted, image.crack
        self._images += 1
        self._crack += crack
        self._pixels += image.pixels
        self._hits += hits
        self._predicted += predicted
        self._regions += image.regions
        self._precision_sum += divide(hits, predicted)
        self._recall_sum += divide(hits, crack)
        return self._add_overlaps(hits, predicted, crack)

    def _add_overlaps(self, hits: Counts, predicted: Counts, crack: int) -> dict[str, float]:
        """IoU and Dice of one image's counts at each threshold; 0/0 is 1."""
        iou = divide(hits, predicted + crack - hits, 1.0)
        dice = divide(2 * hits, predicted + crack, 1.0)
        image = {"iou": float(iou[self._at]), "dice": float(dice[self._at]), "aiu": math.fsum(iou[1:]) / 99}
        self._iou_sum += image["iou"]
        self._dice_sum += image["dice"]
        self._aiu_sum += image["aiu"]
        return image

    def totals(self) -> dict[str, float]:
        """Scores of all images so far, as in `DEFINITIONS`; NaN where there it says no value."""
        if not self._images:
            raise ValueError("metrics of no image; add at least one")
        pixel_f1, best = _best(divide(2 * self._hits, self._predicted + self._crack))
        precision, recall = self._precision_sum / self._images, self._recall_sum / self._images
        macro_f1, macro_best = _best(divide(2 * precision * recall, precision + recall))
        steps, trapezoid = _areas(self._hits, self._predicted, self._crack)
        ious, accuracies, accuracy = self._of_classes()
        known = self._crack > 0
        return {
            "pixel_f1": pixel_f1 if known else math.nan,
            "pixel_f1_threshold": float(THRESHOLDS_FROM_ZERO[best]) if known else math.nan,
            "auprc": steps if known else math.nan,
            "auprc_trapezoid": trapezoid if known else math.nan,
            "region_f1": self._region_f1(best) if known else math.nan,
            "macro_f1": macro_f1,
            "macro_f1_threshold": float(THRESHOLDS_FROM_ZERO[macro_best]),
            "miou": sum(ious) / len(ious),
            "miou_classes": len(ious),
            "iou": self._iou_sum / self._images,
            "dice": self._dice_sum / self._images,
            "aiu": self._aiu_sum / self._images,
            "accuracy": accuracy,
            "class_accuracy": sum(accuracies) / len(accuracies),
        }

    def _region_f1(self, at: int) -> float:
        false, found = (int(of_class[at + 1 :].sum()) for of_class in self._regions)
        cracked = int(self._regions[1].sum())
        return 2 * found / (found + false + cracked) if false + cracked else math.nan

    def _of_classes(self) -> tuple[list[float], list[float], float]:
        """IoU and accuracy of the classes that there are (background first), and the accuracy of all pixels."""
        hits, predicted, crack = int(self._hits[self._at]), int(self._predicted[self._at]), self._crack
        union = predicted + crack - hits
        rejected, other = self._pixels - union, self._pixels - crack  # rightly not predicted, and not crack
        ious = [part / whole for part, whole in ((rejected, self._pixels - hits), (hits, union)) if whole]
        accuracies = [part / whole for part, whole in ((rejected, other), (hits, crack)) if whole]
        return ious, accuracies, (hits + rejected) / self._pixels


def _best(f1: Floats) -> tuple[float, int]:
    """The greatest, and where it comes first."""
    at = int(f1.argmax())
    return float(f1[at]), at


def _areas(hits: Counts, predicted: Counts, crack: int) -> tuple[float, float]:
    """Under the curve of precision over recall, as steps and as trapezoids, each rounded once."""
    recall, precision = np.append(divide(hits, crack), 0.0), np.append(divide(hits, predicted, 1.0), 1.0)
    widths = recall[:-1] - recall[1:]
    return math.fsum(widths * precision[:-1]), math.fsum(widths * (precision[:-1] + precision[1:]) / 2)


def _ranked(prediction: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Bytes]:
    """Whole numbers and a table of their ranks: how many of the 100 thresholds each exceeds."""
    values = prediction.ravel()
    levels, ranks = levels_of(values)
    if values.dtype.kind == "f":
        return levels + (values > 0), np.arange(101, dtype=np.uint8)
    return levels, ranks + (np.arange(ranks.size) > 0)


@compiled
def _count(
    levels: npt.NDArray[Any], mask: Mask, ranks: Bytes, region_px: int, crack_share: float, hit_share: float
) -> tuple[Counts, Counts]:
    """(2, 101) pixels by mask and rank, and (2, 101) regions: not cracked and cracked, by rank as well.

    A region's rank is at how many thresholds it is predicted: it falls out of the prediction only once. Four
    histograms take turns, as in `counts`.
    """
    height, width = levels.shape
    pixels, regions = np.zeros((2, 101), np.int64), np.zeros((2, 101), np.int64)
    turns = np.zeros((4, 2, 101), np.int64)
    for top in range(0, height, region_px):
        for left in range(0, width, region_px):
            turns[:] = 0
            for row in range(top, min(top + region_px, height)):
                for column in range(left, min(left + region_px, width)):
                    turns[column & 3, np.uint8(mask[row, column]), ranks[levels[row, column]]] += 1
            region = turns[0] + turns[1] + turns[2] + turns[3]
            pixels += region
            crack, area = region[1].sum(), region_px * region_px
            cracked = crack / area >= crack_share
            rank, hits, predicted = 100, region[1, 100], region[0, 100] + region[1, 100]
            while rank > 0 and not (hits / crack >= hit_share if cracked else predicted / area >= crack_share):
                rank -= 1
                hits += region[1, rank]
                predicted += region[0, rank] + region[1, rank]
            regions[int(cracked), rank] += 1
    return pixels, regions
