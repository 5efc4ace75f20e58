"""Image, prediction → the prediction sharpened by a dense CRF or a guided filter (as Liu et al. do)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.knobs import RefinementsKnobs
from pipeline.ops.crf import CrfParameters, dense_crf
from pipeline.ops.filters import refine_guided, to_grey
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
    parameters = CrfParameters(*(getattr(knobs, name) for name in CrfParameters._fields))
    scale, clip = knobs.unary_scale, knobs.unary_clip
    return dense_crf(image_rgb, probability, parameters, unary_scale=scale, unary_clip=clip)
