"""A dense conditional random field: snaps a coarse crack map to the colours of its image."""

import numpy as np
import numpy.typing as npt
from pydensecrf.densecrf import DenseCRF2D

from pipeline.ops.types import ImageRGB, Map, Mask


def dense_crf(
    image_rgb: ImageRGB,
    probability: Map,
    *,
    unary_scale: float,
    unary_clip: float,
    gaussian_sxy_px: float,
    gaussian_compat: float,
    bilateral_sxy_px: float,
    bilateral_srgb: float,
    bilateral_compat: float,
    iterations: int,
) -> Mask:
    """Most probable label of each pixel after `iterations` of mean field; with 0 the map alone decides.

    U = −log[1−p, p] with p = clip(unary_scale · probability, unary_clip, 1 − unary_clip). Two Potts kernels
    exp(−½‖Δf‖²): f = (x, y)/gaussian_sxy and f = ((x, y)/bilateral_sxy, rgb/bilateral_srgb), symmetrically
    normalised, weighted by their compat (Krähenbühl and Koltun 2011). A tie is no crack.
    """
    _check(image_rgb, probability, unary_clip, iterations)
    height, width = probability.shape
    field = DenseCRF2D(width, height, 2)
    field.setUnaryEnergy(_unary(probability, unary_scale, unary_clip))
    if gaussian_compat:
        field.addPairwiseGaussian(sxy=gaussian_sxy_px, compat=gaussian_compat)
    if bilateral_compat:
        image = np.ascontiguousarray(image_rgb)  # the library reads raw memory: only C order will do
        field.addPairwiseBilateral(sxy=bilateral_sxy_px, srgb=bilateral_srgb, rgbim=image, compat=bilateral_compat)
    labels = np.asarray(field.inference(iterations)).reshape(2, height, width)
    return np.asarray(labels[1] > labels[0])


def _unary(probability: Map, scale: float, clip: float) -> npt.NDArray[np.float32]:
    """2×N energies: no crack, crack."""
    crack = np.clip(probability.astype(np.float64).ravel() * scale, clip, 1 - clip)
    return -np.log(np.stack([1 - crack, crack])).astype(np.float32)


def _check(image_rgb: ImageRGB, probability: Map, clip: float, iterations: int) -> None:
    if image_rgb.dtype != np.uint8 or image_rgb.shape != (*probability.shape, 3):
        raise ValueError(
            f"an image of {image_rgb.dtype}, shape {image_rgb.shape}, and a map of {probability.shape}; "
            "a uint8 H×W×3 image and its H×W map are needed"
        )
    if not np.isfinite(probability).all():
        raise ValueError("a map with values that are not finite; values in [0, 1] are needed")
    if not 0 < clip < 0.5 or iterations < 0:
        raise ValueError(f"clip {clip:g}, {iterations} iterations; the clip lies between 0 and 0.5, iterations ≥ 0")
