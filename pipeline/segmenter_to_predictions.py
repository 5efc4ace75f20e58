"""Segmenter, image → prediction: the probability of crack of every pixel, as whole numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pipeline.knobs import PredictionsKnobs
from pipeline.ops.types import ImageRGB, Map
from pipeline.training import evaluating, laid_out, to_batch


def predict(
    model: nn.Module, image_rgb: ImageRGB, knobs: PredictionsKnobs, *, device: torch.device
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """The full image at once, H×W: 0 … 255 or 0 … 65535 stand for probabilities 0 … 1, rounded."""
    with evaluating(model, device, knobs.precision):
        logits = model(laid_out(to_batch(image_rgb[np.newaxis], device), knobs.precision))["logits"]
        probability: Map = logits[0, 0].float().sigmoid().cpu().numpy()
    if knobs.bits == 8:
        return np.rint(probability * 255).astype(np.uint8)
    return np.rint(probability * 65_535).astype(np.uint16)
