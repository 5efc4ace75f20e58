"""Coarse maps stretched to the size of their image."""

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


def resize_linear(values: npt.NDArray[np.float32], shape_hw: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Linear interpolation between pixel centres to (height, width), borders repeated; any range."""
    height, width = shape_hw
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
