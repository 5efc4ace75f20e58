"""Coarse maps normalised, merged and stretched to the size of their image; images made smaller or larger."""

import cv2
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


def upsample_lanczos(coarse: Map, shape_hw: tuple[int, int]) -> Map:
    """Lanczos interpolation (8×8 neighbours, borders repeated) to (height, width).

    The kernel has negative lobes and overshoots beside steps, so the result is clipped to [0, 1].
    """
    if coarse.ndim != 2 or 0 in coarse.shape or min(shape_hw) < 1:
        raise ValueError(f"a map of shape {coarse.shape} to {shape_hw}; both need two sides of at least 1 px")
    height, width = shape_hw
    contiguous = np.ascontiguousarray(coarse, np.float32)
    fine = cv2.resize(contiguous, (width, height), interpolation=cv2.INTER_LANCZOS4)
    return np.clip(fine, np.float32(0), np.float32(1))


def resize_image(image: npt.NDArray[np.uint8], shape_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """uint8 H×W×3 RGB to (height, width), linearly; the fourth channel of H×W×4, edges, stays 0 or 255.

    Made larger, an edge is what is one half or more. Made smaller, s < 1 times, a line of one pixel that runs
    along the pixels can cover s of them at the most: half of that makes an edge, so lines neither vanish nor swell.
    """
    height, width = shape_hw
    colours = cv2.resize(np.ascontiguousarray(image[..., :3]), (width, height), interpolation=cv2.INTER_LINEAR)
    if image.shape[2] == 3:
        return np.asarray(colours, np.uint8)
    scale = min(width / image.shape[1], 1)
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    covered = cv2.resize((image[..., 3] > 0).astype(np.float32), (width, height), interpolation=kind)
    edges = covered >= scale / 2 - 1e-3  # round-off: a line on a seam covers both sides of it by a half
    return np.dstack([colours, edges.astype(np.uint8) * np.uint8(255)])


def resize_linear(values: npt.NDArray[np.float32], shape_hw: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Linear interpolation between pixel centres to (height, width), borders repeated; any range."""
    height, width = shape_hw
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def shrunk_to(image: npt.NDArray[np.uint8], pixels: int) -> npt.NDArray[np.uint8]:
    """An image of at most so many pixels; never larger than it was."""
    height, width = image.shape[:2]
    factor = (pixels / (height * width)) ** 0.5
    if factor >= 1:
        return image
    return resize_image(image, (max(int(height * factor), 1), max(int(width * factor), 1)))
