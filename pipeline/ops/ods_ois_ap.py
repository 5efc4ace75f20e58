"""Scores of predictions against masks (ODS, OIS, AP at the thresholds 0.01 … 0.99) and of a classifier.

A pixel is predicted crack when its value is > t, strictly.
"""

import math
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from pipeline.ops.counts import THRESHOLDS, Counts, Floats, count_pixels
from pipeline.ops.types import Mask

Empty: TypeAlias = Literal["zero", "one", "skip"]


class ScoreSheet:
    """Collects the counts of one image after the other; its size does not grow with their number.

    An empty image has no crack pixel in its mask. `empty` says what F1 = 0/0 is, that of an empty image
    without a predicted pixel: "zero" (as the paper's authors do) or "one"; "skip" leaves empty images out of
    all scores. Precision and recall are 0 where they are 0/0, so an empty image has AP 0.
    """

    def __init__(self, *, empty: Empty) -> None:
        if empty not in get_args(Empty):
            raise ValueError(f"empty = {empty!r}; allowed: {', '.join(get_args(Empty))}")
        self._empty = empty
        self._images = self._empty_images = self._scored = self._crack = 0
        self._hits, self._predicted = np.zeros(99, np.int64), np.zeros(99, np.int64)
        self._f1_sum, self._best_f1_sum, self._ap_sum = np.zeros(99), 0.0, 0.0

    def add(self, prediction: npt.NDArray[Any], mask: Mask) -> dict[str, float]:
        """Score one image and add it to the total.

        `f1` is the best over all thresholds, first reached at `threshold`; both NaN for a skipped image.
        prediction: H×W in [0, 1] as floats, or as uint8 (p/255), uint16 (p/65535) or bool. mask: bool H×W.
        """
        return self.add_counts(*count_pixels(prediction, mask))

    def add_counts(self, hits: Counts, predicted: Counts, crack: int) -> dict[str, float]:
        """The same of an image that was counted elsewhere, at the 99 thresholds."""
        self._images += 1
        self._empty_images += crack == 0
        if crack == 0 and self._empty == "skip":
            return {"f1": math.nan, "threshold": math.nan, "ap": math.nan, "crack_pixels": 0}
        f1 = _f1(hits, predicted, crack, 1.0 if self._empty == "one" else 0.0)
        best, ap = int(f1.argmax()), _average_precision(hits, predicted, crack)
        self._scored += 1
        self._crack += crack
        self._hits += hits
        self._predicted += predicted
        self._f1_sum += f1
        self._best_f1_sum += float(f1[best])
        self._ap_sum += ap
        return {"f1": float(f1[best]), "threshold": float(THRESHOLDS[best]), "ap": ap, "crack_pixels": crack}

    def curve(self) -> dict[str, Floats]:
        """One value per threshold; precision, recall and `f1_pooled` are of the counts of all images together.

        `f1_mean` is NaN when every image was skipped.
        """
        scored = self._scored or math.nan
        return {
            "threshold": THRESHOLDS.copy(),
            "precision": divide(self._hits, self._predicted),
            "recall": divide(self._hits, self._crack),
            "f1_pooled": _f1(self._hits, self._predicted, self._crack, 0.0),
            "f1_mean": self._f1_sum / scored,
        }

    def totals(self) -> dict[str, float]:
        """Scores of all images so far; NaN when every image was skipped.

        `ods` is the best mean over images of F1, first reached at `ods_threshold`.
        `pooled_f1` is the best F1 of the counts of all images together, which many papers call ODS.
        AP = Σ_{t=0.01…0.99} (RE_t − RE_{t+0.01})·PR_t with RE_{1.00} := 0, of the pooled counts.
        """
        if not self._images:
            raise ValueError("scores of no image; add at least one")
        curve, scored = self.curve(), self._scored or math.nan
        best = int(curve["f1_mean"].argmax())
        nothing = self._scored == 0
        return {
            "ods": float(curve["f1_mean"][best]),
            "ois": self._best_f1_sum / scored,
            "ap": math.nan if nothing else _average_precision(self._hits, self._predicted, self._crack),
            "ods_threshold": math.nan if nothing else float(THRESHOLDS[best]),
            "ap_mean_of_images": self._ap_sum / scored,
            "pooled_f1": math.nan if nothing else float(curve["f1_pooled"].max()),
            "images": self._images,
            "empty_images": self._empty_images,
        }


def classification_scores(
    labels: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.floating], threshold: float
) -> dict[str, float]:
    """F1, precision, recall (0 where 0/0) of "crack when probability > threshold"; area under the ROC.

    The area is the chance that a crack gets more than a non-crack, ties half; NaN when one class is missing.
    """
    if labels.dtype != np.bool_ or labels.ndim != 1 or labels.shape != probabilities.shape:
        raise ValueError(
            f"labels of {labels.dtype}, shape {labels.shape}, probabilities of shape {probabilities.shape}; "
            "N bools and N numbers are needed"
        )
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities that are not finite; numbers in [0, 1] are needed")
    predicted = probabilities > threshold
    tp, fp = int((predicted & labels).sum()), int((predicted & ~labels).sum())
    fn, tn = int(labels.sum()) - tp, int((~labels).sum()) - fp
    return {
        "f1": 2 * tp / max(2 * tp + fp + fn, 1),
        "precision": tp / max(tp + fp, 1),
        "recall": tp / max(tp + fn, 1),
        "auc": _area_under_roc(labels, probabilities),
        "tp": tp,
        "fp": fp,
        "tn": tn,
        "fn": fn,
    }


def _area_under_roc(labels: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.floating]) -> float:
    """(Σ ranks of cracks − n(n+1)/2) / (n · m) for n cracks and m others; ties share their mean rank."""
    crack = int(labels.sum())
    if crack in (0, labels.size):
        return math.nan
    _, level, count = np.unique(probabilities, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    return float((rank[level][labels].sum() - crack * (crack + 1) / 2) / (crack * (labels.size - crack)))


def _f1(hits: Counts, predicted: Counts, crack: int, undefined: float) -> Floats:
    """2·TP / (2·TP + FP + FN), whose denominator is the pixels predicted and the crack pixels together."""
    return divide(2 * hits, predicted + crack, undefined)


def _average_precision(hits: Counts, predicted: Counts, crack: int) -> float:
    """Σ (RE_t − RE_{t+0.01})·PR_t with RE_{1.00} := 0, rounded once."""
    recall = divide(hits, crack)
    return math.fsum((recall - np.append(recall[1:], 0.0)) * divide(hits, predicted))


def divide(parts: Counts | Floats, by: Counts | Floats | int, undefined: float = 0.0) -> Floats:
    """parts / by, and `undefined` where by is 0."""
    quotient: Floats = np.full(parts.shape, undefined)
    np.divide(parts, by, out=quotient, where=np.asarray(by) > 0)
    return quotient
