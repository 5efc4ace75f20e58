"""CAM (or the merged localization) → dense CRF → binary label (method, section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.knobs import CrfSearchKnobs
from pipeline.ops.coarse_maps import merge_maps
from pipeline.ops.crf import CrfParameters, dense_crf
from pipeline.ops.types import ImageRGB, Map


def unary_map(cam: Map, patch_map: Map | None, knobs: CrfSearchKnobs) -> Map:
    """What the CRF starts from: the CAM, or the weighted mean of both maps, nothing cut off."""
    return cam if patch_map is None else merge_maps(patch_map, cam, cam_weight=knobs.cam_weight, threshold=0.0)


def crf_label(
    image_rgb: ImageRGB, unary: Map, parameters: Mapping[str, Any], knobs: CrfSearchKnobs
) -> NDArray[np.uint8]:
    """uint8 H×W, 0 or 255; the parameters are those of the two kernels and the iterations."""
    scale, clip = knobs.unary_scale, knobs.unary_clip
    mask = dense_crf(image_rgb, unary, CrfParameters(**parameters), unary_scale=scale, unary_clip=clip)
    return mask.astype(np.uint8) * np.uint8(255)
