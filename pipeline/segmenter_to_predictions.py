"""Segmenter, image → prediction: the probability of crack of every pixel, as whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pipeline.knobs import PredictionsKnobs
from pipeline.learning.training import autocast, evaluating, laid_out, to_batch
from pipeline.ops.coarse_maps import resize_image, resize_linear
from pipeline.ops.types import ImageRGB, Map
from pipeline.ops.weighing import weighed
from pipeline.ops.windows import Area, pad_to_multiple, tiles

MIRRORED = tuple((slice(None, None, down), slice(None, None, right)) for down in (1, -1) for right in (1, -1))
GRID_PX = 32  # all networks shrink by at most this: tiles that start on it see the same cells as the whole image


def predict(
    model: nn.Module, image_rgb: ImageRGB, knobs: PredictionsKnobs, *, device: torch.device, flips: bool = False
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """H×W: 0 … 255 or 0 … 65535 stand for probabilities 0 … 1, rounded.

    The full image at once, in tiles when it has more than `max_pixels`; at `scale` times its size when that is
    not 1, and the logits are brought back to its size. An image of H×W×4 has its edges in the last channel.
    With `flips` the mean of the probabilities of the image and its three mirror images, each turned back.
    Of several `scales` the mean of what is said at each, as logits.
    """
    scales = [replace(knobs, scale=scale) for scale in knobs.scales] or [knobs]
    said = [_at_one_scale(model, image_rgb, each, device, flips=flips) for each in scales]
    probability = said[0] if len(said) == 1 else weighed(said, [1.0] * len(said))
    if knobs.bits == 8:
        return np.rint(probability * 255).astype(np.uint8)
    return np.rint(probability * 65_535).astype(np.uint16)


def _at_one_scale(
    model: nn.Module, image_rgb: ImageRGB, knobs: PredictionsKnobs, device: torch.device, *, flips: bool
) -> Map:
    if not flips:
        return _probability(model, image_rgb, knobs, device)
    mirrored = [_probability(model, image_rgb[step], knobs, device)[step] for step in MIRRORED]
    mean: Map = np.mean(mirrored, axis=0, dtype=np.float32)
    return mean


def _probability(model: nn.Module, image_rgb: ImageRGB, knobs: PredictionsKnobs, device: torch.device) -> Map:
    image_rgb, (height, width) = np.ascontiguousarray(image_rgb), image_rgb.shape[:2]
    if knobs.scale != 1:
        image_rgb = resize_image(image_rgb, (max(round(height * knobs.scale), 1), max(round(width * knobs.scale), 1)))
    logits = logits_of(model, image_rgb, knobs, device=device)
    return sigmoid(resize_linear(logits, (height, width)) if knobs.scale != 1 else logits)


def as_probability(prediction: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> Map:
    """What the whole numbers stand for, in [0, 1]."""
    top = 255 if prediction.dtype == np.uint8 else 65_535
    return prediction.astype(np.float32) / np.float32(top)


def logits_of(model: nn.Module, image_rgb: ImageRGB, knobs: PredictionsKnobs, *, device: torch.device) -> Map:
    """float32 H×W; from tiles each pixel takes the value of the tile whose border is farthest from it."""
    height, width = image_rgb.shape[:2]
    if height * width <= knobs.max_pixels:
        return _forward(model, image_rgb, knobs, device)
    padded = pad_to_multiple(image_rgb, GRID_PX)
    stitched = np.empty(padded.shape[:2], np.float32)
    for tile, inside, target in tiles(stitched.shape, knobs.tile_px, knobs.overlap_px, GRID_PX):
        stitched[target] = _forward(model, np.ascontiguousarray(padded[tile]), knobs, device)[inside]
    return stitched[:height, :width]


def predict_lean(
    model: nn.Module,
    image_rgb: ImageRGB,
    knobs: PredictionsKnobs,
    *,
    device: torch.device,
    told: Callable[[int, int], None] = lambda done, total: None,
    side_by_side: int = 1,
) -> npt.NDArray[np.uint8]:
    """What `predict` says with 8 bits at the photo's own size, to the bit, in little more memory than the photo and its
    answer: a tile becomes whole numbers at once. `told` hears after each tile how many of how many are done; so many
    tiles are computed side by side, each by one thread, which changes no bit."""
    height, width = image_rgb.shape[:2]
    if height * width <= knobs.max_pixels:
        return _whole_numbers(_forward(model, np.ascontiguousarray(image_rgb), knobs, device))
    ragged = height % GRID_PX or width % GRID_PX
    padded = pad_to_multiple(image_rgb, GRID_PX) if ragged else image_rgb
    stitched = np.empty(padded.shape[:2], np.uint8)
    places = list(tiles(stitched.shape, knobs.tile_px, knobs.overlap_px, GRID_PX))

    def answer(place: tuple[Area, Area, Area]) -> npt.NDArray[np.uint8]:
        tile, inside, _ = place
        return _whole_numbers(_asked(model, np.ascontiguousarray(padded[tile]), knobs, device)[inside])

    with evaluating(model, device, knobs.precision), ThreadPoolExecutor(side_by_side) as pool:
        for number, ((_, _, target), part) in enumerate(zip(places, pool.map(answer, places), strict=True), start=1):
            stitched[target] = part
            told(number, len(places))
    return stitched[:height, :width]


def _whole_numbers(logits: Map) -> npt.NDArray[np.uint8]:
    return np.rint(sigmoid(np.ascontiguousarray(logits)) * 255).astype(np.uint8)


def _forward(model: nn.Module, image_rgb: ImageRGB, knobs: PredictionsKnobs, device: torch.device) -> Map:
    with evaluating(model, device, knobs.precision):
        return _asked(model, image_rgb, knobs, device)


def _asked(model: nn.Module, image_rgb: ImageRGB, knobs: PredictionsKnobs, device: torch.device) -> Map:
    """While somebody sees to it that the model is evaluating; a thread keeps its own mind about gradients."""
    with torch.no_grad(), autocast(device, knobs.precision):
        logits = model(laid_out(to_batch(image_rgb[np.newaxis], device), knobs.precision))["logits"]
    found: Map = logits[0, 0].float().cpu().numpy()
    return found


def sigmoid(logits: Map) -> Map:
    probability: Map = torch.from_numpy(logits).sigmoid().numpy()
    return probability
