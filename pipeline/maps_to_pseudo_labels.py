"""Patch map, CAM, threshold map → pseudo label (method, sections 3 and 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.knobs import PseudoLabelsKnobs
from pipeline.ops.localization import merge_maps
from pipeline.ops.morphology import close, erode
from pipeline.ops.smoothing import bilateral
from pipeline.ops.types import Map, Mask


def localization(patch_map: Map, cam: Map, knobs: PseudoLabelsKnobs) -> Map:
    """float32 H×W: the merged maps where they exceed the threshold, eroded; 0 elsewhere."""
    merged = merge_maps(patch_map, cam, cam_weight=knobs.cam_weight, threshold=knobs.localization_threshold)
    if not knobs.morphology:
        return merged
    return erode(merged, kernel_px=knobs.kernel_px, iterations=knobs.erosion_iterations)


def pseudo_label(patch_map: Map, cam: Map, dark: Mask, knobs: PseudoLabelsKnobs) -> NDArray[np.uint8]:
    """uint8 H×W confidence: localization × threshold map, smoothed and closed; or 0 and 255 for binary targets."""
    confidence = localization(patch_map, cam, knobs) * dark
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
