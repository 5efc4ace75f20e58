"""A dense conditional random field: snaps a coarse crack map to the colours of its image."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from pydensecrf.densecrf import DenseCRF2D

from pipeline.ops.types import ImageRGB, Map, Mask


class CrfParameters(NamedTuple):
    """What a search varies; the unary stays the same."""

    gaussian_sxy_px: float
    gaussian_compat: float
    bilateral_sxy_px: float
    bilateral_srgb: float
    bilateral_compat: float
    iterations: int


Kernels: TypeAlias = tuple[float, float, float, float, float]  # the parameters without the iterations
Labeller: TypeAlias = Callable[[ImageRGB, Map, Sequence[CrfParameters]], Iterator[tuple[int, Mask]]]


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
    kernels = gaussian_sxy_px, gaussian_compat, bilateral_sxy_px, bilateral_srgb, bilateral_compat
    parameters = CrfParameters(*kernels, iterations)
    check_inputs(image_rgb, probability, [parameters])
    field = _field(image_rgb, crack_energies(probability, unary_scale, unary_clip), parameters)
    return _most_probable(field.inference(iterations), probability.shape)


def plain_labels(
    image_rgb: ImageRGB,
    probability: Map,
    settings: Sequence[CrfParameters],
    *,
    unary_scale: float,
    unary_clip: float,
) -> Iterator[tuple[int, Mask]]:
    """`dense_crf` of every parameter set, each as (its place in `settings`, its label), in any order.

    The library runs once for all sets that differ in nothing but their iterations: it is stopped at each number
    of iterations and looked at, which gives bit for bit what separate runs give.
    """
    check_inputs(image_rgb, probability, settings)
    energies = crack_energies(probability, unary_scale, unary_clip)
    for kernels, stops in by_kernels(settings).items():
        field = _field(image_rgb, energies, CrfParameters(*kernels, 0))
        state, *scratch = field.startInference()
        for iteration in range(max(stops) + 1):
            if iteration:
                field.stepInference(state, *scratch)
            for place in stops.get(iteration, []):
                yield place, _most_probable(state, probability.shape)


def labels_at_scale(
    labeller: Labeller, image_rgb: ImageRGB, probability: Map, settings: Sequence[CrfParameters], scale: float
) -> Iterator[tuple[int, Mask]]:
    """Labels of a photo that is `scale` times as large (averaged down), with kernels to match, stretched back."""
    height, width = probability.shape
    small_wh = max(round(width * scale), 1), max(round(height * scale), 1)
    image_small = cv2.resize(image_rgb, small_wh, interpolation=cv2.INTER_AREA)
    probability_small = cv2.resize(np.asarray(probability, np.float32), small_wh, interpolation=cv2.INTER_AREA)
    smaller = [
        parameters._replace(
            gaussian_sxy_px=parameters.gaussian_sxy_px * scale, bilateral_sxy_px=parameters.bilateral_sxy_px * scale
        )
        for parameters in settings
    ]
    for place, label in labeller(np.asarray(image_small), np.asarray(probability_small), smaller):
        stretched = cv2.resize(label.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        yield place, np.asarray(stretched, np.bool_)


def by_kernels(settings: Sequence[CrfParameters]) -> dict[Kernels, dict[int, list[int]]]:
    """Kernels → iterations → places in `settings`."""
    found: dict[Kernels, dict[int, list[int]]] = {}
    for place, parameters in enumerate(settings):
        found.setdefault(parameters[:5], {}).setdefault(parameters.iterations, []).append(place)
    return found


def crack_energies(probability: Map, scale: float, clip: float) -> npt.NDArray[np.float32]:
    """2×N energies: no crack, crack."""
    if not 0 < clip < 0.5:
        raise ValueError(f"a clip of {clip:g}; it lies between 0 and 0.5")
    crack = np.clip(probability.astype(np.float64).ravel() * scale, clip, 1 - clip)
    return -np.log(np.stack([1 - crack, crack])).astype(np.float32)


def check_inputs(image_rgb: ImageRGB, probability: Map, settings: Sequence[CrfParameters]) -> None:
    if image_rgb.dtype != np.uint8 or image_rgb.shape != (*probability.shape, 3):
        raise ValueError(
            f"an image of {image_rgb.dtype}, shape {image_rgb.shape}, and a map of {probability.shape}; "
            "a uint8 H×W×3 image and its H×W map are needed"
        )
    if not np.isfinite(probability).all():
        raise ValueError("a map with values that are not finite; values in [0, 1] are needed")
    fewest = min((parameters.iterations for parameters in settings), default=0)
    if fewest < 0:
        raise ValueError(f"{fewest} iterations; at least 0")


def add_gaussian(field: DenseCRF2D, sxy_px: float, compat: float) -> None:
    field.addPairwiseGaussian(sxy=sxy_px, compat=compat)


def add_bilateral(field: DenseCRF2D, image_rgb: ImageRGB, sxy_px: float, srgb: float, compat: float) -> None:
    image = np.ascontiguousarray(image_rgb)  # the library reads raw memory: only C order will do
    field.addPairwiseBilateral(sxy=sxy_px, srgb=srgb, rgbim=image, compat=compat)


def _field(image_rgb: ImageRGB, energies: npt.NDArray[np.float32], parameters: CrfParameters) -> DenseCRF2D:
    height, width, _ = image_rgb.shape
    field = DenseCRF2D(width, height, 2)
    field.setUnaryEnergy(energies)
    if parameters.gaussian_compat:
        add_gaussian(field, parameters.gaussian_sxy_px, parameters.gaussian_compat)
    if parameters.bilateral_compat:
        sxy_px, srgb = parameters.bilateral_sxy_px, parameters.bilateral_srgb
        add_bilateral(field, image_rgb, sxy_px, srgb, parameters.bilateral_compat)
    return field


def _most_probable(state: object, shape_hw: tuple[int, ...]) -> Mask:
    """Of the library's 2×N probabilities; a tie is no crack."""
    no_crack, crack = np.asarray(state)
    return np.asarray(crack > no_crack).reshape(shape_hw)
