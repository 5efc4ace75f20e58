"""Image → threshold map: which pixels are dark in every window that covers them (method, section 4)."""

from __future__ import annotations

from pipeline.knobs import ThresholdMapsKnobs
from pipeline.ops.filters import bilateral, to_grey
from pipeline.ops.thresholds import local_multi_otsu
from pipeline.ops.types import ImageRGB, Mask


def threshold_map(image_rgb: ImageRGB, knobs: ThresholdMapsKnobs) -> Mask:
    """bool H×W, True for dark; the bilateral filter evens out grain and keeps edges."""
    if knobs.bilateral:
        image_rgb = bilateral(
            image_rgb,
            diameter_px=knobs.bilateral_diameter_px,
            sigma_colour=knobs.bilateral_sigma_colour,
            sigma_space=knobs.bilateral_sigma_space,
        )
    return local_multi_otsu(
        to_grey(image_rgb), window_px=knobs.window_px, stride_px=knobs.stride_px, classes=knobs.classes
    )
