"""How fast images become pseudo labels, stage by stage, and what 16 bits change in them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.networks.classifier import Classifier
from pipeline.classifier_to_cams import CamMaker, cam_to_image
from pipeline.classifier_to_patch_maps import patch_map, patch_map_to_image
from pipeline.images_to_threshold_maps import threshold_map
from pipeline.knobs import (
    CamsKnobs,
    PatchMapsKnobs,
    Precision,
    PredictionsKnobs,
    PseudoLabelsKnobs,
    ThresholdMapsKnobs,
)
from pipeline.maps_to_pseudo_labels import pseudo_label
from pipeline.ops.types import Grey, ImageRGB, Mask
from pipeline.segmenter_to_predictions import predict


@dataclasses.dataclass(frozen=True)
class LabelKnobs:
    """What decides a pseudo label, once there is a classifier."""

    patch_maps: PatchMapsKnobs
    cams: CamsKnobs
    threshold_maps: ThresholdMapsKnobs
    pseudo_labels: PseudoLabelsKnobs

    def at(self, precision: Precision) -> LabelKnobs:
        return dataclasses.replace(
            self,
            patch_maps=dataclasses.replace(self.patch_maps, precision=precision),
            cams=dataclasses.replace(self.cams, precision=precision),
        )


def sized(array: NDArray[Any], shape_hw: tuple[int, int]) -> NDArray[Any]:
    """Mirrored at the bottom and right where it is too small, cut where it is too large."""
    missing = [(0, max(wanted - side, 0)) for wanted, side in zip(shape_hw, array.shape, strict=False)]
    padded = np.pad(array, missing + [(0, 0)] * (array.ndim - 2), mode="reflect")
    return np.ascontiguousarray(padded[: shape_hw[0], : shape_hw[1]])


def cpu_seconds_of_answers(
    model: nn.Module, images: Sequence[ImageRGB], knobs: PredictionsKnobs, *, device: torch.device
) -> float:
    """CPU seconds in which a segmenter answers about all images; one image goes before, to warm up."""
    predict(model, images[0], knobs, device=device)
    before = time.process_time()
    for image in images:
        predict(model, image, knobs, device=device)
    return time.process_time() - before


def cpu_seconds_of_labels(
    model: Classifier, images: Sequence[ImageRGB], knobs: LabelKnobs, *, device: torch.device
) -> tuple[dict[str, float], list[Grey]]:
    """CPU seconds of each stage over all images, and the labels; call it once before, to warm up."""
    spent: dict[str, float] = {}

    @contextmanager
    def clock(stage: str) -> Iterator[None]:
        before = time.process_time()
        yield
        spent[stage] = spent.get(stage, 0.0) + time.process_time() - before

    maker = CamMaker(model, knobs.cams, device=device)
    labels = []
    for image_rgb in images:
        shape_hw = (image_rgb.shape[0], image_rgb.shape[1])
        with clock("PatchMaps"):
            grid = patch_map(model, image_rgb, knobs.patch_maps, device=device)
        with clock("Cams"):
            cells = maker(image_rgb)
        with clock("ThresholdMaps"):
            dark = threshold_map(image_rgb, knobs.threshold_maps)
        with clock("PseudoLabels"):
            enlarged = patch_map_to_image(grid, shape_hw, knobs.patch_maps), cam_to_image(cells, shape_hw)
            labels.append(pseudo_label(*enlarged, dark, knobs.pseudo_labels))
    return spent, labels


def shares(spent: Mapping[str, float]) -> dict[str, float]:
    total = sum(spent.values())
    return {stage: seconds / total for stage, seconds in spent.items()}


def agreement(reference: Sequence[Grey], others: Sequence[Grey]) -> dict[str, float]:
    """Of labels with the reference: pixels on the same side of one half, and the mean IoU of the two masks.

    Two empty masks agree: 1.
    """
    pairs = [(first > 127, second > 127) for first, second in zip(reference, others, strict=True)]
    same = sum(int((first == second).sum()) for first, second in pairs)
    return {
        "same_pixels": same / sum(first.size for first, _ in pairs),
        "mean_iou": float(np.mean([_iou(first, second) for first, second in pairs])),
    }


def _iou(first: Mask, second: Mask) -> float:
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 1.0


def times_faster(
    ours: Callable[[Grey], object], theirs: Callable[[Grey], object], images_grey: Sequence[NDArray[np.uint8]]
) -> float:
    """CPU seconds of the other way over ours on the same images, in turn, after one warm-up."""
    ours(images_grey[0])
    spent = [0.0, 0.0]
    for grey in images_grey:
        for place, work in enumerate((ours, theirs)):
            before = time.process_time()
            work(grey)
            spent[place] += time.process_time() - before
    return spent[1] / spent[0]
