"""Where the crack is, coarsely: the classifier's two maps made one."""

import numpy as np
import numpy.typing as npt

from pipeline.ops.types import Map


def normalise_by_maximum(raw: npt.NDArray[np.floating]) -> Map:
    """raw / max(raw) for a map of values ≥ 0.

    A constant map points nowhere: it becomes the zero map, it is not stretched to 1.
    """
    low, high = float(raw.min()), float(raw.max())
    if not 0 <= low <= high < np.inf:
        raise ValueError(f"a map from {low:g} to {high:g}; finite values of at least 0 are needed")
    if low == high:
        return np.zeros(raw.shape, np.float32)
    return np.asarray(raw / high, np.float32)


def merge_maps(patch_map: Map, cam: Map, *, cam_weight: float, threshold: float) -> Map:
    """cam_weight · cam + (1 − cam_weight) · patch_map, in float32; values ≤ threshold become 0."""
    if patch_map.shape != cam.shape:
        raise ValueError(f"a patch map of {patch_map.shape} and a CAM of {cam.shape}; the shapes must agree")
    weight = np.float32(cam_weight)
    merged = weight * np.asarray(cam, np.float32) + (1 - weight) * np.asarray(patch_map, np.float32)
    merged[merged <= np.float32(threshold)] = 0
    return merged
