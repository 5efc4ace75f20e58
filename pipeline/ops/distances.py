"""How far each pixel lies from the edge of the crack."""

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.ops.types import Mask


def signed_distance(mask: Mask) -> npt.NDArray[np.float32]:
    """H×W in [−1, 1]: outside / max(outside) − inside / max(inside), and 0 on the crack's own edge.

    outside: Euclidean distance in px of a pixel to the nearest crack pixel (0 on the crack); inside: of a crack
    pixel to the nearest other one (0 off the crack). The edge is every crack pixel with a pixel off the crack
    above, below, left or right of it; the border of the image is no edge. A mask of one class only has no edge: 0
    everywhere.
    """
    if mask.dtype != np.bool_ or mask.ndim != 2:
        raise ValueError(f"a mask of {mask.dtype}, shape {mask.shape}; bool H×W is needed")
    if mask.all() or not mask.any():
        return np.zeros(mask.shape, np.float32)
    outside, inside = _distance_to_zero(~mask), _distance_to_zero(mask)
    signed: npt.NDArray[np.float32] = outside / outside.max() - inside / inside.max()
    signed[inside == 1] = 0  # only a neighbour across a side is 1 px away
    return signed


def _distance_to_zero(mask: Mask) -> npt.NDArray[np.float32]:
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance, np.float32)
