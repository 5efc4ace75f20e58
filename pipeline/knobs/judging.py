"""The schema of the referee, which scores any folder of predictions under every paper's definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.knobs.ranges import Count, Positive, Range, Seed, Share, Side

Tolerance = Annotated[int, Range(0, 100)]  # in px


@dataclass(frozen=True)
class JudgeKnobs:
    threshold: Share  # 0.00, 0.01 … 0.99: where a probability is cut for what needs yes or no, besides the best ODS's
    draws: Positive  # of the bootstrap
    confidence: Share  # of the intervals
    seed: Seed
    group: str  # a regular expression: images for whose names it finds the same are drawn together; "": each by itself
    pairs_only: bool  # whether masks without a prediction are left out, and counted, instead of refused
    crop_px: Count  # how much larger a mask or prediction may be than the other: cut off at the right and below
    npy: Literal["probabilities", "logits", "logits_over_maximum"]  # what numbers with a fraction in .npy files are
    mask_threshold: Annotated[int, Range(1, 255)]  # a mask's grey value from which on it is crack
    max_grey_share: Share  # of a mask's pixels, that are neither black nor white
    cliou_px: Tolerance
    nsd_px: Tolerance
    boundary_px: Tolerance  # of boundary_f1
    boundary_share: Share  # of the image's diagonal, for boundary_iou
    buffer_px: Tolerance
    tolerances_px: list[Tolerance]  # of precision, recall and F1 near the mask
    shown: Count  # worst images in the report
    shown_px: Side  # longer side of their pictures

    def __post_init__(self) -> None:
        if self.threshold not in [percent / 100 for percent in range(100)]:
            raise ValueError(f"threshold = {self.threshold:g}; allowed: 0.00, 0.01, … 0.99")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence = {self.confidence:g}; allowed: between 0 and 1, such as 0.95")
        if len(set(self.tolerances_px)) != len(self.tolerances_px):
            raise ValueError(f"tolerances_px = {self.tolerances_px}; allowed: each number once")
