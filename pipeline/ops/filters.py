"""Filters of single images: smoothing that keeps edges, grey values, edges, and the guided filter."""

from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.ops.counts import TOP
from pipeline.ops.types import Grey, ImageRGB, Map, Mask

Floats: TypeAlias = npt.NDArray[np.float64]


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


def guided_filter(guide: npt.NDArray[Any], source: npt.NDArray[Any], *, radius_px: int, eps: float) -> Floats:
    """q = ā·I + b̄ of a guide I and a source p, both H×W: near every pixel the result is a line in the guide.

    In the window of (2·radius_px + 1)² around each pixel: a = cov(I, p) / (var I + eps) and b = p̄ − a·Ī; the bar is
    the mean of a window. Beyond the border the image is mirrored, its edge pixel repeated (cba|abc). Values are
    taken as they are, in float64: eps is in squares of the guide's unit. The result may leave the source's range.
    """
    if guide.ndim != 2 or guide.shape != source.shape:
        raise ValueError(f"a guide of {guide.shape}, a source of {source.shape}; both H×W are needed")
    if radius_px < 0 or not eps > 0:
        raise ValueError(f"a radius of {radius_px} px, eps = {eps:g}; a radius of at least 0 and eps above 0")
    guide, source = guide.astype(np.float64), source.astype(np.float64)
    if not (np.isfinite(guide).all() and np.isfinite(source).all()):
        raise ValueError("a guide or a source with values that are not finite; finite numbers are needed")
    guide_mean, source_mean = _window_mean(guide, radius_px), _window_mean(source, radius_px)
    covariance = _window_mean(guide * source, radius_px) - guide_mean * source_mean
    variance = _window_mean(guide * guide, radius_px) - guide_mean * guide_mean
    a = covariance / (variance.clip(min=0) + eps)  # rounding may leave it below 0
    b = source_mean - a * guide_mean
    filtered: Floats = _window_mean(a, radius_px) * guide + _window_mean(b, radius_px)
    return filtered


def refine_guided(
    guide: npt.NDArray[Any], prediction: npt.NDArray[Any], *, threshold: float, radius_px: int, eps: float
) -> Map:
    """The prediction, 1 where > threshold and 0 elsewhere, filtered along the guide and cut to [0, 1].

    Both maps are floats in [0, 1], uint8 (/255), uint16 (/65535) or bool; eps is in squares of that unit. Liu et
    al. guide the fused map by the finest side output.
    """
    hard = _unit(prediction) > threshold
    refined = guided_filter(_unit(guide), hard, radius_px=radius_px, eps=eps)
    return np.clip(refined, 0, 1).astype(np.float32)


def _window_mean(image: Floats, radius_px: int) -> Floats:
    side = 2 * radius_px + 1
    return np.asarray(cv2.blur(image, (side, side), borderType=cv2.BORDER_REFLECT), np.float64)


def _unit(values: npt.NDArray[Any]) -> Floats:
    """In [0, 1], as float64."""
    if values.dtype.kind != "f" and values.dtype not in TOP:
        raise ValueError(f"a map of {values.dtype}; floats in [0, 1], uint8, uint16 or bool are needed")
    scaled = values.astype(np.float64) / TOP.get(values.dtype, 1)
    if not ((scaled >= 0) & (scaled <= 1)).all():
        raise ValueError("a map with values that are not all in [0, 1]; floats in [0, 1] are needed")
    return scaled
