"""Grey morphology with a square kernel; nothing beyond the border counts, so borders do not erode.

And how far each pixel lies from the edge of the crack.
"""

from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.ops.types import Mask

Pixel = TypeVar("Pixel", np.uint8, np.float32)


def erode(image: npt.NDArray[Pixel], *, kernel_px: int, iterations: int) -> npt.NDArray[Pixel]:
    """`iterations` times: each pixel becomes the least one of its kernel_px × kernel_px neighbourhood."""
    return _apply(cv2.MORPH_ERODE, image, kernel_px, iterations)


def dilate(image: npt.NDArray[Pixel], *, kernel_px: int, iterations: int) -> npt.NDArray[Pixel]:
    """`iterations` times: each pixel becomes the greatest one of its kernel_px × kernel_px neighbourhood."""
    return _apply(cv2.MORPH_DILATE, image, kernel_px, iterations)


def close(image: npt.NDArray[Pixel], *, kernel_px: int, iterations: int) -> npt.NDArray[Pixel]:
    """`iterations` dilations, then as many erosions: fills gaps narrower than the kernel, removes nothing."""
    return _apply(cv2.MORPH_CLOSE, image, kernel_px, iterations)


def _apply(kind: int, image: npt.NDArray[Pixel], kernel_px: int, iterations: int) -> npt.NDArray[Pixel]:
    if image.dtype not in (np.uint8, np.float32):
        raise ValueError(f"an image of {image.dtype}; uint8 or float32 is needed")
    if kernel_px < 1 or kernel_px % 2 == 0:
        raise ValueError(f"a kernel of {kernel_px} px; an odd size, so that it has a centre")
    if iterations < 0:
        raise ValueError(f"{iterations} iterations; 0 or more")
    if iterations == 0:
        return image.copy()
    kernel = np.ones((kernel_px, kernel_px), np.uint8)
    changed = cv2.morphologyEx(np.ascontiguousarray(image), kind, kernel, iterations=iterations)
    return np.asarray(changed, image.dtype)


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
