"""Image, or a grey map of its edges → edge map, the fourth channel of networks that take one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.knobs import EdgeMapsKnobs
from pipeline.ops.filters import canny, to_grey
from pipeline.ops.types import Grey, ImageRGB, Mask

if TYPE_CHECKING:
    import torch

    from models.networks.hed import HED


def canny_map(image_rgb: ImageRGB, knobs: EdgeMapsKnobs) -> Mask:
    """bool H×W, True for edge: Canny's, of the grey image."""
    return canny(to_grey(image_rgb), low=knobs.canny_low, high=knobs.canny_high, blur_px=knobs.blur_px)


def given_map(grey: Grey, knobs: EdgeMapsKnobs) -> Mask:
    """bool H×W, True for edge: brighter than the threshold, which itself is none."""
    edges: Mask = grey > knobs.threshold
    return edges


def hed_map(network: HED, image_rgb: ImageRGB, knobs: EdgeMapsKnobs, *, device: torch.device) -> Mask:
    """bool H×W, True for edge: where HED's probability × 255, rounded, is above the threshold."""
    import torch

    from pipeline.learning.training import to_batch

    with torch.no_grad():
        probability = network(to_batch(image_rgb[np.newaxis], device))[0, 0].cpu().numpy()
    return given_map(np.round(probability * 255).astype(np.uint8), knobs)


def with_edges(image_rgb: ImageRGB, edges: Mask) -> npt.NDArray[np.uint8]:
    """H×W×4: red, green, blue and 255 where there is an edge, else 0; it is cut and turned as one image."""
    if image_rgb.shape[:2] != edges.shape:
        raise ValueError(f"an image of {image_rgb.shape} with edges of {edges.shape}; sizes must agree")
    return np.dstack([image_rgb, edges.astype(np.uint8) * np.uint8(255)])
