"""Patch map, CAM, threshold map → pseudo label (method, sections 3 and 5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.knobs import PseudoLabelsKnobs
from pipeline.ops.coarse_maps import merge_maps
from pipeline.ops.filters import bilateral
from pipeline.ops.morphology import close, dilate, erode
from pipeline.ops.types import Map, Mask


def localization(patch_map: Map, cam: Map, knobs: PseudoLabelsKnobs) -> Map:
    """float32 H×W: the merged maps where they exceed the threshold, eroded; 0 elsewhere."""
    merged = merge_maps(patch_map, cam, cam_weight=knobs.cam_weight, threshold=knobs.localization_threshold)
    if not knobs.morphology:
        return merged
    return erode(merged, kernel_px=knobs.kernel_px, iterations=knobs.erosion_iterations)


def pseudo_label(patch_map: Map, cam: Map, dark: Mask, knobs: PseudoLabelsKnobs) -> NDArray[np.uint8]:
    """uint8 H×W confidence: localization × threshold map, smoothed and closed; or 0 and 255 for binary targets."""
    return cleaned(localization(patch_map, cam, knobs) * dark, knobs)


def cleaned(confidence: Map, knobs: PseudoLabelsKnobs) -> NDArray[np.uint8]:
    """A confidence in [0, 1] as uint8, smoothed and closed; for binary targets cut into 0 and 255."""
    label = np.rint(confidence * 255).astype(np.uint8)
    if knobs.bilateral:
        label = bilateral(
            label,
            diameter_px=knobs.bilateral_diameter_px,
            sigma_colour=knobs.bilateral_sigma_colour,
            sigma_space=knobs.bilateral_sigma_space,
        )
    if knobs.morphology:
        label = close(label, kernel_px=knobs.kernel_px, iterations=knobs.closing_iterations)
    if knobs.target == "binary":
        label = np.where(label > knobs.binary_threshold * 255, np.uint8(255), np.uint8(0))
    return label


def labeller(
    patch_map: Map, cam: Map, knobs: PseudoLabelsKnobs
) -> Callable[[Mask, Mapping[str, Any]], NDArray[np.uint8]]:
    """(threshold map, changed knobs) → label, for one image."""

    def label(dark: Mask, changed: Mapping[str, Any]) -> NDArray[np.uint8]:
        return pseudo_label(patch_map, cam, dark, dataclasses.replace(knobs, **changed))

    return label


def diagnosis(
    patch_map: Map, cam: Map, dark: Mask, mask: Mask, knobs: PseudoLabelsKnobs, *, oracle_dilation_px: int
) -> dict[str, NDArray[np.uint8]]:
    """The labels that single parts, or an oracle, would give: what each part costs and what each is worth.

    The oracle's localization is the mask itself, widened by `oracle_dilation_px`: what is lost then is lost by
    thresholding alone.
    """
    oracle = dilate(mask.astype(np.uint8), kernel_px=2 * oracle_dilation_px + 1, iterations=1) > 0

    label = labeller(patch_map, cam, knobs)
    return {
        "threshold_alone": np.where(dark, np.uint8(255), np.uint8(0)),
        "localization_alone": np.rint(localization(patch_map, cam, knobs) * 255).astype(np.uint8),
        "oracle_localization": cleaned((oracle & dark).astype(np.float32), knobs),
        "patch_map_only": label(dark, {"cam_weight": 0.0}),
        "cam_only": label(dark, {"cam_weight": 1.0}),
        "without_erosion": label(dark, {"erosion_iterations": 0}),
        "complete": label(dark, {}),
    }
