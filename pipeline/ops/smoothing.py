"""Smoothing that keeps edges, and the grey image the thresholds work on."""

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.ops.types import Grey, ImageRGB


def bilateral(
    image: npt.NDArray[np.uint8], *, diameter_px: int, sigma_colour: float, sigma_space: float
) -> npt.NDArray[np.uint8]:
    """Bilateral filter of a grey (H×W) or RGB (H×W×3) image; borders are mirrored.

    Each pixel becomes the mean of its disc of `diameter_px`, weighted by exp(−½(distance/sigma_space)²) and
    exp(−½(colour difference/sigma_colour)²). The paper's d = 2 is a radius: a diameter of 5.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ValueError(f"an image of {image.dtype}, shape {image.shape}; uint8 H×W or H×W×3 is needed")
    if diameter_px < 1:
        raise ValueError(f"a diameter of {diameter_px} px; at least 1")
    filtered = cv2.bilateralFilter(np.ascontiguousarray(image), diameter_px, sigma_colour, sigma_space)
    return np.asarray(filtered, np.uint8)


def to_grey(image_rgb: ImageRGB) -> Grey:
    """Luma: 0.299 R + 0.587 G + 0.114 B, rounded."""
    if image_rgb.dtype != np.uint8 or image_rgb.ndim != 3 or image_rgb.shape[2] != 3:
        raise ValueError(f"an image of {image_rgb.dtype}, shape {image_rgb.shape}; uint8 H×W×3 is needed")
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image_rgb), cv2.COLOR_RGB2GRAY), np.uint8)
