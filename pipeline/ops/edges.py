"""Edges: where grey values change steeply."""

import cv2
import numpy as np

from pipeline.ops.types import Grey, Mask


def canny(grey: Grey, *, low: float, high: float, blur_px: float) -> Mask:
    """Canny's edges, bool H×W, True for edge: one pixel wide, along the ridges of the gradient.

    The grey values are first blurred by a Gaussian of standard deviation blur_px (0: not at all; borders mirrored).
    The gradient is Sobel's, |(x, y)|, so a straight step of h grey values that is not blurred measures 4 h. A ridge
    above `high` is an edge, and so is one above `low` that leads to such a ridge; borders are repeated.
    """
    if grey.dtype != np.uint8 or grey.ndim != 2:
        raise ValueError(f"an image of {grey.dtype}, shape {grey.shape}; uint8 H×W is needed")
    if not 0 <= low <= high or blur_px < 0:
        raise ValueError(f"low {low:g}, high {high:g}, blur {blur_px:g} px; 0 ≤ low ≤ high and 0 ≤ blur are needed")
    smooth = cv2.GaussianBlur(grey, (0, 0), blur_px) if blur_px else np.ascontiguousarray(grey)
    edges: Mask = cv2.Canny(smooth, low, high, apertureSize=3, L2gradient=True) > 0
    return edges
