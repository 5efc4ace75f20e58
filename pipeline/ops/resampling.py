"""Coarse maps stretched to the size of their image, and images made smaller or larger."""

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.ops.types import Map


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
