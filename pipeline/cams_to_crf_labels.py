"""CAM (or the merged localization) → dense CRF → binary label (method, section 6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.knobs import CrfLabelsKnobs
from pipeline.ops.crf import dense_crf
from pipeline.ops.localization import merge_maps
from pipeline.ops.types import ImageRGB, Map


def crf_label(image_rgb: ImageRGB, cam: Map, patch_map: Map | None, knobs: CrfLabelsKnobs) -> NDArray[np.uint8]:
    """uint8 H×W, 0 or 255; with a patch map the unary is the weighted mean of both maps, nothing cut off."""
    unary = cam if patch_map is None else merge_maps(patch_map, cam, cam_weight=knobs.cam_weight, threshold=0.0)
    mask = dense_crf(
        image_rgb,
        unary,
        unary_scale=knobs.unary_scale,
        unary_clip=knobs.unary_clip,
        gaussian_sxy_px=knobs.gaussian_sxy_px,
        gaussian_compat=knobs.gaussian_compat,
        bilateral_sxy_px=knobs.bilateral_sxy_px,
        bilateral_srgb=knobs.bilateral_srgb,
        bilateral_compat=knobs.bilateral_compat,
        iterations=knobs.iterations,
    )
    return mask.astype(np.uint8) * np.uint8(255)
