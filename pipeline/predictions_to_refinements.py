"""Image, prediction → the prediction sharpened by a dense CRF or a guided filter (as Liu et al. do)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.knobs import RefinementsKnobs
from pipeline.ops.crf import dense_crf
from pipeline.ops.refinement import refine_guided
from pipeline.ops.smoothing import to_grey
from pipeline.ops.types import ImageRGB, Map


def refined(image_rgb: ImageRGB, probability: Map, knobs: RefinementsKnobs) -> NDArray[np.uint8]:
    """uint8 H×W: 0 or 255 from the CRF, any grey from the guided filter; "none" only rounds to 8 bits."""
    if knobs.method == "crf":
        return np.where(_by_crf(image_rgb, probability, knobs), np.uint8(255), np.uint8(0))
    if knobs.method == "guided":
        probability = refine_guided(
            to_grey(image_rgb) if knobs.guide == "image" else probability,
            probability,
            threshold=knobs.guided_threshold,
            radius_px=knobs.guided_radius_px,
            eps=knobs.guided_eps,
        )
    return np.rint(probability * 255).astype(np.uint8)


def _by_crf(image_rgb: ImageRGB, probability: Map, knobs: RefinementsKnobs) -> NDArray[np.bool_]:
    return dense_crf(
        image_rgb,
        probability,
        unary_scale=knobs.unary_scale,
        unary_clip=knobs.unary_clip,
        gaussian_sxy_px=knobs.gaussian_sxy_px,
        gaussian_compat=knobs.gaussian_compat,
        bilateral_sxy_px=knobs.bilateral_sxy_px,
        bilateral_srgb=knobs.bilateral_srgb,
        bilateral_compat=knobs.bilateral_compat,
        iterations=knobs.iterations,
    )
